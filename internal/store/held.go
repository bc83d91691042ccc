package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Held keeps enrolments that wait for an admin, and what an admin alone may
// change of an enrolment.
type Held struct{ db *DB }

var _ enroll.HeldStore = (*Held)(nil)

// Held returns the store of held enrolments.
func (db *DB) Held() *Held { return &Held{db} }

// deviceID is the device on record with that platform and UDID; empty when there is none.
func (t *tx) deviceID(ctx context.Context, d mdm.Device) (mdm.DeviceID, error) {
	var id mdm.DeviceID
	err := t.QueryRowContext(ctx, `SELECT id FROM enroll_devices WHERE platform = $1 AND udid = $2`,
		d.Platform, strings.ToUpper(d.UDID)).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return id, err
}

// heldByAnother reports whether the device of e is enrolled for another user. A
// removed user holds no phone: theirs may be handed on, or come back under the
// same UPN.
func (t *tx) heldByAnother(ctx context.Context, e mdm.Enrollment) (bool, error) {
	var others int
	err := t.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_enrollments x
		JOIN directory_users u ON u.id = x.user_id AND u.removed_at = 0
		WHERE x.device_id = $1 AND x.user_id <> $2 AND x.state IN `+activeStates,
		e.DeviceID, e.UserID).Scan(&others)
	return others > 0, err
}

// hold admits a phone without touching anything of the one that it claims to be.
func (t *tx) hold(ctx context.Context, d mdm.Device, e mdm.Enrollment, why hindrance, entry audit.Entry) (mdm.Enrollment, error) {
	e.State = mdm.Held
	e, err := t.insertEnrollment(ctx, e, &d)
	if err != nil {
		return e, err
	}
	return e, t.noteHold(ctx, e, why, entry)
}

// ListHeld returns the held enrolments, oldest first.
func (s *Held) ListHeld(ctx context.Context, page directory.Page) ([]enroll.HeldRow, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+enrollmentColumns+`, `+deviceColumns+`, COALESCE(u.upn, ''),
			COALESCE((SELECT h.upn FROM enroll_enrollments x JOIN directory_users h ON h.id = x.user_id AND h.removed_at = 0
				WHERE x.device_id = e.device_id AND x.user_id <> e.user_id AND x.state IN `+activeStates+`
				ORDER BY x.id DESC LIMIT 1), ''),
			COALESCE(a.id, ''), COALESCE(a.enrollment_id, ''), COALESCE(a.kind, ''), COALESCE(a.state, ''),
			COALESCE(a.requested_by, ''), COALESCE(a.requested_at, 0)
		FROM enroll_enrollments e
		JOIN enroll_devices d ON d.id = e.device_id
		LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0
		LEFT JOIN enroll_actions a ON a.id = e.held_act
		WHERE e.state = 'held' AND e.id > $1 ORDER BY e.id LIMIT $2`, page.After, pageLimit(page.Limit))
	list, err := collect(rows, err, func(row scanner) (enroll.HeldRow, error) {
		var r enroll.HeldRow
		fields := append(enrollmentFields(&r.Enrollment), deviceFields(&r.Device)...)
		err := row.Scan(append(fields, &r.UPN, &r.HolderUPN, &r.Act.ID, &r.Act.EnrollmentID, &r.Act.Kind, &r.Act.State,
			&r.Act.RequestedBy, stamp{&r.Act.RequestedAt})...)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("list held enrolments: %w", err)
	}
	return list, nil
}

// held returns an enrolment that is Held.
func (t *tx) held(ctx context.Context, id mdm.EnrollmentID) (mdm.Enrollment, error) {
	e, err := t.enrollment(ctx, id)
	if err == nil && e.State != mdm.Held {
		err = fmt.Errorf("enrolment is %s: %w", e.State, enroll.ErrConflict)
	}
	return e, err
}

// AdmitHeld gives the device to the held enrolment.
func (s *Held) AdmitHeld(ctx context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "admit held enrolment", func(t *tx) error {
		e, err := t.held(ctx, id)
		if err != nil {
			return err
		}
		if err := t.takeOver(ctx, e); err != nil {
			return err
		}
		// From now on it evades nothing that was ordered until now.
		if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET admitted_at = $2 WHERE id = $1`, id, micros(now)); err != nil {
			return err
		}
		push, err := t.pushOnRecord(ctx, id)
		if err != nil {
			return err
		}
		if push.UpdatedAt.IsZero() && e.Platform == mdm.Apple {
			if err := t.moveEnrollment(ctx, id, mdm.Held, mdm.Authenticated, now); err != nil {
				return err
			}
			err = t.replaceOthers(ctx, e, now)
		} else {
			err = t.enroll(ctx, e, now)
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// takeOver brings what a held phone said of itself into the device's row.
func (t *tx) takeOver(ctx context.Context, e mdm.Enrollment) error {
	err := t.userExists(ctx, e.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return fmt.Errorf("its user was removed: %w", enroll.ErrConflict)
	}
	if err != nil {
		return err
	}
	var said *mdm.Device
	err = t.QueryRowContext(ctx, `SELECT held_device FROM enroll_enrollments WHERE id = $1`, e.ID).Scan(document{&said})
	if err != nil || said == nil {
		return err // one that was held at its TokenUpdate has said so at Authenticate, before there was a holder
	}
	_, err = t.admitDevice(ctx, *said)
	return err
}

// RefuseHeld ends a held enrolment.
func (s *Held) RefuseHeld(ctx context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "refuse held enrolment", func(t *tx) error {
		if _, err := t.held(ctx, id); err != nil {
			return err
		}
		if _, err := t.end(ctx, id, mdm.Refused, now); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// SetOwnership turns Corporate into Personal.
func (s *Held) SetOwnership(ctx context.Context, id mdm.EnrollmentID, o mdm.Ownership, entry audit.Entry) error {
	return s.db.write(ctx, "set ownership", func(t *tx) error {
		e, err := t.enrollment(ctx, id)
		switch {
		case err != nil:
			return err
		case e.Ownership == o:
			return errUnchanged
		case o != mdm.Personal:
			return fmt.Errorf("%s does not become %s: %w", e.Ownership, o, enroll.ErrConflict)
		}
		if err := t.noWipeAtGoogle(ctx, e); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET ownership = $2, state_changed_at = $3 WHERE id = $1`,
			id, o, micros(t.db.now()))
		if err != nil {
			return err
		}
		// An Android phone's policy may have it reset itself as a whole: that ends now.
		if _, err := t.policiesDue(ctx, t.db.now(), ` AND enrollment_id = $2`, id); err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, e.UserID, t.db.now()) // a rule may speak of it
		return t.audit(ctx, entry)
	})
}

// noWipeAtGoogle refuses for an Android device whose wipe was handed to Google:
// it may reach the device at any moment.
func (t *tx) noWipeAtGoogle(ctx context.Context, e mdm.Enrollment) error {
	if e.Platform != mdm.Android {
		return nil
	}
	var waits bool
	err := t.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM enroll_actions WHERE enrollment_id = $1 AND kind = $2 AND state = $3)`,
		e.ID, mdm.ActionWipe, mdm.ActionSent).Scan(&waits)
	if err != nil {
		return err
	}
	if waits {
		return fmt.Errorf("a wipe is on its way: %w", enroll.ErrConflict)
	}
	return nil
}

// SetLabel names a device.
func (s *Held) SetLabel(ctx context.Context, id mdm.DeviceID, label string, entry audit.Entry) error {
	return s.db.write(ctx, "set label", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE enroll_devices SET label = $2 WHERE id = $1`, id, label)
		if err != nil {
			return err
		}
		if n == 0 {
			return enroll.ErrNotFound
		}
		// Whoever asks for what changed since gets the new name.
		_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET state_changed_at = $2 WHERE device_id = $1`, id, micros(t.db.now()))
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}
