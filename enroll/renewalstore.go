package enroll

import (
	"context"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Identity is a certificate of an active enrolment that, as far as we know, its
// phone uses.
type Identity struct {
	EnrollmentID mdm.EnrollmentID
	Rule         string // certs.RuleName
	Profile      string // as in mdm.Renewal
	SHA256       string
	NotBefore    time.Time
	NotAfter     time.Time
}

// IdentityRenewal is a renewal that is due for an enrolment.
type IdentityRenewal struct {
	EnrollmentID mdm.EnrollmentID
	Renewal      mdm.Renewal
}

// RenewalStore keeps what identities follow each other. internal/store implements it.
type RenewalStore interface {
	// ExpiringIdentities lists the identities, neither revoked nor waiting for
	// their Renewal already, of active enrolments that end before before, in the
	// order of NotAfter and SHA256, after the cursor (nil: from the beginning). An
	// mdm-identity is listed while its enrolment is pinned to it, a mail-identity
	// until it is revoked: a newer one that was issued may have been lost on its way,
	// and has taken its place only when the phone lists it (RetirePredecessors).
	ExpiringIdentities(ctx context.Context, before time.Time, after *Identity, limit int) ([]Identity, error)
	// UntoldIdentities lists the pinned mdm-identities of active enrolments whose
	// challenge was made before since: the profile that brought them knows nothing
	// of a root that is on record since then. In the order of enrolment ID, after
	// the cursor; those that wait for their Renewal are left out where waiting is false.
	UntoldIdentities(ctx context.Context, since time.Time, waiting bool, after mdm.EnrollmentID, limit int) ([]Identity, error)
	// SaveRenewals adds the renewals to their enrolments and has their phones
	// woken (no earlier than DueAt), all or none, with the entry. One whose
	// enrolment has ended, or which waits for that rule and profile already, is left out;
	// but a RenewalRights takes the place of one for another reason.
	SaveRenewals(ctx context.Context, renewals []IdentityRenewal, entry audit.Entry) error
	// PinSuccessor pins the enrolment to the certificate to, an mdm-identity that
	// was issued for it after from, when it is pinned to from: the first use of a new
	// identity. from is revoked (superseded), and so is what was issued to follow it
	// before to and was never used; a Renewal of from by RenewalExpiry is done,
	// EventIdentity is written, the enrolment's rights become those that its old and
	// to's grant have in common (a grant without any takes none away), all with the
	// entry. It returns the enrolment as it is then. Pinned to to already: nothing
	// changes. Any other pin, one that is revoked, an enrolment that is not active, or a
	// certificate that is revoked, expired at now, older than from or another's is ErrConflict.
	PinSuccessor(ctx context.Context, id mdm.EnrollmentID, from, to string, now time.Time, entry audit.Entry) (mdm.Enrollment, error)
	// RetirePredecessors revokes (superseded) every mail-identity of the enrolment
	// of which the phone lists a newer one of the same profile (listed: SHA-256 in
	// hex of its CertificateList), with the entry and EventIdentity when there is one.
	// Renewals of what it revokes are done. One from before profiles were on record
	// (Profile is empty) goes when the phone lists any newer one and not itself. It
	// returns how many.
	RetirePredecessors(ctx context.Context, id mdm.EnrollmentID, listed []string, now time.Time, entry audit.Entry) (int, error)
}
