package app_test

import (
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store/postgrestest"
)

// TestDatabaseGone stops every process of PostgreSQL in the middle of its work: it
// neither answers nor refuses. What each sentence means to the second is tested
// with a clock of one's own in access; here everything is real.
func TestDatabaseGone(t *testing.T) {
	if engine.cluster != nil {
		t.Skip("has a cluster of its own on either engine")
	}
	t.Parallel()
	cluster := postgrestest.Start(t, postgrestest.Options{})
	data := filepath.Join(t.TempDir(), "data")
	cfg := testConfig(data, "127.0.0.1:0")
	cfg.Database, cfg.AccessMaxStale = config.NewDatabaseURL(cluster.URL("postgres")), 10*time.Second
	c := startConfigured(t, cfg)
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	known := show(t, phone).EASDeviceID
	c.decided(alice, known, access.Allow)

	c.http.Timeout = 10 * time.Second // generous: an answer comes within 300 ms
	tell(t, cluster, syscall.SIGSTOP)
	frozen := true
	t.Cleanup(func() {
		if frozen {
			tell(t, cluster, syscall.SIGCONT)
		}
	})
	for begun, n := time.Now(), 0; n < 10 && time.Since(begun) < cfg.AccessMaxStale/2; n++ {
		if d := c.decideOnce(iPhoneMail(alice, known)); d.Effect != access.Allow {
			t.Fatalf("a known device just after: %+v", d)
		}
		if d := c.decideOnce(iPhoneMail(alice, "NEVERSEEN")); d.Effect != access.Block || d.Step != access.StepUnavailable || d.Reasons[0].Fix == "" {
			t.Fatalf("an unknown device: %+v", d)
		}
		if d := c.decide("mallory@example.test", known); d.Effect != access.Block {
			t.Fatalf("a stranger: %+v", d)
		}
	}
	comesTrue(t, "an end of what is known", func() bool {
		d := c.decideOnce(iPhoneMail(alice, known))
		if d.Effect != access.Allow && d.Step != access.StepUnavailable {
			t.Errorf("when the time is over: %+v", d)
		}
		return d.Effect != access.Allow
	})
	tell(t, cluster, syscall.SIGCONT)
	frozen = false
	c.decided(alice, known, access.Allow)
	c.decided(alice, "NEVERSEEN", access.Quarantine)
	if status := c.call(http.MethodGet, "/api/v1/users", "", nil, nil); status != http.StatusOK {
		t.Errorf("the database is back: status %d", status)
	}
}

// tell sends a signal to the cluster, and to every process that it has started.
func tell(t *testing.T, cluster *postgrestest.Cluster, s syscall.Signal) {
	t.Helper()
	u, err := url.Parse(cluster.URL("postgres"))
	must(t, err)
	text, err := os.ReadFile(filepath.Join(u.Query().Get("host"), "data", "postmaster.pid"))
	must(t, err)
	postmaster := strings.Fields(string(text))[0]
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	sent := 0
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		after := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // proc(5): state, parent, ...
		name := filepath.Base(filepath.Dir(path))
		if name != postmaster && after[1] != postmaster {
			continue
		}
		pid, err := strconv.Atoi(name)
		must(t, err)
		must(t, syscall.Kill(pid, s))
		sent++
	}
	if sent < 2 {
		t.Fatalf("%d processes of PostgreSQL found", sent)
	}
}
