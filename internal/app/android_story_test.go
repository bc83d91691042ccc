package app_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

const (
	androidTemplate = `name: mail
assign: everyone
accounts:
  - name: Company mail
    host: mail.example.test
`
	androidBaseline = `name: baseline
assign: everyone
rules:
  mail_profile: true
  passcode: true
  encryption: true
  not_jailbroken: true
  reported_within: 24h
`
)

// google is a running stand-in of Google's.
type google struct {
	*agent.AMAPI
	t *testing.T
}

// newGoogle pushes to servers under that root.
func newGoogle(t *testing.T, root *x509.Certificate) *google {
	t.Helper()
	a, err := agent.NewAMAPI(t.Context(), agent.AMAPIOptions{Dir: t.TempDir(), Backoff: 10 * time.Millisecond, CA: []*x509.Certificate{root}})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		for _, v := range a.Log().Violations {
			t.Errorf("Google would have refused: %s: %s", v.Method, v.Text)
		}
	})
	return &google{a, t}
}

// signUp does what an administrator does, in a browser and at Pub/Sub too.
func (g *google) signUp(c *client) {
	g.t.Helper()
	key, err := os.ReadFile(g.Account())
	must(g.t, err)
	var s adminapi.AndroidSignedUp
	c.post("/api/v1/android/signup", adminapi.AndroidSignupRequest{ServiceAccount: string(key)}, &s)
	page, err := c.http.Get(s.Page)
	must(g.t, err)
	defer page.Body.Close()
	text, err := io.ReadAll(page.Body)
	must(g.t, err)
	if page.StatusCode != http.StatusOK || !strings.Contains(string(text), "sallyport android doctor") {
		g.t.Fatalf("end of the sign-up: %s\n%s", page.Status, text)
	}
	must(g.t, g.Play(agent.AMAPIScript{Push: s.NotificationURL}))
	var found adminapi.AndroidFindings
	c.call(http.MethodGet, "/api/v1/android/doctor", "", nil, &found)
	for _, f := range found.Findings {
		if !f.OK {
			g.t.Errorf("doctor: %+v", f)
		}
	}
}

// googled are the settings of a server that finds a stand-in, which trusts it.
func googled(t *testing.T) (*google, config.Config) {
	t.Helper()
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), freeAddress(t))
	stop, c := serveFor(t, cfg) // for its root, which the stand-in has to trust
	stop()
	g := newGoogle(t, c.root)
	cfg.AMAPIURL = g.URL()
	return g, cfg
}

// equip signs a server up, and gives everyone mail and a policy.
func (g *google) equip(c *client) {
	g.t.Helper()
	c.post("/api/v1/users", adminapi.UserInput{UPN: alice, Email: alice, DisplayName: "Alice Example", Username: "alice", DomainName: "EXAMPLE"}, &struct{}{})
	c.call(http.MethodPost, "/api/v1/templates", "application/yaml", []byte(androidTemplate), &adminapi.TemplateApplied{})
	c.call(http.MethodPost, "/api/v1/compliance/policies", "application/yaml", []byte(androidBaseline), &adminapi.PolicyApplied{})
	g.signUp(c)
}

// withGoogle is a server that is signed up, with mail and a policy for everyone.
func withGoogle(t *testing.T) (*google, *client) {
	t.Helper()
	g, cfg := googled(t)
	stop, c := serveFor(t, cfg)
	t.Cleanup(stop)
	g.equip(c)
	return g, c
}

// phone is one that is not enrolled yet; pin is what its owner was told.
func (g *google) phone(c *client, pin string) *agent.Phone {
	g.t.Helper()
	p, err := agent.New(agent.Options{Dir: g.t.TempDir(), As: agent.Android, AMAPI: g.URL(), CA: []*x509.Certificate{c.root}, PIN: secret.New(pin)})
	must(g.t, err)
	g.t.Cleanup(p.Close)
	return p
}

// settledPhone has the phone connect until what is true.
func settledPhone(t *testing.T, p *agent.Phone, what string, is func(agent.Snapshot) bool) agent.Snapshot {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		must(t, p.Connect(t.Context()))
		s := show(t, p)
		if is(s) {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: never: %+v %+v", what, s.Accounts, s.Android)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestAndroidStory: an invitation becomes a work profile with mail, which is let
// in; a phone that was broken into is not; and in the end the profile is gone.
func TestAndroidStory(t *testing.T) {
	t.Parallel()
	g, c := withGoogle(t)
	invitation := c.invite(adminapi.InvitationRequest{User: alice, PIN: true})
	phone := g.phone(c, invitation.PIN)
	must(t, phone.Enroll(t.Context(), invitation.URL))
	s := settledPhone(t, phone, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	if !strings.HasPrefix(s.EASDeviceID, "sply") || len(s.EASDeviceID) != 32 || s.Accounts[0].Email != alice {
		t.Errorf("got %q, %+v", s.EASDeviceID, s.Accounts)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)

	must(t, phone.Set("posture=COMPROMISED_OS"))
	must(t, phone.Connect(t.Context()))
	c.decided(alice, s.EASDeviceID, access.Block)
	must(t, phone.Set("posture=SECURE"))
	must(t, phone.Connect(t.Context()))
	c.decided(alice, s.EASDeviceID, access.Allow)

	device := c.theDevice().ID
	if a := c.order(device, adminapi.ActionRequest{Kind: "retire"}); a.State == "failed" {
		t.Errorf("retire: %+v", a)
	}
	c.decided(alice, s.EASDeviceID, access.Block)
	settledPhone(t, phone, "work profile", func(s agent.Snapshot) bool { return s.Android.ProfilesRemoved == 1 && s.Android.Resets == 0 })
}
