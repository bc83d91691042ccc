package enroll

import (
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
	"sallyport/templates"
)

// stuckAfter is how long a command of an act goes before everything else though
// the phone never answers it. Later it goes last, lest it keep the mail from the
// phone; a wipe goes first for ever.
const stuckAfter = time.Hour

// acts yields the commands of acts that are one command: first those that go
// before everything else, then those that the phone leaves unanswered. One that
// was handed out and not answered, or declined in an earlier connection, goes out
// again under its CommandUUID: see actCommandID.
func (p *planner) acts() (first, last []Action) {
	list := slices.Clone(p.have.Actions)
	slices.SortStableFunc(list, func(a, b mdm.Action) int { return urgency(b.Kind) - urgency(a.Kind) })
	for _, act := range list {
		if derived(act.Kind) || p.expired(act) || act.Kind == mdm.ActionWipe && !p.have.Enrollment.MayErase() {
			continue
		}
		a := Action{Act: act.ID}
		a.Type, a.Subject = actRequest(act, p.want.EnrollmentProfile)
		switch {
		case act.State == mdm.ActionPending && p.declined(act.ID):
		case act.State == mdm.ActionSent && act.Kind != mdm.ActionWipe && p.now.Sub(p.sane(act.SentAt)) > stuckAfter:
			last = append(last, a)
		case act.State == mdm.ActionPending || act.State == mdm.ActionSent:
			first = append(first, a)
		}
	}
	return first, last
}

func urgency(k mdm.ActionKind) int {
	if k == mdm.ActionWipe {
		return 1
	}
	return 0
}

// expired acts are not handed out any more; a step of ours ends them soon.
func (p *planner) expired(act mdm.Action) bool {
	return !act.ExpiresAt.IsZero() && !p.now.Before(act.ExpiresAt)
}

// declined reports whether the phone said NotNow to this act in this connection.
func (p *planner) declined(id mdm.ActionID) bool {
	for _, c := range p.have.Commands {
		if c.ActionID == id && c.State == mdm.NotNow && !p.sane(c.DoneAt).Before(p.idle) {
			return true
		}
	}
	return false
}

// act finds the derived act under way for which a command about a profile is work.
func (p *planner) act(kinds ...mdm.ActionKind) (mdm.Action, bool) {
	for _, act := range p.have.Actions {
		if slices.Contains(kinds, act.Kind) && !p.expired(act) {
			return act, true
		}
	}
	return mdm.Action{}, false
}

// since is when an act was ordered; where our clock has not been there yet, the
// beginning of this connection stands for it.
func (p *planner) since(act mdm.Action) time.Time {
	if act.RequestedAt.After(p.now) {
		return p.idle
	}
	return act.RequestedAt
}

// removing is the act that has a profile removed, if that is why it is.
func (p *planner) removing(identifier string) mdm.ActionID {
	for _, act := range p.have.Actions {
		if derived(act.Kind) && withholds(act.Kind.Withholds(), identifier) {
			return act.ID
		}
	}
	return ""
}

// withholds reports whether a profile of ours is kept from a phone.
func withholds(w mdm.Withholding, identifier string) bool {
	switch w {
	case mdm.WithholdEverything:
		return ours(identifier)
	case mdm.WithholdPolicies:
		return strings.HasPrefix(identifier, templates.SecurityIdentifierPrefix)
	case mdm.WithholdNothing:
	}
	return false
}

// resend yields the installation of a mail profile that an act asks for anew,
// whatever the phone lists; false when the act asks nothing more of this one.
func (p *planner) resend(act mdm.Action, want WantedProfile) bool {
	if !want.Mail || p.have.Report.Device == nil {
		return false
	}
	since := p.since(act)
	a := Action{Type: installProfile, Subject: want.Identifier, Revision: want.UUID, Act: act.ID, Part: true}
	past := p.past(installProfile, want.Identifier)
	if len(past) == 0 || past[0].SentAt.Before(since) {
		p.actions = append(p.actions, a)
		return true
	}
	switch newest := past[0]; newest.State {
	case mdm.NotNow:
		if newest.DoneAt.Before(p.idle) {
			p.actions = append(p.actions, a)
		}
		return true
	case mdm.Superseded, mdm.Sent:
		// The phone may have it: the same command again, which it can tell.
		if newest.Revision == want.UUID {
			a.ID = newest.ID
		}
		p.actions = append(p.actions, a)
		return true
	case mdm.Acknowledged, mdm.Failed:
	}
	return false
}

// settled says whether an act has come to its end by what we know, and why it
// failed if it did; empty when it goes on. An act that is one command ends with
// that command: see PlanStore.SaveContact.
func settled(act mdm.Action, want Want, have Have, now time.Time) (mdm.ActionState, string) {
	p := newPlanner(want, have, now)
	switch act.Kind {
	case mdm.ActionWipe:
		if !have.Enrollment.MayErase() {
			return mdm.ActionFailed, notErased
		}
	case mdm.ActionSelectiveWipe, mdm.ActionRemovePolicies:
		return p.wiped(act)
	case mdm.ActionResend:
		return p.resent(act)
	}
	return "", ""
}

// wiped: the phone's own list, made after the act was ordered and after the last
// removal, shows nothing any more that is to be kept from it.
func (p *planner) wiped(act mdm.Action) (mdm.ActionState, string) {
	listed := p.at(askProfiles)
	if listed.IsZero() || listed.Before(p.since(act)) {
		return "", ""
	}
	byHand := ""
	for _, item := range p.have.Report.Profiles.Items {
		switch {
		case !withholds(act.Kind.Withholds(), item.Identifier):
		case removable(item, p.have.Report.Device):
			return "", ""
		default:
			byHand = item.Identifier
		}
	}
	if byHand != "" {
		return mdm.ActionFailed, "profile " + byHand + " was installed by hand: only the user can remove it (Settings > General > VPN & Device Management)"
	}
	return mdm.ActionAcknowledged, ""
}

// resent: every mail profile that can be made was acknowledged since.
func (p *planner) resent(act mdm.Action) (mdm.ActionState, string) {
	if p.have.Report.Device == nil {
		return "", "" // what should be sent may hang on it
	}
	if p.have.Enrollment.Withheld == mdm.WithholdEverything {
		return "", "" // another act under way takes the mail first
	}
	since, mail, open := p.since(act), 0, false
	for _, want := range p.want.Profiles {
		if !want.Mail || !want.renders() {
			continue
		}
		mail++
		past := p.past(installProfile, want.Identifier)
		switch {
		case len(past) == 0 || past[0].SentAt.Before(since):
			open = true
		case past[0].State == mdm.Failed:
			return mdm.ActionFailed, explain(past[0]).reason
		case past[0].State != mdm.Acknowledged:
			open = true
		}
	}
	switch {
	case mail == 0:
		return mdm.ActionFailed, "there is no mail profile to send: no template is assigned to the user, or none can be made"
	case open:
		return "", ""
	}
	return mdm.ActionAcknowledged, ""
}
