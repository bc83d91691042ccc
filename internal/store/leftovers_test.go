package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
)

// aCertificate is one with the hash of its key.
func aCertificate(t *testing.T) (der []byte, keyHash string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	must(t, err)
	c, err := x509.ParseCertificate(der)
	must(t, err)
	return der, hex.EncodeToString(secret.Hash(string(c.RawSubjectPublicKeyInfo)))
}

// TestLeftovers: rows of an earlier release tell their keys afterwards, and what
// outlived its enrolment is revoked, once. What cannot be read stays in nobody's way.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	now := time.UnixMicro(1_800_000_000_000_000).UTC()
	const valid = 1_900_000_000_000_000
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			o := e.place(t, store.Options{Sealer: sealer(t, 1)})
			db, err := store.Open(t.Context(), o)
			must(t, err)
			defer closed(t, db)
			direct := direct(t, o)
			for _, statement := range before0004[:2] {
				_, err := direct.Exec(statement)
				must(t, err)
			}
			for id, state := range map[string]string{"e1": "replaced", "e2": "checked_out", "e3": "configured", "e4": "held"} {
				_, err := direct.Exec(`INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform, ownership, state, udid, certificate_hash,
					access_rights, topic, poll_only, created_at, enrolled_at, last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id)
					VALUES ($1, 'd', 'u', 'i', 'apple', 'corporate', $2, 'U1', $3, 7999, 't', TRUE, 1, 1, 1, 0, 1, 0, '{}', 0, '')`, id, state, "i"+id)
				must(t, err)
			}
			der, key := aCertificate(t)
			for i, c := range []struct {
				sha256, enrollment, rule string
				der                      []byte
				end, revoked             int64
			}{
				{"ie1", "", "mdm-identity", der, valid, 0}, // only the pin says whose it is
				{"me1", "e1", "mail-identity", []byte("unreadable"), valid, 0},
				{"oe1", "e1", "mail-identity", der, valid, 7},
				{"ie2", "e2", "mdm-identity", der, valid, 0},
				{"xe2", "e2", "mail-identity", der, 1, 0}, // expired, and nobody's business
				{"ie3", "e3", "mdm-identity", der, valid, 0},
				{"ie4", "e4", "mdm-identity", der, valid, 0},
				{"hand", "", "mail-identity", der, valid, 0},
			} {
				_, err := direct.Exec(`INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at)
					VALUES ($1, $2, $3, $4, 'u', '', $5, 1, $6, 1, $7)`, c.sha256, c.der, fmt.Sprint(i), c.rule, c.enrollment, c.end, c.revoked)
				must(t, err)
			}

			n, err := db.Certificates().NameKeys(t.Context())
			if must(t, err); n != 7 {
				t.Errorf("%d keys were noted, want 7", n)
			}
			c, err := db.Certificates().CertificateByHash(t.Context(), "ie1")
			if must(t, err); c.KeyHash != key {
				t.Errorf("the key is %q, want %q", c.KeyHash, key)
			}
			if n, err := db.Certificates().NameKeys(t.Context()); err != nil || n != 0 {
				t.Errorf("once more: %d, %v", n, err)
			}

			entry := audit.New(t.Context(), now, "certificate.revoke", "", audit.Done)
			for i, want := range []int{2, 0} {
				if n, err := db.Certificates().RevokeEnded(t.Context(), now, entry); err != nil || n != want {
					t.Errorf("%d: got %d enrolments, %v, want %d", i, n, err, want)
				}
			}
			for sha256, want := range map[string]certs.RevocationReason{
				"ie1": certs.ReasonSuperseded, "me1": certs.ReasonSuperseded, "ie2": certs.ReasonCessationOfOperation, "ie3": -1, "ie4": -1, "hand": -1,
			} {
				c, err := db.Certificates().CertificateByHash(t.Context(), sha256)
				must(t, err)
				if revoked := c.RevokedAt.Equal(now); revoked != (want >= 0) || revoked && c.Reason != want {
					t.Errorf("%s: revoked at %v for %v, want %v", sha256, c.RevokedAt, c.Reason, want)
				}
			}
			trail, err := db.Audit().List(t.Context(), audit.Filter{Action: "certificate.revoke"})
			if must(t, err); len(trail) != 2 || trail[0].Target == trail[1].Target {
				t.Errorf("got %+v", trail)
			}
		})
	}
}
