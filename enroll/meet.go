package enroll

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/mdm"
)

// seenEvery is how exactly LastSeenAt is kept for a phone that polls without
// being told anything. Who counts silence counts hours (Waker, compliance).
const seenEvery = time.Minute

// meet notes a contact and reads what is known of the phone after it.
//
// An Idle is not noted at once unless it changes more than two times. When no
// command is unanswered and no act is open it begins a connection and does
// nothing else: what Plan needs of that is IdleAt, which is c.At. It goes on
// record with the first command of the connection, in one commit (SaveCommand).
// Where no command follows, the phone is told nothing and the connection is over:
// nobody will ask when it began, and noteIdle keeps LastSeenAt to the minute. A
// result that comes all the same, of an earlier command, is planned for as part
// of the earlier connection, at worst one query fewer until the next Idle.
func (s *Service) meet(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) (*job, error) {
	if c.Status == mdm.StatusIdle {
		w, err := s.load(ctx, id)
		if err != nil {
			return nil, err
		}
		if w.only(c) {
			w.idle, w.have.Enrollment.IdleAt = c.At, c.At
			return w, nil
		}
	}
	if err := s.Plans.SaveContact(ctx, id, c); err != nil {
		return nil, fmt.Errorf("save contact of enrolment %s: %w", id, err)
	}
	return s.load(ctx, id)
}

func (s *Service) load(ctx context.Context, id mdm.EnrollmentID) (*job, error) {
	have, err := s.Plans.LoadPlan(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load plan of enrolment %s: %w", id, err)
	}
	return &job{have: have}, nil
}

// only reports whether this Idle changes nothing but IdleAt and LastSeenAt. Times
// on record that lie ahead are those of a clock that was set back: SaveContact
// knows what to make of them.
func (w *job) only(c mdm.Contact) bool {
	e := w.have.Enrollment
	return len(w.have.Actions) == 0 && !e.IdleAt.After(c.At) && !e.LastSeenAt.After(c.At) &&
		!slices.ContainsFunc(w.have.Commands, func(old mdm.Command) bool { return old.State == mdm.Sent })
}

// noteIdle notes an Idle after which there was nothing to do.
func (s *Service) noteIdle(ctx context.Context, w *job, c mdm.Contact) error {
	if w.idle.IsZero() || c.At.Sub(w.have.Enrollment.LastSeenAt) < seenEvery {
		return nil
	}
	if err := s.Plans.SaveContact(ctx, w.have.Enrollment.ID, c); err != nil {
		return fmt.Errorf("save contact of enrolment %s: %w", w.have.Enrollment.ID, err)
	}
	return nil
}
