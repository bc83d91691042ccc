package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Recall asks Google to take back the command of an act, and notes what became of
// it where Google says so at once; otherwise its notification tells later. It
// reports whether it is known by now.
func (a *Androids) Recall(ctx context.Context, act mdm.Action) (known bool, err error) {
	o, err := a.Operations.OperationOf(ctx, act.CommandID)
	if errors.Is(err, ErrNotFound) {
		return false, refusal.New(ErrConflict, "action", "is on its way to Google, which has not said whether it took it", "try again when android doctor shows no trouble")
	}
	if err != nil {
		return false, fmt.Errorf("look up operation of act %s: %w", act.ID, err)
	}
	_, api, err := a.enterprise(ctx)
	if err != nil {
		return false, err
	}
	if err := api.Cancel(ctx, o.Name); err != nil {
		return false, google("take command back", err)
	}
	outcome, err := api.Operation(ctx, o.Name)
	if err != nil {
		return false, google("ask what became of the command", err)
	}
	if !outcome.Done {
		return false, nil
	}
	outcome.Operation = o.Name
	return true, a.Done(ctx, outcome)
}

// cancelled ends the act of a command that Google took back.
func (a *Androids) cancelled(ctx context.Context, o AndroidOperation) error {
	have, err := a.Service.Plans.LoadPlan(ctx, o.EnrollmentID)
	if err != nil {
		return fmt.Errorf("load plan of enrolment %s: %w", o.EnrollmentID, err)
	}
	for _, act := range have.Actions {
		if act.CommandID != o.CommandID || act.State != mdm.ActionSent {
			continue
		}
		move := ActionMove{From: []mdm.ActionState{mdm.ActionSent}, To: mdm.ActionCancelled, At: a.now()}
		err := a.Service.Acts.MoveAction(ctx, act.ID, move, a.Service.actEntry(ctx, "action.cancel", have.Enrollment, act, move.At))
		if err != nil && !errors.Is(err, ErrConflict) {
			return fmt.Errorf("cancel act %s: %w", act.ID, err)
		}
	}
	return nil
}

// recall cancels an act that Google has for an Android phone. Who asked for it is
// in the audit trail, whatever comes of it.
func (s *Service) recall(ctx context.Context, e mdm.Enrollment, act mdm.Action) (mdm.Action, error) {
	late := refusal.New(ErrConflict, "action", "the device has taken it, or it is over", "see its state with: sallyport device show")
	if s.Recall == nil || derived(act.Kind) || act.CommandID == "" {
		return act, late
	}
	if err := s.Audit.Append(ctx, s.actEntry(ctx, "action.recall", e, act, s.now())); err != nil {
		return act, fmt.Errorf("audit: %w", err)
	}
	known, err := s.Recall(ctx, act)
	if err != nil {
		return act, err
	}
	act, err = s.reread(ctx, act.ID)
	switch {
	case err != nil || act.State == mdm.ActionCancelled:
		return act, err
	case known:
		return act, late
	}
	return act, refusal.New(ErrConflict, "action", "Google was asked to take it back, and has not said yet whether that was in time",
		"it is cancelled if it was; see its state with: sallyport device show")
}
