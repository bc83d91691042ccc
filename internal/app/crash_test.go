package app_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
	"sallyport/mdm/agent"
)

// TestCrash kills the server at each commit of an enrolment, once before and
// once after it, starts it again, and expects the same phone to finish, with
// one account that was never made anew.
func TestCrash(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED with -short: kills a server at every commit; run without -short")
	}
	for _, phase := range []store.Phase{store.BeforeCommit, store.AfterCommit} {
		t.Run(string(phase), func(t *testing.T) {
			t.Parallel()
			seeded, listen, invitation := seedForCrash(t)
			for n := 1; ; n++ {
				if n > 200 {
					t.Fatal("an enrolment of more than 200 commits: the count is never reached")
				}
				if killed := crashAt(t, n, phase, seeded, listen, invitation); !killed {
					t.Logf("%s: %d commits, each killed once", phase, n-1)
					if n < 10 {
						t.Fatalf("only %d commits in a whole enrolment: the hook does not see them", n-1)
					}
					return
				}
			}
		})
	}
}

// seedForCrash makes a data directory with an open invitation; each run gets a copy.
func seedForCrash(t *testing.T) (dir, listen, invitation string) {
	t.Helper()
	dir, listen = filepath.Join(t.TempDir(), "seeded"), freeAddress(t)
	p := startProcess(t, dir, listen, 0, store.BeforeCommit)
	c := newClient(t, dir)
	c.seed()
	invitation = c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL
	p.stop(t)
	return dir, listen, invitation
}

// crashAt enrols a new phone against a server that dies at its n-th commit. It
// reports whether the server got that far.
func crashAt(t *testing.T, n int, phase store.Phase, seeded, listen, invitation string) (killed bool) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	must(t, os.CopyFS(data, os.DirFS(seeded)))
	engine.copied(t, seeded, data)
	must(t, os.Chmod(filepath.Join(data, "kek"), 0o600))
	must(t, os.Chmod(filepath.Join(data, "admin-token"), 0o600))
	p := startProcess(t, data, listen, n, phase)
	p.arm(t)

	phone := newPhone(t, filepath.Join(t.TempDir(), "phone"), readRoot(t, data), "")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	finished := make(chan error, 1)
	go func() { finished <- phone.Enroll(ctx, invitation); close(finished) }()

	var err error
	select {
	case err = <-finished:
		// Every commit of the enrolment came before the n-th. One of those behind
		// the answers may still be it.
		killed = p.stop(t)
	case <-p.exited:
		killed = true
	}
	p = startProcess(t, data, listen, 0, phase)
	if killed && err == nil {
		err = <-finished // nil, too, when it had finished before
	}
	if err != nil {
		t.Fatalf("killed at commit %d (%s): the phone does not finish: %v", n, phase, err)
	}
	checkFinished(t, n, phase, newClient(t, data), phone)
	p.kill()
	return killed
}

func checkFinished(t *testing.T, n int, phase store.Phase, c *client, phone *agent.Phone) {
	t.Helper()
	// One more round: a phone whose last answer was lost asks again at its next contact.
	must(t, phone.Connect(t.Context()))
	s := show(t, phone)
	if len(s.Accounts) != 1 || s.Recreated != 0 {
		t.Errorf("killed at commit %d (%s): got %d accounts, %d made anew; want 1, 0", n, phase, len(s.Accounts), s.Recreated)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)
	var entries adminapi.AuditEntries
	c.call("GET", "/api/v1/audit?action=certificate.issue&limit=1000", "", nil, &entries)
	issued := map[string]int{}
	for _, e := range entries.Entries {
		if e.Outcome == "done" {
			issued[e.Detail["rule"]]++
		}
	}
	if issued["mdm-identity"] != 1 {
		t.Errorf("killed at commit %d (%s): %d identity certificates issued, want 1", n, phase, issued["mdm-identity"])
	}
}
