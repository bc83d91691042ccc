package enroll

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/mdm"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	mailID   = "com.example.mail.alice"
	mailUUID = "AAAAAAAA-0000-5000-8000-000000000001"
	nextUUID = "AAAAAAAA-0000-5000-8000-000000000002"
)

// after is noon plus some seconds; the connection of the tests begins at noon.
func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

func facts(device, security, profiles, certificates time.Time, items ...mdm.ProfileOnFile) mdm.Report {
	var r mdm.Report
	if !device.IsZero() {
		r.Device = &mdm.DeviceFacts{At: device, EASDeviceID: "eas"}
	}
	if !security.IsZero() {
		r.Security = &mdm.SecurityFacts{At: security}
	}
	if !profiles.IsZero() {
		r.Profiles = &mdm.ProfileFacts{At: profiles, Items: items}
	}
	if !certificates.IsZero() {
		r.Certificates = &mdm.CertificateFacts{At: certificates}
	}
	return r
}

func asked(r mdm.Report, at time.Time) mdm.Report {
	r.AskedAt = at
	return r
}

func install(state mdm.CommandState, uuid string, sent, done time.Time) mdm.Command {
	return mdm.Command{ID: "I", RequestType: installProfile, Subject: mailID, Revision: uuid, State: state, SentAt: sent, DoneAt: done}
}

func query(requestType string, state mdm.CommandState, sent, done time.Time) mdm.Command {
	return mdm.Command{ID: "Q", RequestType: requestType, State: state, SentAt: sent, DoneAt: done}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	var never time.Time
	const hour = time.Hour
	mail := []WantedProfile{{Template: "mail", Identifier: mailID, UUID: mailUUID}}
	onFile := mdm.ProfileOnFile{Identifier: mailID, UUID: mailUUID}
	stale := mdm.ProfileOnFile{Identifier: mailID, UUID: nextUUID}
	inst := Action{Type: installProfile, Subject: mailID, Revision: mailUUID}
	ask := func(types ...string) []Action {
		var list []Action
		for _, one := range types {
			list = append(list, Action{Type: one})
		}
		return list
	}
	at := after(60)
	tests := []struct {
		name     string
		state    mdm.EnrollmentState // Enrolled unless given
		profiles []WantedProfile
		maxAge   time.Duration
		report   mdm.Report
		commands []mdm.Command
		now      time.Time // a minute after Idle unless given
		want     []Action
	}{
		{name: "nothing known: ask, and hold the profile back until the mailbox can be bound", profiles: mail,
			want: ask(askDevice, askSecurity, askProfiles, askCertificates)},
		{name: "device known: the profile goes before the lists", profiles: mail, report: facts(after(1), after(2), never, never),
			want: []Action{inst, {Type: askProfiles}, {Type: askCertificates}}},
		{name: "not active", state: mdm.Authenticated, profiles: mail},
		{name: "ended", state: mdm.CheckedOut, profiles: mail},
		{name: "replaced", state: mdm.Replaced, profiles: mail},
		{name: "everything known and confirmed", profiles: mail, state: mdm.Configured,
			report: facts(after(1), after(2), after(4), after(5), onFile)},
		{name: "UUIDs compare without regard to case", profiles: []WantedProfile{{Identifier: mailID, UUID: "aaaaaaaa-0000-5000-8000-000000000001"}},
			report: facts(after(1), after(2), after(4), after(5), onFile)},
		{name: "another revision on file is updated in place", profiles: mail, report: facts(after(1), after(2), after(4), after(5), stale), want: []Action{inst}},
		{name: "a profile that nobody wants any more is never removed", report: facts(after(1), after(2), after(4), after(5), onFile)},
		{name: "a template that cannot be rendered holds up nothing", profiles: []WantedProfile{{Template: "broken"}, mail[0]},
			report: facts(after(1), after(2), after(4), after(5)), want: []Action{inst}},

		{name: "max age 0: facts of the last connection are stale", profiles: mail, report: facts(after(-4), after(-3), after(-2), after(-1), onFile),
			want: ask(askDevice, askSecurity, askProfiles, askCertificates)},
		{name: "max age 0: facts of this connection are not, however long it takes", profiles: mail, now: after(7200), report: facts(after(1), after(2), after(3), after(4), onFile)},
		{name: "max age 1 h: younger facts hold", profiles: mail, maxAge: hour, report: facts(after(-3599), after(-3600), after(-60), after(-60), onFile)},
		{name: "max age 1 h: only the older fact is asked", profiles: mail, maxAge: hour, report: facts(after(-60), after(-3601), after(-60), after(-60), onFile),
			want: ask(askSecurity)},
		{name: "an answer without facts is not asked for twice in one connection", profiles: nil,
			report:   facts(never, after(2), after(3), after(4)),
			commands: []mdm.Command{query(askDevice, mdm.Acknowledged, after(1), after(2))}},
		{name: "but again in the next one",
			report:   facts(never, after(2), after(3), after(4)),
			commands: []mdm.Command{query(askDevice, mdm.Acknowledged, after(-20), after(-19))}, want: ask(askDevice)},

		{name: "after the acknowledgement the list is asked, though it is fresh", profiles: mail,
			report: facts(after(1), after(2), after(3), after(4)), commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6))},
			want: ask(askProfiles)},
		{name: "also when it was asked before in this connection", profiles: mail,
			report: facts(after(1), after(2), after(4), after(4)),
			commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6)),
				query(askProfiles, mdm.Acknowledged, after(3), after(4))},
			want: ask(askProfiles)},
		{name: "but not twice: the phone answered without a list", profiles: mail,
			report: facts(after(1), after(2), after(4), after(4)),
			commands: []mdm.Command{query(askProfiles, mdm.Acknowledged, after(7), after(8)),
				install(mdm.Acknowledged, mailUUID, after(5), after(6)), query(askProfiles, mdm.Acknowledged, after(3), after(4))}},
		{name: "acknowledged, but not in the list: not again in this connection", profiles: mail,
			report: facts(after(1), after(2), after(8), after(4)), commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6))}, now: after(3600)},
		{name: "acknowledged, but not in the list: again in a later one", profiles: mail, maxAge: hour,
			report: facts(after(-100), after(-100), after(-90), after(-90)), commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(-96), after(-95))}, want: []Action{inst}},
		{name: "an acknowledgement of another revision proves nothing", profiles: mail,
			report: facts(after(1), after(2), after(8), after(4)), commands: []mdm.Command{install(mdm.Acknowledged, nextUUID, after(5), after(6))}, want: []Action{inst}},
		{name: "never answered: look before it is repeated", profiles: mail, maxAge: hour,
			report: facts(after(-100), after(-100), after(-90), after(-90)), commands: []mdm.Command{install(mdm.Superseded, mailUUID, after(-50), noon)},
			want: ask(askProfiles)},
		{name: "never answered, looked, not there", profiles: mail, maxAge: hour,
			report: facts(after(-100), after(-100), after(3), after(-90)), commands: []mdm.Command{install(mdm.Superseded, mailUUID, after(-50), noon)},
			want: []Action{inst}},

		{name: "declined: not again in this connection", profiles: mail,
			report: facts(after(1), after(2), after(8), after(9)), commands: []mdm.Command{install(mdm.NotNow, mailUUID, after(5), after(6))}},
		{name: "declined: nor another revision, the phone is locked", profiles: mail,
			report: facts(after(1), after(2), after(8), after(9)), commands: []mdm.Command{install(mdm.NotNow, nextUUID, after(5), after(6))}},
		{name: "declined: again at the next Idle", profiles: mail, maxAge: hour,
			report: facts(after(-60), after(-60), after(-60), after(-60)), commands: []mdm.Command{install(mdm.NotNow, mailUUID, after(-31), after(-30))}, want: []Action{inst}},
		{name: "a declined query holds up nothing else", profiles: mail,
			report: facts(after(1), never, never, never), commands: []mdm.Command{query(askSecurity, mdm.NotNow, after(2), after(3))},
			want: []Action{inst, {Type: askProfiles}, {Type: askCertificates}}},

		{name: "failed: not again in this connection, however long", profiles: mail, now: after(86400),
			report: facts(after(1), after(2), after(8), after(9)), commands: []mdm.Command{install(mdm.Failed, mailUUID, after(5), after(6))}},
		{name: "failed once: not before a minute", profiles: mail, maxAge: hour, now: after(28),
			report: facts(after(-60), after(-60), after(-60), after(-60)), commands: []mdm.Command{install(mdm.Failed, mailUUID, after(-32), after(-31))}},
		{name: "failed once: after a minute", profiles: mail, maxAge: hour, now: after(29),
			report: facts(after(-60), after(-60), after(-60), after(-60)), commands: []mdm.Command{install(mdm.Failed, mailUUID, after(-32), after(-31))}, want: []Action{inst}},
		{name: "failed, but the template was changed: at once", profiles: mail, maxAge: hour, now: after(1),
			report: facts(after(-60), after(-60), after(-60), after(-60)), commands: []mdm.Command{install(mdm.Failed, nextUUID, after(-2), after(-1))}, want: []Action{inst}},
		{name: "device information failed: the profile waits for it", profiles: mail,
			report:   facts(never, after(2), after(8), after(9)),
			commands: []mdm.Command{query(askDevice, mdm.Failed, after(1), after(1))}},

		{name: "an admin asks: fresh facts are stale", maxAge: hour, report: asked(facts(after(-60), after(-20), after(-60), after(-60)), after(-30)),
			want: ask(askDevice, askProfiles, askCertificates)},
		{name: "in the middle of the connection, too", report: asked(facts(after(1), after(2), after(3), after(4)), after(3)),
			commands: []mdm.Command{query(askSecurity, mdm.Acknowledged, after(2), after(2)), query(askDevice, mdm.Acknowledged, after(1), after(1))}, want: ask(askDevice, askSecurity)},
		{name: "once: the phone answered without facts", report: asked(facts(after(1), after(5), after(5), after(5)), after(3)),
			commands: []mdm.Command{query(askDevice, mdm.Acknowledged, after(4), after(5))}},
		{name: "not before its time: the clock was set back", report: asked(facts(after(1), after(2), after(3), after(4)), after(9e6))},
		{name: "the clock was set back: facts from the future are none", maxAge: hour, report: facts(after(9e6), after(-60), after(-60), after(-60)),
			want: ask(askDevice)},
		{name: "the clock was set back: a command from the future does not block", profiles: mail, maxAge: hour,
			report: facts(after(-60), after(-60), after(-60), after(-60)), commands: []mdm.Command{install(mdm.Failed, mailUUID, after(9e6), after(9e6))}, want: []Action{inst}},
		{name: "the clock was set back in this connection: what was asked stays asked", now: after(-60),
			report: facts(after(-70), after(-70), after(-70), after(-70))},

		{name: "the answer got lost: the same command again", profiles: mail, report: facts(after(1), never, never, never),
			commands: []mdm.Command{query(askSecurity, mdm.Sent, after(2), never)}, want: []Action{{Type: askSecurity, ID: "Q"}}},
		{name: "the answer got lost: the same profile again", profiles: mail, report: facts(after(1), after(2), never, never),
			commands: []mdm.Command{install(mdm.Sent, mailUUID, after(2), never)}, want: []Action{{Type: installProfile, Subject: mailID, Revision: mailUUID, ID: "I"}}},
		{name: "the answer got lost, and the template was changed", profiles: mail, report: facts(after(1), after(2), after(3), after(4)),
			commands: []mdm.Command{install(mdm.Sent, nextUUID, after(2), never)}, want: []Action{inst}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.state == "" {
				test.state = mdm.Enrolled
			}
			if test.now.IsZero() {
				test.now = at
			}
			have := Have{Enrollment: mdm.Enrollment{State: test.state, IdleAt: noon}, Report: test.report, Commands: test.commands}
			got := Plan(Want{Profiles: test.profiles, InquiryMaxAge: test.maxAge}, have, test.now)
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
		})
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	var past []mdm.Command // newest first, as the store gives them
	now := noon
	var got []time.Duration
	for range 13 {
		past = append([]mdm.Command{install(mdm.Failed, mailUUID, now, now)}, past...)
		past = past[:min(len(past), keptPast)]
		wait := pause(past)
		got = append(got, wait)
		now = now.Add(wait)
	}
	want := "[1m0s 2m0s 4m0s 8m0s 16m0s 32m0s 1h4m0s 2h8m0s 4h16m0s 6h0m0s 6h0m0s 6h0m0s 6h0m0s]"
	if fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestConfirmed(t *testing.T) {
	t.Parallel()
	mail := WantedProfile{Identifier: mailID, UUID: mailUUID}
	onFile := mdm.ProfileOnFile{Identifier: mailID, UUID: mailUUID}
	tests := []struct {
		name   string
		want   []WantedProfile
		report mdm.Report
		ok     bool
	}{
		{"nothing wanted is nothing confirmed", nil, facts(noon, noon, noon, noon, onFile), false},
		{"no list", []WantedProfile{mail}, facts(noon, noon, time.Time{}, noon), false},
		{"listed", []WantedProfile{mail}, facts(noon, noon, noon, noon, onFile), true},
		{"another revision", []WantedProfile{mail}, facts(noon, noon, noon, noon, mdm.ProfileOnFile{Identifier: mailID, UUID: nextUUID}), false},
		{"one of two", []WantedProfile{mail, {Identifier: "x", UUID: "y"}}, facts(noon, noon, noon, noon, onFile), false},
		{"one cannot be rendered", []WantedProfile{mail, {Template: "broken"}}, facts(noon, noon, noon, noon, onFile), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if got := Confirmed(Want{Profiles: test.want}, test.report); got != test.ok {
				t.Errorf("got %v, want %v", got, test.ok)
			}
		})
	}
}

// TestPlanEnds plays phones of every temper over several connections, while our
// clock jumps now and then: whatever a phone answers and whatever time it is, a
// connection comes to an end, and an honest phone is configured at last.
func TestPlanEnds(t *testing.T) {
	t.Parallel()
	want := Want{Profiles: []WantedProfile{{Identifier: mailID, UUID: mailUUID}, {Identifier: "other", UUID: nextUUID}}}
	rapid.Check(t, func(t *rapid.T) {
		want.InquiryMaxAge = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "max age")
		have := Have{Enrollment: mdm.Enrollment{State: mdm.Enrolled}}
		now, jumps := noon, 0
		tick := func() time.Time {
			now = now.Add(time.Second)
			if rapid.IntRange(0, 20).Draw(t, "jump") == 0 {
				jumps++ // each one may make every fact stale once more
				now = now.Add(rapid.SampledFrom([]time.Duration{-2 * time.Hour, 2 * time.Hour, -24 * 365 * time.Hour, 24 * 365 * time.Hour}).Draw(t, "by"))
			}
			return now
		}
		answers := rapid.SampledFrom([]mdm.CommandState{mdm.Acknowledged, mdm.Acknowledged, mdm.Failed, mdm.NotNow})
		for range 4 {
			have.idle(tick())
			for sent := 0; ; sent++ {
				actions := Plan(want, have, tick())
				if len(actions) == 0 {
					break
				}
				if sent > 60+20*jumps {
					t.Fatalf("no end: %+v", actions[0])
				}
				have.answer(actions[0], answers.Draw(t, "answer"), tick(), tick(), rapid.Bool().Draw(t, "facts"))
			}
		}
		// From here on the clock is right again and the phone does what it is told.
		now = noon.Add(24 * 365 * 20 * time.Hour)
		for range 3 {
			now = now.Add(7 * time.Hour)
			have.idle(now)
			for actions := Plan(want, have, now); len(actions) > 0; actions = Plan(want, have, now) {
				now = now.Add(time.Second)
				have.answer(actions[0], mdm.Acknowledged, now, now.Add(time.Millisecond), true)
				now = now.Add(time.Second)
			}
		}
		if !Confirmed(want, have.Report) {
			t.Fatalf("not configured: %+v", have)
		}
	})
}

// idle begins a connection, as the store does; its IdleAt never goes back.
func (h *Have) idle(at time.Time) {
	h.Enrollment.IdleAt = later(h.Enrollment.IdleAt, at)
	for i := range h.Commands {
		if h.Commands[i].State == mdm.Sent {
			h.Commands[i].State, h.Commands[i].DoneAt = mdm.Superseded, at
		}
	}
}

// answer notes what a phone made of an action, the last 5 of a kind. A phone
// without facts acknowledges installations and lists none of them.
func (h *Have) answer(a Action, state mdm.CommandState, sent, done time.Time, facts bool) {
	c := mdm.Command{ID: "X", RequestType: a.Type, Subject: a.Subject, Revision: a.Revision, State: state, SentAt: sent, DoneAt: done}
	h.Commands = append([]mdm.Command{c}, h.Commands...)
	kept := map[string]int{}
	h.Commands = slices.DeleteFunc(h.Commands, func(c mdm.Command) bool {
		kept[c.RequestType+c.Subject]++
		return kept[c.RequestType+c.Subject] > keptPast
	})
	if state != mdm.Acknowledged {
		return
	}
	switch a.Type {
	case askDevice:
		h.Report.Device = &mdm.DeviceFacts{At: done}
	case askSecurity:
		h.Report.Security = &mdm.SecurityFacts{At: done}
	case askCertificates:
		h.Report.Certificates = &mdm.CertificateFacts{At: done}
	case askProfiles:
		h.Report.Profiles = &mdm.ProfileFacts{At: done}
		for _, c := range h.Commands {
			if facts && c.RequestType == installProfile && c.State == mdm.Acknowledged {
				h.Report.Profiles.Items = append(h.Report.Profiles.Items, mdm.ProfileOnFile{Identifier: c.Subject, UUID: c.Revision})
			}
		}
	}
}
