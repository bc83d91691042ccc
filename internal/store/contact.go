package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// longStep is how far ahead a last contact may be and stay: further ahead it was
// noted by a clock that has been set right since, and would hide that a phone is
// silent until that time comes.
const longStep = 24 * time.Hour

// SaveContact notes one contact.
func (s *Plans) SaveContact(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) error {
	return s.db.write(ctx, "save contact", func(t *tx) error {
		_, err := t.saveContact(ctx, id, c)
		return err
	})
}

// saveContact says whether the contact changed more than two times.
func (t *tx) saveContact(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) (bool, error) {
	changed, err := t.saveStatus(ctx, id, c)
	if err != nil {
		return false, err
	}
	if !c.Report.Empty() {
		if err := t.mergeReport(ctx, id, c); err != nil {
			return false, err
		}
		changed = true
	}
	if changed {
		t.emit(mdm.EventReported, id, c.At)
	}
	return changed, nil
}

// saveWithCommand notes a contact that goes on record with the next command: an
// Idle that changes nothing but the times, or a result that is new.
func (t *tx) saveWithCommand(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) error {
	if c.Status == mdm.StatusIdle {
		t.later(seenIdle, seenAt(id, c.At)...) // of an unknown enrolment there can be no command
		return nil
	}
	_, err := t.saveContact(ctx, id, c)
	if errors.Is(err, errUnchanged) {
		return enroll.ErrHeard
	}
	return err
}

func (t *tx) report(ctx context.Context, id mdm.EnrollmentID) (mdm.Report, error) {
	var r mdm.Report
	err := t.QueryRowContext(ctx, `SELECT report FROM enroll_enrollments WHERE id = $1`, id).Scan(document{&r})
	return r, orNotFound(err, enroll.ErrNotFound)
}

func (t *tx) mergeReport(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) error {
	stored, err := t.report(ctx, id)
	if err != nil {
		return err
	}
	t.saveReport(id, stored.Merge(wholeReport(c.Report)), c.At)
	return nil
}

// A last contact moves on, and comes back only from a long step ahead.
const lastSeen = `last_seen_at = CASE WHEN last_seen_at < $2 OR last_seen_at > $3 THEN $2 ELSE last_seen_at END`

const (
	// seen notes a message of an enrolment, seenIdle one that begins a connection.
	// Their arguments are seenAt.
	seen     = `UPDATE enroll_enrollments SET ` + lastSeen + ` WHERE id = $1`
	seenIdle = `UPDATE enroll_enrollments SET ` + lastSeen + `,
		idle_at = CASE WHEN idle_at < $2 THEN $2 ELSE idle_at END WHERE id = $1`
)

func seenAt(id mdm.EnrollmentID, at time.Time) []any {
	return []any{id, micros(at), micros(at.Add(longStep))}
}

func (t *tx) saveReport(id mdm.EnrollmentID, r mdm.Report, at time.Time) {
	easDeviceID := ""
	if r.Device != nil {
		easDeviceID = fold(r.Device.EASDeviceID)
	}
	t.later(`UPDATE enroll_enrollments SET report = $2, eas_device_id = $3, reported_at = $4 WHERE id = $1`,
		id, document{r}, easDeviceID, micros(at))
}

// saveStatus moves the commands that the contact is about, and says whether
// any of them changed its state.
func (t *tx) saveStatus(ctx context.Context, id mdm.EnrollmentID, c mdm.Contact) (bool, error) {
	if c.Status == mdm.StatusIdle {
		return t.saveIdle(ctx, id, c.At)
	}
	answer, err := c.Answer()
	if err != nil {
		return false, err
	}
	var act mdm.ActionID
	err = t.QueryRowContext(ctx, `UPDATE enroll_commands SET state = $3, error = $4, chain = $5, done_at = $6
		WHERE id = $1 AND enrollment_id = $2 AND state IN ('sent', 'not_now', 'superseded') AND state <> $3
		RETURNING action_id`,
		c.CommandID, id, answer.State, answer.Error, document{answer.Chain}, micros(c.At)).Scan(&act)
	if err == nil {
		if !c.Absent {
			t.later(seen, seenAt(id, c.At)...)
		}
		return true, t.answerAct(ctx, act, c, answer.State, answer.Error)
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return false, err
	}
	var known int
	err = t.QueryRowContext(ctx, `SELECT COUNT(*) FROM enroll_commands WHERE id = $1 AND enrollment_id = $2`, c.CommandID, id).Scan(&known)
	if err == nil && known == 0 {
		err = fmt.Errorf("command %s: %w", c.CommandID, enroll.ErrNotFound)
	}
	// A result that arrives twice: nothing of it is taken, not even the time. A
	// signed message carries no nonce, so a recorded one must not keep a phone
	// alive. A recorded Idle cannot be told from a true one: that it brings no
	// facts is what compliance sees.
	return false, unchanged(err)
}

// saveIdle begins a connection: what was not answered by now never will be. A
// command that carries out an act stays Sent with it: whether the phone executed
// it nobody knows, so it is repeated under its own identifier and never anew.
func (t *tx) saveIdle(ctx context.Context, id mdm.EnrollmentID, at time.Time) (bool, error) {
	n, err := t.change(ctx, seenIdle, seenAt(id, at)...)
	if err == nil && n == 0 {
		err = enroll.ErrNotFound
	}
	if err != nil {
		return false, err
	}
	n, err = t.change(ctx, `UPDATE enroll_commands SET state = 'superseded', done_at = $2
		WHERE enrollment_id = $1 AND state = 'sent' AND NOT EXISTS (SELECT 1 FROM enroll_actions a
			WHERE a.id = enroll_commands.action_id AND a.state = 'sent' AND a.command_id = enroll_commands.id)`, id, micros(at))
	return n > 0, err
}

// wholeReport gives the facts their stored times. The groups are copied: the
// caller keeps its own.
func wholeReport(r mdm.Report) mdm.Report {
	r.Device = dated(r.Device, func(f *mdm.DeviceFacts) *time.Time { return &f.At })
	r.Security = dated(r.Security, func(f *mdm.SecurityFacts) *time.Time { return &f.At })
	r.Profiles = dated(r.Profiles, func(f *mdm.ProfileFacts) *time.Time { return &f.At })
	r.Certificates = dated(r.Certificates, func(f *mdm.CertificateFacts) *time.Time { return &f.At })
	r.Applications = dated(r.Applications, func(f *mdm.ApplicationFacts) *time.Time { return &f.At })
	r.Managed = dated(r.Managed, func(f *mdm.ManagedFacts) *time.Time { return &f.At })
	r.Restrictions = dated(r.Restrictions, func(f *mdm.RestrictionFacts) *time.Time { return &f.At })
	r.Policy = dated(r.Policy, func(f *mdm.PolicyFacts) *time.Time { return &f.At })
	r.Keys = dated(r.Keys, func(f *mdm.KeyFacts) *time.Time { return &f.At })
	return r
}

// dated copies one group, if it is there, with its stored time.
func dated[T any](facts *T, at func(*T) *time.Time) *T {
	if facts == nil {
		return nil
	}
	copied := *facts
	moment := at(&copied)
	*moment = whole(*moment)
	return &copied
}
