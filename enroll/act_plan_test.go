package enroll

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
)

const (
	ourMail   = "sallyport.mail.T.U"
	ourPolicy = "sallyport.security.U"
	leaving   = "com.example.mdm"
)

// actScene is a phone that has everything it should, so that only acts matter.
func actScene(acts ...mdm.Action) (Want, Have) {
	yes := true
	want := Want{EnrollmentProfile: leaving, InquiryMaxAge: time.Hour, Profiles: []WantedProfile{
		{Template: "staff", Identifier: ourPolicy, UUID: nextUUID}, {Template: "mail", Identifier: ourMail, UUID: mailUUID, Mail: true},
	}}
	report := facts(after(-60), after(-60), after(-60), after(-60),
		mdm.ProfileOnFile{Identifier: ourPolicy, UUID: nextUUID, Managed: &yes}, mdm.ProfileOnFile{Identifier: ourMail, UUID: mailUUID, Managed: &yes},
		mdm.ProfileOnFile{Identifier: leaving, UUID: mailUUID, Managed: &yes})
	return want, Have{
		Enrollment: mdm.Enrollment{State: mdm.Configured, IdleAt: noon, Ownership: mdm.Corporate, AccessRights: 7999 &^ mdm.RightRestrictions},
		Report:     report, Actions: acts,
	}
}

func act(kind mdm.ActionKind, state mdm.ActionState) mdm.Action {
	return mdm.Action{ID: mdm.ActionID(kind), Kind: kind, State: state, RequestedAt: after(-10), ExpiresAt: after(86400)}
}

func TestPlanActs(t *testing.T) {
	t.Parallel()
	one := func(kind mdm.ActionKind, requestType, subject string) Action {
		return Action{Type: requestType, Subject: subject, Act: mdm.ActionID(kind)}
	}
	lock := one(mdm.ActionLock, deviceLock, "")
	sent := func(kind mdm.ActionKind, at time.Time) mdm.Action {
		a := act(kind, mdm.ActionSent)
		a.SentAt, a.CommandID = at, "C"
		return a
	}
	declined := func(at time.Time) mdm.Command {
		return mdm.Command{ID: "C", RequestType: deviceLock, ActionID: "lock", State: mdm.NotNow, SentAt: after(-9), DoneAt: at}
	}
	part := func(kind mdm.ActionKind, requestType, subject, revision string) Action {
		return Action{Type: requestType, Subject: subject, Revision: revision, Act: mdm.ActionID(kind), Part: true}
	}
	again := part(mdm.ActionResend, installProfile, ourMail, mailUUID)
	repeat := again
	repeat.ID = "I"
	mail := func(state mdm.CommandState, sent, done time.Time) mdm.Command {
		return mdm.Command{ID: "I", RequestType: installProfile, Subject: ourMail, Revision: mailUUID, State: state, SentAt: sent, DoneAt: done}
	}
	without := func(profiles ...string) func(*Want, *Have) {
		return func(w *Want, h *Have) {
			var kept []WantedProfile
			for _, p := range w.Profiles {
				if !slices.Contains(profiles, p.Identifier) {
					kept = append(kept, p)
				}
			}
			w.Profiles = kept
			h.Enrollment.Withheld = mdm.WithholdEverything
			if len(profiles) == 1 {
				h.Enrollment.Withheld = mdm.WithholdPolicies
			}
		}
	}
	tests := []struct {
		name     string
		acts     []mdm.Action
		commands []mdm.Command
		set      func(*Want, *Have)
		want     []Action
	}{
		{name: "none"},
		{name: "a lock", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, want: []Action{lock}},
		{name: "a wipe goes before what is older", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending), act(mdm.ActionRetire, mdm.ActionPending), act(mdm.ActionWipe, mdm.ActionPending)},
			want: []Action{one(mdm.ActionWipe, eraseDevice, ""), lock, one(mdm.ActionRetire, removeProfile, leaving)}},
		{name: "acts go before facts", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, set: func(_ *Want, h *Have) { h.Report.Device.At = after(-7200) },
			want: []Action{lock, {Type: askDevice}}},
		{name: "and before a lost answer", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, commands: []mdm.Command{query(askSecurity, mdm.Sent, after(2), time.Time{})},
			want: []Action{lock, {Type: askSecurity, ID: "Q"}}},
		{name: "personal: never", acts: []mdm.Action{act(mdm.ActionWipe, mdm.ActionPending)}, set: func(_ *Want, h *Have) { h.Enrollment.Ownership = mdm.Personal }},
		{name: "personal, sent already: never again", acts: []mdm.Action{sent(mdm.ActionWipe, after(-5))}, set: func(_ *Want, h *Have) { h.Enrollment.Ownership = mdm.Personal }},
		{name: "no right: never", acts: []mdm.Action{act(mdm.ActionWipe, mdm.ActionPending)}, set: func(_ *Want, h *Have) { h.Enrollment.AccessRights &^= mdm.RightErase }},
		{name: "ended", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, set: func(_ *Want, h *Have) { h.Enrollment.State = mdm.Retired }},
		{name: "held", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, set: func(_ *Want, h *Have) { h.Enrollment.State = mdm.Held }},
		{name: "expired", acts: []mdm.Action{{ID: "x", Kind: mdm.ActionLock, State: mdm.ActionPending, ExpiresAt: after(60)}}},
		{name: "declined in this connection", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, commands: []mdm.Command{declined(after(1))}},
		{name: "declined in an earlier one", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)}, commands: []mdm.Command{declined(after(-1))}, want: []Action{lock}},
		{name: "another act was declined", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending), act(mdm.ActionRetire, mdm.ActionPending)}, commands: []mdm.Command{declined(after(1))},
			want: []Action{one(mdm.ActionRetire, removeProfile, leaving)}},
		{name: "not answered: again", acts: []mdm.Action{sent(mdm.ActionLock, after(-5))}, want: []Action{lock}},
		{name: "not answered for long: after everything else", acts: []mdm.Action{sent(mdm.ActionLock, after(-7200))}, set: func(_ *Want, h *Have) { h.Report.Device.At = after(-7200) },
			want: []Action{{Type: askDevice}, lock}},
		{name: "a wipe not answered for long: first for ever", acts: []mdm.Action{sent(mdm.ActionWipe, after(-7200))}, set: func(_ *Want, h *Have) { h.Report.Device.At = after(-7200) },
			want: []Action{one(mdm.ActionWipe, eraseDevice, ""), {Type: askDevice}}},
		{name: "the command of an act is not repeated as if it were derived", commands: []mdm.Command{{ID: "C", RequestType: deviceLock, ActionID: "lock", State: mdm.Sent, SentAt: after(1)}}},
		{name: "an admin's query does not stand for ours", set: func(_ *Want, h *Have) { h.Report.Device.At = after(-7200) },
			commands: []mdm.Command{{ID: "C", RequestType: askDevice, ActionID: "q", State: mdm.Failed, SentAt: after(1), DoneAt: after(2)}}, want: []Action{{Type: askDevice}}},

		{name: "selective wipe: everything of ours, and nothing else", acts: []mdm.Action{act(mdm.ActionSelectiveWipe, mdm.ActionPending)}, set: without(ourMail, ourPolicy),
			want: []Action{part(mdm.ActionSelectiveWipe, removeProfile, ourPolicy, ""), part(mdm.ActionSelectiveWipe, removeProfile, ourMail, ""), {Type: askProfiles}}},
		{name: "policies only", acts: []mdm.Action{act(mdm.ActionRemovePolicies, mdm.ActionPending)}, set: without(ourPolicy),
			want: []Action{part(mdm.ActionRemovePolicies, removeProfile, ourPolicy, ""), {Type: askProfiles}}},
		{name: "policies only, though the mail cannot be made", acts: []mdm.Action{act(mdm.ActionRemovePolicies, mdm.ActionPending)}, set: func(w *Want, h *Have) {
			without(ourPolicy)(w, h)
			w.Profiles[0].UUID = ""
		}, want: []Action{part(mdm.ActionRemovePolicies, removeProfile, ourPolicy, ""), {Type: askProfiles}}},
		{name: "the act is over, and the profile came back: away with it", set: without(ourMail, ourPolicy),
			want: []Action{{Type: removeProfile, Subject: ourPolicy}, {Type: removeProfile, Subject: ourMail}}},
		{name: "the user was removed: an act is done all the same", acts: []mdm.Action{act(mdm.ActionLock, mdm.ActionPending)},
			set: func(w *Want, h *Have) { w.UserRemoved, w.Profiles, h.Report = true, nil, mdm.Report{} }, want: []Action{lock}},
		{name: "the user was removed: a selective wipe too", acts: []mdm.Action{act(mdm.ActionSelectiveWipe, mdm.ActionPending)}, set: func(w *Want, h *Have) {
			without(ourMail, ourPolicy)(w, h)
			w.UserRemoved = true
		}, want: []Action{part(mdm.ActionSelectiveWipe, removeProfile, ourPolicy, ""), part(mdm.ActionSelectiveWipe, removeProfile, ourMail, ""), {Type: askProfiles}}},

		{name: "resend", acts: []mdm.Action{act(mdm.ActionResend, mdm.ActionPending)}, commands: []mdm.Command{mail(mdm.Acknowledged, after(-50), after(-49))}, want: []Action{again}},
		{name: "resend at once after it was installed in this connection", acts: []mdm.Action{{ID: "resend", Kind: mdm.ActionResend, State: mdm.ActionPending, RequestedAt: after(7)}},
			commands: []mdm.Command{mail(mdm.Acknowledged, after(5), after(6))}, want: []Action{again}},
		{name: "resent", acts: []mdm.Action{act(mdm.ActionResend, mdm.ActionSent)}, commands: []mdm.Command{mail(mdm.Acknowledged, after(-5), after(-4))},
			set: func(_ *Want, h *Have) { h.Report.Profiles.At = after(-3) }},
		{name: "resend declined in this connection", acts: []mdm.Action{act(mdm.ActionResend, mdm.ActionSent)}, commands: []mdm.Command{mail(mdm.NotNow, after(1), after(2))}},
		{name: "resend declined before", acts: []mdm.Action{act(mdm.ActionResend, mdm.ActionSent)}, commands: []mdm.Command{mail(mdm.NotNow, after(-5), after(-4))}, want: []Action{again}},
		{name: "resend not answered: the same command", acts: []mdm.Action{act(mdm.ActionResend, mdm.ActionSent)}, commands: []mdm.Command{mail(mdm.Superseded, after(-5), noon)}, want: []Action{repeat}},
		{name: "resend ordered by a clock that was set back", acts: []mdm.Action{{ID: "resend", Kind: mdm.ActionResend, State: mdm.ActionSent, RequestedAt: after(9e6)}},
			commands: []mdm.Command{mail(mdm.Acknowledged, after(5), after(6))}, set: func(_ *Want, h *Have) { h.Report.Profiles.At = after(7) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			want, have := actScene(test.acts...)
			have.Commands = test.commands
			if test.set != nil {
				test.set(&want, &have)
			}
			if diff := cmp.Diff(test.want, Plan(want, have, after(60))); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	t.Parallel()
	install := func(state mdm.CommandState, sent time.Time) mdm.Command {
		c := mdm.Command{ID: "I", RequestType: installProfile, Subject: ourMail, Revision: mailUUID, State: state, SentAt: sent, DoneAt: sent.Add(time.Second)}
		if state == mdm.Failed {
			c.Error = "The profile is broken (MCProfileErrorDomain 1000)"
		}
		return c
	}
	items := func(at time.Time, items ...mdm.ProfileOnFile) func(*Want, *Have) {
		return func(_ *Want, h *Have) { h.Report.Profiles = &mdm.ProfileFacts{At: at, Items: items} }
	}
	yes, no := true, false
	policy := mdm.ProfileOnFile{Identifier: ourPolicy, Managed: &yes}
	tests := []struct {
		name     string
		kind     mdm.ActionKind
		commands []mdm.Command
		set      func(*Want, *Have)
		want     mdm.ActionState
		reason   string
	}{
		{name: "a lock is for its command to end", kind: mdm.ActionLock},
		{name: "a wipe is for its command to end", kind: mdm.ActionWipe},
		{name: "personal meanwhile", kind: mdm.ActionWipe, set: func(_ *Want, h *Have) { h.Enrollment.Ownership = mdm.Personal }, want: mdm.ActionFailed, reason: notErased},
		{name: "still listed", kind: mdm.ActionSelectiveWipe, set: items(after(1), policy)},
		{name: "gone, but the list is older", kind: mdm.ActionSelectiveWipe, set: items(after(-11))},
		{name: "gone", kind: mdm.ActionSelectiveWipe, set: items(after(1), mdm.ProfileOnFile{Identifier: leaving, Managed: &yes}), want: mdm.ActionAcknowledged},
		{name: "never listed", kind: mdm.ActionSelectiveWipe, set: func(_ *Want, h *Have) { h.Report.Profiles = nil }},
		{name: "policies still listed", kind: mdm.ActionRemovePolicies, set: items(after(1), policy)},
		{name: "policies gone, mail there", kind: mdm.ActionRemovePolicies, set: items(after(1), mdm.ProfileOnFile{Identifier: ourMail, Managed: &yes}), want: mdm.ActionAcknowledged},
		{name: "installed by hand", kind: mdm.ActionSelectiveWipe, set: items(after(1), mdm.ProfileOnFile{Identifier: ourMail, Managed: &no}), want: mdm.ActionFailed,
			reason: "profile sallyport.mail.T.U was installed by hand: only the user can remove it (Settings > General > VPN & Device Management)"},
		{name: "nothing sent yet", kind: mdm.ActionResend, commands: []mdm.Command{install(mdm.Acknowledged, after(-50))}},
		{name: "sent", kind: mdm.ActionResend, commands: []mdm.Command{install(mdm.Sent, after(1))}},
		{name: "acknowledged", kind: mdm.ActionResend, commands: []mdm.Command{install(mdm.Acknowledged, after(1))}, want: mdm.ActionAcknowledged},
		{name: "refused", kind: mdm.ActionResend, commands: []mdm.Command{install(mdm.Failed, after(1))}, want: mdm.ActionFailed, reason: "The profile is broken (MCProfileErrorDomain 1000)"},
		{name: "nothing to send", kind: mdm.ActionResend, set: func(w *Want, _ *Have) { w.Profiles = w.Profiles[:1] }, want: mdm.ActionFailed,
			reason: "there is no mail profile to send: no template is assigned to the user, or none can be made"},
		{name: "an act under way withholds everything", kind: mdm.ActionResend, set: func(w *Want, h *Have) {
			w.Profiles, h.Enrollment.Withheld = w.Profiles[:1], mdm.WithholdEverything
		}},
		{name: "nothing to send, but the phone has not reported", kind: mdm.ActionResend, set: func(w *Want, h *Have) { w.Profiles, h.Report.Device = nil, nil }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			a := act(test.kind, mdm.ActionSent)
			want, have := actScene(a)
			have.Commands = test.commands
			if test.set != nil {
				test.set(&want, &have)
			}
			if state, reason := settled(a, want, have, after(60)); state != test.want || reason != test.reason {
				t.Errorf("got %q, %q, want %q, %q", state, reason, test.want, test.reason)
			}
		})
	}
}
