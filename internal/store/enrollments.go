package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Enrollments keeps devices and enrolments.
type Enrollments struct{ db *DB }

var _ enroll.EnrollmentStore = (*Enrollments)(nil)

// Enrollments returns the store of enrolments.
func (db *DB) Enrollments() *Enrollments { return &Enrollments{db} }

// The states of an enrolment as conditions need them; mdm.EnrollmentState says
// the same in Go.
const (
	activeStates = `('enrolled', 'configured')`
	endedStates  = `('checked_out', 'replaced', 'retired', 'refused')`
	// asideStates never stand for the device: somebody else may hold it.
	asideStates = `('held', 'refused')`
)

// enrollmentColumns are read by enrollmentFields, in that order; e is the table.
const enrollmentColumns = `e.id, e.device_id, e.user_id, e.invitation_id, e.platform, e.ownership, e.state, e.udid,
	e.certificate_hash, e.access_rights, e.topic, e.poll_only, e.created_at, e.enrolled_at, e.last_seen_at,
	e.idle_at, e.ended_at, e.withheld, e.renewals`

func enrollmentFields(e *mdm.Enrollment) []any {
	return []any{textOf(&e.ID), textOf(&e.DeviceID), textOf(&e.UserID), &e.InvitationID, textOf(&e.Platform),
		textOf(&e.Ownership), textOf(&e.State), &e.UDID, &e.CertificateHash, numberOf(&e.AccessRights), &e.Topic, &e.PollOnly,
		stamp{&e.CreatedAt}, stamp{&e.EnrolledAt}, stamp{&e.LastSeenAt}, stamp{&e.IdleAt}, stamp{&e.EndedAt},
		textOf(&e.Withheld), renewals{&e.Renewals}}
}

func scanEnrollment(row scanner) (mdm.Enrollment, error) {
	var e mdm.Enrollment
	err := row.Scan(enrollmentFields(&e)...)
	return e, err
}

// EnrollmentByCertificate finds the enrolment that is pinned to a certificate.
func (s *Enrollments) EnrollmentByCertificate(ctx context.Context, certificateHash string) (mdm.Enrollment, error) {
	return s.one(ctx, pinnedTo, certificateHash)
}

// pinnedQuery is asked for every message of a phone: two look-ups (TestQueryPlans).
// issuedQuery is asked where it finds nothing: for the first use of a phone's new
// identity, and for strangers.
const (
	pinnedColumns = `SELECT ` + enrollmentColumns + `, COALESCE(c.sha256, ''), c.der, COALESCE(c.serial, ''), COALESCE(c.rule, ''),
		COALESCE(c.user_id, ''), COALESCE(c.invitation_id, ''), COALESCE(c.enrollment_id, ''), COALESCE(c.profile, ''),
		COALESCE(c.issuer, ''), COALESCE(c.key_hash, ''),
		COALESCE(c.not_before, 0), COALESCE(c.not_after, 0), COALESCE(c.revoked_at, 0), COALESCE(c.reason, 0)`
	pinnedQuery = pinnedColumns + `
		FROM enroll_enrollments e LEFT JOIN certs_certificates c ON c.sha256 = e.certificate_hash WHERE ` + pinnedTo
	issuedQuery = pinnedColumns + `
		FROM certs_certificates c JOIN enroll_enrollments e ON e.id = c.enrollment_id
		WHERE c.sha256 = $1 AND c.rule = 'mdm-identity'`
)

// Pinned finds both the enrolment and the certificate.
func (s *Enrollments) Pinned(ctx context.Context, certificateHash string) (mdm.Enrollment, certs.Certificate, error) {
	var e mdm.Enrollment
	var c certs.Certificate
	fields := append(enrollmentFields(&e), certificateFields(&c)...)
	err := s.db.reader.QueryRowContext(ctx, pinnedQuery, certificateHash).Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		err = s.db.reader.QueryRowContext(ctx, issuedQuery, certificateHash).Scan(fields...)
	}
	if err != nil {
		return mdm.Enrollment{}, certs.Certificate{}, fmt.Errorf("load pinned enrolment: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return e, c, nil
}

// EnrollmentByID finds an enrolment in any state.
func (s *Enrollments) EnrollmentByID(ctx context.Context, id mdm.EnrollmentID) (mdm.Enrollment, error) {
	return s.one(ctx, `e.id = $1`, id)
}

func (s *Enrollments) one(ctx context.Context, condition string, arg any) (mdm.Enrollment, error) {
	e, err := scanEnrollment(s.db.reader.QueryRowContext(ctx,
		`SELECT `+enrollmentColumns+` FROM enroll_enrollments e WHERE `+condition, arg))
	if err != nil {
		return mdm.Enrollment{}, fmt.Errorf("load enrolment: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return e, nil
}

func (t *tx) enrollment(ctx context.Context, id mdm.EnrollmentID) (mdm.Enrollment, error) {
	e, err := scanEnrollment(t.QueryRowContext(ctx, `SELECT `+enrollmentColumns+` FROM enroll_enrollments e WHERE e.id = $1`, id))
	return e, orNotFound(err, enroll.ErrNotFound)
}

// Admit creates the enrolment and, if needed, its device.
func (s *Enrollments) Admit(ctx context.Context, d mdm.Device, e mdm.Enrollment, entry audit.Entry) (mdm.Enrollment, error) {
	var admitted mdm.Enrollment
	err := s.db.write(ctx, "admit device", func(t *tx) error {
		var err error
		admitted, err = scanEnrollment(t.QueryRowContext(ctx,
			`SELECT `+enrollmentColumns+` FROM enroll_enrollments e WHERE `+pinnedTo, e.CertificateHash))
		if err == nil {
			return errUnchanged
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		admitted, err = t.admit(ctx, d, e, entry)
		return err
	})
	if err != nil {
		return mdm.Enrollment{}, err
	}
	return admitted, nil
}

func (t *tx) admit(ctx context.Context, d mdm.Device, e mdm.Enrollment, entry audit.Entry) (mdm.Enrollment, error) {
	err := t.userExists(ctx, e.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return e, fmt.Errorf("user %s: %w", e.UserID, enroll.ErrNotFound)
	}
	if err != nil {
		return e, err
	}
	if e.DeviceID, err = t.deviceID(ctx, d); err != nil {
		return e, err
	}
	why, err := t.hindrance(ctx, e)
	if err != nil {
		return e, err
	}
	if !why.none() {
		return t.hold(ctx, d, e, why, entry)
	}
	if e.DeviceID, err = t.admitDevice(ctx, d); err != nil {
		return e, err
	}
	e.State = mdm.Authenticated
	if e, err = t.insertEnrollment(ctx, e, nil); err != nil {
		return e, err
	}
	return e, t.audit(ctx, entry)
}

// admitDevice returns the ID of the device with that platform and UDID. What
// the phone says of itself now replaces what it said before; what it does not
// say stays.
func (t *tx) admitDevice(ctx context.Context, d mdm.Device) (mdm.DeviceID, error) {
	if d.ID == "" {
		id, err := newID()
		if err != nil {
			return "", err
		}
		d.ID = mdm.DeviceID(id)
	}
	var id mdm.DeviceID
	err := t.QueryRowContext(ctx, `INSERT INTO enroll_devices (id, platform, udid, serial, product, model, name, created_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (platform, udid) DO UPDATE SET
			serial = CASE WHEN excluded.serial = '' THEN enroll_devices.serial ELSE excluded.serial END,
			product = CASE WHEN excluded.product = '' THEN enroll_devices.product ELSE excluded.product END,
			model = CASE WHEN excluded.model = '' THEN enroll_devices.model ELSE excluded.model END,
			name = CASE WHEN excluded.name = '' THEN enroll_devices.name ELSE excluded.name END
		RETURNING id`, d.ID, d.Platform, strings.ToUpper(d.UDID), d.Serial, d.Product, d.Model, d.Name,
		micros(d.CreatedAt)).Scan(&id)
	return id, err
}

// insertEnrollment inserts in the state of e. said is what the phone says of
// itself where that must not reach the device's row.
func (t *tx) insertEnrollment(ctx context.Context, e mdm.Enrollment, said *mdm.Device) (mdm.Enrollment, error) {
	if e.ID == "" {
		id, err := newID()
		if err != nil {
			return e, err
		}
		e.ID = mdm.EnrollmentID(id)
	}
	_, err := t.ExecContext(ctx, `INSERT INTO enroll_enrollments (id, device_id, user_id, invitation_id, platform,
			ownership, state, udid, certificate_hash, access_rights, topic, poll_only, created_at, enrolled_at,
			last_seen_at, idle_at, ended_at, state_changed_at, report, reported_at, eas_device_id, held_device)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 0, $14, 0, 0, $13, $15, 0, '', $16)`,
		e.ID, e.DeviceID, e.UserID, e.InvitationID, e.Platform, e.Ownership, e.State,
		strings.ToUpper(e.UDID), e.CertificateHash, e.AccessRights, e.Topic, e.PollOnly, micros(e.CreatedAt),
		micros(e.LastSeenAt), document{mdm.Report{}}, document{said})
	if isForeignKey(err) {
		return e, fmt.Errorf("user %s: %w", e.UserID, enroll.ErrNotFound)
	}
	if err != nil {
		return e, err
	}
	if err := t.giveIdentity(ctx, e); err != nil {
		return e, err
	}
	return t.enrollment(ctx, e.ID)
}

// giveIdentity makes the identity that a phone enrols with its enrolment's: until
// now there was none.
func (t *tx) giveIdentity(ctx context.Context, e mdm.Enrollment) error {
	n, err := t.change(ctx, `UPDATE certs_certificates SET enrollment_id = $2 WHERE sha256 = $1 AND enrollment_id = '' AND rule = 'mdm-identity'`, e.CertificateHash, e.ID)
	if err != nil || n == 1 {
		return err
	}
	var others int
	err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM certs_certificates WHERE sha256 = $1`, e.CertificateHash).Scan(&others)
	if err == nil && others > 0 {
		err = fmt.Errorf("the certificate was issued for another enrolment: %w", enroll.ErrConflict)
	}
	return err
}

// Activate stores the push data and makes an authenticated enrolment enrolled.
func (s *Enrollments) Activate(ctx context.Context, id mdm.EnrollmentID, push mdm.Push, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "activate enrolment", func(t *tx) error {
		e, err := t.enrollment(ctx, id)
		if err != nil {
			return err
		}
		if e.State.Ended() {
			return fmt.Errorf("enrolment is %s: %w", e.State, enroll.ErrConflict)
		}
		if err := t.savePush(ctx, e, push); err != nil {
			return err
		}
		switch e.State {
		case mdm.Authenticated:
			return t.activate(ctx, e, now, entry)
		case mdm.Held:
			return nil
		}
		return t.makeReachable(ctx, id)
	})
}

// activate turns Authenticated into Enrolled. Two users' phones may both have
// been admitted while neither was active: the first one to get here holds the
// device. And an act may have been ordered since this one was admitted.
func (t *tx) activate(ctx context.Context, e mdm.Enrollment, now time.Time, entry audit.Entry) error {
	why, err := t.hindrance(ctx, e)
	if err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET last_seen_at = $2 WHERE id = $1`, e.ID, micros(now)); err != nil {
		return err
	}
	if !why.none() {
		if err := t.moveEnrollment(ctx, e.ID, mdm.Authenticated, mdm.Held, now); err != nil {
			return err
		}
		return t.noteHold(ctx, e, why, entry)
	}
	if err := t.enroll(ctx, e, now); err != nil {
		return err
	}
	return t.audit(ctx, entry)
}

// moveEnrollment is a compare-and-swap of the state.
func (t *tx) moveEnrollment(ctx context.Context, id mdm.EnrollmentID, from, to mdm.EnrollmentState, now time.Time) error {
	n, err := t.change(ctx, `UPDATE enroll_enrollments SET state = $3, state_changed_at = $4 WHERE id = $1 AND state = $2`,
		id, from, to, micros(now))
	if err == nil && n == 0 {
		return fmt.Errorf("not %s: %w", from, enroll.ErrConflict)
	}
	return err
}

// enroll makes an enrolment the active one of its device.
func (t *tx) enroll(ctx context.Context, e mdm.Enrollment, now time.Time) error {
	if err := t.moveEnrollment(ctx, e.ID, e.State, mdm.Enrolled, now); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET enrolled_at = $2 WHERE id = $1`, e.ID, micros(now)); err != nil {
		return err
	}
	t.emit(mdm.EventEnrolled, e.ID, now)
	if err := t.makeReachable(ctx, e.ID); err != nil {
		return err
	}
	return t.replaceOthers(ctx, e, now)
}

// replaceOthers ends the other active enrolments of the device of e, and what its
// user began on it earlier and never came to an end with: a TokenUpdate of that
// one, on its way for long or replayed, must not replace this one, nor an admin
// who admits it.
func (t *tx) replaceOthers(ctx context.Context, e mdm.Enrollment, now time.Time) error {
	rows, err := t.QueryContext(ctx, `SELECT id FROM enroll_enrollments
		WHERE device_id = $1 AND id <> $2 AND (state IN `+activeStates+`
			OR user_id = $3 AND id < $2 AND state IN ('authenticated', 'held')) ORDER BY id`, e.DeviceID, e.ID, e.UserID)
	replaced, err := collect(rows, err, scanEnrollmentID)
	if err != nil {
		return err
	}
	for _, old := range replaced {
		if _, err := t.end(ctx, old, mdm.Replaced, now); err != nil {
			return err
		}
	}
	return nil
}

// End turns an enrolment that has not ended into state.
func (s *Enrollments) End(ctx context.Context, id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "end enrolment", func(t *tx) error {
		if !state.Ended() {
			return fmt.Errorf("%s does not end an enrolment", state)
		}
		ended, err := t.end(ctx, id, state, now)
		if err != nil {
			return err
		}
		if !ended {
			_, err := t.enrollment(ctx, id)
			return unchanged(err)
		}
		return t.audit(ctx, entry)
	})
}

// end also takes away what the phone could still have asked for, and what was
// still to be asked of it.
func (t *tx) end(ctx context.Context, id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time) (bool, error) {
	retired, err := t.closeActs(ctx, id, state, now)
	if err != nil {
		return false, err
	}
	if retired && state == mdm.CheckedOut {
		state = mdm.Retired // the user's phone did what an admin asked of it
	}
	n, err := t.change(ctx, `UPDATE enroll_enrollments SET state = $2, ended_at = $3, state_changed_at = $3
		WHERE id = $1 AND state NOT IN `+endedStates, id, state, micros(now))
	if err != nil || n == 0 {
		return false, err
	}
	if err := t.voidChallenges(ctx, now, `enrollment_id = $2`, id); err != nil {
		return false, err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM enroll_wakes WHERE enrollment_id = $1`, id); err != nil {
		return false, err
	}
	if err := t.dismissAndroid(ctx, id, now); err != nil {
		return false, err
	}
	if err := t.revokeCertificates(ctx, id, endReason(state), now); err != nil {
		return false, err
	}
	t.emit(mdm.EventEnded, id, now)
	return true, nil
}

// endReason is why the certificates of an enrolment end with it.
func endReason(state mdm.EnrollmentState) certs.RevocationReason {
	if state == mdm.Replaced { // by an enrolment that has certificates of its own
		return certs.ReasonSuperseded
	}
	return certs.ReasonCessationOfOperation
}

// retire ends an enrolment whose phone has done what ends it. One that had ended
// before keeps its state, but not its certificates.
func (t *tx) retire(ctx context.Context, id mdm.EnrollmentID, now time.Time) error {
	ended, err := t.end(ctx, id, mdm.Retired, now)
	if err != nil || ended {
		return err
	}
	return t.revokeCertificates(ctx, id, certs.ReasonCessationOfOperation, now)
}

// revokeCertificates revokes what was issued for an enrolment.
func (t *tx) revokeCertificates(ctx context.Context, id mdm.EnrollmentID, reason certs.RevocationReason, now time.Time) error {
	_, err := t.ExecContext(ctx, revokeOfEnrollment, id, micros(now), reason)
	return err
}

const revokeOfEnrollment = `UPDATE certs_certificates SET revoked_at = $2, reason = $3 WHERE revoked_at = 0 AND ` + ofEnrollment
