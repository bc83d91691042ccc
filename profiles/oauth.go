package profiles

// OAuth is modern sign-in: the phone shows the provider's page and never sees a
// password.
type OAuth struct {
	Enabled   *bool  `yaml:"enabled" json:"enabled,omitempty"`         // default: true for office365, false on premises
	SignInURL string `yaml:"sign_in_url" json:"sign_in_url,omitempty"` // the provider's sign-in page; switches Autodiscover off
	TokenURL  string `yaml:"token_url" json:"token_url,omitempty"`     // where the phone gets tokens; goes with sign_in_url
}

// UsesOAuth reports whether the account signs in by OAuth.
func (a ExchangeAccount) UsesOAuth() bool {
	if a.OAuth.Enabled != nil {
		return *a.OAuth.Enabled
	}
	return a.HostType == Office365
}
