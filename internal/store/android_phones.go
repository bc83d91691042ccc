package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

const androidColumns = `p.enrollment_id, p.name, p.mode, p.reported_at, p.sent, p.due, p.attempts, p.error, p.missing_since`

func scanAndroid(row scanner) (enroll.AndroidPhone, error) {
	var p enroll.AndroidPhone
	err := row.Scan(textOf(&p.EnrollmentID), &p.Name, textOf(&p.Mode), stamp{&p.ReportedAt}, document{&p.Sent}, stamp{&p.Due}, &p.Attempts, &p.Error, stamp{&p.MissingSince})
	return p, err
}

// AdmitAndroid enrols a phone that came with a ticket.
func (s *Android) AdmitAndroid(ctx context.Context, a enroll.AndroidAdmission) (mdm.Enrollment, error) {
	var admitted mdm.Enrollment
	err := s.db.write(ctx, "admit android phone", func(t *tx) error {
		ticket, err := t.ticket(ctx, a.Ticket)
		if err != nil {
			return err
		}
		if !ticket.UsedAt.IsZero() {
			admitted, err = t.admittedBefore(ctx, ticket, a.Phone.Name)
			return unchanged(err)
		}
		if err := t.freeName(ctx, a.Phone.Name); err != nil {
			return err
		}
		admitted, err = t.admitAndroid(ctx, ticket, a)
		return err
	})
	if err != nil {
		return mdm.Enrollment{}, err
	}
	return admitted, nil
}

// admittedBefore is the enrolment of a ticket, if it is that phone's.
func (t *tx) admittedBefore(ctx context.Context, ticket enroll.AndroidTicket, name string) (mdm.Enrollment, error) {
	p, err := t.androidPhone(ctx, `p.name = $1`, name)
	if errors.Is(err, enroll.ErrNotFound) || err == nil && p.EnrollmentID != ticket.EnrollmentID {
		return mdm.Enrollment{}, fmt.Errorf("ticket was used by another phone: %w", enroll.ErrConflict)
	}
	if err != nil {
		return mdm.Enrollment{}, err
	}
	return t.enrollment(ctx, p.EnrollmentID)
}

// freeName takes a name from an enrolment that has ended.
func (t *tx) freeName(ctx context.Context, name string) error {
	if _, err := t.ExecContext(ctx, `DELETE FROM enroll_android_phones WHERE name = $1
		AND EXISTS (SELECT 1 FROM enroll_enrollments e WHERE e.id = enrollment_id AND e.state IN `+endedStates+`)`, name); err != nil {
		return err
	}
	_, err := t.androidPhone(ctx, `p.name = $1`, name)
	switch {
	case errors.Is(err, enroll.ErrNotFound):
		return nil
	case err == nil:
		return fmt.Errorf("the phone is enrolled: %w", enroll.ErrConflict)
	}
	return err
}

func (t *tx) admitAndroid(ctx context.Context, ticket enroll.AndroidTicket, a enroll.AndroidAdmission) (mdm.Enrollment, error) {
	now, e := a.Enrollment.CreatedAt, a.Enrollment
	if err := t.useTicket(ctx, ticket, e.ID, now); err != nil {
		return e, err
	}
	udid, err := t.knownUDID(ctx, a.Previous, a.Device.UDID)
	if err != nil {
		return e, err
	}
	a.Device.UDID, e.UDID = udid, udid
	if e, err = t.admit(ctx, a.Device, e, a.Entry); err != nil {
		return e, err
	}
	if e.State == mdm.Authenticated {
		if err := t.enroll(ctx, e, now); err != nil {
			return e, err
		}
	}
	p := a.Phone
	_, err = t.ExecContext(ctx, `INSERT INTO enroll_android_phones (enrollment_id, name, mode, reported_at, sent, due, attempts, error)
		VALUES ($1, $2, $3, $4, $5, $6, 0, '')`, e.ID, p.Name, p.Mode, micros(p.ReportedAt), document{p.Sent}, micros(now))
	if err != nil {
		return e, err
	}
	t.saveReport(e.ID, wholeReport(a.Report), now)
	return t.enrollment(ctx, e.ID)
}

// knownUDID is the identifier on record of a device that had one of these names
// before, and otherwise the one that it has now.
func (t *tx) knownUDID(ctx context.Context, previous []string, udid string) (string, error) {
	for i := len(previous) - 1; i >= 0; i-- {
		var known string
		err := t.QueryRowContext(ctx, `SELECT e.udid FROM enroll_android_phones p JOIN enroll_enrollments e ON e.id = p.enrollment_id
			WHERE p.name = $1`, previous[i]).Scan(&known)
		if err == nil || !errors.Is(err, sql.ErrNoRows) {
			return known, err
		}
	}
	return udid, nil
}

// AndroidPhone finds a phone by its name at Google.
func (s *Android) AndroidPhone(ctx context.Context, name string) (enroll.AndroidPhone, error) {
	return s.phone(ctx, `p.name = $1`, name)
}

// AndroidPhoneOf finds the phone of an enrolment.
func (s *Android) AndroidPhoneOf(ctx context.Context, id mdm.EnrollmentID) (enroll.AndroidPhone, error) {
	return s.phone(ctx, `p.enrollment_id = $1`, id)
}

func (s *Android) phone(ctx context.Context, condition string, arg any) (enroll.AndroidPhone, error) {
	p, err := scanAndroid(s.db.reader.QueryRowContext(ctx, `SELECT `+androidColumns+` FROM enroll_android_phones p WHERE `+condition, arg))
	if err != nil {
		return enroll.AndroidPhone{}, fmt.Errorf("load android phone: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return p, nil
}

func (t *tx) androidPhone(ctx context.Context, condition string, arg any) (enroll.AndroidPhone, error) {
	p, err := scanAndroid(t.QueryRowContext(ctx, `SELECT `+androidColumns+` FROM enroll_android_phones p WHERE `+condition, arg))
	return p, orNotFound(err, enroll.ErrNotFound)
}

// SaveAndroidReport merges what a phone reported at that moment.
func (s *Android) SaveAndroidReport(ctx context.Context, id mdm.EnrollmentID, at time.Time, r mdm.Report) error {
	return s.db.write(ctx, "save android report", func(t *tx) error {
		p, err := t.androidPhone(ctx, `p.enrollment_id = $1`, id)
		if err != nil {
			return err
		}
		e, err := t.enrollment(ctx, id)
		if err != nil {
			return err
		}
		if e.State.Ended() || whole(at).Before(p.ReportedAt) {
			return errUnchanged
		}
		stored, err := t.report(ctx, id)
		if err != nil {
			return err
		}
		kept := presented(stored)
		stored = stored.Merge(wholeReport(r))
		present(&stored, kept)
		t.saveReport(id, p.Sent.Confirm(stored), at)
		t.later(seen, seenAt(id, at)...)
		t.later(`UPDATE enroll_android_phones SET reported_at = $2 WHERE enrollment_id = $1`, id, micros(at))
		t.emit(mdm.EventReported, id, at)
		return nil
	})
}

// presented is the DeviceId that a report has, which Google does not tell.
func presented(r mdm.Report) string {
	if r.Device == nil {
		return ""
	}
	return r.Device.EASDeviceID
}

func present(r *mdm.Report, easDeviceID string) {
	if r.Device != nil && r.Device.EASDeviceID == "" {
		r.Device.EASDeviceID = easDeviceID // a copy: see wholeReport
	}
}

// duePolicies follows a partial index in its order (TestQueryPlans).
const duePolicies = `SELECT ` + androidColumns + ` FROM enroll_android_phones p WHERE p.due <> 0 AND p.due <= $1
	ORDER BY p.due, p.enrollment_id LIMIT $2`

// DuePolicies returns what is due, the longest due first.
func (s *Android) DuePolicies(ctx context.Context, now time.Time, limit int) ([]enroll.AndroidPhone, error) {
	rows, err := s.db.reader.QueryContext(ctx, duePolicies, micros(now), pageLimit(limit))
	list, err := collect(rows, err, scanAndroid)
	if err != nil {
		return nil, fmt.Errorf("list due android policies: %w", err)
	}
	return list, nil
}

// RequestPolicies makes phones due.
func (s *Android) RequestPolicies(ctx context.Context, ids []mdm.EnrollmentID, at time.Time) (int, error) {
	due := 0
	err := s.db.write(ctx, "request android policies", func(t *tx) (err error) {
		if ids == nil {
			due, err = t.policiesDue(ctx, at, ``)
			return err
		}
		due = 0
		for _, id := range ids {
			n, err := t.policiesDue(ctx, at, ` AND enrollment_id = $2`, id)
			if err != nil {
				return err
			}
			due += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return due, nil
}

// policiesDue is to phones' policies what makeDue is to wake-ups.
func (t *tx) policiesDue(ctx context.Context, at time.Time, condition string, args ...any) (int, error) {
	args = append([]any{micros(at)}, args...)
	again, err := t.change(ctx, `UPDATE enroll_android_phones SET due = due + 1 WHERE due <> 0 AND due <= $1`+condition, args...)
	if err != nil {
		return 0, err
	}
	n, err := t.change(ctx, `UPDATE enroll_android_phones SET due = $1, attempts = 0 WHERE (due = 0 OR due - 1 > $1)
		AND EXISTS (SELECT 1 FROM enroll_enrollments e WHERE e.id = enrollment_id AND e.state NOT IN `+endedStates+`)`+condition, args...)
	return int(again + n), err
}

// SavePolicy notes what became of a phone that was due.
func (s *Android) SavePolicy(ctx context.Context, p enroll.AndroidPhone, next time.Time) error {
	return s.db.write(ctx, "save android policy", func(t *tx) error {
		failed := time.Time{}
		if p.Error != "" {
			failed = t.db.now()
		}
		n, err := t.change(ctx, `UPDATE enroll_android_phones SET sent = $2, attempts = $3, error = $4, failed_at = $7, due = CASE WHEN due = $5 THEN $6 ELSE due END
			WHERE enrollment_id = $1`, p.EnrollmentID, document{p.Sent}, p.Attempts, mdm.PhoneText(p.Error), micros(p.Due), micros(next), micros(failed))
		if err == nil && n == 0 {
			err = enroll.ErrNotFound
		}
		if err != nil {
			return err
		}
		r, err := t.report(ctx, p.EnrollmentID)
		if err != nil {
			return err
		}
		if confirmed := p.Sent.Confirm(r); !reflect.DeepEqual(confirmed, r) {
			t.saveReport(p.EnrollmentID, confirmed, t.db.now())
			t.emit(mdm.EventReported, p.EnrollmentID, t.db.now())
		}
		return nil
	})
}

// KeepPolicies notes of phones that nothing changed for them.
func (s *Android) KeepPolicies(ctx context.Context, phones []enroll.AndroidPhone) error {
	return s.db.write(ctx, "keep android policies", func(t *tx) error {
		for _, p := range phones {
			if _, err := t.ExecContext(ctx, `UPDATE enroll_android_phones SET attempts = 0, error = '', failed_at = 0, due = CASE WHEN due = $2 THEN 0 ELSE due END
				WHERE enrollment_id = $1`, p.EnrollmentID, micros(p.Due)); err != nil {
				return err
			}
		}
		return nil
	})
}

const androidCounts = `SELECT COUNT(CASE WHEN e.state IN ` + activeStates + ` THEN 1 END), COUNT(CASE WHEN p.due <> 0 THEN 1 END),
		COUNT(CASE WHEN p.due <> 0 AND p.error <> '' THEN 1 END), COUNT(CASE WHEN p.due = 0 AND p.error <> '' THEN 1 END),
		COUNT(CASE WHEN p.missing_since <> 0 AND e.state NOT IN ` + endedStates + ` THEN 1 END),
		COALESCE(MAX(CASE WHEN e.state IN ` + activeStates + ` THEN p.reported_at END), 0),
		(SELECT COUNT(*) FROM enroll_android_tickets t WHERE t.due <> 0 AND t.due <= $1)
	FROM enroll_android_phones p JOIN enroll_enrollments e ON e.id = p.enrollment_id`

const androidErrors = `SELECT error, COUNT(*), MAX(failed_at) FROM enroll_android_phones WHERE error <> ''
	GROUP BY error ORDER BY MAX(failed_at) DESC, error LIMIT 20`

// AndroidState counts phones.
func (s *Android) AndroidState(ctx context.Context) (enroll.AndroidState, error) {
	state := enroll.AndroidState{Errors: map[string]int{}}
	err := s.db.read(ctx, "count android phones", func(t *tx) error {
		err := t.QueryRowContext(ctx, androidCounts, micros(s.db.now())).Scan(&state.Active, &state.Due, &state.Failing, &state.Left, &state.Missing,
			stamp{&state.ReportedAt}, &state.Tokens)
		if err != nil {
			return err
		}
		rows, err := t.QueryContext(ctx, androidErrors)
		_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
			var text string
			var n int
			var at time.Time
			err = row.Scan(&text, &n, stamp{&at})
			if len(state.Errors) == 0 {
				state.NewestError, state.FailedAt = text, at
			}
			state.Errors[text] = n
			return none, err
		})
		return err
	})
	return state, err
}

// dismissAndroid has the policy of a phone taken back whose enrolment ends: that it
// left nobody knows for sure but Google.
func (t *tx) dismissAndroid(ctx context.Context, id mdm.EnrollmentID, now time.Time) error {
	_, err := t.ExecContext(ctx, `UPDATE enroll_android_phones SET due = $2, attempts = 0 WHERE enrollment_id = $1`, id, micros(now))
	return err
}

// restoreAndroid forgets what Google was told: it may have been told other things
// since the backup.
func (t *tx) restoreAndroid(ctx context.Context, now time.Time) error {
	if _, err := t.ExecContext(ctx, `UPDATE enroll_android_tickets SET void_at = $1, due = CASE WHEN due > $1 THEN $1 ELSE due END
		WHERE void_at = 0 AND used_at = 0`, micros(now)); err != nil {
		return err
	}
	rows, err := t.QueryContext(ctx, `SELECT `+androidColumns+` FROM enroll_android_phones p ORDER BY p.enrollment_id`)
	phones, err := collect(rows, err, scanAndroid)
	if err != nil {
		return err
	}
	for _, p := range phones {
		p.Sent.Hash, p.Sent.MailHash, p.Sent.BareHash = "", "", ""
		p.Sent.Assigned, p.Sent.KnoxAt = false, time.Time{}
		if _, err := t.ExecContext(ctx, `UPDATE enroll_android_phones SET sent = $2, due = $3, attempts = 0, missing_since = 0 WHERE enrollment_id = $1`,
			p.EnrollmentID, document{p.Sent}, micros(now)); err != nil {
			return err
		}
	}
	return nil
}

// atGoogle is what Google was told of a phone's policy, which app brings it keys,
// and what is wrong with the phone there; zero where there is no phone.
type atGoogle struct {
	sent      enroll.AndroidPolicy
	companion string
	trouble   string
	missing   time.Time
}

func (known atGoogle) tell(have *enroll.Have) {
	have.Sent, have.Companion, have.Trouble, have.MissingSince = known.sent, known.companion, known.trouble, known.missing
}

func (db *DB) atGoogle(ctx context.Context, id mdm.EnrollmentID) (known atGoogle, err error) {
	err = db.reader.QueryRowContext(ctx, `SELECT sent, `+companionPackage+`, error, missing_since FROM enroll_android_phones WHERE enrollment_id = $1`, id).
		Scan(document{&known.sent}, &known.companion, &known.trouble, stamp{&known.missing})
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return known, fmt.Errorf("load android policy: %w", err)
	}
	return known, nil
}

// sentQuery reads it of those from $1 to $2.
const sentQuery = `SELECT enrollment_id, sent, ` + companionPackage + ` FROM enroll_android_phones WHERE enrollment_id >= $1 AND enrollment_id <= $2 ORDER BY enrollment_id`

// sent adds to facts what Google was told of Android phones.
func (t *tx) sent(ctx context.Context, facts []enroll.Fact) error {
	rows, err := t.QueryContext(ctx, sentQuery, facts[0].Have.Enrollment.ID, facts[len(facts)-1].Have.Enrollment.ID)
	i := 0
	_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
		var id mdm.EnrollmentID
		var sent enroll.AndroidPolicy
		var companion string
		if err := row.Scan(textOf(&id), document{&sent}, &companion); err != nil {
			return none, err
		}
		for i < len(facts) && facts[i].Have.Enrollment.ID < id {
			i++
		}
		if i < len(facts) && facts[i].Have.Enrollment.ID == id {
			facts[i].Have.Sent, facts[i].Have.Companion = sent, companion
		}
		return none, nil
	})
	return err
}
