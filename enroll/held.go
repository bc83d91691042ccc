package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Held returns the enrolments that wait for an admin, oldest first: a phone that
// is on record for one user came with the identity of another, or one came back
// under an old invitation after an act that took its mail away. It is told
// nothing, and nothing of the other enrolment was touched.
func (s *Service) Held(ctx context.Context, page directory.Page) ([]HeldRow, error) {
	page, err := whole(page)
	if err != nil {
		return nil, err
	}
	rows, err := s.Holds.ListHeld(ctx, page)
	if err != nil {
		return nil, fmt.Errorf("list held enrolments: %w", err)
	}
	return rows, nil
}

// Why says what stands in the way of a held enrolment.
func (r HeldRow) Why() string {
	var why []string
	if r.HolderUPN != "" {
		why = append(why, "the phone is enrolled for "+r.HolderUPN)
	}
	if r.Act.ID != "" {
		why = append(why, fmt.Sprintf("it would evade %s, ordered by %s", inWords(r.Act.Kind), r.Act.RequestedBy))
	}
	if len(why) == 0 {
		return "the phone was enrolled for another user when it came"
	}
	return strings.Join(why, "; ")
}

// AdmitHeld gives the device to who asks: the held enrolment goes on where it
// was stopped, and the one in its way is over.
func (s *Service) AdmitHeld(ctx context.Context, id mdm.EnrollmentID) error {
	return s.decideHeld(ctx, id, "enrollment.admit", s.Holds.AdmitHeld)
}

// RefuseHeld turns the held enrolment away for good. The device stays with who has it.
func (s *Service) RefuseHeld(ctx context.Context, id mdm.EnrollmentID) error {
	return s.decideHeld(ctx, id, "enrollment.refuse", s.Holds.RefuseHeld)
}

type decision func(ctx context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error

func (s *Service) decideHeld(ctx context.Context, id mdm.EnrollmentID, action string, decide decision) error {
	e, err := s.Enrollments.EnrollmentByID(ctx, id)
	if err == nil {
		now := s.now()
		err = decide(ctx, id, now, audit.New(ctx, now, action, string(id), audit.Done,
			"device", string(e.DeviceID), "user", string(e.UserID), "udid", e.UDID))
	}
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "id", "no such enrolment", "see: sallyport device held list")
	case errors.Is(err, ErrConflict):
		return s.refused(ctx, action, string(id), refusal.New(ErrConflict, "id", "this enrolment is not held", "see: sallyport device held list"))
	case err != nil:
		return fmt.Errorf("%s %s: %w", action, id, err)
	}
	return nil
}
