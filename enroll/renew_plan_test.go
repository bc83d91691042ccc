package enroll

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/certs"
	"sallyport/mdm"
)

const (
	ownID   = "com.example.enrollment"
	ownUUID = "AAAAAAAA-0000-5000-8000-000000000009"
)

func renewal(rule certs.RuleName, profile string, due time.Time) mdm.Renewal {
	return mdm.Renewal{Rule: string(rule), Profile: profile, Certificate: "old", DueAt: due, Reason: mdm.RenewalExpiry}
}

// TestPlanRenewals: the phone has everything and knows it; the connection begins
// at noon, and what is asked is not stale.
func TestPlanRenewals(t *testing.T) {
	t.Parallel()
	onFile := mdm.ProfileOnFile{Identifier: mailID, UUID: mailUUID}
	mail := renewal(certs.RuleMailIdentity, mailID, after(-3600))
	own := renewal(certs.RuleMDMIdentity, "", after(-1800))
	installMail := Action{Type: installProfile, Subject: mailID, Revision: mailUUID}
	installOwn := Action{Type: installProfile, Subject: ownID, Revision: ownUUID}
	ofOwn := func(state mdm.CommandState, sent, done time.Time) mdm.Command {
		return mdm.Command{ID: "O", RequestType: installProfile, Subject: ownID, Revision: ownUUID, State: state, SentAt: sent, DoneAt: done}
	}
	longAgo := install(mdm.Acknowledged, mailUUID, noon.AddDate(-1, 0, 0), noon.AddDate(-1, 0, 0).Add(time.Second))
	tests := []struct {
		name     string
		renewals []mdm.Renewal
		commands []mdm.Command
		change   func(*Want, *Have)
		want     []Action
		again    time.Time
	}{
		{name: "nothing is due"},
		{name: "a mail identity", renewals: []mdm.Renewal{mail}, commands: []mdm.Command{longAgo}, want: []Action{installMail}},
		{name: "the management's identity", renewals: []mdm.Renewal{own}, want: []Action{installOwn}},
		{name: "both", renewals: []mdm.Renewal{own, mail}, want: []Action{installOwn, installMail}},
		{name: "one that nobody knows the profile of", renewals: []mdm.Renewal{renewal(certs.RuleMailIdentity, "", after(-3600))}, want: []Action{installMail}},
		{name: "and there are two", renewals: []mdm.Renewal{renewal(certs.RuleMailIdentity, "", after(-3600))}, change: func(w *Want, h *Have) {
			w.Profiles = append(w.Profiles, WantedProfile{Identifier: "other", UUID: nextUUID, Mail: true})
			h.Report.Profiles.Items = append(h.Report.Profiles.Items, mdm.ProfileOnFile{Identifier: "other", UUID: nextUUID})
		}},
		{name: "not yet", renewals: []mdm.Renewal{renewal(certs.RuleMailIdentity, mailID, after(90)), renewal(certs.RuleMDMIdentity, "", after(60))}, again: after(60)},
		{name: "the phone is kept from everything", renewals: []mdm.Renewal{own, mail}, change: func(w *Want, h *Have) {
			w.Profiles, h.Enrollment.Withheld = nil, mdm.WithholdEverything
			h.Report.Profiles.Items = nil
		}},
		{name: "and not what was asked before that, either", renewals: []mdm.Renewal{own}, commands: []mdm.Command{ofOwn(mdm.Sent, after(1), time.Time{})}, change: func(w *Want, h *Have) {
			w.Profiles, h.Enrollment.Withheld = nil, mdm.WithholdEverything
			h.Report.Profiles.Items = nil
		}},
		{name: "the user was removed", renewals: []mdm.Renewal{own, mail}, change: func(w *Want, _ *Have) { w.Profiles, w.UserRemoved = nil, true }},
		{name: "the profile is not wanted any more", renewals: []mdm.Renewal{mail}, change: func(w *Want, h *Have) {
			w.Profiles[0].Identifier, h.Report.Profiles.Items[0].Identifier = "other", "other"
		}},
		{name: "it cannot be made now", renewals: []mdm.Renewal{mail}, change: func(w *Want, _ *Have) { w.Profiles[0].UUID = "" }},
		{name: "it is out of date: one installation does for both", renewals: []mdm.Renewal{mail}, change: func(w *Want, _ *Have) { w.Profiles[0].UUID = nextUUID },
			want: []Action{{Type: installProfile, Subject: mailID, Revision: nextUUID}}},
		{name: "so does one that an admin asked for", renewals: []mdm.Renewal{mail}, change: func(_ *Want, h *Have) {
			h.Actions = []mdm.Action{{ID: "A", Kind: mdm.ActionResend, State: mdm.ActionPending, RequestedAt: after(-10)}}
		}, want: []Action{{Type: installProfile, Subject: mailID, Revision: mailUUID, Act: "A", Part: true}}},

		{name: "acknowledged and nothing issued: not again in this connection", renewals: []mdm.Renewal{mail},
			commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6))}, again: after(66)},
		{name: "nor in the next one, within the pause", renewals: []mdm.Renewal{mail},
			commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(-21), after(-20))}, again: after(40)},
		{name: "but later", renewals: []mdm.Renewal{mail}, commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(-61), after(-60))}, want: []Action{installMail}},
		{name: "the pause grows with each attempt", renewals: []mdm.Renewal{own},
			commands: []mdm.Command{ofOwn(mdm.Failed, after(-101), after(-100)), ofOwn(mdm.Acknowledged, after(-201), after(-200))}, again: after(20)},
		{name: "refused by the phone", renewals: []mdm.Renewal{own}, commands: []mdm.Command{ofOwn(mdm.Failed, after(-31), after(-30))}, again: after(30)},
		{name: "declined in this connection", renewals: []mdm.Renewal{own}, commands: []mdm.Command{ofOwn(mdm.NotNow, after(1), after(2))}},
		{name: "declined in the last one", renewals: []mdm.Renewal{own}, commands: []mdm.Command{ofOwn(mdm.NotNow, after(-2), after(-1))}, want: []Action{installOwn}},
		{name: "never answered", renewals: []mdm.Renewal{own, mail}, commands: []mdm.Command{ofOwn(mdm.Superseded, after(-9), after(-8)), install(mdm.Superseded, mailUUID, after(-9), after(-8)), longAgo},
			want: []Action{installOwn, installMail}},
		{name: "the answer got lost: the same command again", renewals: []mdm.Renewal{own}, commands: []mdm.Command{ofOwn(mdm.Sent, after(1), time.Time{})},
			want: []Action{{Type: installProfile, Subject: ownID, Revision: ownUUID, ID: "O"}}},
		{name: "it got lost, but the successor was issued", commands: []mdm.Command{ofOwn(mdm.Sent, after(1), time.Time{})}},

		{name: "done: the certificates are asked for", commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6)), longAgo}, want: []Action{{Type: askCertificates}}},
		{name: "once", commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6)), longAgo, query(askCertificates, mdm.Acknowledged, after(7), after(8))}},
		{name: "an update is no renewal", commands: []mdm.Command{install(mdm.Acknowledged, mailUUID, after(5), after(6)), install(mdm.Acknowledged, nextUUID, after(-9), after(-8))}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want := Want{Profiles: []WantedProfile{{Identifier: mailID, UUID: mailUUID, Mail: true}}, InquiryMaxAge: time.Hour, EnrollmentProfile: ownID, EnrollmentRevision: ownUUID}
			have := Have{
				Enrollment: mdm.Enrollment{State: mdm.Configured, IdleAt: noon, Renewals: test.renewals}, Commands: test.commands,
				Report: facts(after(-60), after(-60), after(-60), after(-60), onFile),
			}
			if test.change != nil {
				test.change(&want, &have)
			}
			p := newPlanner(want, have, after(10))
			p.plan()
			if diff := cmp.Diff(p.actions, test.want); diff != "" {
				t.Errorf("got -, want +:\n%s", diff)
			}
			if !p.again.Equal(test.again) {
				t.Errorf("tried again at %v, want %v", p.again, test.again)
			}
		})
	}
}

// TestRenewalsEnd: whatever a phone answers, no profile is sent twice in a
// connection for its renewal, and an honest phone renews at last.
func TestRenewalsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := Want{Profiles: []WantedProfile{{Identifier: mailID, UUID: mailUUID, Mail: true}}, EnrollmentProfile: ownID, EnrollmentRevision: ownUUID}
		want.InquiryMaxAge = rapid.SampledFrom([]time.Duration{0, time.Hour}).Draw(t, "max age")
		now := noon
		have := Have{
			Enrollment: mdm.Enrollment{State: mdm.Configured, Renewals: []mdm.Renewal{renewal(certs.RuleMailIdentity, mailID, noon), renewal(certs.RuleMDMIdentity, "", noon)}},
			Report:     facts(noon, noon, noon, noon, mdm.ProfileOnFile{Identifier: mailID, UUID: mailUUID}),
		}
		connect := func(answers func() mdm.CommandState, issues func() bool) {
			have.idle(now)
			sent := map[string]int{}
			for range 50 {
				now = now.Add(time.Second)
				actions := Plan(want, have, now)
				if len(actions) == 0 {
					return
				}
				a := actions[0]
				if sent[a.Type+a.Subject]++; a.Type == installProfile && sent[a.Type+a.Subject] > 1 {
					t.Fatalf("%s sent twice", a.Subject)
				}
				state := answers()
				have.answer(a, state, now, now.Add(time.Millisecond), true)
				if a.Type == installProfile && state != mdm.NotNow && issues() {
					have.Enrollment.Renewals = without(have.Enrollment.Renewals, a.Subject)
				}
			}
			t.Fatal("no end")
		}
		state := rapid.SampledFrom([]mdm.CommandState{mdm.Acknowledged, mdm.Failed, mdm.NotNow})
		for range rapid.IntRange(0, 6).Draw(t, "connections") {
			now = now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "minutes")) * time.Minute)
			connect(func() mdm.CommandState { return state.Draw(t, "answer") }, func() bool { return rapid.IntRange(0, 3).Draw(t, "issued") == 0 })
		}
		now = now.Add(7 * time.Hour)
		connect(func() mdm.CommandState { return mdm.Acknowledged }, func() bool { return true })
		if len(have.Enrollment.Renewals) > 0 {
			t.Fatalf("left: %+v", have.Enrollment.Renewals)
		}
	})
}

func without(list []mdm.Renewal, subject string) []mdm.Renewal {
	var left []mdm.Renewal
	for _, r := range list {
		if r.Profile != subject && (r.Profile != "" || subject != ownID) {
			left = append(left, r)
		}
	}
	return left
}
