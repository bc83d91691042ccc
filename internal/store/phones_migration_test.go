package store

import (
	"context"
	"database/sql"
	"io/fs"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"sallyport/internal/secret"
	"sallyport/mdm"
)

// TestPhonesMigration: phones that enrolled before there was push can be woken
// after the update, and what is on record of them still reads.
func TestPhonesMigration(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sallyport.db")
	atVersion(t, path, 2, `
		INSERT INTO directory_users (id, upn, upn_key, email, email_key, username, username_key, domain_name, down_level_key,
			display_name, first_name, middle_name, last_name, group_names, created_at, updated_at, removed_at)
			VALUES ('u', 'u', 'u', 'u', 'u', '', '', '', '', '', '', '', '', '[]', 1, 1, 0);
		INSERT INTO enroll_devices VALUES ('d', 'apple', 'U1', '', '', '', '', 1);
		INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
			access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at,
			eas_device_id, push_updated_at) VALUES
			('e1', 'd', 'u', '', 'apple', 'corporate', 'configured', 'U1', '1', 0, 't', FALSE, 1, 1, 1, 0, 0, 0, '{}', 0, '', 1),
			('e2', 'd', 'u', '', 'apple', 'corporate', 'enrolled', 'U1', '2', 0, 't', TRUE, 1, 1, 1, 0, 0, 0, '{}', 0, '', 1),
			('e3', 'd', 'u', '', 'apple', 'corporate', 'replaced', 'U1', '3', 0, 't', FALSE, 1, 1, 1, 0, 1, 0, '{}', 0, '', 1);
		INSERT INTO enroll_commands (id, enrollment_id, request_type, subject, revision, state, error, sent_at, done_at, recent)
			VALUES ('c', 'e1', 'SecurityInfo', '', '', 'failed', 'no', 1, 1, TRUE);`)
	sealer, err := secret.NewSealer(make([]byte, secret.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	db, err := Open(t.Context(), Options{Path: path, Sealer: sealer})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	n, err := db.Wakes().RequestWake(t.Context(), nil, time.Now())
	if n != 1 || err != nil {
		t.Errorf("%d phones can be woken, want 1: %v", n, err)
	}
	have, err := db.Plans().LoadPlan(t.Context(), "e1")
	if err != nil || len(have.Commands) != 1 || have.Commands[0].Chain != nil || have.Enrollment.Withheld != mdm.WithholdNothing {
		t.Errorf("got %+v, %v", have, err)
	}
}

// atVersion makes a database of an older schema and runs content in it.
func atVersion(t *testing.T, path string, version int64, content string) {
	t.Helper()
	db, err := pool(path, url.Values{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(`PRAGMA application_id = 1397771353`); err != nil {
		t.Fatal(err)
	}
	if err := upTo(t.Context(), db, version); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(content); err != nil {
		t.Fatal(err)
	}
}

func upTo(ctx context.Context, db *sql.DB, version int64) error {
	files, err := fs.Sub(migrations, "migrations/sqlite")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	_, err = provider.UpTo(ctx, version)
	return err
}
