package profiles

// Sync says what an account brings to the phone besides being one.
type Sync struct {
	Mail      Service `yaml:"mail" json:"mail,omitzero"`
	Contacts  Service `yaml:"contacts" json:"contacts,omitzero"`
	Calendar  Service `yaml:"calendar" json:"calendar,omitzero"`
	Reminders Service `yaml:"reminders" json:"reminders,omitzero"`
	Notes     Service `yaml:"notes" json:"notes,omitzero"`
}

// Service is one switch of an account. The zero Service is on, and the user may
// change it.
type Service struct {
	Enabled *bool `yaml:"enabled" json:"enabled,omitempty"` // default true
	Locked  bool  `yaml:"locked" json:"locked,omitempty"`   // the user cannot change it
}

// On reports whether the service is switched on.
func (s Service) On() bool { return s.Enabled == nil || *s.Enabled }
