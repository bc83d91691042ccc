package app_test

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/certs"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// enrolled is a phone of the user that has its mail.
func (c *client) enrolled(user, dir string) *agent.Phone {
	c.t.Helper()
	p := newPhone(c.t, dir, c.root, "")
	must(c.t, p.Enroll(c.t.Context(), c.invite(adminapi.InvitationRequest{User: user}).URL))
	must(c.t, p.Connect(c.t.Context()))
	c.decided(user, show(c.t, p).EASDeviceID, access.Allow)
	return p
}

// shut waits until the mailbox is, for that reason, and sees that the phone is
// refused and keeps what it has: a phone that is refused is not dismissed.
func (c *client) shut(user string, p *agent.Phone, fact string) {
	c.t.Helper()
	d := c.decided(user, show(c.t, p).EASDeviceID, access.Block)
	if len(d.Reasons) != 1 || d.Reasons[0].Rule != "identity_certificate" || !strings.Contains(d.Reasons[0].Fact, fact) ||
		!strings.Contains(d.Reasons[0].Fix, "must be set up again") {
		c.t.Errorf("reasons %+v, want %q", d.Reasons, fact)
	}
	if err := p.Connect(c.t.Context()); !errors.Is(err, agent.ErrRefused) {
		c.t.Errorf("got %v, want a refusal that leaves the management alone", err)
	}
	if s := show(c.t, p); s.State != agent.StageEnrolled || len(s.Accounts) != 1 {
		c.t.Errorf("the phone is %s with %d accounts", s.State, len(s.Accounts))
	}
}

// again sets a phone up once more, as its verdict says.
func (c *client) again(user string, p *agent.Phone) {
	c.t.Helper()
	_ = p.Unenroll(c.t.Context()) // its user removes the management; the server does not listen any more
	must(c.t, p.Enroll(c.t.Context(), c.invite(adminapi.InvitationRequest{User: user}).URL))
	must(c.t, p.Connect(c.t.Context()))
	c.decided(user, show(c.t, p).EASDeviceID, access.Allow)
}

func (c *client) certificates(query string) []adminapi.Certificate {
	c.t.Helper()
	var page adminapi.Certificates
	c.call(http.MethodGet, "/api/v1/certificates?"+query, "", nil, &page)
	return page.Certificates
}

// A retirement by force ends what hangs under the old issuing certificate, and the
// verdict says of those phones why; what hangs under the new one goes on.
func TestForcedRetirement(t *testing.T) {
	t.Parallel()
	const bob = "bob@example.test"
	dir := t.TempDir()
	c := startConfigured(t, testConfig(filepath.Join(dir, "data"), "127.0.0.1:0"))
	c.seed()
	c.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob}, &struct{}{})
	p := c.enrolled(alice, filepath.Join(dir, "alice"))

	var old adminapi.AuthorityCertificate
	for _, a := range c.line() {
		if a.Role == "issuing" {
			old = a
		}
	}
	var made certs.AuthorityInfo
	c.post("/api/v1/ca/rollover", adminapi.KindRequest{Kind: "p384"}, &made)
	var step adminapi.AuthorityStep
	c.post("/api/v1/ca/issuing/"+made.Fingerprint+"/activate", adminapi.StepRequest{}, &step)
	q := c.enrolled(bob, filepath.Join(dir, "bob"))

	retire := "/api/v1/ca/issuing/" + old.Fingerprint + "/retire"
	c.post(retire, adminapi.StepRequest{DryRun: true}, &step)
	if step.Valid != 2 || step.Phones != 1 || len(step.Refused) != 1 {
		t.Errorf("%+v", step)
	}
	if status := c.call(http.MethodPost, retire, "application/json", []byte(`{}`), nil); status != http.StatusConflict {
		t.Errorf("retired though a phone needs it: %d", status)
	}
	must(t, p.Connect(t.Context()))
	c.decided(alice, show(t, p).EASDeviceID, access.Allow)
	c.post(retire, adminapi.StepRequest{Force: true}, &step)
	if step.Authority.State != certs.StateRetired || step.Valid != 2 || step.Phones != 1 {
		t.Errorf("%+v", step)
	}
	c.shut(alice, p, "the CA that issued this phone's identity is trusted no more")
	for _, x := range c.certificates("user=" + alice) {
		if x.State != "revoked" || x.Reason != "cessationOfOperation" || x.Issuer != old.SubjectKeyID {
			t.Errorf("%+v", x)
		}
	}

	must(t, q.Connect(t.Context()))
	c.decided(bob, show(t, q).EASDeviceID, access.Allow)
	c.again(alice, p)
	for _, x := range c.certificates("user=" + alice + "&expiring_before=" + time.Now().AddDate(2, 0, 0).UTC().Format(time.RFC3339)) {
		if x.Issuer != made.SubjectKeyID {
			t.Errorf("%+v", x)
		}
	}
}

// Who has the phone has all of its keys: all of its identities end with that of
// the management, and no other phone's.
func TestStolenPhone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := startConfigured(t, testConfig(filepath.Join(dir, "data"), "127.0.0.1:0"))
	c.seed()
	stolen := c.enrolled(alice, filepath.Join(dir, "stolen"))
	issued := c.certificates("user=" + alice)
	if len(issued) != 2 {
		t.Fatalf("%+v", issued)
	}
	kept := c.enrolled(alice, filepath.Join(dir, "kept"))
	own := issued[0]
	if own.Rule != "mdm-identity" {
		own = issued[1]
	}
	revoke := "/api/v1/certificates/" + own.SHA256 + "/revoke"
	var out adminapi.Revoked
	c.post(revoke, adminapi.RevokeRequest{Reason: "keyCompromise", DryRun: true}, &out)
	must(t, stolen.Connect(t.Context()))
	c.decided(alice, show(t, stolen).EASDeviceID, access.Allow)

	c.post(revoke, adminapi.RevokeRequest{Reason: "keyCompromise"}, &out)
	c.shut(alice, stolen, "the certificate was revoked")
	revoked := map[string]string{}
	for _, x := range c.certificates("user=" + alice) {
		if (x.EnrollmentID == own.EnrollmentID) != (x.State == "revoked") {
			t.Errorf("%+v", x)
		}
		revoked[x.Rule] += x.Reason
	}
	if revoked["mdm-identity"] != "keyCompromise" || revoked["mail-identity"] != "keyCompromise" {
		t.Errorf("revoked %v", revoked)
	}
	must(t, kept.Connect(t.Context()))
	c.decided(alice, show(t, kept).EASDeviceID, access.Allow)
	c.again(alice, stolen)
}
