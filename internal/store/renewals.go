package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"sallyport/certs"
	"sallyport/enroll"
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

// endRenewal ends what the enrolment waits for, since the successor was issued. One
// by which rights are to go is not done while the successor leaves them: it was asked
// for before that, or by the phone's own signature, which brings no profile.
func (t *tx) endRenewal(ctx context.Context, g certs.Grant) error {
	if g.EnrollmentID == "" {
		return nil
	}
	drops := g.AccessRights != 0 && g.AccessRights&^enroll.AccessRights(mdm.Personal) == 0
	return t.changeRenewals(ctx, mdm.EnrollmentID(g.EnrollmentID), func(list []mdm.Renewal) []mdm.Renewal {
		return slices.DeleteFunc(list, func(r mdm.Renewal) bool {
			return r.Rule == string(g.Rule) && r.Profile == g.Profile && (drops || r.Reason != mdm.RenewalRights)
		})
	})
}

// addRenewal says whether it was added: not to an enrolment that has ended, or that
// waits for the like already. One by which rights go takes the place of another.
func (t *tx) addRenewal(ctx context.Context, id mdm.EnrollmentID, r mdm.Renewal) (bool, error) {
	var list []mdm.Renewal
	err := t.QueryRowContext(ctx, `SELECT renewals FROM enroll_enrollments WHERE id = $1 AND state NOT IN `+endedStates, id).Scan(renewals{&list})
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	r.DueAt = whole(r.DueAt)
	waits := slices.IndexFunc(list, func(w mdm.Renewal) bool { return w.Rule == r.Rule && w.Profile == r.Profile })
	switch {
	case waits < 0:
		list = append(list, r)
	case r.Reason == mdm.RenewalRights && list[waits].Reason != r.Reason:
		list[waits] = r
	default:
		return false, nil
	}
	if _, err := t.ExecContext(ctx, `UPDATE enroll_enrollments SET renewals = $2 WHERE id = $1`, id, renewals{&list}); err != nil {
		return false, err
	}
	// A phone is woken by one of the two: an iPhone has no policy at Google's, and an
	// Android phone no wake-ups.
	due := latest(r.DueAt, t.db.now())
	if _, err = t.makeDue(ctx, due, ` AND enrollment_id = $2`, id); err != nil {
		return false, err
	}
	_, err = t.policiesDue(ctx, due, ` AND enrollment_id = $2`, id)
	return true, err
}
