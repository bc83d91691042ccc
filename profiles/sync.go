package profiles

// Sync says what an account brings to the phone besides being one.
type Sync struct {
	Mail      Service `yaml:"mail" json:"mail,omitzero"`           // mail; on, and the user may change it, where nothing is said
	Contacts  Service `yaml:"contacts" json:"contacts,omitzero"`   // address book; on, and the user may change it, where nothing is said
	Calendar  Service `yaml:"calendar" json:"calendar,omitzero"`   // calendars; on, and the user may change it, where nothing is said
	Reminders Service `yaml:"reminders" json:"reminders,omitzero"` // tasks; on, and the user may change it, where nothing is said
	Notes     Service `yaml:"notes" json:"notes,omitzero"`         // notes; on, and the user may change it, where nothing is said
}

// Service is one switch of an account. The zero Service is on, and the user may
// change it.
type Service struct {
	Enabled *bool `yaml:"enabled" json:"enabled,omitempty"` // the phone syncs it
	Locked  bool  `yaml:"locked" json:"locked,omitempty"`   // the user cannot change the switch
}

// On reports whether the service is switched on.
func (s Service) On() bool { return s.Enabled == nil || *s.Enabled }
