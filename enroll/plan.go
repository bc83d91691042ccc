package enroll

import (
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
)

// The request types that Plan yields, as Apple names them.
const (
	askDevice        = "DeviceInformation"
	askSecurity      = "SecurityInfo"
	askProfiles      = "ProfileList"
	askCertificates  = "CertificateList"
	askRestrictions  = "Restrictions"
	askApplications  = "InstalledApplicationList"
	askManaged       = "ManagedApplicationList"
	installProfile   = "InstallProfile"
	removeProfile    = "RemoveProfile"
	deviceConfigured = "DeviceConfigured"
	eraseDevice      = "EraseDevice"
	deviceLock       = "DeviceLock"
	clearPasscode    = "ClearPasscode"
	settings         = "Settings"
)

// Want is what a device should have, derived at every contact and never stored.
type Want struct {
	Profiles           []WantedProfile // without those that an admin keeps from it
	InquiryMaxAge      time.Duration   // how old a fact may be when a connection begins
	EnrollmentProfile  string          // identifier of the management profile
	EnrollmentRevision string          // its top-level PayloadUUID as it would be sent again; empty where no Renewal asks for that
	Apps               bool            // a policy asks which apps it has
	UserRemoved        bool            // nothing is asked or installed any more; what an admin orders is done all the same
}

// WantedProfile is a profile as it should stand in the phone's ProfileList.
type WantedProfile struct {
	Template   string // name of the template or security policy, for people
	Identifier string
	UUID       string // top-level PayloadUUID, upper case; empty when it could not be rendered for the user
	Mail       bool   // carries the mailbox; a security policy does not
	Waits      bool   // is not to be installed yet: the mailbox has no place for another device
}

// renders tells whether there is anything to install.
func (w WantedProfile) renders() bool { return w.UUID != "" }

// Action is one command that is due. ID is set when it is already on record as
// sent in this connection and its answer never came: then it is sent once more
// under the same CommandUUID.
type Action struct {
	Type     string
	Subject  string // profile identifier for InstallProfile
	Revision string // top-level PayloadUUID for InstallProfile
	ID       mdm.CommandID
	Act      mdm.ActionID // the act of an admin behind it; empty where it only follows from what is wanted
	Part     bool         // of several commands: the act does not end with this one
}

// Plan compares what a device should have with what we know of it, and yields
// the commands that are due, in the order in which they should be sent. Only
// one is sent at a time: the next contact plans anew.
//
// What an admin ordered comes first. Then device facts: the mailbox's binding
// (EASDeviceIdentifier) must exist before the account does. A connection begins
// with Idle (mdm.Enrollment.IdleAt); a fact is stale when it is older than
// InquiryMaxAge seen from there, so that no fact is asked twice in one
// connection, unless an admin asks for it then (mdm.Report.AskedAt). What is not wanted any more is removed before anything is installed.
//
// Moments after now are those of a clock that was set back since: they count
// for nothing, so that neither a phone is asked without end nor an enrolment
// stands still until that time comes.
func Plan(want Want, have Have, now time.Time) []Action {
	p := newPlanner(want, have, now)
	p.plan()
	return p.actions
}

func newPlanner(want Want, have Have, now time.Time) *planner {
	p := &planner{want: want, have: have, now: now, idle: have.Enrollment.IdleAt}
	if now.Before(p.idle) {
		p.idle = now.Add(-connectionAtMost)
	}
	return p
}

func (p *planner) plan() {
	if !p.have.Enrollment.State.Active() {
		return
	}
	first, last := p.acts()
	p.actions = first
	if again, ok := p.unanswered(); ok {
		p.actions = append(p.actions, again)
		return
	}
	if _, ok := p.act(mdm.ActionSelectiveWipe, mdm.ActionRemovePolicies); p.want.UserRemoved && !ok {
		p.actions = append(p.actions, last...)
		return
	}
	p.ask(askDevice, p.at(askDevice), time.Time{})
	p.ask(askSecurity, p.at(askSecurity), time.Time{})
	doubt := p.removeStrays() // the phone's profiles may have changed then
	for _, profile := range p.want.Profiles {
		doubt = later(doubt, p.provide(profile))
	}
	p.renew()
	p.ask(askProfiles, p.at(askProfiles), doubt)
	p.release()
	p.ask(askCertificates, p.at(askCertificates), p.replaced())
	if p.have.Enrollment.AccessRights&mdm.RightRestrictions != 0 {
		p.ask(askRestrictions, p.at(askRestrictions), time.Time{})
	}
	if p.want.Apps {
		p.ask(askApplications, p.at(askApplications), time.Time{})
	}
	p.actions = append(p.actions, last...)
}

// provide installs a wanted profile unless the phone has it or may have it. It
// returns since when the phone's own list may be out of date.
func (p *planner) provide(profile WantedProfile) (doubt time.Time) {
	if !profile.renders() || profile.Waits {
		return time.Time{}
	}
	if at, done := p.removed(profile.Identifier); done {
		return at
	}
	if act, ok := p.act(mdm.ActionResend); ok && p.resend(act, profile) {
		return time.Time{}
	}
	if installed(p.have.Report, profile) {
		return time.Time{}
	}
	if at, uncertain := p.uncertain(profile); uncertain {
		return at
	}
	if p.have.Report.Device != nil {
		p.add(Action{Type: installProfile, Subject: profile.Identifier, Revision: profile.UUID}, time.Time{})
	}
	return time.Time{}
}

// release lets a phone go on whose set-up assistant waits for us, once it has
// everything that it should have by now: what waits for somebody else may come later.
func (p *planner) release() {
	device := p.have.Report.Device
	if device == nil || device.AwaitingConfiguration == nil || !*device.AwaitingConfiguration {
		return
	}
	now := Want{Profiles: slices.DeleteFunc(slices.Clone(p.want.Profiles), func(w WantedProfile) bool { return w.Waits })}
	if len(now.Profiles) > 0 && !Confirmed(now, p.have.Report) {
		return
	}
	if past := p.past(deviceConfigured, ""); len(past) > 0 && past[0].State == mdm.Acknowledged && !past[0].DoneAt.Before(p.at(askDevice)) {
		return
	}
	p.add(Action{Type: deviceConfigured}, time.Time{})
}

// Confirmed reports whether the phone itself lists every wanted profile.
func Confirmed(want Want, report mdm.Report) bool {
	for _, profile := range want.Profiles {
		if !profile.renders() || !installed(report, profile) {
			return false
		}
	}
	return len(want.Profiles) > 0
}

// installed reports whether the phone lists exactly this revision.
func installed(report mdm.Report, want WantedProfile) bool {
	if report.Profiles == nil {
		return false
	}
	for _, item := range report.Profiles.Items {
		if item.Identifier == want.Identifier && strings.EqualFold(item.UUID, want.UUID) {
			return true
		}
	}
	return false
}

// connectionAtMost stands for the beginning of a connection when the clock was
// set back in its middle.
const connectionAtMost = 10 * time.Minute

type planner struct {
	want    Want
	have    Have
	now     time.Time
	idle    time.Time // beginning of this connection
	actions []Action
	again   time.Time // when the first of what waits after a failure is tried again; zero: nothing waits
}

// sane is t, or zero when our clock has not been there yet.
func (p *planner) sane(t time.Time) time.Time {
	if t.After(p.now) {
		return time.Time{}
	}
	return t
}

// at is when the facts that a query brings were received; zero when never.
func (p *planner) at(query string) time.Time {
	report := p.have.Report
	switch {
	case query == askDevice && report.Device != nil:
		return p.sane(report.Device.At)
	case query == askSecurity && report.Security != nil:
		return p.sane(report.Security.At)
	case query == askProfiles && report.Profiles != nil:
		return p.sane(report.Profiles.At)
	case query == askCertificates && report.Certificates != nil:
		return p.sane(report.Certificates.At)
	case query == askRestrictions && report.Restrictions != nil:
		return p.sane(report.Restrictions.At)
	case query == askApplications && report.Applications != nil:
		return p.sane(report.Applications.At)
	}
	return time.Time{}
}

// ask adds a query when its fact is missing, stale, or older than since or than an
// admin's wish to know.
func (p *planner) ask(query string, at, since time.Time) {
	since = later(since, p.sane(p.have.Report.AskedAt))
	if at.IsZero() || at.Before(p.idle.Add(-p.want.InquiryMaxAge)) || at.Before(since) {
		p.add(Action{Type: query}, since)
	}
}

// add adds an action unless its past says that it must wait: the phone declined
// it in this connection (NotNow: it does not keep the command, and would ask
// for it in vain), it was sent in this connection after since, or its failures
// ask for a pause.
func (p *planner) add(a Action, since time.Time) {
	past := p.past(a.Type, a.Subject)
	asked := false
	if len(past) > 0 {
		last := past[0]
		if last.State == mdm.NotNow && !last.DoneAt.Before(p.idle) {
			return
		}
		asked = last.Revision == a.Revision && !last.SentAt.Before(later(p.idle, since))
	}
	if a.Type == installProfile {
		past = p.sinceRemoval(a.Subject, past)
	}
	var next time.Time
	if failures := failed(past, a.Revision); len(failures) > 0 {
		next = failures[0].DoneAt.Add(pause(failures))
	}
	switch {
	case !asked && !p.now.Before(next):
		p.actions = append(p.actions, a)
	case !next.IsZero() && (a.Type == installProfile || a.Type == removeProfile):
		p.wait(later(next, p.now))
	}
}

// wait notes when to try again.
func (p *planner) wait(next time.Time) {
	if p.again.IsZero() || next.Before(p.again) {
		p.again = next
	}
}

// past returns the commands of one kind about one subject, newest first, without
// those by which an act was carried out.
func (p *planner) past(requestType, subject string) []mdm.Command {
	var past []mdm.Command
	for _, c := range p.have.Commands {
		if c.RequestType == requestType && c.Subject == subject && c.ActionID == "" {
			c.SentAt, c.DoneAt = p.sane(c.SentAt), p.sane(c.DoneAt)
			past = append(past, c)
		}
	}
	return past
}

// unanswered finds the command that was sent in this connection and not
// answered, when it is still wanted: the phone talks to us again, so our answer
// was lost on the way or the phone repeats an older result. Repeating the same
// command instead of making a new one leaves nothing behind.
func (p *planner) unanswered() (Action, bool) {
	for _, c := range p.have.Commands {
		if c.State != mdm.Sent || c.ActionID != "" || p.sane(c.SentAt).Before(p.idle) {
			continue
		}
		a := Action{Type: c.RequestType, Subject: c.Subject, Revision: c.Revision, ID: c.ID}
		switch c.RequestType {
		case installProfile:
			if p.renews(c) {
				return a, true
			}
		case removeProfile: // planned anew, should it still be a stray
			continue
		case deviceConfigured: // planned anew, should the phone still wait
			continue
		default:
			return a, true
		}
		for _, profile := range p.want.Profiles {
			if profile.Identifier == c.Subject && profile.UUID == c.Revision {
				return a, true
			}
		}
	}
	return Action{}, false
}

// uncertain reports whether the phone may hold the profile though its last
// ProfileList does not show it, and since when: it acknowledged the
// installation after that list, or it never answered. An InstallProfile that
// brings a SCEP payload makes the phone enrol for a new certificate even when
// nothing changed, so we look before we repeat one.
func (p *planner) uncertain(want WantedProfile) (time.Time, bool) {
	listed := p.at(askProfiles)
	for _, c := range p.past(installProfile, want.Identifier) {
		if c.Revision != want.UUID {
			continue
		}
		switch c.State {
		case mdm.Acknowledged:
			return c.DoneAt, listed.Before(c.DoneAt)
		case mdm.Superseded:
			return c.SentAt, listed.Before(c.SentAt)
		case mdm.Sent, mdm.Failed, mdm.NotNow:
			return time.Time{}, false
		}
	}
	return time.Time{}, false
}

// failed returns the attempts at a revision that came to nothing, newest first:
// those that failed, and installations that were acknowledged though we plan
// the same again. Declined and unanswered ones say nothing either way.
func failed(past []mdm.Command, revision string) []mdm.Command {
	var attempts []mdm.Command
	for _, c := range past {
		if c.Revision != revision {
			break
		}
		switch {
		case c.State == mdm.Failed, c.State == mdm.Acknowledged && c.RequestType == installProfile:
			attempts = append(attempts, c)
		case c.State == mdm.Acknowledged:
			return attempts // a query that worked ends the row of failures
		}
	}
	return attempts
}

const (
	firstPause = time.Minute
	lastPause  = 6 * time.Hour
	keptPast   = 5 // LoadPlan keeps no more of a kind
)

// pause is how long to wait after a row of failures: 1, 2, 4, 8 minutes, and
// from the fifth on, of which the store keeps no count, twice the time that
// lay between the last two, up to 6 hours.
func pause(failures []mdm.Command) time.Duration {
	n := len(failures)
	if n < keptPast {
		return firstPause << (n - 1)
	}
	gap := min(failures[0].DoneAt.Sub(failures[1].DoneAt), lastPause) // 2*gap must not overflow
	return min(max(2*gap, firstPause<<(keptPast-1)), lastPause)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
