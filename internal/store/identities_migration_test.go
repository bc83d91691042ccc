package store_test

import (
	"database/sql"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// before0004 is an installation of before identities were renewed: two phones, one
// of which has ended, with an identity and a mail identity each.
var before0004 = []string{
	`INSERT INTO directory_users (id, upn, upn_key, email, email_key, username, username_key, domain_name, down_level_key,
		display_name, first_name, middle_name, last_name, group_names, created_at, updated_at, removed_at)
		VALUES ('u', 'u', 'u', 'u', 'u', '', '', '', '', '', '', '', '', '[]', 1, 1, 0)`,
	`INSERT INTO enroll_devices (id, platform, udid, serial, product, model, name, created_at) VALUES ('d', 'apple', 'U1', '', '', '', '', 1)`,
	`INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
		access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id) VALUES
		('e1', 'd', 'u', 'i', 'apple', 'corporate', 'replaced', 'U1', 'i1', 7999, 't', TRUE, 1, 1, 1, 0, 1, 0, '{}', 0, ''),
		('e2', 'd', 'u', 'i', 'apple', 'corporate', 'configured', 'U1', 'i2', 7999, 't', TRUE, 1, 1, 1, 0, 0, 0, '{}', 0, '')`,
	`INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at) VALUES
		('i1', 'der', '01', 'mdm-identity', 'u', 'i', '', 1, 2000000000000000, 1, 0),
		('m1', 'der', '02', 'mail-identity', 'u', '', 'e1', 1, 2000000000000000, 1, 0),
		('i2', 'der', '03', 'mdm-identity', 'u', 'i', '', 1, 2000000000000000, 1, 0),
		('m2', 'der', '04', 'mail-identity', 'u', '', 'e2', 1, 2000000000000000, 1, 7),
		('never used', 'der', '05', 'mdm-identity', 'u', 'i', '', 1, 2000000000000000, 1, 0)`,
	`INSERT INTO certs_challenges (hash, rule, entitlement, user_id, invitation_id, enrollment_id, created_at, expires_at, void_at, claimed_at,
		transaction_id, key_hash, serial, not_before, not_after, certificate_sha256) VALUES
		(BYTES(01), 'mdm-identity', '{"rule":"mdm-identity","user_id":"u","invitation_id":"i"}', 'u', 'i', '', 5, 9, 0, 6, 't', BYTES(abcd), BYTES(03), 1, 2, 'i2'),
		(BYTES(02), 'mail-identity', '{"rule":"mail-identity","user_id":"u","enrollment_id":"e2"}', 'u', '', 'e2', 5, 4000000000000000, 0, 0, '', NULL, NULL, 0, 0, '')`,
	`INSERT INTO certs_keys (id, role, certificate, private_key, created_at) VALUES ('k', 'root', BYTES(02), BYTES(SEALED), 77)`,
}

// beside0004 is what a program of before writes that has not noticed yet.
var beside0004 = []string{
	`INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at)
		VALUES ('i3', 'der', '06', 'mdm-identity', 'u', 'i', '', 1, 2000000000000001, 1, 0)`,
	`INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
		access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id) VALUES
		('e3', 'd', 'u', 'i', 'apple', 'corporate', 'configured', 'U1', 'i3', 7999, 't', TRUE, 1, 1, 1, 0, 0, 0, '{}', 0, '')`,
}

// olderEngines are what databases of an older schema are made on.
var olderEngines = []struct {
	name, dir string
	dialect   goose.Dialect
	open      func(t *testing.T) (store.Options, *sql.DB)
	bytes     string // how a statement writes them
}{
	{"sqlite", "migrations/sqlite", goose.DialectSQLite3, func(t *testing.T) (store.Options, *sql.DB) {
		o := onSQLite(t, store.Options{})
		return o, raw(t, o.Path)
	}, "x'$1'"},
	{"postgres", "migrations/postgres", goose.DialectPostgres, func(t *testing.T) (store.Options, *sql.DB) {
		o := store.Options{Database: cluster.New(t)}
		return o, rawPostgres(t, o.Database)
	}, `'\x$1'`},
}

// TestIdentitiesMigration: what is on record of before is as good as what was made since.
func TestIdentitiesMigration(t *testing.T) {
	t.Parallel()
	for _, e := range olderEngines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o, direct := e.open(t)
			o.Sealer = sealer(t, 1)
			sealed, err := o.Sealer.Seal("certs_keys", "k", "private_key", []byte("key"))
			must(t, err)
			exec := func(statements ...string) {
				for _, s := range statements {
					s = strings.ReplaceAll(s, "SEALED", hex.EncodeToString(sealed))
					_, err := direct.Exec(regexp.MustCompile(`BYTES\((\w*)\)`).ReplaceAllString(s, e.bytes))
					must(t, err)
				}
			}
			migrateTo(t, direct, e.dialect, e.dir, 3)
			if e.name == "sqlite" {
				exec(`PRAGMA application_id = 1397771353`)
			}
			exec(before0004...)
			db, err := store.Open(t.Context(), o)
			must(t, err)
			t.Cleanup(func() { closed(t, db) })
			migrated(t, db)
			exec(beside0004...)
			beside(t, db)
		})
	}
}

// beside looks at what beside0004 has written.
func beside(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := t.Context()
	identities, err := db.Renewals().ExpiringIdentities(ctx, time.UnixMicro(3000000000000000), nil, 10)
	must(t, err)
	list, err := db.Certificates().Certificates(ctx, "e3", certs.RuleMDMIdentity)
	must(t, err)
	if last := identities[len(identities)-1]; len(identities) != 3 || last.SHA256 != "i3" || last.EnrollmentID != "e3" || len(list) != 1 {
		t.Errorf("got %+v, %+v", identities, list)
	}
	must(t, db.Enrollments().End(ctx, "e3", mdm.Retired, time.Now(), audit.Entry{}))
	if c, err := db.Certificates().CertificateByHash(ctx, "i3"); err != nil || c.RevokedAt.IsZero() {
		t.Errorf("the identity of a retired enrolment is good: %+v, %v", c, err)
	}
}

// migrated looks at what before0004 has become.
func migrated(t *testing.T, db *store.DB) {
	t.Helper()
	ctx := t.Context()
	now := time.UnixMicro(1000000000000000)
	for sha256, want := range map[string][2]string{"i1": {"e1", ""}, "m1": {"e1", ""}, "i2": {"e2", "abcd"}, "m2": {"e2", ""}, "never used": {"", ""}} {
		c, err := db.Certificates().CertificateByHash(ctx, sha256)
		must(t, err)
		if got := [2]string{c.EnrollmentID, c.KeyHash}; got != want || c.Profile != "" || c.Issuer != "" || c.Reason != 0 {
			t.Errorf("%s became %+v, want %v", sha256, c, want)
		}
	}
	keys, err := db.Keys().Keys(ctx)
	must(t, err)
	if k := keys[0]; len(keys) != 1 || string(k.Key) != "key" || k.ActiveAt != k.CreatedAt || k.ActiveAt.UnixMicro() != 77 || !k.RetiredAt.IsZero() {
		t.Errorf("the key became %+v", keys)
	}
	e, err := db.Enrollments().EnrollmentByID(ctx, "e2")
	must(t, err)
	if e.Renewals != nil {
		t.Errorf("something is due: %+v", e.Renewals)
	}
	mark, err := db.Certificates().RevocationMark(ctx)
	must(t, err)
	if mark.Count != 0 || mark.Last.UnixMicro() != 7 {
		t.Errorf("got %+v", mark)
	}
	untold, err := db.Renewals().UntoldIdentities(ctx, time.UnixMicro(6), true, "", 10)
	must(t, err)
	if len(untold) != 1 || untold[0].SHA256 != "i2" {
		t.Errorf("got %+v, want the pinned identity of the phone that is active", untold)
	}
	// A challenge that was open is good, and so is an identity for a renewal.
	claim := certs.Claim{TransactionID: "t", KeyHash: secret.Hash("k")}
	_, err = db.Certificates().Issue(ctx, []byte{2}, claim, now, signing(claim, "pushed"))
	must(t, err)
	claim.KeyHash = secret.Hash("another phone's")
	renewed, err := db.Certificates().IssueRenewal(ctx, "i2", claim, now, signing(claim, "renewed"))
	must(t, err)
	if renewed.EnrollmentID != "e2" || renewed.InvitationID != "" {
		t.Errorf("renewed as %+v", renewed)
	}
}

// migrateTo brings an empty database to an older schema.
func migrateTo(t *testing.T, db *sql.DB, dialect goose.Dialect, dir string, version int64) {
	t.Helper()
	provider, err := goose.NewProvider(dialect, db, os.DirFS(dir), goose.WithDisableGlobalRegistry(true))
	must(t, err)
	_, err = provider.UpTo(t.Context(), version)
	must(t, err)
}
