package enroll

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// UntoldPhone is an active phone that does not know a root yet.
type UntoldPhone struct {
	EnrollmentID mdm.EnrollmentID
	Device       mdm.Device
	UPN          string // of its user; empty when removed
	LastSeenAt   time.Time
}

// UntoldStore tells which phones they are. internal/store implements it.
type UntoldStore interface {
	// UntoldPhones lists the phones whose identities UntoldIdentities would list
	// with waiting, in the same order.
	UntoldPhones(ctx context.Context, since time.Time, after mdm.EnrollmentID, limit int) ([]UntoldPhone, error)
}

// maxUntold is the longest page of Untold.
const maxUntold = 1000

// Untold lists the active phones that do not know the root of this issuing
// certificate, whom Step.Untold counts: in the order of enrolment ID, after the
// cursor, up to limit (0 = 100).
func (r *Rollover) Untold(ctx context.Context, fingerprint string, after mdm.EnrollmentID, limit int) ([]UntoldPhone, error) {
	if limit < 0 || limit > maxUntold {
		return nil, refusal.New(ErrInvalid, "limit", fmt.Sprintf("is not between 1 and %d", maxUntold), "leave it out for 100")
	}
	s, err := r.find(fingerprint)
	if err != nil {
		return nil, err
	}
	root, ok := r.root(s.Authority)
	if !ok || r.first(root) {
		return nil, nil
	}
	phones, err := r.Phones.UntoldPhones(ctx, root.CreatedAt, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list phones that know no root: %w", err)
	}
	return phones, nil
}
