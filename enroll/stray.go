package enroll

import (
	"strings"
	"time"

	"sallyport/mdm"
	"sallyport/templates"
)

// ours reports whether a profile is one that this server makes from templates
// and security policies.
func ours(identifier string) bool {
	return carriesMail(identifier) || strings.HasPrefix(identifier, templates.SecurityIdentifierPrefix)
}

// carriesMail reports whether it is one of those that carry a mailbox.
func carriesMail(identifier string) bool {
	return strings.HasPrefix(identifier, templates.IdentifierPrefix)
}

// removeStrays takes away what we once installed and what is not wanted any
// more: the template was unassigned, or lost its mailbox to another one, which a
// phone would refuse as long as the old one is there. Removing a mail profile
// removes the account and the mail on the phone, so nothing is removed while any
// wanted profile cannot be made: then it is not sure what is wanted. What an
// admin keeps from the phone is not wanted for sure, and goes. An update is never
// a removal. It returns since when the phone's own list may be out of date.
func (p *planner) removeStrays() (doubt time.Time) {
	if act, ok := p.act(mdm.ActionSelectiveWipe, mdm.ActionRemovePolicies); ok {
		doubt = p.since(act) // it is done when a list from then on says so
	}
	report := p.have.Report
	if report.Profiles == nil {
		return doubt
	}
	wanted, sure := map[string]bool{}, true
	strays := p.removals()
	for _, w := range p.want.Profiles {
		wanted[w.Identifier] = true
		sure = sure && w.renders()
	}
	for _, item := range report.Profiles.Items {
		if !ours(item.Identifier) || wanted[item.Identifier] || !removable(item, report.Device) {
			continue
		}
		if !sure && !withholds(p.have.Enrollment.Withheld, item.Identifier) {
			continue
		}
		if at, done := p.removed(item.Identifier); done {
			doubt = later(doubt, at)
			continue
		}
		if strays++; strays > maxStrays && len(p.past(removeProfile, item.Identifier)) == 0 {
			continue
		}
		act := p.removing(item.Identifier)
		p.add(Action{Type: removeProfile, Subject: item.Identifier, Act: act, Part: act != ""}, time.Time{})
	}
	return doubt
}

// maxStrays is how many profiles are ever taken away from one phone. What it lists
// is its own word: one that makes up identifiers without end must not have a
// row written for each, which all its later polls would read.
const maxStrays = 200

// removals is how many profiles were removed, or were to be.
func (p *planner) removals() int {
	subjects := map[string]bool{}
	for _, c := range p.have.Commands {
		if c.RequestType == removeProfile {
			subjects[c.Subject] = true
		}
	}
	return len(subjects)
}

// removable: management removes what it installed. A supervised phone does not
// say who did.
func removable(item mdm.ProfileOnFile, device *mdm.DeviceFacts) bool {
	if item.Managed != nil {
		return *item.Managed
	}
	return device != nil && device.Supervised != nil && *device.Supervised
}

// removed reports whether the profile may be gone though the phone's last list
// shows it: it acknowledged the removal after that list, or never answered.
func (p *planner) removed(identifier string) (time.Time, bool) {
	past := p.past(removeProfile, identifier)
	if len(past) == 0 {
		return time.Time{}, false
	}
	listed := p.at(askProfiles)
	switch last := past[0]; last.State {
	case mdm.Acknowledged:
		return last.DoneAt, listed.Before(last.DoneAt)
	case mdm.Superseded:
		return last.SentAt, listed.Before(last.SentAt)
	}
	return time.Time{}, false
}

// sinceRemoval leaves away the commands from before we took the profile away
// ourselves: that what they installed is gone is no failure of theirs.
func (p *planner) sinceRemoval(identifier string, past []mdm.Command) []mdm.Command {
	for _, removal := range p.past(removeProfile, identifier) {
		if removal.State != mdm.Acknowledged {
			continue
		}
		for i, c := range past {
			if c.SentAt.Before(removal.SentAt) {
				return past[:i]
			}
		}
		break
	}
	return past
}
