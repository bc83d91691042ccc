package mdm

// Versions of Android from which on something works.
const clearAppDataIntroduced = "9"

// androidRows are those of Google's commands by the kind of management.
// Supervised means fully managed; a work profile is the rest. A device of the
// company's may have either.
// https://developers.google.com/android/management/reference/rest/v1/enterprises.devices/issueCommand#commandtype
func androidRows() []MatrixRow {
	const (
		c       = ClientAndroid
		workOut = "removes the work profile with mail and everything else in it; the rest of the phone stays as it is"
		noMail  = "takes mail out of the phone's policy, and clears the mail app's data; everything else and the enrolment stay"
		oldMail = "takes mail out of the phone's policy, which removes the mail app; everything else and the enrolment stay"
	)
	return []MatrixRow{
		{Client: c, Kind: ActionWipe, Ownership: Personal, Reason: neverPersonal},
		{Client: c, Kind: ActionWipe, Ownership: Corporate, Rights: RightErase, Effect: factoryReset},
		{Client: c, Kind: ActionSelectiveWipe, MinOS: clearAppDataIntroduced, Effect: noMail},
		{Client: c, Kind: ActionSelectiveWipe, Effect: oldMail},
		{Client: c, Kind: ActionRemovePolicies, Effect: policiesOff + "; mail stays"},
		{Client: c, Kind: ActionResend, MinOS: clearAppDataIntroduced,
			Effect: "sends the phone's policy again, and clears the mail app's data; the app sets up the account anew and loads all mail"},
		{Client: c, Kind: ActionResend, Effect: "sends the phone's policy again"},
		{Client: c, Kind: ActionLock, Supervised: true, Effect: "locks the screen at once; Android shows neither message nor number"},
		{Client: c, Kind: ActionLock, Effect: "locks the phone at once, or the work profile alone where it has a lock of its own; Android shows neither message nor number"},
		{Client: c, Kind: ActionClearPasscode, Supervised: true, Effect: "removes the passcode; where a policy asks for one the user sets a new one"},
		{Client: c, Kind: ActionClearPasscode, Effect: "removes the work profile's own passcode; the phone's stays"},
		{Client: c, Kind: ActionRename, Effect: "changes our label; the phone keeps its own name"},
		{Client: c, Kind: ActionQuery, Effect: "asks for the number of the phone's eSIM chip (EID), all that Google lets be asked; the rest the phone tells by itself"},
		{Client: c, Kind: ActionRetire, Supervised: true, Ownership: Personal,
			Reason: "it would be reset as it left the factory, as nothing else ends the management of a phone that is managed as a whole; whose it is has to reset it, and remove-policies and selective-wipe take back the rest"},
		{Client: c, Kind: ActionRetire, Supervised: true,
			Reason: "it would be reset as it left the factory, as nothing else ends the management of a phone that is managed as a whole; wipe it, or remove it at Google"},
		{Client: c, Kind: ActionRetire, Ownership: Personal, Effect: workOut + ", and ends the enrolment"},
		{Client: c, Kind: ActionRetire, Ownership: Corporate, Effect: workOut + " and is its user's own from then on; ends the enrolment"},
		{Client: c, Kind: ActionCommand, Effect: "does what the command says; one that erases, or that takes the place of another act, is refused"},
		{Client: c, Reason: noRight},
	}
}
