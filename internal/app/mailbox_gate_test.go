package app_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

// asksGate is a mail client's request as nginx puts it to us: the status, and the decision.
func (c *client) asksGate(token, device string, header map[string]string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.local.URL+"/access/auth", nil)
	must(c.t, err)
	req.Header.Set("X-Sallyport-Token", token)
	req.Header.Set("X-Original-Method", http.MethodPost)
	req.Header.Set("X-Original-URI", "/Microsoft-Server-ActiveSync?Cmd=FolderSync&User="+alice+"&DeviceId="+device+"&DeviceType=iPhone")
	for name, value := range header {
		req.Header.Set(name, value)
	}
	resp, err := c.http.Do(req)
	must(c.t, err)
	must(c.t, resp.Body.Close())
	return resp.StatusCode, resp.Header.Get("X-Sallyport-Decision")
}

func (c *client) placesTaken(user string) int {
	c.t.Helper()
	var m adminapi.UserMailbox
	c.call(http.MethodGet, "/api/v1/users/"+user+"/mailbox", "", nil, &m)
	return m.Used
}

// TestStrangersTakeNoPlaces: the gate asks before anybody has checked a password. Who
// only ever asks it keeps no phone from its mail; who was let in once may.
func TestStrangersTakeNoPlaces(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	token := c.engineToken()
	wrong := http.Header{}
	(&http.Request{Header: wrong}).SetBasicAuth(alice, "wrong")
	for i := range 11 {
		status, decision := c.asksGate(token, fmt.Sprint("JUNK", i), map[string]string{"Authorization": wrong.Get("Authorization")})
		if status != http.StatusForbidden || decision != string(access.Quarantine) {
			t.Fatalf("a stranger is answered %d, %q", status, decision)
		}
	}
	if n := c.placesTaken(alice); n != 0 {
		t.Errorf("strangers take %d places", n)
	}
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	s := show(t, phone)
	if len(s.Accounts) != 1 {
		t.Fatalf("the phone has %d accounts, want its mail", len(s.Accounts))
	}
	c.decided(alice, s.EASDeviceID, access.Allow)

	c.call(http.MethodPut, "/api/v1/access/default", "application/json", []byte(`{"default": "allow", "reason": "a pilot"}`), &adminapi.AccessDefault{})
	for i := range 2 {
		c.decided(alice, fmt.Sprint("JUNK", i), access.Allow)
	}
	comesTrue(t, "who was let in takes a place", func() bool { return c.placesTaken(alice) == 3 })
}
