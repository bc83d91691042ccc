package enroll

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/mdm"
)

// TestStrays: what is removed, and what must never be.
func TestStrays(t *testing.T) {
	t.Parallel()
	const stray = "sallyport.mail.T.U"
	yes, no := true, false
	managed := mdm.ProfileOnFile{Identifier: stray, UUID: nextUUID, Managed: &yes}
	wanted := WantedProfile{Template: "mail", Identifier: "sallyport.mail.W.U", UUID: mailUUID}
	there := mdm.ProfileOnFile{Identifier: wanted.Identifier, UUID: mailUUID, Managed: &yes}
	remove := Action{Type: removeProfile, Subject: stray}
	install := Action{Type: installProfile, Subject: wanted.Identifier, Revision: wanted.UUID}
	removal := func(state mdm.CommandState, sent, done time.Time) []mdm.Command {
		return []mdm.Command{{ID: "R", RequestType: removeProfile, Subject: stray, State: state, SentAt: sent, DoneAt: done}}
	}
	tests := []struct {
		name       string
		profiles   []WantedProfile
		items      []mdm.ProfileOnFile
		supervised *bool
		commands   []mdm.Command
		want       []Action
	}{
		{name: "unassigned", items: []mdm.ProfileOnFile{managed}, want: []Action{remove}},
		{name: "removed before its winner is installed", profiles: []WantedProfile{wanted}, items: []mdm.ProfileOnFile{managed}, want: []Action{remove, install}},
		{name: "somebody else's profile", items: []mdm.ProfileOnFile{{Identifier: "com.example.wifi", Managed: &yes}}},
		{name: "installed by hand", items: []mdm.ProfileOnFile{{Identifier: stray, Managed: &no}}},
		{name: "not told who installed it", items: []mdm.ProfileOnFile{{Identifier: stray}}},
		{name: "a supervised phone does not tell", items: []mdm.ProfileOnFile{{Identifier: stray}}, supervised: &yes, want: []Action{remove}},
		{name: "the wanted one, at another revision", profiles: []WantedProfile{wanted},
			items: []mdm.ProfileOnFile{{Identifier: wanted.Identifier, UUID: nextUUID, Managed: &yes}}, want: []Action{install}},
		{name: "something wanted cannot be made", profiles: []WantedProfile{{Template: "mail", Identifier: wanted.Identifier}}, items: []mdm.ProfileOnFile{managed}},
		{name: "removed since the list", profiles: []WantedProfile{wanted}, items: []mdm.ProfileOnFile{managed, there},
			commands: removal(mdm.Acknowledged, after(10), after(11)), want: []Action{{Type: askProfiles}}},
		{name: "declined: not again in this connection", items: []mdm.ProfileOnFile{managed}, commands: removal(mdm.NotNow, after(10), after(11))},
		{name: "refused: after a pause", items: []mdm.ProfileOnFile{managed}, commands: removal(mdm.Failed, after(10), after(50))},
		{name: "wanted again after we took it away: at once", profiles: []WantedProfile{wanted},
			commands: []mdm.Command{
				{ID: "R", RequestType: removeProfile, Subject: wanted.Identifier, State: mdm.Acknowledged, SentAt: after(-10), DoneAt: after(-9)},
				{ID: "I", RequestType: installProfile, Subject: wanted.Identifier, Revision: wanted.UUID, State: mdm.Acknowledged, SentAt: after(-20), DoneAt: after(-19)},
				{ID: "H", RequestType: installProfile, Subject: wanted.Identifier, Revision: wanted.UUID, State: mdm.Acknowledged, SentAt: after(-40), DoneAt: after(-39)},
			}, want: []Action{install}},
		{name: "wanted again, taken away since the list: look first", profiles: []WantedProfile{wanted}, items: []mdm.ProfileOnFile{there},
			commands: []mdm.Command{
				{ID: "R", RequestType: removeProfile, Subject: wanted.Identifier, State: mdm.Acknowledged, SentAt: after(10), DoneAt: after(11)},
			}, want: []Action{{Type: askProfiles}}},
		{name: "never answered: look first", items: []mdm.ProfileOnFile{managed}, commands: removal(mdm.Superseded, after(5), time.Time{}), want: []Action{{Type: askProfiles}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			report := facts(after(1), after(2), after(3), after(4), test.items...)
			report.Device.Supervised = test.supervised
			have := Have{Enrollment: mdm.Enrollment{State: mdm.Enrolled, IdleAt: noon}, Report: report, Commands: test.commands}
			got := Plan(Want{Profiles: test.profiles}, have, after(60))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestMadeUpStrays: a phone that lists profiles which nobody installed, and others
// each time, is told to remove some of them and then no more.
func TestMadeUpStrays(t *testing.T) {
	t.Parallel()
	yes := true
	have := Have{Enrollment: mdm.Enrollment{State: mdm.Configured, IdleAt: after(0)}}
	have.Report.Device = &mdm.DeviceFacts{At: after(0)}
	removed := 0
	for i := range 3 * maxStrays {
		have.Report.Profiles = &mdm.ProfileFacts{At: after(i), Items: []mdm.ProfileOnFile{
			{Identifier: fmt.Sprintf("sallyport.mail.%d.U", i), Managed: &yes}, {Identifier: "sallyport.mail.0.U", Managed: &yes},
		}}
		have.Enrollment.IdleAt = after(i)
		again := false
		for _, a := range Plan(Want{InquiryMaxAge: time.Hour}, have, after(i)) {
			if a.Type != removeProfile {
				continue
			}
			if a.Subject == "sallyport.mail.0.U" { // one of before may be removed as often as it comes back
				again = true
				continue
			}
			removed++
			have.Commands = append([]mdm.Command{{RequestType: removeProfile, Subject: a.Subject, State: mdm.Acknowledged, SentAt: after(i), DoneAt: after(i)}}, have.Commands...)
		}
		if i == 0 {
			have.Commands = []mdm.Command{{RequestType: removeProfile, Subject: "sallyport.mail.0.U", State: mdm.Acknowledged, SentAt: after(-9), DoneAt: after(-8)}}
		}
		if !again {
			t.Fatalf("list %d: a profile of before is not removed", i)
		}
	}
	if removed < maxStrays/2 || removed > maxStrays {
		t.Errorf("%d made-up profiles were removed, want some and at most %d", removed, maxStrays)
	}
}
