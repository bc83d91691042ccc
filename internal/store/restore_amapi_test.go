package store_test

import (
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/enroll"
	"sallyport/internal/store"
)

// TestRestoreAsksGoogleAnew: phones may have been told other things since a backup. All
// of it is sent again, and no version from before that counts as good then.
func TestRestoreAsksGoogleAnew(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	db := mustOpen(t, path, 1)
	e := enrolled(t, db, time.Now().UTC())
	raw, err := sql.Open("sqlite", path)
	must(t, err)
	const sent = `{"name":"d-1","hash":"h","mail_hash":"m","version":7,"since":3,"bare_hash":"b","assigned":true,"knox_at":"2026-11-21T12:00:00Z"}`
	_, err = raw.ExecContext(t.Context(), `INSERT INTO enroll_android_phones (enrollment_id, name, mode, reported_at, sent, due, attempts, error) VALUES ($1, 'n', 'm', 0, $2, 0, 3, '')`, e, sent)
	must(t, err)
	must(t, raw.Close())
	copied := backup(t, db)
	closed(t, db)

	_, err = store.Restore(t.Context(), copied, store.Options{Path: path, Sealer: sealer(t, 1)}, false)
	must(t, err)
	db = mustOpen(t, path, 1)
	p, err := db.Android().AndroidPhoneOf(t.Context(), e)
	must(t, err)
	if diff := cmp.Diff(enroll.AndroidPolicy{Name: "d-1", Version: 7, Since: 3}, p.Sent); diff != "" || p.Due.IsZero() || p.Attempts != 0 {
		t.Errorf("due %s, %d attempts, sent (-want +got):\n%s", p.Due, p.Attempts, diff)
	}
}
