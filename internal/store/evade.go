package store

import (
	"context"
	"maps"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
)

// hindrance is why an enrolment waits for an admin; the zero value: it does not.
type hindrance struct {
	foreign bool         // another user has the device
	act     mdm.ActionID // the act that it would evade
	kind    mdm.ActionKind
}

func (h hindrance) none() bool { return !h.foreign && h.act == "" }

// hindrance looks for what stands in the way of e on its device.
func (t *tx) hindrance(ctx context.Context, e mdm.Enrollment) (hindrance, error) {
	if e.DeviceID == "" {
		return hindrance{}, nil
	}
	foreign, err := t.heldByAnother(ctx, e)
	if err != nil {
		return hindrance{}, err
	}
	act, err := t.evaded(ctx, e)
	return hindrance{foreign: foreign, act: act.ID, kind: act.Kind}, err
}

// consent is when somebody last said that e may be: by the invitation, or by
// letting it in when it was held. An invitation that is not on record says nothing.
func (t *tx) consent(ctx context.Context, e mdm.Enrollment) (invited, admitted time.Time, err error) {
	err = t.QueryRowContext(ctx, `SELECT COALESCE((SELECT created_at FROM enroll_invitations WHERE id = $1), 0),
			COALESCE((SELECT admitted_at FROM enroll_enrollments WHERE id = $2), 0)`,
		e.InvitationID, e.ID).Scan(stamp{&invited}, stamp{&admitted})
	return invited, admitted, err
}

// evaded finds the newest act that e would evade: one upon another enrolment of
// the device that takes its mail away, still stands, and was ordered after
// everybody's consent to e. A corporate device on which it was never carried out
// does not become personal by an invitation alone, however new.
func (t *tx) evaded(ctx context.Context, e mdm.Enrollment) (mdm.Action, error) {
	acts, err := t.standingActs(ctx, e)
	if err != nil || len(acts) == 0 {
		return mdm.Action{}, err
	}
	invited, admitted, err := t.consent(ctx, e)
	if err != nil {
		return mdm.Action{}, err
	}
	corporate, err := t.lastCorporate(ctx, e)
	if err != nil {
		return mdm.Action{}, err
	}
	var newest mdm.Action
	for _, a := range acts {
		flips := e.Ownership == mdm.Personal && a.EnrollmentID == corporate && a.State != mdm.ActionAcknowledged
		evades := a.RequestedAt.After(admitted) && (flips || a.RequestedAt.After(invited))
		if evades && !a.RequestedAt.Before(newest.RequestedAt) {
			newest = a
		}
	}
	return newest, nil
}

// lastCorporate is the device's last enrolment besides e, if that was corporate.
func (t *tx) lastCorporate(ctx context.Context, e mdm.Enrollment) (mdm.EnrollmentID, error) {
	rows, err := t.QueryContext(ctx, `SELECT id, ownership FROM enroll_enrollments
		WHERE device_id = $1 AND id <> $2 AND enrolled_at <> 0 ORDER BY enrolled_at DESC, id DESC LIMIT 1`, e.DeviceID, e.ID)
	last, err := collect(rows, err, func(row scanner) (mdm.Enrollment, error) {
		var last mdm.Enrollment
		err := row.Scan(&last.ID, &last.Ownership)
		return last, err
	})
	if err != nil || len(last) == 0 || last[0].Ownership != mdm.Corporate {
		return "", err
	}
	return last[0].ID, nil
}

// standingActs are those upon the device's other enrolments that take the mail
// away and that no resend has lifted.
func (t *tx) standingActs(ctx context.Context, e mdm.Enrollment) ([]mdm.Action, error) {
	rows, err := t.QueryContext(ctx, `SELECT a.id, a.enrollment_id, a.kind, a.state, a.requested_at
		FROM enroll_actions a JOIN enroll_enrollments x ON x.id = a.enrollment_id
		WHERE x.device_id = $1 AND x.id <> $2 AND a.kind NOT IN ('query', 'command') ORDER BY a.id`, e.DeviceID, e.ID)
	all, err := collect(rows, err, func(row scanner) (mdm.Action, error) {
		var a mdm.Action
		err := row.Scan(&a.ID, &a.EnrollmentID, &a.Kind, &a.State, stamp{&a.RequestedAt})
		return a, err
	})
	if err != nil {
		return nil, err
	}
	each := map[mdm.EnrollmentID][]mdm.Action{}
	for _, a := range all {
		each[a.EnrollmentID] = append(each[a.EnrollmentID], a)
	}
	var standing []mdm.Action
	for acts := range maps.Values(each) {
		for _, a := range withholding(acts) {
			if a.Kind.Withholds() == mdm.WithholdEverything {
				standing = append(standing, a)
			}
		}
	}
	return standing, nil
}

// noteHold says why e is held, with it and in the trail, which tells of entry otherwise.
func (t *tx) noteHold(ctx context.Context, e mdm.Enrollment, why hindrance, entry audit.Entry) error {
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET held_act = $2 WHERE id = $1`, e.ID, why.act); err != nil {
		return err
	}
	detail := map[string]string{"device": string(e.DeviceID), "reason": "the device is enrolled for another user"}
	if why.act != "" {
		detail["act"] = string(why.act)
	}
	if !why.foreign {
		detail["reason"] = "it would evade an act upon the device: " + string(why.kind)
	}
	maps.Copy(detail, entry.Detail)
	entry.Action, entry.Target, entry.Outcome, entry.Detail = "enrollment.hold", string(e.ID), audit.Refused, detail
	return t.audit(ctx, entry)
}
