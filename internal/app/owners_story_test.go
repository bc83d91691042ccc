package app_test

import (
	"net/http"
	"path/filepath"
	"testing"

	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
)

// TestOneAdminIsNotTwoOwners: who makes tokens under other names approves nothing
// with them that another of them ordered; a token that the server's own one made
// does.
func TestOneAdminIsNotTwoOwners(t *testing.T) {
	t.Parallel()
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	cfg.SecondOwner = true
	c := startConfigured(t, cfg)
	c.seed()
	phone := newTapped(t, c)
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL))
	device := c.theDevice().ID

	carol, dave := c.as(auth.Admin, "carol"), c.as(auth.Admin, "dave")
	sock, glove := carol.as(auth.Admin, "sock"), carol.as(auth.Admin, "glove")
	if got := carol.call(http.MethodPost, "/api/v1/tokens", "application/json", []byte(`{"role":"admin","owner":"Local admin"}`), nil); got != http.StatusBadRequest {
		t.Errorf("a token under the name of the server's own: %d", got)
	}
	act := sock.order(device, adminapi.ActionRequest{Kind: "wipe"})
	approve := "/api/v1/devices/" + device + "/actions/" + act.ID + "/approve"
	for name, caller := range map[string]*client{"itself": sock, "who made it": carol, "its twin": glove, "what it made": sock.as(auth.Admin, "mitten")} {
		if got := caller.call(http.MethodPost, approve, "", nil, nil); got != http.StatusConflict {
			t.Errorf("%s approves: %d, want 409", name, got)
		}
	}
	if got := dave.call(http.MethodPost, approve, "", nil, nil); got != http.StatusOK {
		t.Errorf("somebody else approves: %d, want 200", got)
	}
}
