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

// TestRestoreEndsRenewals: a renewal that was claimed in a backup may have become a
// certificate since, of which the backup knows nothing. What is due stays due.
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
			claim := certs.Claim{TransactionID: "t", KeyHash: secret.Hash("k"), NotBefore: now, NotAfter: now.AddDate(1, 0, 0)}
			challenge := certs.Challenge{Hash: secret.Hash("c"), CreatedAt: now, ExpiresAt: now.Add(time.Hour),
				Grant: certs.Grant{Rule: certs.RuleMailIdentity, UserID: string(phone.UserID), EnrollmentID: string(id)}}
			must(t, db.Certificates().SaveChallenge(ctx, challenge))
			claim.Serial = []byte{1}
			_, err = db.Certificates().ClaimChallenge(ctx, challenge.Hash, claim, now, audit.Entry{})
			must(t, err)
			cert := certs.Certificate{SHA256: "mail", DER: []byte("der"), Serial: hex.EncodeToString(claim.Serial), Rule: certs.RuleMailIdentity,
				UserID: string(phone.UserID), EnrollmentID: string(id), KeyHash: hex.EncodeToString(claim.KeyHash), NotBefore: claim.NotBefore, NotAfter: claim.NotAfter}
			_, err = db.Certificates().RecordIssued(ctx, challenge.Hash, cert, now, audit.Entry{})
			must(t, err)
			due := mdm.Renewal{Rule: string(certs.RuleMailIdentity), Certificate: "mail", DueAt: now, Reason: mdm.RenewalExpiry}
			must(t, db.Renewals().SaveRenewals(ctx, []enroll.IdentityRenewal{{EnrollmentID: id, Renewal: due}}, audit.Entry{}))
			claim.Serial = []byte{2}
			_, err = db.Certificates().ClaimRenewal(ctx, "mail", claim, now, audit.Entry{})
			must(t, err)
			closed(t, db)

			must(t, store.Restored(ctx, "a backup", o))
			db, err = store.Open(ctx, o)
			must(t, err)
			t.Cleanup(func() { closed(t, db) })
			cert.SHA256, cert.Serial = "renewed", hex.EncodeToString(claim.Serial)
			if _, err = db.Certificates().RecordIssued(ctx, certs.RenewalHash("mail"), cert, now, audit.Entry{}); !errors.Is(err, certs.ErrChallengeInvalid) {
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
