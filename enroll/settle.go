package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
)

// act is the open act of that ID; the zero one when there is none.
func (w *job) act(id mdm.ActionID) mdm.Action {
	i := slices.IndexFunc(w.have.Actions, func(a mdm.Action) bool { return a.ID == id })
	if i < 0 {
		return mdm.Action{}
	}
	return w.have.Actions[i]
}

// settle ends the acts whose work is done, or cannot be done any more, and
// leaves the others to be planned.
func (s *Service) settle(ctx context.Context, w *job) error {
	var open []mdm.Action
	for _, act := range w.have.Actions {
		state, reason := settled(act, w.want, w.have, s.now())
		if state == "" {
			open = append(open, act)
			continue
		}
		if err := s.moveAct(ctx, w.have.Enrollment, act, state, reason); err != nil {
			return err
		}
	}
	w.have.Actions = open
	return nil
}

// begin turns an act of several commands into Sent when its first one leaves.
// From then on it cannot be cancelled; who cancelled it just now wins.
func (s *Service) begin(ctx context.Context, w *job, a Action) error {
	act := w.act(a.Act)
	if !a.Part || act.State != mdm.ActionPending {
		return nil
	}
	move := ActionMove{From: []mdm.ActionState{mdm.ActionPending}, To: mdm.ActionSent, At: s.now()}
	err := s.Acts.MoveAction(ctx, act.ID, move, s.actEntry(ctx, "action.send", w.have.Enrollment, act, move.At))
	if errors.Is(err, ErrConflict) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("begin act %s: %w", act.ID, err)
	}
	return nil
}

// moveAct ends an act that the phone is asked for. One that ended meanwhile
// stays as it is.
func (s *Service) moveAct(ctx context.Context, e mdm.Enrollment, act mdm.Action, to mdm.ActionState, reason string, detail ...string) error {
	move := ActionMove{From: []mdm.ActionState{mdm.ActionPending, mdm.ActionSent}, To: to, Error: reason, At: s.now()}
	if reason != "" {
		detail = append(detail, "reason", reason)
	}
	err := s.Acts.MoveAction(ctx, act.ID, move, s.actEntry(ctx, "action."+to.Verb(), e, act, move.At, detail...))
	if err != nil && !errors.Is(err, ErrConflict) && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("end act %s: %w", act.ID, err)
	}
	return nil
}

func (s *Service) actEntry(ctx context.Context, action string, e mdm.Enrollment, act mdm.Action, at time.Time, detail ...string) audit.Entry {
	detail = append([]string{"kind", string(act.Kind), "device", string(e.DeviceID), "enrollment", string(act.EnrollmentID)}, detail...)
	return audit.New(ctx, at, action, string(act.ID), audit.Done, detail...)
}

// openAct is the act of that kind that waits for the phone; the zero one when
// there is none.
func (s *Service) openAct(ctx context.Context, id mdm.EnrollmentID, kind mdm.ActionKind) (mdm.Action, error) {
	have, err := s.Plans.LoadPlan(ctx, id)
	if err != nil {
		return mdm.Action{}, fmt.Errorf("read open acts of enrolment %s: %w", id, err)
	}
	i := slices.IndexFunc(have.Actions, func(a mdm.Action) bool { return a.Kind == kind })
	if i < 0 {
		return mdm.Action{}, nil
	}
	return have.Actions[i], nil
}

// plain is what errActFailed says, less its own name.
func plain(err error) string {
	return strings.TrimPrefix(err.Error(), errActFailed.Error()+": ")
}

// wakeAgain has a phone woken that will not come by itself though there is
// something left for it: it declined a command and then took another one (only a
// NotNow that was its last word makes it poll again), or an installation that
// failed is due again later.
func (s *Service) wakeAgain(ctx context.Context, p *planner, c mdm.Contact) error {
	if c.Status != mdm.StatusNotNow {
		if run := p.declinedNow(); len(run) > 0 {
			p.wait(p.now.Add(pause(run)))
		}
	}
	if p.again.IsZero() {
		return nil
	}
	id := p.have.Enrollment.ID
	if _, err := s.Wakes.RequestWake(ctx, []mdm.EnrollmentID{id}, p.again); err != nil {
		return fmt.Errorf("request wake-up of enrolment %s: %w", id, err)
	}
	return nil
}

// declinedNow returns the row of refusals that ends in this connection, newest
// first: the shortest of those of all commands that were declined in it.
func (p *planner) declinedNow() []mdm.Command {
	var shortest []mdm.Command
	seen := map[[2]string]bool{}
	for _, c := range p.have.Commands {
		kind := [2]string{c.RequestType, c.Subject}
		if seen[kind] {
			continue
		}
		seen[kind] = true
		if c.State != mdm.NotNow || p.sane(c.DoneAt).Before(p.idle) {
			continue
		}
		var run []mdm.Command
		for _, past := range p.have.Commands {
			if past.RequestType != c.RequestType || past.Subject != c.Subject {
				continue
			}
			if past.State != mdm.NotNow {
				break
			}
			run = append(run, past)
		}
		if shortest == nil || len(run) < len(shortest) {
			shortest = run
		}
	}
	return shortest
}
