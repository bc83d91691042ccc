package app_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// order orders an act and confirms it where it has to be.
func (c *client) order(device string, in adminapi.ActionRequest) adminapi.Action {
	c.t.Helper()
	path := "/api/v1/devices/" + device + "/actions"
	var ordered adminapi.ActionOrdered
	asked := in
	asked.DryRun = true
	c.post(path, asked, &ordered)
	if ordered.Plan.NeedsConfirm {
		in.Confirm = ordered.Plan.Device
	}
	c.post(path, in, &ordered)
	if ordered.Action == nil {
		c.t.Fatalf("%s: no act came of it: %+v", in.Kind, ordered.Plan)
	}
	return *ordered.Action
}

// act is how that one stands now.
func (c *client) act(device, id string) adminapi.Action {
	c.t.Helper()
	var detail adminapi.ActionDetail
	c.call(http.MethodGet, "/api/v1/devices/"+device+"/actions/"+id, "", nil, &detail)
	return detail.Action
}

// theDevice is the only one on record.
func (c *client) theDevice() accessapi.Device {
	c.t.Helper()
	var list accessapi.Devices
	c.call(http.MethodGet, "/api/v1/devices", "", nil, &list)
	if len(list.Devices) != 1 {
		c.t.Fatalf("%d devices, want one", len(list.Devices))
	}
	return list.Devices[0]
}

// withMail is a server with one phone of alice's that reads its mail.
func withMail(t *testing.T) (*client, *agent.Phone, string) {
	t.Helper()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	eas := show(t, phone).EASDeviceID
	c.decided(alice, eas, access.Allow)
	return c, phone, eas
}

// TestRetireShutsTheMailbox: what was ordered closes the mailbox long before the
// phone has come, taking it back opens it, and the phone leaves when it comes.
func TestRetireShutsTheMailbox(t *testing.T) {
	t.Parallel()
	c, phone, eas := withMail(t)
	device := c.theDevice()

	began := time.Now()
	act := c.order(device.ID, adminapi.ActionRequest{Kind: string(mdm.ActionRetire)})
	d := c.decided(alice, eas, access.Block)
	t.Logf("the mailbox was shut %v after the order began", time.Since(began).Round(time.Millisecond))
	if len(d.Reasons) != 1 || d.Reasons[0].Rule != "mail_withdrawn" || !strings.Contains(d.Reasons[0].Fact, "an administrator withdrew the mail") {
		t.Errorf("reasons %+v, want that an administrator withdrew the mail", d.Reasons)
	}
	if got := c.act(device.ID, act.ID); got.State != string(mdm.ActionPending) || len(show(t, phone).Accounts) != 1 {
		t.Errorf("the act is %s and the phone has %d accounts: it has not come yet", got.State, len(show(t, phone).Accounts))
	}

	c.call(http.MethodDelete, "/api/v1/devices/"+device.ID+"/actions/"+act.ID, "", nil, &adminapi.Action{})
	c.decided(alice, eas, access.Allow)

	act = c.order(device.ID, adminapi.ActionRequest{Kind: string(mdm.ActionRetire)})
	c.decided(alice, eas, access.Block)
	_ = phone.Connect(t.Context()) // its management ends in the middle
	if got := c.act(device.ID, act.ID); got.State != string(mdm.ActionAcknowledged) || got.SentAt.IsZero() || got.DoneAt.IsZero() {
		t.Errorf("the act after the phone came: %+v", got)
	}
	if s := show(t, phone); len(s.Accounts) != 0 || len(s.Profiles) != 0 {
		t.Errorf("left behind: %+v, %+v", s.Accounts, s.Profiles)
	}
	if got := c.theDevice().Enrollment.State; got != string(mdm.Retired) {
		t.Errorf("the enrolment is %s, want retired", got)
	}
	c.decided(alice, eas, access.Block)
}

// TestMailComesBack: a selective wipe takes the mail and leaves the phone, and a
// resend gives it back.
func TestMailComesBack(t *testing.T) {
	t.Parallel()
	c, phone, eas := withMail(t)
	device := c.theDevice().ID

	act := c.order(device, adminapi.ActionRequest{Kind: string(mdm.ActionSelectiveWipe)})
	c.decided(alice, eas, access.Block)
	must(t, phone.Connect(t.Context()))
	if s := show(t, phone); len(s.Accounts) != 0 || len(s.Profiles) != 1 || c.act(device, act.ID).State != string(mdm.ActionAcknowledged) {
		t.Errorf("after the selective wipe: %+v, %+v, act %s", s.Accounts, s.Profiles, c.act(device, act.ID).State)
	}
	c.decided(alice, eas, access.Block)

	act = c.order(device, adminapi.ActionRequest{Kind: string(mdm.ActionResend)})
	must(t, phone.Connect(t.Context()))
	if s := show(t, phone); len(s.Accounts) != 1 || c.act(device, act.ID).State != string(mdm.ActionAcknowledged) {
		t.Errorf("after the resend: %+v, act %s", s.Accounts, c.act(device, act.ID).State)
	}
	c.decided(alice, eas, access.Allow)
}

// TestTakeoverIsHeld: a phone that came under another user gets nothing and
// changes nothing until an admin has decided.
func TestTakeoverIsHeld(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	c.post("/api/v1/users", adminapi.UserInput{UPN: mallory, Email: mallory}, &struct{}{})
	phone := newTapped(t, c)
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	eas := show(t, phone.Phone).EASDeviceID
	c.decided(alice, eas, access.Allow)
	phone.takenOverBy(t, c, mallory)

	var held adminapi.HeldEnrollments
	c.call(http.MethodGet, "/api/v1/held-enrollments", "", nil, &held)
	if len(held.Held) != 1 || held.Held[0].User != mallory || held.Held[0].Holder != alice {
		t.Fatalf("held: %+v", held.Held)
	}
	if d := c.theDevice(); d.User != alice || len(show(t, phone.Phone).Accounts) != 0 {
		t.Errorf("the device is %s's, and the phone that waits has %+v", d.User, show(t, phone.Phone).Accounts)
	}
	c.decided(alice, eas, access.Allow)

	path := "/api/v1/held-enrollments/" + held.Held[0].ID
	if status := c.call(http.MethodPost, path+"/admit", "", nil, nil); status != http.StatusNoContent {
		t.Fatalf("admit: status %d", status)
	}
	if status := c.call(http.MethodPost, path+"/refuse", "", nil, nil); status != http.StatusConflict {
		t.Errorf("refuse what was admitted: status %d", status)
	}
	must(t, phone.Connect(t.Context()))
	if d := c.theDevice(); d.User != mallory || len(show(t, phone.Phone).Accounts) != 1 {
		t.Errorf("the device is %s's, and the phone has %+v", d.User, show(t, phone.Phone).Accounts)
	}
	c.decided(mallory, eas, access.Allow)
	c.decided(alice, eas, access.Block)
}
