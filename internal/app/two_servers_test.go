package app_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

// TestTwoServers: a phone that one server of a fleet has invited enrols, and
// the other decides about it at once; a report to either is judged once.
func TestTwoServers(t *testing.T) {
	onPostgres(t)
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	engine.share(first, second)
	one := startInside(t, first)
	one.seed()

	_, err := app.New(t.Context(), testConfig(second, "127.0.0.1:0"), app.Options{})
	if all := refusal.All(err); !errors.Is(err, store.ErrWrongKey) || len(all) != 1 || !strings.Contains(all[0].Remedy, "copy the file kek") {
		t.Fatalf("a server with a key of its own: got %v", err)
	}
	key, err := os.ReadFile(filepath.Join(first, app.KeyFile))
	must(t, err)
	if _, err := os.Stat(filepath.Join(second, app.KeyFile)); err == nil {
		t.Fatal("the refused server left a key that fits nothing")
	}
	must(t, os.WriteFile(filepath.Join(second, app.KeyFile), key, 0o600))
	two := startInside(t, second)
	if !one.root.Equal(two.root) {
		t.Fatal("two authorities in one fleet")
	}
	if status := one.call(http.MethodGet, "/api/v1/users", "", nil, nil); status != http.StatusOK {
		t.Errorf("the first server's token after the second's start: status %d", status)
	}
	for _, c := range []*client{one, two} {
		invitation := c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"})
		phone := newPhone(t, filepath.Join(t.TempDir(), "phone"), c.root, invitation.PIN)
		must(t, phone.Enroll(t.Context(), invitation.URL))
		id := show(t, phone).EASDeviceID
		one.decided(alice, id, access.Allow)
		two.decided(alice, id, access.Allow)
	}
	var entries adminapi.AuditEntries
	one.call(http.MethodGet, "/api/v1/audit?action=key.create&limit=1000", "", nil, &entries)
	created := map[string]int{}
	for _, e := range entries.Entries {
		for role := range e.Detail {
			created[role]++
		}
	}
	if created["root"] != 1 || created["issuing"] != 1 || created["scep-ra"] != 1 {
		t.Errorf("keys made: %v, want one of each", created)
	}
}

// TestRestoredDump ends what was open in a database that came out of a dump.
func TestRestoredDump(t *testing.T) {
	onPostgres(t)
	data := filepath.Join(t.TempDir(), "data")
	stop, _ := serveFor(t, testConfig(data, "127.0.0.1:0"))
	stop()
	_, err := app.Restored(t.Context(), testConfig(data, "127.0.0.1:0"), "pg_restore", false)
	must(t, err)
	c := startInside(t, data) // with a new token in the place of the one that ended
	var entries adminapi.AuditEntries
	c.call(http.MethodGet, "/api/v1/audit?action=backup.restore", "", nil, &entries)
	if len(entries.Entries) != 1 || entries.Entries[0].Target != "pg_restore" {
		t.Errorf("got %v", entries.Entries)
	}
	if status := c.call(http.MethodGet, "/api/v1/backup", "", nil, nil); status != http.StatusNotFound {
		t.Errorf("backup: status %d, want 404", status)
	}
	empty := t.TempDir()
	engine.share(data, empty)
	if _, err := app.Restored(t.Context(), testConfig(empty, "127.0.0.1:0"), "pg_restore", false); !errors.Is(err, app.ErrNoKey) {
		t.Errorf("without a key: got %v", err)
	}
}
