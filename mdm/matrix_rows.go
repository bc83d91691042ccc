package mdm

// Reasons that several rows share.
const (
	noRight       = "its enrolment did not grant the right that this needs; enrol the device again with a new invitation"
	neverPersonal = "a personal device is never erased; selective_wipe removes mail and everything else that came from us"
	notOurs       = "it would reset the whole device, and nobody has said that it belongs to the company; selective_wipe or blocking the mail app leaves private data alone"
	needsManaging = "a mail app cannot do this; enrol the device"
	factoryReset  = "resets the device as it left the factory: everything on it is gone"
	policiesOff   = "stops to enforce security policies; settings stay as they are"
	olderMail     = "the mail app is too old to remove one account alone; block it, and its mail stays on the device until the account is removed there"
)

// Versions from which on a client can do something.
const (
	accountOnlyWipe       = "16.1" // EAS (MS-ASPROV 2.2.2.1)
	lockMessageIntroduced = "7.0"  // Message and PhoneNumber of DeviceLock, on iOS
)

// Matrix says what each act does to which device. Within one client the first
// row that fits holds. The mail apps' rows are those of Microsoft's table of
// Exchange ActiveSync wipes by client, and the account-only wipe that came
// later.
func Matrix() []MatrixRow {
	rows := appleRows()
	rows = append(rows, androidRows()...)
	for _, client := range []Client{ClientMailWindows81, ClientMailWindowsRT} {
		rows = append(rows,
			MatrixRow{Client: client, Kind: ActionWipe, Effect: "removes the mail account and cached mail; the rest of the device stays"},
			MatrixRow{Client: client, Kind: ActionSelectiveWipe, Effect: "removes the mail account"})
		rows = append(rows, mailRows(client)...)
	}
	for _, client := range []Client{ClientMailWinPhone8, ClientMailIOS, ClientMailAndroid} {
		rows = append(rows,
			MatrixRow{Client: client, Kind: ActionWipe, Ownership: Corporate, Effect: mailWipe(client)},
			MatrixRow{Client: client, Kind: ActionWipe, Ownership: Personal, Reason: neverPersonal},
			MatrixRow{Client: client, Kind: ActionWipe, Reason: notOurs})
		if client != ClientMailWinPhone8 { // it ends at EAS 14.1
			rows = append(rows, MatrixRow{Client: client, Kind: ActionSelectiveWipe, MinEAS: accountOnlyWipe,
				Effect: "removes the mail account alone"})
		}
		rows = append(rows, MatrixRow{Client: client, Kind: ActionSelectiveWipe, Reason: olderMail})
		rows = append(rows, mailRows(client)...)
	}
	return rows
}

func mailWipe(c Client) string {
	if c == ClientMailAndroid {
		return factoryReset + "; newer versions of Gmail remove the mail account alone"
	}
	return factoryReset
}

// mailRows are what all mail apps have in common.
func mailRows(client Client) []MatrixRow {
	return []MatrixRow{
		{Client: client, Kind: ActionRemovePolicies, Effect: policiesOff},
		{Client: client, Reason: needsManaging},
	}
}

func appleRows() []MatrixRow {
	const c = ClientApple
	return []MatrixRow{
		{Client: c, Kind: ActionWipe, Ownership: Personal, Reason: neverPersonal},
		{Client: c, Kind: ActionWipe, Ownership: Corporate, Rights: RightErase, Effect: factoryReset},
		{Client: c, Kind: ActionSelectiveWipe, Rights: RightInstallProfiles,
			Effect: "removes the mail account with its mail, and everything else that came from us; private data and the enrolment stay"},
		{Client: c, Kind: ActionRemovePolicies, Rights: RightInstallProfiles, Effect: policiesOff + "; mail stays"},
		{Client: c, Kind: ActionResend, Rights: RightInstallProfiles,
			Effect: "installs the mail profile again; Mail may ask for the password once more"},
		{Client: c, Kind: ActionLock, Rights: RightLock, MinOS: lockMessageIntroduced,
			Effect: "locks the screen at once; message and number show where a passcode is set"},
		{Client: c, Kind: ActionLock, Rights: RightLock,
			Effect: "locks the screen at once; message and number show from iOS 7 on"},
		{Client: c, Kind: ActionClearPasscode, Rights: RightLock,
			Effect: "removes the passcode; where a policy asks for one the user sets a new one within an hour"},
		{Client: c, Kind: ActionRename, Supervised: true, Rights: RightSettings, Effect: "changes our label and the device's own name"},
		{Client: c, Kind: ActionRename, Effect: "changes our label; the device keeps its own name, since it is not supervised or did not grant the right to settings"},
		{Client: c, Kind: ActionQuery, Effect: "asks for facts; nothing changes on the device"},
		{Client: c, Kind: ActionRetire,
			Effect: "removes the management with everything that came by it, mail included, and revokes the device's certificates"},
		{Client: c, Kind: ActionCommand, Effect: "does what the command says; one that erases, or that takes the place of another act, is refused"},
		{Client: c, Reason: noRight},
	}
}
