package app_test

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// standInMailbox is a mail server that knows every user with the password "pw", and
// remembers what no gate should ever let through to it.
type standInMailbox struct {
	site    site // its part of one
	reached atomic.Int64
	mu      sync.Mutex
	odd     []string
}

// passed are the headers that the gate's file lets through, and those of nginx itself.
var passed = []string{
	"Authorization", "User-Agent", "Content-Type", "Content-Length", "Accept-Encoding", "Accept", "Accept-Language", "X-Forwarded-For", "X-Forwarded-Proto",
	"Ms-Asprotocolversion", "X-Ms-Policykey",
}

func startMailbox(t *testing.T) *standInMailbox {
	t.Helper()
	m := &standInMailbox{}
	server := httptest.NewTLSServer(m)
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	m.site = site{mailbox: server.Listener.Addr().String(), mailboxCA: ca, mailName: "example.com"} // httptest's certificate
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	return m
}

func (m *standInMailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for name := range r.Header {
		if !slices.Contains(passed, name) {
			m.note("header " + name)
		}
	}
	if r.URL.Path != "/Microsoft-Server-ActiveSync" || r.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		m.note(r.URL.Path + " for " + r.Header.Get("X-Forwarded-For"))
	}
	if _, password, _ := r.BasicAuth(); password != "pw" {
		w.Header().Set("WWW-Authenticate", `Basic realm="mailbox"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if r.Method != http.MethodOptions {
		m.reached.Add(1)
	}
	w.WriteHeader(http.StatusOK)
}

func (m *standInMailbox) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.odd = append(m.odd, what)
}

// TestChangeReachesTheGate: what changes on a phone is refused at nginx on a request
// soon after, and comes back as soon. SALLYPORT_SOAK=1 takes 1,000 phones and holds
// them to one second; otherwise there are 20, and no clock.
func TestChangeReachesTheGate(t *testing.T) {
	t.Parallel()
	phones, soak := 20, os.Getenv("SALLYPORT_SOAK") == "1"
	if soak {
		phones = 1000
	}
	mailbox := startMailbox(t)
	needs(t, "nginx")
	c := startConfigured(t, testConfig(filepath.Join(t.TempDir(), "data"), "localhost:0"))
	c.seed()
	gate := c.gateSite(t).before(mailbox.site).start(t)
	fleet := enrolMany(t, c, gate, phones)

	off := fleet.change(t, "passcode=off", http.StatusForbidden)
	on := fleet.change(t, "passcode=on", http.StatusOK)
	for what, times := range map[string][]time.Duration{"refused": off, "let in again": on} {
		slices.Sort(times)
		p50, p99 := times[len(times)/2], times[len(times)*99/100]
		t.Logf("%s at nginx after a phone's report was taken: %d phones, p50 %v, p99 %v, at most %v", what, len(times),
			p50.Round(time.Millisecond), p99.Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
		if soak && p99 > time.Second {
			t.Errorf("%s: p99 %v, want at most 1s", what, p99)
		}
	}
	forged := fleet[0].mail
	forged.t, forged.header = t, http.Header{"Cookie": {"session=bob"}, "X-Remote-User": {"bob"}, "X-Webobjects-Remote-User": {"bob"}, "X-Forwarded-For": {"192.0.2.1"}, "Forwarded": {"for=192.0.2.1"}, "X-Sallyport-Token": {"x"}}
	if a := forged.post("Ping", nil); a.status != http.StatusOK {
		t.Errorf("headers of no use: status %d", a.status)
	}
	if len(mailbox.odd) > 0 {
		t.Errorf("the mail server got to see %q", mailbox.odd)
	}
}

type gatedPhone struct {
	phone *agent.Phone
	mail  mailClient
}

type gatedFleet []gatedPhone

// enrolMany makes users with a phone each, a few at a time.
func enrolMany(t *testing.T, c *client, gate nginxGate, n int) gatedFleet {
	t.Helper()
	fleet := make(gatedFleet, n)
	browser := gate.client()
	fleet.each(t, 8, func(i int) error {
		upn := fmt.Sprintf("user%04d@example.test", i)
		c.post("/api/v1/users", adminapi.UserInput{UPN: upn, Email: upn, DisplayName: "User"}, &struct{}{})
		invitation := c.invite(adminapi.InvitationRequest{User: upn})
		p, err := agent.New(agent.Options{Dir: t.TempDir(), Keys: phoneKeys, CA: []*x509.Certificate{c.root}, Retry: agent.Retry{First: 20 * time.Millisecond, Max: 200 * time.Millisecond, Attempts: 1000, Total: patience}})
		if err != nil {
			return err
		}
		t.Cleanup(p.Close)
		if err := p.Enroll(t.Context(), invitation.URL); err != nil {
			return err
		}
		s, err := p.Show()
		if err != nil {
			return err
		}
		fleet[i] = gatedPhone{p, mailClient{t: t, url: gate.url, http: browser, login: upn, password: "pw", user: upn, device: s.EASDeviceID}}
		c.decided(upn, s.EASDeviceID, access.Allow)
		return nil
	})
	return fleet
}

// each does it for every phone, so many at a time.
func (f gatedFleet) each(t *testing.T, atOnce int, do func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	next := make(chan int)
	for range atOnce {
		group.Go(func() {
			for i := range next {
				if err := do(i); err != nil {
					t.Errorf("phone %d: %v", i, err)
				}
			}
		})
	}
	for i := range f {
		next <- i
	}
	close(next)
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// change sets a fact on each phone and lets it report. The time is from the end of
// that until nginx answers want to the phone's mail client.
func (f gatedFleet) change(t *testing.T, fact string, want int) []time.Duration {
	t.Helper()
	took := make([]time.Duration, len(f))
	// Two at a time: what the software phones themselves compute is not what is measured.
	f.each(t, 2, func(i int) error {
		g := f[i]
		if err := g.phone.Set(fact); err != nil {
			return err
		}
		if err := g.phone.Connect(context.WithoutCancel(t.Context())); err != nil {
			return err
		}
		begun := time.Now()
		for {
			a := g.mail.post("FolderSync", nil)
			switch took[i] = time.Since(begun); {
			case a.status == want:
				return nil
			case a.status != http.StatusOK && a.status != http.StatusForbidden:
				return fmt.Errorf("status %d: %s", a.status, strings.TrimSpace(string(a.body)))
			case took[i] > patience:
				return fmt.Errorf("still %d", a.status)
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
	return took
}
