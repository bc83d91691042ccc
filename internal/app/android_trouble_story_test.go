package app_test

import (
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// TestNotificationsLostDoubledLate: Google promises neither order nor once, and
// nothing that comes so makes a difference.
func TestNotificationsLostDoubledLate(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	ps := r.pubsub
	phone, id, eas := r.mailed(t)

	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	broken := ps.next(t, "a report of the broken phone", posture("POTENTIALLY_COMPROMISED"))
	must(t, phone.Set("posture=SECURE"))
	must(t, phone.Connect(t.Context()))
	whole := ps.next(t, "a report of the repaired phone", posture("SECURE"))

	ps.deliver(t, whole, broken, broken) // the older one comes late, and twice
	if got := r.detail(id).Report.Security.Posture; got != mdm.PostureSecure {
		t.Errorf("an older report won over a newer one: %s", got)
	}
	r.decided(alice, eas, access.Allow)

	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	last := ps.next(t, "a report of the broken phone", posture("POTENTIALLY_COMPROMISED"))
	ps.deliver(t, last, last)
	r.decided(alice, eas, access.Block)
	must(t, phone.Set("posture=SECURE"))
	must(t, phone.Connect(t.Context()))
	ps.flow(t)
	r.decided(alice, eas, access.Allow)

	for _, form := range []string{"status", "enrollment"} {
		kind := map[string]string{"status": "STATUS_REPORT", "enrollment": "ENROLLMENT"}[form]
		must(t, phone.Set("farewell="+form))
		must(t, phone.Unenroll(t.Context()))
		bye := ps.next(t, "a farewell as "+kind, func(n notification) bool { return n.kind == kind && n.data["appliedState"] == "DELETED" })
		ps.deliver(t, bye, bye, last, whole, bye) // twice, and reports of before come after it
		if got := r.detail(id).Enrollment; got.State != string(mdm.CheckedOut) {
			t.Errorf("after DELETED as %s: %+v", kind, got)
		}
		r.decided(alice, eas, access.Block)
		if form == "status" {
			_, phoneID := phone, id
			must(t, phone.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: alice}).URL))
			s := r.settles(t, phone, "mail again", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
			comesTrue(t, "the mailbox", func() bool { ps.flow(t); return r.decide(alice, s.EASDeviceID).Effect == access.Allow })
			if s.EASDeviceID != eas || len(r.devices()) != 1 || phoneID != r.theDevice().ID {
				t.Errorf("it came back as another device: %+v", r.devices())
			}
		}
	}
}

// TestListIsTheSafetyNet: all that Google told of a phone was lost, from its
// enrolment on; the list of devices finds it all the same.
func TestListIsTheSafetyNet(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	phone := r.g.phone(r.client, "")
	must(t, phone.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: alice}).URL))
	must(t, phone.Connect(t.Context()))
	if n := len(r.devices()); n != 0 {
		t.Fatalf("%d devices are on record, and nobody has told of any", n)
	}
	r.again(t, time.Hour)
	comesTrue(t, "the list", func() bool { return len(r.devices()) == 1 })
	s := settledPhone(t, phone, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	r.again(t, time.Hour)
	r.decided(alice, s.EASDeviceID, access.Allow)
	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	r.again(t, time.Hour)
	r.decided(alice, s.EASDeviceID, access.Block)
}
