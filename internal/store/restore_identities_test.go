package store_test

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// TestRestoreEndsRenewals: a renewal that another version has claimed in a backup may
// have become a certificate since, of which the backup knows nothing. What is due stays due.
func TestRestoreEndsRenewals(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			o := e.place(t, store.Options{Sealer: sealer(t, 1)})
			db, err := store.Open(ctx, o)
			must(t, err)
			now := time.Now().UTC().Truncate(time.Microsecond)
			id := enrolled(t, db, now)
			phone, err := db.Enrollments().EnrollmentByID(ctx, id)
			must(t, err)
			claim := certs.Claim{TransactionID: "t", KeyHash: secret.Hash("k")}
			challenge := certs.Challenge{Hash: secret.Hash("c"), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
				Grant: certs.Grant{Rule: certs.RuleMailIdentity, UserID: string(phone.UserID), EnrollmentID: string(id)}}
			must(t, db.Certificates().SaveChallenge(ctx, challenge))
			_, err = db.Certificates().Issue(ctx, challenge.Hash, claim, now, signing(claim, "mail"))
			must(t, err)
			due := mdm.Renewal{Rule: string(certs.RuleMailIdentity), Certificate: "mail", DueAt: now, Reason: mdm.RenewalExpiry}
			must(t, db.Renewals().SaveRenewals(ctx, []enroll.IdentityRenewal{{EnrollmentID: id, Renewal: due}}, audit.Entry{}))
			challenge.Hash = certs.RenewalHash("mail")
			must(t, db.Certificates().SaveChallenge(ctx, challenge))
			_, err = direct(t, o).ExecContext(ctx, `UPDATE certs_challenges SET claimed_at = created_at, transaction_id = 't', key_hash = $1 WHERE hash = $2`, claim.KeyHash, challenge.Hash)
			must(t, err)
			closed(t, db)

			_, err = store.Restored(ctx, "a backup", o, false)
			must(t, err)
			db, err = store.Open(ctx, o)
			must(t, err)
			t.Cleanup(func() { closed(t, db) })
			if _, err = db.Certificates().IssueRenewal(ctx, "mail", claim, now, signing(claim, "renewed")); !errors.Is(err, certs.ErrChallengeInvalid) {
				t.Errorf("a claim of before the restore became a certificate: %v", err)
			}
			phone, err = db.Enrollments().EnrollmentByID(ctx, id)
			must(t, err)
			if len(phone.Renewals) != 1 || phone.Renewals[0] != due {
				t.Errorf("due after the restore: %+v", phone.Renewals)
			}
		})
	}
}

// signing makes a certificate that is known by name.
func signing(claim certs.Claim, name string) certs.Signing {
	return func(g certs.Grant) (certs.Certificate, audit.Entry, error) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		return certs.Certificate{SHA256: name, DER: []byte("der"), Serial: hex.EncodeToString([]byte(name)), Rule: g.Rule, UserID: g.UserID,
			InvitationID: g.InvitationID, EnrollmentID: g.EnrollmentID, Profile: g.Profile, KeyHash: hex.EncodeToString(claim.KeyHash),
			NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}, audit.Entry{}, nil
	}
}
