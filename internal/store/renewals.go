package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"sallyport/certs"
	"sallyport/mdm"
)

// renewals stores and scans what is due for an enrolment. Nearly always that is
// nothing: an empty text, so that a poll parses nothing.
type renewals struct{ v *[]mdm.Renewal }

func (r renewals) Value() (driver.Value, error) {
	if len(*r.v) == 0 {
		return "", nil
	}
	return document{*r.v}.Value()
}

func (r renewals) Scan(src any) error {
	text, ok := src.(string)
	if !ok {
		return fmt.Errorf("column of renewals holds %T", src)
	}
	if text == "" {
		*r.v = nil
		return nil
	}
	return document{r.v}.Scan(text)
}

// changeRenewals replaces what is due for an enrolment, where change makes any
// difference. An enrolment that is not on record has nothing.
func (t *tx) changeRenewals(ctx context.Context, id mdm.EnrollmentID, change func([]mdm.Renewal) []mdm.Renewal) error {
	var before []mdm.Renewal
	err := t.QueryRowContext(ctx, `SELECT renewals FROM enroll_enrollments WHERE id = $1`, id).Scan(renewals{&before})
	if err != nil {
		return orNotFound(err, nil)
	}
	after := change(slices.Clone(before))
	if slices.Equal(before, after) {
		return nil
	}
	_, err = t.ExecContext(ctx, `UPDATE enroll_enrollments SET renewals = $2 WHERE id = $1`, id, renewals{&after})
	return err
}

// endRenewal ends what the enrolment waits for, since the successor was issued.
func (t *tx) endRenewal(ctx context.Context, g certs.Grant) error {
	if g.EnrollmentID == "" {
		return nil
	}
	return t.changeRenewals(ctx, mdm.EnrollmentID(g.EnrollmentID), func(list []mdm.Renewal) []mdm.Renewal {
		return slices.DeleteFunc(list, func(r mdm.Renewal) bool { return r.Rule == string(g.Rule) && r.Profile == g.Profile })
	})
}

// addRenewal says whether it was added: not to an enrolment that has ended, or that
// waits for the like already.
func (t *tx) addRenewal(ctx context.Context, id mdm.EnrollmentID, r mdm.Renewal) (bool, error) {
	var list []mdm.Renewal
	err := t.QueryRowContext(ctx, `SELECT renewals FROM enroll_enrollments WHERE id = $1 AND state NOT IN `+endedStates, id).Scan(renewals{&list})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	waits := slices.ContainsFunc(list, func(w mdm.Renewal) bool { return w.Rule == r.Rule && w.Profile == r.Profile })
	if err != nil || waits {
		return false, err
	}
	r.DueAt = whole(r.DueAt)
	list = append(list, r)
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET renewals = $2 WHERE id = $1`, id, renewals{&list}); err != nil {
		return false, err
	}
	_, err = t.makeDue(ctx, latest(r.DueAt, t.db.now()), ` AND enrollment_id = $2`, id)
	return true, err
}
