package agent

// ShownAndroid is what only an Android phone has.
type ShownAndroid struct {
	Device     string `json:"device,omitempty"`    // resource name
	Mode       string `json:"mode,omitempty"`      // DEVICE_OWNER, PROFILE_OWNER
	Ownership  string `json:"ownership,omitempty"` // as Google takes it
	SpecificID string `json:"enterprise_specific_id,omitempty"`
	Company    bool   `json:"company"` // the truth
	Fresh      bool   `json:"fresh,omitempty"`
	Disabled   bool   `json:"disabled,omitempty"`
	API        int    `json:"api_level"`
	Encrypted  bool   `json:"encrypted"`
	Posture    string `json:"posture,omitempty"`

	Policy    string   `json:"policy,omitempty"` // last part of the applied one's name
	Version   int64    `json:"policy_version,omitempty"`
	Stale     bool     `json:"policy_stale,omitempty"`      // it takes no new one
	Broken    []string `json:"not_kept"`                    // settings of the policy: "passwordPolicies USER_ACTION"
	Installed []string `json:"installed"`                   // by the policy
	Keys      []string `json:"keys,omitempty"`              // by the tester's word
	Companion string   `json:"companion_trouble,omitempty"` // of the app that fetches certificates, when it last ran

	ProfilesRemoved int `json:"work_profiles_removed"`
	Resets          int `json:"factory_resets"` // by management
	Reboots         int `json:"reboots"`        // by management
}

// shownAndroid fills what is Android's in a snapshot.
func (p *Phone) shownAndroid(shot *Snapshot) {
	a := p.s.Android
	out := &ShownAndroid{
		Company: a.Company, Fresh: a.Fresh, API: apiLevel(p.s.Facts.OS), Encrypted: !a.Plain, Posture: a.Posture, Stale: a.Stale, Keys: a.Keys, Companion: a.Companion.Trouble,
		Broken: []string{}, Installed: []string{}, ProfilesRemoved: a.Removed, Resets: a.Resets, Reboots: a.Reboots,
	}
	shot.Platform, shot.Build, shot.Android = string(Android), androidBuild(p.s.Facts.OS), out
	for _, account := range p.s.Accounts {
		if account.Profile == gmailPackage {
			shot.EASDeviceID = account.DeviceID // what Gmail presents now
		}
	}
	m := a.Managed
	if m == nil {
		return
	}
	policy := m.policy()
	out.Device, out.Mode, out.Ownership, out.SpecificID, out.Disabled = m.Device, m.Mode, m.Ownership, m.SpecificID, m.Disabled
	out.Policy, out.Version = lastPart(str(policy, "name")), int64Of(policy, "version")
	out.Installed = append(out.Installed, m.Installed...)
	for _, d := range m.Broken {
		text := d.Setting + " " + d.Reason
		if d.Package != "" {
			text += " " + d.Package
		}
		out.Broken = append(out.Broken, text)
	}
}
