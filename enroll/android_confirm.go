package enroll

import (
	"slices"

	"sallyport/mdm"
)

// Confirm completes a phone's report by what its policy brought: the mail
// accounts that it has, as an iPhone's ProfileList would tell of them, and the
// ActiveSync DeviceId that its mail app was told to present. A phone has an
// account when it applies our policy in a version that has it, and complains
// neither of the app nor of a key of its configuration.
//
// A DeviceId that was confirmed once stays: what was told so asks under it, also
// after the account was taken away.
func (p AndroidPolicy) Confirm(r mdm.Report) mdm.Report {
	if r.Policy == nil {
		return r
	}
	list := mdm.ProfileFacts{At: r.Policy.At, Items: []mdm.ProfileOnFile{}}
	presents := ""
	for _, m := range p.Mail {
		if !p.has(m, *r.Policy) {
			continue
		}
		managed := true
		list.Items = append(list.Items, mdm.ProfileOnFile{Identifier: m.Identifier, UUID: m.UUID, DisplayName: m.Name, Managed: &managed})
		if m.EASDeviceID != "" {
			presents = m.EASDeviceID
		}
	}
	r.Profiles = &list
	if r.Device != nil && presents != "" {
		device := *r.Device
		device.EASDeviceID = presents
		r.Device = &device
	}
	return r
}

// has reports whether the phone holds a mail account, by what it says itself.
func (p AndroidPolicy) has(m AndroidMail, said mdm.PolicyFacts) bool {
	if p.Name == "" || said.Applied != p.Name || said.Version < m.Since {
		return false
	}
	return m.trouble(said) == ""
}

// trouble is what the phone complains of about a mail account; empty when of nothing.
func (m AndroidMail) trouble(said mdm.PolicyFacts) string {
	if i := slices.IndexFunc(said.Broken, func(n mdm.Nonconformity) bool { return n.Package == m.Package }); i >= 0 {
		return said.Broken[i].Plain
	}
	if i := slices.IndexFunc(said.AppStates, func(s mdm.AppState) bool { return s.Package == m.Package && s.Error }); i >= 0 {
		return said.AppStates[i].Key + ": " + said.AppStates[i].Message
	}
	return ""
}
