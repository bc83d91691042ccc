package enroll

import (
	"time"

	"sallyport/certs"
	"sallyport/mdm"
)

// renew sends the profiles again whose identities are due to be replaced: the
// same profile with a fresh challenge, at which the phone asks for a new
// certificate and changes what it has in place. Whether it got one says
// Renewals: what was issued is not there any more. An installation that was
// acknowledged and leaves it there came to nothing, and counts as failed.
//
// A mail profile that is not wanted, cannot be made or is not on the phone is left
// alone: if it is installed later, that brings a new identity anyway. What an
// admin keeps from the phone is not renewed either.
func (p *planner) renew() {
	if p.have.Enrollment.Withheld == mdm.WithholdEverything {
		return
	}
	for _, r := range p.have.Enrollment.Renewals {
		profile, ok := p.renewable(r)
		switch {
		case !ok, p.planned(profile.Identifier):
		case p.now.Before(r.DueAt):
			p.wait(r.DueAt)
		default:
			p.add(Action{Type: installProfile, Subject: profile.Identifier, Revision: profile.UUID}, time.Time{})
		}
	}
}

// renewable is the profile that brings an identity anew.
func (p *planner) renewable(r mdm.Renewal) (WantedProfile, bool) {
	if r.Rule == string(certs.RuleMDMIdentity) {
		return WantedProfile{Identifier: p.want.EnrollmentProfile, UUID: p.want.EnrollmentRevision}, p.want.EnrollmentRevision != ""
	}
	var found []WantedProfile
	for _, profile := range p.want.Profiles {
		if profile.Mail && (r.Profile == "" || profile.Identifier == r.Profile) {
			found = append(found, profile)
		}
	}
	// Which profile brought an identity was not always kept: then it is known only
	// where there is but one.
	if len(found) != 1 || !found[0].renders() || !installed(p.have.Report, found[0]) {
		return WantedProfile{}, false
	}
	_, gone := p.removed(found[0].Identifier)
	return found[0], !gone
}

// renews reports whether a command is the renewal of the enrolment profile that is
// due now, as it would be made now.
func (p *planner) renews(c mdm.Command) bool {
	for _, r := range p.have.Enrollment.Renewals {
		profile, ok := p.renewable(r)
		if ok && r.Rule == string(certs.RuleMDMIdentity) && profile.Identifier == c.Subject && profile.UUID == c.Revision {
			return p.have.Enrollment.Withheld != mdm.WithholdEverything
		}
	}
	return false
}

// planned reports whether the profile is about to be installed for another reason.
func (p *planner) planned(identifier string) bool {
	for _, a := range p.actions {
		if a.Type == installProfile && a.Subject == identifier {
			return true
		}
	}
	return false
}

// replaced is since when the phone's list of certificates may be out of date:
// the last time that it acknowledged a mail profile which it had in this revision
// before, and so has a new identity of. An identity that was replaced is good
// until that list shows its successor (RetirePredecessors).
func (p *planner) replaced() (doubt time.Time) {
	for _, profile := range p.want.Profiles {
		if !profile.Mail {
			continue
		}
		var newest *mdm.Command
		for i := range p.have.Commands { // in every poll: nothing is copied
			c := &p.have.Commands[i]
			if c.RequestType != installProfile || c.Subject != profile.Identifier || c.ActionID != "" {
				continue
			}
			if newest == nil {
				newest = c
			} else if c.State == mdm.Acknowledged && newest.State == mdm.Acknowledged && c.Revision == newest.Revision {
				doubt = later(doubt, p.sane(newest.DoneAt))
			}
		}
	}
	return doubt
}
