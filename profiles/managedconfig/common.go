package managedconfig

// appleOnly holds the rules of settings that only Apple's Mail knows. What comes
// nearest to keeping work apart is the platform's: no app has a key for it.
func appleOnly(p Platform) map[string]rule {
	const (
		why   = "only Apple's Mail knows this setting"
		pages = "the app finds the pages of sign-in itself"
	)
	apart := "the work profile keeps mail and files from private apps (crossProfilePolicies)"
	if p == IOS {
		apart = "the restriction that keeps what managed apps hold in managed apps (allowOpenFromManagedToUnmanaged)"
	}
	return map[string]rule{
		"oauth.sign_in_url":    never(pages, ""),
		"oauth.token_url":      never(pages, ""),
		"prevent_move":         never(why, apart),
		"block_non_mail_apps":  never(why, apart),
		"disable_recents_sync": never("only Apple's Mail copies recent addresses to iCloud", ""),
		"allow_mail_drop":      never("Mail Drop is a service of Apple's iCloud", ""),
		"audio_call_app":       never(why, ""),
	}
}

// noSecrets holds the rules of settings that need the password: a managed
// configuration travels and lies in clear text, and neither app has a key.
func noSecrets(app string) map[string]rule {
	const asks = "the app asks the user for the password"
	return map[string]rule{
		"password.secret":            never("a password is not sent: "+app+" has no key for it, and a managed configuration is clear text", asks),
		"override_previous_password": never(app+" keeps the password that the user typed", asks),
	}
}
