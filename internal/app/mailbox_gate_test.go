package app_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

// asksGate is a mail client's request as nginx puts it to us: the status, and the decision.
func (c *client) asksGate(token, user, device string, header map[string]string) (int, string) {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.local.URL+"/access/auth", nil)
	must(c.t, err)
	req.Header.Set("X-Sallyport-Token", token)
	req.Header.Set("X-Original-Method", http.MethodPost)
	req.Header.Set("X-Original-URI", "/Microsoft-Server-ActiveSync?Cmd=FolderSync&User="+user+"&DeviceId="+device+"&DeviceType=iPhone")
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
		status, decision := c.asksGate(token, alice, fmt.Sprint("JUNK", i), map[string]string{"Authorization": wrong.Get("Authorization")})
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

// TestCertificateAtTheGate: a web server that takes a phone's certificate for its
// sign-in has it decided about by that, and by nothing that the client only claims.
func TestCertificateAtTheGate(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	c.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob, DisplayName: "Bob Example"}, &struct{}{})
	token := c.engineToken()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	s := show(t, phone)
	c.decided(alice, s.EASDeviceID, access.Allow)

	var shown adminapi.CertificateDetail
	c.call(http.MethodGet, "/api/v1/certificates/"+s.Accounts[0].Presents, "", nil, &shown)
	proved := map[string]string{"X-Original-Certificate": url.PathEscape(shown.PEM)}
	asks := func(what, user string, header map[string]string, want int, decision string) {
		t.Helper()
		status, said := c.asksGate(token, user, s.EASDeviceID, header)
		if status != want || said != decision {
			t.Errorf("%s: %d, %q, want %d, %q", what, status, said, want, decision)
		}
	}
	asks("nobody signs in: the mail server says how", alice, nil, http.StatusNoContent, "allow")
	asks("a compliant phone", alice, proved, http.StatusNoContent, "allow")
	asks("for another mailbox", bob, proved, http.StatusForbidden, "refused")

	must(t, phone.Set("passcode=off"))
	must(t, phone.Connect(t.Context()))
	c.decided(alice, s.EASDeviceID, access.Block)
	asks("a phone that fails", alice, proved, http.StatusForbidden, "block")
	asks("a phone that fails, of which nothing is proved", alice, nil, http.StatusNoContent, "allow")

	c.post("/api/v1/certificates/"+shown.Certificate.SHA256+"/revoke", adminapi.RevokeRequest{}, &adminapi.Revoked{})
	comesTrue(t, "a revoked certificate is nobody's", func() bool {
		status, said := c.asksGate(token, alice, s.EASDeviceID, proved)
		return status == http.StatusForbidden && said == "refused"
	})
}
