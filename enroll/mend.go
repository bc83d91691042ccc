package enroll

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/audit"
)

// Leftovers are what earlier releases have left on record, and one that runs beside
// this one still does. internal/store implements it.
type Leftovers interface {
	// NameKeys fills in certs.Certificate.KeyHash where a row does not tell it, some at
	// a time, and returns how many. A certificate that cannot be read stays as it is.
	NameKeys(ctx context.Context) (int, error)
	// RevokeEnded revokes what is neither revoked nor expired at now of enrolments
	// that have ended, for the reason for which that does now, some at a time, and
	// returns how many enrolments that were. Each has the entry, with itself as Target.
	RevokeEnded(ctx context.Context, now time.Time, entry audit.Entry) (int, error)
}

// Mender brings what is on record of earlier releases up to what this one relies on.
type Mender struct {
	Store Leftovers
	Now   func() time.Time // nil means time.Now
	Log   *slog.Logger     // nil means no log
}

// Step goes through all of it, and does nothing where all is well. Where it is
// interrupted the next one goes on.
func (m *Mender) Step(ctx context.Context) (more bool, err error) {
	named, err := m.Store.NameKeys(ctx)
	if named > 0 {
		logger(m.Log).InfoContext(ctx, "keys of certificates of an earlier release noted: another device's are refused", "count", named)
	}
	if err != nil {
		return false, fmt.Errorf("note the keys of certificates: %w", err)
	}
	now := moment(m.Now)
	ended, err := m.Store.RevokeEnded(ctx, now, audit.New(ctx, now, "certificate.revoke", "", audit.Done, "of", "everything of this enrolment, which has ended"))
	if ended > 0 {
		logger(m.Log).InfoContext(ctx, "certificates revoked of enrolments that ended under an earlier release", "enrolments", ended)
	}
	if err != nil {
		return false, fmt.Errorf("revoke certificates of enrolments that have ended: %w", err)
	}
	return false, nil
}
