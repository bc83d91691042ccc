package enroll

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// androidDelete is the RequestType of what is no command of Google's: to remove a
// device from the enterprise.
const androidDelete = "DELETE_DEVICE"

// androidRequest is the RequestType of an act that is one command on Android, by
// what is managed; empty where there is none.
func androidRequest(act mdm.Action, e mdm.Enrollment, supervised bool) string {
	switch act.Kind {
	case mdm.ActionWipe:
		return string(android.Wipe)
	case mdm.ActionLock:
		return string(android.Lock)
	case mdm.ActionClearPasscode:
		return string(android.ResetPassword)
	case mdm.ActionQuery:
		return string(android.RequestDeviceInfo)
	case mdm.ActionRetire:
		switch {
		case e.Ownership == mdm.Personal:
			return androidDelete
		case !supervised:
			return string(android.RelinquishOwnership)
		}
	case mdm.ActionCommand:
		if c, refused := parseAndroidRaw(act.Parameters.Raw); len(refused) == 0 {
			return string(c.Type)
		}
	}
	return ""
}

// rawAndroid are the commands that an admin may order in words of his own: none
// that erases, and none that has an act of its own.
var rawAndroid = []android.CommandType{android.Reboot, android.StartLostMode, android.StopLostMode}

// parseAndroidRaw reads a command in an admin's own words: {"type": "REBOOT"}.
func parseAndroidRaw(body []byte) (android.Command, refusal.List) {
	var raw struct {
		Type    android.CommandType `json:"type"`
		Message string              `json:"message"`
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil || d.More() {
		return android.Command{}, refusal.List{refusal.New(ErrInvalid, "raw", "is not the JSON of a command", `for example {"type": "REBOOT"}`)}
	}
	c := android.Command{Type: raw.Type, Reason: raw.Message}
	switch {
	case raw.Type == android.Wipe:
		return c, refusal.List{refusal.New(ErrInvalid, "raw", "erases the phone", "order the act wipe instead")}
	case raw.Type == android.RelinquishOwnership:
		return c, refusal.List{refusal.New(ErrInvalid, "raw", "ends the management of the phone", "order the act retire instead")}
	case !slices.Contains(rawAndroid, raw.Type):
		return c, refusal.List{refusal.New(ErrInvalid, "raw.type", "is none that is ordered so", "use REBOOT, START_LOST_MODE or STOP_LOST_MODE; there are acts for the rest")}
	case raw.Type == android.StartLostMode && strings.TrimSpace(raw.Message) == "":
		return c, refusal.List{refusal.New(ErrInvalid, "raw.message", "is missing", "say what the lost phone shall show")}
	case raw.Type != android.StartLostMode && raw.Message != "":
		return c, refusal.List{refusal.New(ErrInvalid, "raw.message", "goes with START_LOST_MODE only", "leave it out")}
	}
	return c, nil
}

// carryOut hands the acts that are one command to Google, those that end the
// enrolment first. over says that there is nothing left to provide for.
func (a *Androids) carryOut(ctx context.Context, api AndroidAPI, p *AndroidPhone, have Have) (over bool, err error) {
	list := slices.Clone(have.Actions)
	slices.SortStableFunc(list, func(x, y mdm.Action) int { return urgency(y.Kind) - urgency(x.Kind) })
	for _, act := range list {
		if derived(act.Kind) || !act.ExpiresAt.IsZero() && !a.now().Before(act.ExpiresAt) {
			continue
		}
		err := a.issueAct(ctx, api, *p, have, act)
		if errors.Is(err, errGone) {
			continue
		}
		if err != nil {
			return false, err
		}
		over = over || act.Kind.Ends()
	}
	return over, nil
}

// issueAct hands one act to Google, unless Google has it. Where we did not hear
// whether it took the command, it is handed over again if that does no harm.
func (a *Androids) issueAct(ctx context.Context, api AndroidAPI, p AndroidPhone, have Have, act mdm.Action) error {
	s, e := a.Service, have.Enrollment
	id := s.actCommandID(act.ID)
	if act.State == mdm.ActionSent {
		_, err := a.Operations.OperationOf(ctx, id)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, ErrNotFound):
			return fmt.Errorf("look up operation of command %s: %w", id, err)
		case act.Kind == mdm.ActionCommand: // a phone that restarts twice was told twice
			return a.answer(ctx, e.ID, id, "nobody knows whether Google took the command: order it again if it was not carried out", "")
		}
	}
	request := androidRequest(act, e, p.Mode == android.FullyManaged)
	if act.Kind == mdm.ActionWipe {
		now, err := s.Enrollments.EnrollmentByID(ctx, e.ID) // ownership may have changed since
		if err != nil {
			return fmt.Errorf("read enrolment %s before erasing: %w", e.ID, err)
		}
		if !now.MayErase() || p.Mode == "" {
			return s.moveAct(ctx, e, act, mdm.ActionFailed, notErased)
		}
	}
	if request == "" {
		return s.moveAct(ctx, e, act, mdm.ActionFailed, "there is no such command for this phone")
	}
	row := mdm.Command{ID: id, EnrollmentID: e.ID, RequestType: request, State: mdm.Sent, ActionID: act.ID, SentAt: a.now()}
	err := s.Plans.SaveCommand(ctx, row, nil)
	if errors.Is(err, ErrConflict) {
		return errGone
	}
	if err != nil {
		return fmt.Errorf("save command for enrolment %s: %w", e.ID, err)
	}
	target := android.Target{Name: p.Name, Ownership: e.Ownership}
	if request == androidDelete {
		return a.outcome(ctx, e.ID, id, api.Delete(ctx, target, s.removalReason()), true)
	}
	command := android.Command{Type: android.CommandType(request), TTL: act.ExpiresAt.Sub(a.now())}
	if act.Kind == mdm.ActionCommand {
		raw, _ := parseAndroidRaw(act.Parameters.Raw)
		command.Reason = raw.Reason
	}
	return a.issue(ctx, api, target, row, command)
}

func (s *Service) removalReason() string {
	return "Your administrator at " + s.organization() + " ended the management of this phone."
}

// issue hands a command to Google whose row is committed.
func (a *Androids) issue(ctx context.Context, api AndroidAPI, t android.Target, row mdm.Command, c android.Command) error {
	operation, err := api.Issue(ctx, t, c)
	if err != nil {
		return a.outcome(ctx, row.EnrollmentID, row.ID, err, false)
	}
	o := AndroidOperation{Name: operation, EnrollmentID: row.EnrollmentID, CommandID: row.ID, CreatedAt: a.now()}
	if err := a.Operations.SaveOperation(ctx, o); err != nil {
		return fmt.Errorf("save operation of command %s: %w", row.ID, err)
	}
	return nil
}

// outcome notes what is final: it was done, or Google will never take it. The
// rest is tried again as long as the act lasts, a key that was revoked included:
// an administrator replaces it.
func (a *Androids) outcome(ctx context.Context, id mdm.EnrollmentID, command mdm.CommandID, err error, done bool) error {
	problem := (*android.Problem)(nil)
	switch {
	case err == nil && done:
		return a.answer(ctx, id, command, "", "")
	case errors.As(err, &problem) && !problem.Final(), ctx.Err() != nil:
		return err
	case err != nil:
		return a.answer(ctx, id, command, err.Error(), "")
	}
	return nil
}
