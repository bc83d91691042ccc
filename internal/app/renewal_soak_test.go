package app_test

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/work"
	"sallyport/mdm/agent"
)

// renewedPhones is how many phones live through the year.
func renewedPhones(t *testing.T) int {
	switch {
	case soaking():
		return 1000
	case testing.Short():
		t.Skip("SKIPPED with -short: renews 50 phones; run without -short")
	case raceDetector:
		return 10
	}
	return 50
}

// through is a network of its own for each phone: the server bounds what one may
// ask of the enrolment pages.
type through struct {
	next http.RoundTripper
	n    int
}

func (f through) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("198.18.%d.%d", f.n/250, f.n%250+1))
	return f.next.RoundTrip(r)
}

// year is a phone through which a year goes.
type year struct {
	*agent.Phone
	user   string
	before *agent.Backup
	shot   agent.Snapshot // after its enrolment
}

// TestRenewalSoak lets a fleet get old at once. All its identities are renewed, nobody
// is asked for anything, no account is made anew, no phone refused; and then the old
// identities are good for nothing. The clock is moved, not waited for.
func TestRenewalSoak(t *testing.T) {
	phones := renewedPhones(t)
	t.Parallel()
	st := newStage(t, func(c *config.Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	s := newScene(t, st, "admin@example.test")
	s.lasting()
	began := time.Now()
	fleet := make([]*year, phones)
	for i := range fleet {
		fleet[i] = &year{Phone: s.through(i), user: fmt.Sprintf("phone%04d@example.test", i)}
		s.addUser(fleet[i].user)
	}
	all := func(what string, do func(i int, p *year) error) {
		t.Helper()
		start := time.Now()
		var mu sync.Mutex
		work.Each(len(fleet), 8, func(i int) {
			if err := do(i, fleet[i]); err != nil {
				mu.Lock()
				defer mu.Unlock()
				t.Errorf("%s: phone %d: %v", what, i, err)
			}
		})
		if t.Failed() {
			t.FailNow()
		}
		t.Logf("%s: %d phones in %s", what, len(fleet), time.Since(start).Round(time.Millisecond))
	}
	invitations := make([]string, phones)
	for i, p := range fleet {
		invitations[i] = s.invite(adminapi.InvitationRequest{User: p.user, Ownership: "corporate"}).URL
	}
	all("enrolled", func(i int, p *year) (err error) {
		if err := p.Enroll(t.Context(), invitations[i]); err != nil {
			return err
		}
		if p.before, err = p.Backup(); err == nil {
			p.shot, err = p.Show()
		}
		return err
	})
	s.settle()

	s.pass(untilDue)
	s.pass(2 * time.Hour) // beyond the pace at which a fleet is told
	all("renewed", func(_ int, p *year) error { return p.Connect(t.Context()) })
	all("connected once more", func(_ int, p *year) error { return p.Connect(t.Context()) })
	s.settle()
	all("looked at", func(_ int, p *year) error { return p.unmoved() })
	for _, p := range fleet {
		if d := s.decide(p.user, p.shot.EASDeviceID); d.Effect != access.Allow {
			t.Errorf("mail of %s is decided %s: %+v", p.user, d.Effect, d.Reasons)
		}
	}
	s.states(map[string]int{"valid": 2 * phones, "revoked superseded": 2 * phones})

	all("refused with the old identity", func(_ int, p *year) error {
		if err := p.Restore(p.before); err != nil {
			return err
		}
		if err := p.Connect(t.Context()); !errors.Is(err, agent.ErrRefused) {
			return fmt.Errorf("got %v, want a refusal", err)
		}
		shot, err := p.Show()
		if err == nil && shot.State != agent.StageEnrolled {
			err = fmt.Errorf("phone is %s", shot.State)
		}
		return err
	})
	t.Logf("%d phones, %d identities renewed, in %s", phones, 2*phones, time.Since(began).Round(time.Millisecond))
}

func (s *scene) through(n int) *agent.Phone {
	s.Helper()
	p, err := agent.New(agent.Options{
		CA: []*x509.Certificate{s.root}, Keys: phoneKeys, Now: s.stage.clock.now,
		HTTP:  &http.Client{Transport: through{s.http.Transport, n}, Timeout: patience},
		Retry: agent.Retry{First: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 1000, Total: patience},
	})
	must(s.T, err)
	s.Cleanup(p.Close)
	return p
}

// unmoved: other identities, in the same profiles and the same account.
func (p *year) unmoved() error {
	now, err := p.Show()
	if err != nil {
		return err
	}
	old := map[string]bool{}
	for _, c := range p.shot.Certificates {
		old[c.SHA256] = c.Identity
	}
	identities := 0
	for _, c := range now.Certificates {
		if !c.Identity {
			continue
		}
		if identities++; old[c.SHA256] {
			return fmt.Errorf("identity %s of %s was not renewed", c.SHA256, c.Profile)
		}
	}
	installs := 0
	for _, e := range now.Executed {
		if e.RequestType == "InstallProfile" {
			installs += e.Times
		}
	}
	switch {
	case identities != 2 || len(now.Profiles) != 2 || len(now.Accounts) != 1:
		return fmt.Errorf("%d identities, %d profiles, %d accounts", identities, len(now.Profiles), len(now.Accounts))
	case now.Prompts != 0 || now.AccountsMade != 1 || now.Recreated != 0 || now.Refused != 0:
		return fmt.Errorf("%d questions, %d accounts made, %d of them anew, %d messages refused", now.Prompts, now.AccountsMade, now.Recreated, now.Refused)
	case now.Accounts[0].Updates != 1 || installs != 3 || now.ExecutedTwice != 0:
		return fmt.Errorf("account changed %d times by %d installations, %d commands executed twice", now.Accounts[0].Updates, installs, now.ExecutedTwice)
	}
	return nil
}

// states counts the certificates of phones by what the server says of them.
func (s *scene) states(want map[string]int) {
	s.Helper()
	got, next := map[string]int{}, ""
	for more := true; more; more = next != "" {
		var page adminapi.Certificates
		s.call(http.MethodGet, "/api/v1/certificates?limit=1000&after="+next, "", nil, &page)
		for _, c := range page.Certificates {
			state := c.State
			if c.Reason != "" {
				state += " " + c.Reason
			}
			got[state]++
		}
		next = page.Next
	}
	is(s, "kinds of certificates", len(got), len(want))
	for state, n := range want {
		is(s, state, got[state], n)
	}
}
