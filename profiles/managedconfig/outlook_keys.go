package managedconfig

const (
	outlookPrefix = "com.microsoft.outlook."
	profilePrefix = outlookPrefix + "EmailProfile."

	accountType         = profilePrefix + "AccountType"
	profileAddress      = profilePrefix + "EmailAddress"
	profileUPN          = profilePrefix + "EmailUPN"
	profileName         = profilePrefix + "EmailAccountName"
	profileHost         = profilePrefix + "ServerHostName"
	profileDomain       = profilePrefix + "AccountDomain"
	serverAuth          = profilePrefix + "ServerAuthentication"
	smimeEnabled        = outlookPrefix + "Mail.SMIMEEnabled"
	smimeSign           = smimeEnabled + ".SignAllMail"
	smimeEncrypt        = smimeEnabled + ".EncryptAllMail"
	contactsSync        = outlookPrefix + "Contacts.LocalSyncEnabled"
	calendarSync        = outlookPrefix + "Calendar.NativeSyncEnabled"
	mayChange           = ".UserChangeAllowed"
	modernAuth          = "ModernAuth"
	basicAuth           = "BasicAuth"
	usernameAndPassword = "Username and Password"
)

// outlookKeys is the schema of Outlook as far as it reaches a managed device;
// keys for Intune's own app protection are left out.
func outlookKeys() []Key {
	return append(outlookAccountKeys(), outlookAppKeys()...)
}

func outlookAccountKeys() []Key {
	return []Key{
		stringKey(accountType, sourceOnline, sourceOnPrem).required().entries(modernAuth, basicAuth).defaults(basicAuth),
		stringKey(profileAddress, sourceOnline, sourceOnPrem).required(),
		stringKey(profileUPN, sourceOnline, sourceOnPrem).required(),
		stringKey(profileName, sourceOnPrem).required().basicOnly(),
		stringKey(profileHost, sourceOnPrem).required().basicOnly(),
		stringKey(profileDomain, sourceOnPrem).basicOnly(),
		stringKey(serverAuth, sourceOnPrem).basicOnly().entries(usernameAndPassword).defaults(usernameAndPassword),
		stringKey("IntuneMAMAllowedAccountsOnly", sourceOnline, sourceFixture).entries("Enabled", "Disabled"),
		stringKey("IntuneMAMUPN", sourceOnline).only(IOS),
		stringKey("com.microsoft.intune.mam.AllowedAccountUPNs", sourceOnline).only(Android),
	}
}

func outlookAppKeys() []Key {
	keys := []Key{
		boolKey(outlookPrefix+"Mail.FocusedInbox", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.ExternalRecipientsToolTipEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.DefaultSignatureEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.OfficeFeedEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.OrganizeByThreadEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.PlayMyEmailsEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Settings.ThemesEnabled", true, sourceOnline),
		stringKey(smimeEnabled+".LDAPHostName", sourceOnline),
	}
	for _, k := range []Key{
		boolKey(outlookPrefix+"Auth.Biometric", false, sourceOnline).only(IOS),
		boolKey(contactsSync, false, sourceOnline),
		boolKey(calendarSync, false, sourceOnline).only(Android),
		boolKey(outlookPrefix+"Mail.BlockExternalImagesEnabled", false, sourceOnline),
		boolKey(outlookPrefix+"Mail.SuggestedRepliesEnabled", true, sourceOnline),
		boolKey(outlookPrefix+"Mail.TextPredictionsEnabled", true, sourceOnline),
		boolKey(smimeEnabled, false, sourceOnline),
		boolKey(smimeEncrypt, false, sourceOnline),
		boolKey(smimeSign, false, sourceOnline),
	} {
		keys = append(keys, k, k.userChange())
	}
	return keys
}

// userChange is the key beside k that lets the user change the setting.
func (k Key) userChange() Key {
	k.Name += mayChange
	return k.defaults(true)
}
