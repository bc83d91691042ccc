package directory

// WithDefaults trims the user's values and fills what may be left out, as Save
// does: the login name is the UPN's local part, the display name the UPN.
func (u User) WithDefaults() User { return normal(u) }
