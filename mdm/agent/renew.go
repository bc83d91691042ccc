package agent

import (
	"strings"
)

// counts are what a tester reads off a phone. Like the ledger they are his:
// neither a restored backup nor EraseDevice resets them.
type counts struct {
	Created int `json:"created,omitempty"` // managed accounts that were made
	Prompts int `json:"prompts,omitempty"` // times that the owner was asked for a password or a sign-in
	Refused int `json:"refused,omitempty"` // MDM messages that the server refused
}

// renewed checks the enrolment profile that management sends to a phone which
// has it. Everything in it may be made anew but what the phone has promised:
// iOS refuses another topic, other addresses and added rights
// (https://developer.apple.com/documentation/devicemanagement/mdm).
func (p *Phone) renewed(prof *profile) (*enrolment, error) {
	m, err := prof.enrolment()
	if err != nil {
		return nil, err
	}
	have := *p.s.Enrolment
	for _, frozen := range []struct{ name, old, new string }{
		{"Topic", have.Topic, m.topic}, {"ServerURL", have.ServerURL, m.serverURL}, {"CheckInURL", have.CheckInURL, m.checkInURL},
	} {
		if frozen.old != frozen.new {
			return nil, refuse(ErrProfile, domainMDM, codeMDMMismatch, "The %s of the management cannot be changed.", frozen.name)
		}
	}
	if added := m.rights &^ have.Rights; added != 0 {
		return nil, refuse(ErrProfile, domainMDM, codeMDMMismatch, "The management cannot be given more access rights (%d).", added)
	}
	if !p.holds(prof.of(typeMDM)[0].payloadRef, prof.Identifier) {
		return nil, refuse(ErrProfile, domainMDM, codeMDMMismatch, "The profile does not replace the management's own payload.")
	}
	have.Rights, have.CheckOut, have.IdentityRef = m.rights, m.checkOut, m.identityRef
	return &have, nil
}

// holds reports whether the phone has the payload, to be changed in place: of the
// same profile, identifier and UUID.
func (p *Phone) holds(ref payloadRef, profile string) bool {
	for _, i := range p.s.Profiles {
		if i.Identifier != profile {
			continue
		}
		for _, have := range i.Payloads {
			if have.Identifier == ref.Identifier && strings.EqualFold(have.UUID, ref.UUID) {
				return true
			}
		}
	}
	return false
}

// asks reports whether the owner has to sign in before the account works: it
// came with neither a password nor a certificate.
func (a account) asks() bool { return !a.Password && a.IdentityRef == "" }
