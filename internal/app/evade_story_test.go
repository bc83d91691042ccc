package app_test

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// TestWipeIsNotEvaded: a wipe is ordered of a corporate phone, its user un-enrols
// and comes again under a personal invitation that was kept from before. The phone
// is told nothing and gets no mail until an admin has decided; a new invitation
// for a corporate phone brings it back.
func TestWipeIsNotEvaded(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL))
	spare := c.invite(adminapi.InvitationRequest{User: alice, Ownership: "personal"})
	eas, device := show(t, phone).EASDeviceID, c.theDevice().ID
	c.decided(alice, eas, access.Allow)

	act := c.order(device, adminapi.ActionRequest{Kind: string(mdm.ActionWipe)})
	c.decided(alice, eas, access.Block)
	must(t, phone.Unenroll(t.Context()))
	if got := c.act(device, act.ID); got.State != string(mdm.ActionFailed) || got.Error != "the enrolment ended" {
		t.Errorf("the act after its enrolment ended: %+v", got)
	}
	must(t, phone.Enroll(t.Context(), spare.URL))
	_ = phone.Connect(t.Context())
	if s := show(t, phone); len(s.Accounts) != 0 {
		t.Errorf("a held phone got %+v", s.Accounts)
	}
	c.decided(alice, eas, access.Block)
	var held adminapi.HeldEnrollments
	c.call(http.MethodGet, "/api/v1/held-enrollments", "", nil, &held)
	if len(held.Held) != 1 || held.Held[0].Act != act.ID || held.Held[0].Holder != "" || !strings.Contains(held.Held[0].Reason, "a full wipe, ordered by") {
		t.Fatalf("held: %+v", held.Held)
	}
	if got := c.call(http.MethodPost, "/api/v1/held-enrollments/"+held.Held[0].ID+"/refuse", "", nil, nil); got != http.StatusNoContent {
		t.Errorf("refuse: %d", got)
	}

	must(t, phone.Unenroll(t.Context()))
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL))
	must(t, phone.Connect(t.Context()))
	c.decided(alice, eas, access.Allow)
}
