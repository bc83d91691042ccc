package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// Actions keeps the explicit acts of admins.
type Actions struct{ db *DB }

var _ enroll.ActionStore = (*Actions)(nil)

// Actions returns the store of acts.
func (db *DB) Actions() *Actions { return &Actions{db} }

const actionsTable = "enroll_actions"

// openActs are the states of mdm.ActionState.Open. The partial indexes need this very text.
const openActs = `('unapproved', 'pending', 'sent')`

const actionColumns = `id, enrollment_id, kind, parameters, state, command_id, requested_by, requested_at,
	approved_by, sent_at, done_at, expires_at, error, result`

// scanAction reads actionColumns and opens what is sealed.
func (db *DB) scanAction(row scanner) (mdm.Action, error) {
	var a mdm.Action
	var parameters, result []byte
	err := row.Scan(&a.ID, &a.EnrollmentID, &a.Kind, &parameters, &a.State, &a.CommandID, &a.RequestedBy,
		stamp{&a.RequestedAt}, &a.ApprovedBy, stamp{&a.SentAt}, stamp{&a.DoneAt}, stamp{&a.ExpiresAt}, &a.Error, &result)
	if err != nil {
		return a, err
	}
	plain, err := db.options.Sealer.Open(actionsTable, string(a.ID), "parameters", parameters)
	if err != nil {
		return a, fmt.Errorf("open parameters of act %s: %w", a.ID, err)
	}
	if err := json.Unmarshal(plain, &a.Parameters); err != nil {
		return a, fmt.Errorf("decode parameters of act %s: %w", a.ID, err)
	}
	if result == nil {
		return a, nil
	}
	plain, err = db.options.Sealer.Open(actionsTable, string(a.ID), "result", result)
	if err != nil {
		return a, fmt.Errorf("open result of act %s: %w", a.ID, err)
	}
	a.Result = secret.New(string(plain))
	return a, nil
}

// CreateAction inserts an act.
func (s *Actions) CreateAction(ctx context.Context, a mdm.Action, entry audit.Entry) error {
	return s.db.write(ctx, "create action", func(t *tx) error {
		if a.State != mdm.ActionUnapproved && a.State != mdm.ActionPending {
			return fmt.Errorf("an act does not begin as %s", a.State)
		}
		e, err := t.enrollment(ctx, a.EnrollmentID)
		if err != nil {
			return err
		}
		if !e.State.Active() {
			return fmt.Errorf("enrolment is %s: %w", e.State, enroll.ErrConflict)
		}
		if err := t.roomFor(ctx, a); err != nil {
			return err
		}
		if err := t.insertAct(ctx, a); err != nil {
			return err
		}
		return t.actMoved(ctx, a.ID, a.EnrollmentID, a.RequestedAt, entry)
	})
}

// maxWaiting is how many queries and commands wait for one phone: each of its
// polls reads all of them, and a script that goes on asking a phone that is off
// would keep it busy for hours once it comes.
const maxWaiting = 100

// roomFor refuses one more of the kinds that an enrolment may have several of.
func (t *tx) roomFor(ctx context.Context, a mdm.Action) error {
	if a.Kind != mdm.ActionQuery && a.Kind != mdm.ActionCommand {
		return nil
	}
	var waiting int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_actions WHERE enrollment_id = $1 AND state IN `+openActs, a.EnrollmentID).Scan(&waiting)
	if err == nil && waiting >= maxWaiting {
		err = fmt.Errorf("%d acts wait already: %w", waiting, enroll.ErrConflict)
	}
	return err
}

func (t *tx) insertAct(ctx context.Context, a mdm.Action) error {
	plain, err := json.Marshal(a.Parameters)
	if err != nil {
		return err
	}
	parameters, err := t.db.options.Sealer.Seal(actionsTable, string(a.ID), "parameters", plain)
	if err != nil {
		return fmt.Errorf("seal parameters: %w", err)
	}
	_, err = t.ExecContext(ctx, `INSERT INTO enroll_actions (id, enrollment_id, kind, parameters, state, command_id,
			requested_by, requested_at, approved_by, sent_at, done_at, expires_at, error)
		VALUES ($1, $2, $3, $4, $5, '', $6, $7, '', 0, 0, $8, '')`,
		a.ID, a.EnrollmentID, a.Kind, parameters, a.State, a.RequestedBy, micros(a.RequestedAt), micros(a.ExpiresAt))
	if isUnique(err) {
		return fmt.Errorf("an act of kind %s is under way: %w", a.Kind, enroll.ErrConflict)
	}
	return err
}

// actMoved does what belongs to every change of an act.
func (t *tx) actMoved(ctx context.Context, id mdm.ActionID, e mdm.EnrollmentID, at time.Time, entry audit.Entry) error {
	if err := t.withhold(ctx, e, at); err != nil {
		return fmt.Errorf("withhold after act %s: %w", id, err)
	}
	t.emit(mdm.EventAction, e, at)
	return t.audit(ctx, entry)
}

// withhold brings Enrollment.Withheld up to date with the acts it follows from.
func (t *tx) withhold(ctx context.Context, id mdm.EnrollmentID, at time.Time) error {
	rows, err := t.QueryContext(ctx, `SELECT kind, state FROM enroll_actions WHERE enrollment_id = $1 ORDER BY id`, id)
	acts, err := collect(rows, err, func(row scanner) (mdm.Action, error) {
		var a mdm.Action
		err := row.Scan(&a.Kind, &a.State)
		return a, err
	})
	if err != nil {
		return err
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET withheld = $2, state_changed_at = $3 WHERE id = $1 AND withheld <> $2`,
		id, withheldBy(acts), micros(at))
	return err
}

// withheldBy is what acts, the oldest first, withhold together.
func withheldBy(acts []mdm.Action) mdm.Withholding {
	withheld := mdm.WithholdNothing
	for _, a := range withholding(acts) {
		if w := a.Kind.Withholds(); withheld != mdm.WithholdEverything && w != mdm.WithholdNothing {
			withheld = w
		}
	}
	return withheld
}

// withholding are those of an enrolment's acts, the oldest first, of which what
// they withhold counts. What is open counts until it is cancelled; what has come
// to its end until a resend: a lost phone that nobody could wipe in time must not
// get its mail back by itself.
func withholding(acts []mdm.Action) []mdm.Action {
	var done, open []mdm.Action
	for _, a := range acts {
		switch a.State {
		case mdm.ActionPending, mdm.ActionSent:
			open = append(open, a)
		case mdm.ActionAcknowledged, mdm.ActionFailed, mdm.ActionExpired:
			done = append(done, a)
		}
		if a.Kind == mdm.ActionResend && a.State != mdm.ActionUnapproved {
			done = nil
		}
	}
	return append(done, open...)
}

func (t *tx) action(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	a, err := t.db.scanAction(t.QueryRowContext(ctx, `SELECT `+actionColumns+` FROM enroll_actions WHERE id = $1`, id))
	return a, orNotFound(err, enroll.ErrNotFound)
}

// ActionByID returns one act in any state.
func (s *Actions) ActionByID(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	var a mdm.Action
	err := s.db.read(ctx, "load action", func(t *tx) (err error) {
		a, err = t.action(ctx, id)
		return err
	})
	return a, err
}

// listColumns leave out the answers of phones: up to 64 KiB each, for one reader alone.
var listColumns = strings.TrimSuffix(actionColumns, "result") + "NULL"

// ListActions returns those of every enrolment of a device, newest first.
func (s *Actions) ListActions(ctx context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Action, error) {
	var w where
	w.add("enrollment_id IN (SELECT id FROM enroll_enrollments WHERE device_id = ?)", device)
	if page.After != "" {
		w.add("id < ?", page.After)
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+listColumns+` FROM enroll_actions`+w.clause()+
		` ORDER BY id DESC`+w.limit(pageLimit(page.Limit)), w.args...)
	list, err := collect(rows, err, s.db.scanAction)
	if err != nil {
		return nil, fmt.Errorf("list actions of device %s: %w", device, err)
	}
	return list, nil
}

// MoveAction turns an act from one of the states into another.
func (s *Actions) MoveAction(ctx context.Context, id mdm.ActionID, move enroll.ActionMove, entry audit.Entry) error {
	return s.db.write(ctx, "move action", func(t *tx) error {
		a, err := t.action(ctx, id)
		if err != nil {
			return err
		}
		if !slices.Contains(move.From, a.State) {
			return fmt.Errorf("act is %s: %w", a.State, enroll.ErrConflict)
		}
		if err := t.moveAct(ctx, a, move); err != nil {
			return err
		}
		if err := t.actMoved(ctx, id, a.EnrollmentID, move.At, entry); err != nil {
			return err
		}
		if move.To == mdm.ActionAcknowledged && a.Kind.Ends() {
			return t.retire(ctx, a.EnrollmentID, move.At)
		}
		return nil
	})
}

// moveAct is the compare-and-swap of an act that was read as a.
func (t *tx) moveAct(ctx context.Context, a mdm.Action, move enroll.ActionMove) error {
	from := a.State
	if from == mdm.ActionUnapproved && move.To == mdm.ActionPending {
		a.ApprovedBy = move.By
	}
	if a.DoneAt = move.At; move.To.Open() {
		a.DoneAt = time.Time{}
	}
	switch move.To {
	case mdm.ActionPending:
		a.CommandID, a.SentAt = "", time.Time{} // not with the phone any more
	case mdm.ActionSent:
		a.SentAt = move.At
	}
	if a.Error = ""; move.To == mdm.ActionFailed {
		a.Error = mdm.PhoneText(move.Error)
	}
	n, err := t.change(ctx, `UPDATE enroll_actions SET state = $3, command_id = $4, approved_by = $5, done_at = $6, error = $7, sent_at = $8
		WHERE id = $1 AND state = $2`, a.ID, from, move.To, a.CommandID, a.ApprovedBy, micros(a.DoneAt), a.Error, micros(a.SentAt))
	if err == nil && n == 0 {
		return fmt.Errorf("act is not %s any more: %w", from, enroll.ErrConflict)
	}
	return err
}

// dueActs follows a partial index in its order (TestQueryPlans).
const dueActs = `SELECT ` + actionColumns + ` FROM enroll_actions
	WHERE state IN ` + openActs + ` AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2`

// ExpireActions ends acts whose time has passed.
func (s *Actions) ExpireActions(ctx context.Context, now time.Time, limit int) (int, error) {
	expired := 0
	err := s.db.write(ctx, "expire actions", func(t *tx) error {
		rows, err := t.QueryContext(ctx, dueActs, micros(now), pageLimit(limit))
		acts, err := collect(rows, err, s.db.scanAction)
		if err != nil {
			return err
		}
		if expired = len(acts); expired == 0 {
			return errUnchanged
		}
		for _, a := range acts {
			to, reason := mdm.ActionExpired, "the device did not come, or did not answer, in time"
			if a.State == mdm.ActionUnapproved {
				to, reason = mdm.ActionCancelled, "nobody agreed to it in time"
			}
			if err := t.finishAct(ctx, a, to, reason, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return expired, nil
}

// actEntry tells how an act came to its end without an admin.
func actEntry(ctx context.Context, a mdm.Action, to mdm.ActionState, reason string, at time.Time) audit.Entry {
	detail := []string{"kind", string(a.Kind), "enrollment", string(a.EnrollmentID)}
	if reason != "" {
		detail = append(detail, "reason", reason)
	}
	return audit.New(ctx, at, "action."+to.Verb(), string(a.ID), audit.Done, detail...)
}

// finishAct ends an act that no admin and no answer ends.
func (t *tx) finishAct(ctx context.Context, a mdm.Action, to mdm.ActionState, reason string, at time.Time) error {
	if err := t.moveAct(ctx, a, enroll.ActionMove{To: to, Error: reason, At: at}); err != nil {
		return err
	}
	return t.actMoved(ctx, a.ID, a.EnrollmentID, at, actEntry(ctx, a, to, reason, at))
}

// closeActs closes what cannot be done any more because the enrolment ends in
// state. It says whether the end is what an act of kind retire had asked for.
func (t *tx) closeActs(ctx context.Context, id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time) (bool, error) {
	rows, err := t.QueryContext(ctx, `SELECT `+actionColumns+` FROM enroll_actions
		WHERE enrollment_id = $1 AND state IN `+openActs+` ORDER BY id`, id)
	acts, err := collect(rows, err, t.db.scanAction)
	if err != nil {
		return false, err
	}
	retired := false
	for _, a := range acts {
		to, reason := mdm.ActionCancelled, "the enrolment ended"
		switch ordered := a.State != mdm.ActionUnapproved; {
		case ordered && a.Kind == mdm.ActionRetire && (state == mdm.CheckedOut || state == mdm.Retired):
			to, reason, retired = mdm.ActionAcknowledged, "", true
		case a.State == mdm.ActionSent, ordered && a.Kind.Withholds() == mdm.WithholdEverything:
			// Nobody hears whether the phone has done it. And what shut the mailbox
			// is not taken back because the user un-enrolled: see evaded.
			to = mdm.ActionFailed
		}
		if err := t.finishAct(ctx, a, to, reason, now); err != nil {
			return false, err
		}
	}
	return retired, nil
}

// sendAct turns the act of a command into Sent. It says whether the command is
// on record already and goes out once more. Here a wipe meets the change of
// ownership: of two requests at once, one commits first.
func (t *tx) sendAct(ctx context.Context, c mdm.Command) (again bool, err error) {
	n, err := t.change(ctx, `UPDATE enroll_actions SET state = 'sent', command_id = $3,
			sent_at = CASE WHEN command_id = $3 THEN sent_at ELSE $4 END
		WHERE id = $1 AND enrollment_id = $2 AND state IN ('pending', 'sent') AND (kind <> 'wipe'
			OR EXISTS (SELECT 1 FROM enroll_enrollments e WHERE e.id = $2 AND e.ownership = 'corporate'))`,
		c.ActionID, c.EnrollmentID, c.ID, micros(c.SentAt))
	if err != nil {
		return false, err
	}
	if n == 0 {
		return false, fmt.Errorf("act %s is not to be sent: %w", c.ActionID, enroll.ErrConflict)
	}
	n, err = t.change(ctx, `UPDATE enroll_commands SET state = 'sent', done_at = 0
		WHERE id = $1 AND enrollment_id = $2 AND action_id = $3 AND state IN ('sent', 'not_now')`,
		c.ID, c.EnrollmentID, c.ActionID)
	return n == 1, err
}

// answerAct moves an act with a command of it that was answered. Only the act's
// last command can fail it or put it back; but what any of them has done, is done.
func (t *tx) answerAct(ctx context.Context, id mdm.ActionID, c mdm.Contact, state mdm.CommandState, reason string) error {
	if id == "" {
		return nil
	}
	a, err := t.action(ctx, id)
	if errors.Is(err, enroll.ErrNotFound) {
		return nil // a command without an act on record answers nothing
	}
	if err != nil {
		return err
	}
	last := a.CommandID == c.CommandID
	switch {
	case state == mdm.NotNow && last && a.State == mdm.ActionSent:
		return t.moveAct(ctx, a, enroll.ActionMove{To: mdm.ActionPending})
	case state == mdm.Failed && last && (a.State == mdm.ActionSent || a.State == mdm.ActionExpired):
		return t.finishAct(ctx, a, mdm.ActionFailed, reason, c.At)
	case state == mdm.Acknowledged && a.State != mdm.ActionAcknowledged:
		return t.acknowledgeAct(ctx, a, c)
	}
	return nil
}

func (t *tx) acknowledgeAct(ctx context.Context, a mdm.Action, c mdm.Contact) error {
	a.CommandID = c.CommandID
	if err := t.finishAct(ctx, a, mdm.ActionAcknowledged, "", c.At); err != nil {
		return err
	}
	if !c.Result.IsZero() {
		sealed, err := t.db.options.Sealer.Seal(actionsTable, string(a.ID), "result", []byte(c.Result.Reveal()))
		if err != nil {
			return fmt.Errorf("seal result of act %s: %w", a.ID, err)
		}
		if _, err := t.ExecContext(ctx, `UPDATE enroll_actions SET result = $2 WHERE id = $1`, a.ID, sealed); err != nil {
			return err
		}
	}
	if a.Kind.Ends() {
		return t.retire(ctx, a.EnrollmentID, c.At)
	}
	return nil
}

// failOpenActs ends every open act, because nobody knows what became of it since.
// What they withhold stays withheld.
func (t *tx) failOpenActs(ctx context.Context, now time.Time, reason string) (int64, error) {
	return t.change(ctx, `UPDATE enroll_actions SET state = 'failed', error = $2, done_at = $1 WHERE state IN `+openActs,
		micros(now), reason)
}
