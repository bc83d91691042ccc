package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/mdm"
)

// seenEvery is how exactly LastSeenAt is kept for a phone that polls without
// being told anything. Who counts silence counts hours (Waker, compliance).
const seenEvery = time.Minute

// errPending says that the contact must be on record before the plan goes on.
var errPending = errors.New("contact is not on record yet")

// meet notes a contact, and makes of what is known what is known after it.
//
// What can wait is not noted at once, but goes on record with the command that
// answers it, in one commit (SaveCommand): the plan is made as if it were there.
// Whoever finds on the way that it must be there first says errPending.
//
// An Idle waits unless it changes more than two times. When no command is
// unanswered and no act is open it begins a connection and does nothing else:
// what Plan needs of that is IdleAt, which is c.At. Where no command follows, the
// phone is told nothing and the connection is over: nobody will ask when it
// began, and noteLast keeps LastSeenAt to the minute. A result that comes all the
// same, of an earlier command, is planned for as part of the earlier connection,
// at worst one query fewer until the next Idle.
//
// A result waits when it is the first of a command that carries out no act.
func (s *Service) meet(ctx context.Context, v *visit, c mdm.Contact) (*job, error) {
	w := &job{have: v.have, identity: v.identity}
	if w.take(c) {
		w.pending = &c
		return w, nil
	}
	return s.note(ctx, v, c)
}

// note puts a contact on record before anything is planned, and reads what is
// known after it.
func (s *Service) note(ctx context.Context, v *visit, c mdm.Contact) (*job, error) {
	id := v.have.Enrollment.ID
	if err := s.Plans.SaveContact(ctx, id, c); err != nil {
		return nil, fmt.Errorf("save contact of enrolment %s: %w", id, err)
	}
	have, err := s.Plans.LoadPlan(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("load plan of enrolment %s: %w", id, err)
	}
	return &job{have: have, identity: v.identity}, nil
}

// take applies a contact that may wait to what was read before it. Times on record
// that lie ahead are those of a clock that was set back: SaveContact knows what
// to make of them.
func (w *job) take(c mdm.Contact) bool {
	e := &w.have.Enrollment
	if len(w.have.Actions) > 0 || e.IdleAt.After(c.At) || e.LastSeenAt.After(c.At) {
		return false
	}
	if c.Status != mdm.StatusIdle {
		return e.State.Active() && w.have.hear(c)
	}
	if slices.ContainsFunc(w.have.Commands, func(old mdm.Command) bool { return old.State == mdm.Sent }) {
		return false
	}
	e.IdleAt = c.At
	return true
}

// hear does to what was read what SaveContact does to what is stored with a
// result; false, and nothing, where it would do nothing or more than that.
func (h *Have) hear(c mdm.Contact) bool {
	i := slices.IndexFunc(h.Commands, func(old mdm.Command) bool { return old.ID == c.CommandID })
	answer, err := c.Answer()
	if err != nil || i < 0 || h.Commands[i].ActionID != "" || !h.Commands[i].Takes(answer.State) {
		return false
	}
	command := &h.Commands[i]
	command.State, command.Error, command.Chain, command.DoneAt = answer.State, answer.Error, answer.Chain, c.At
	h.Report = h.Report.Merge(c.Report)
	h.Enrollment.LastSeenAt = c.At
	return true
}

// result reports whether a result waits to go on record. What follows from it
// comes after it, or with it.
func (w *job) result() bool {
	return w.pending != nil && w.pending.Status != mdm.StatusIdle
}

// noteLast notes a contact after which there was nothing to do.
func (s *Service) noteLast(ctx context.Context, w *job) error {
	if w.pending == nil || !w.result() && w.pending.At.Sub(w.have.Enrollment.LastSeenAt) < seenEvery {
		return nil
	}
	if err := s.Plans.SaveContact(ctx, w.have.Enrollment.ID, *w.pending); err != nil {
		return fmt.Errorf("save contact of enrolment %s: %w", w.have.Enrollment.ID, err)
	}
	return nil
}
