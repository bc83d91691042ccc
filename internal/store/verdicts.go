package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/compliance"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

const verdictColumns = `enrollment_id, state, since, at, valid_until, grace_until, policy, findings`

func scanVerdict(row scanner) (compliance.Verdict, error) {
	var v compliance.Verdict
	err := row.Scan(&v.EnrollmentID, &v.State, stamp{&v.Since}, stamp{&v.At}, stamp{&v.ValidUntil},
		stamp{&v.GraceUntil}, &v.Policy, document{&v.Findings})
	return v, err
}

// Verdict returns the stored verdict.
func (s *Compliance) Verdict(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error) {
	v, err := scanVerdict(s.db.reader.QueryRowContext(ctx,
		`SELECT `+verdictColumns+` FROM compliance_verdicts WHERE enrollment_id = $1`, id))
	if err != nil {
		return compliance.Verdict{}, fmt.Errorf("load verdict of %s: %w", id, orNotFound(err, compliance.ErrNotFound))
	}
	return v, nil
}

// SaveVerdict replaces the verdict if the stored one still is before. An
// enrolment that is not on record is ErrNotFound.
func (s *Compliance) SaveVerdict(ctx context.Context, before, after compliance.Verdict, entry audit.Entry) error {
	r, err := rowOf(before, after, "", entry)
	if err != nil {
		return fmt.Errorf("save verdict: %w", err)
	}
	return s.db.write(ctx, "save verdict", func(t *tx) error { return t.saveVerdict(ctx, r) })
}

// verdictRow is a verdict that takes another's place, with the findings of both as
// they are stored.
type verdictRow struct {
	before, after compliance.Verdict
	was, is       string
	entry         audit.Entry
}

// rowOf makes the texts. kept is that of before, where it is known.
func rowOf(before, after compliance.Verdict, kept string, entry audit.Entry) (verdictRow, error) {
	r := verdictRow{before, after, kept, "", entry}
	var err error
	if r.is, err = findingsText(after.Findings); err == nil && kept == "" {
		r.was, err = findingsText(before.Findings)
	}
	return r, err
}

func (t *tx) saveVerdict(ctx context.Context, r verdictRow) error {
	var n int64
	var err error
	if r.before.At.IsZero() {
		n, err = t.insertVerdict(ctx, r)
	} else {
		n, err = t.replaceVerdict(ctx, r)
	}
	switch {
	case isForeignKey(err):
		return compliance.ErrNotFound
	case err != nil:
		return err
	case n == 0:
		return compliance.ErrStale
	}
	if err := t.watch(ctx, r.before, r.after); err != nil {
		return err
	}
	if !r.before.At.IsZero() && sameWords(r.before, r.after) {
		return nil
	}
	t.emit(mdm.EventVerdict, r.after.EnrollmentID, r.after.At)
	if r.before.State == r.after.State && !r.before.At.IsZero() {
		return nil
	}
	return t.audit(ctx, r.entry)
}

// sameWords reports whether nothing changes for whoever decides by verdicts: not
// the state, and not what is told of each rule. When a verdict was made and until
// when it holds is told by every one anew.
func sameWords(a, b compliance.Verdict) bool {
	return a.State == b.State && a.Policy == b.Policy && whole(a.GraceUntil).Equal(whole(b.GraceUntil)) &&
		slices.EqualFunc(a.Findings, b.Findings, func(a, b compliance.Finding) bool {
			return a.Rule == b.Rule && a.State == b.State && (a.State == compliance.Met || a.Fact == b.Fact && a.Fix == b.Fix)
		})
}

func (t *tx) insertVerdict(ctx context.Context, r verdictRow) (int64, error) {
	v := r.after
	return t.change(ctx, `INSERT INTO compliance_verdicts (enrollment_id, state, since, at, valid_until, grace_until,
			policy, findings, changed_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $4) ON CONFLICT (enrollment_id) DO NOTHING`,
		v.EnrollmentID, v.State, micros(v.Since), micros(v.At), micros(v.ValidUntil), micros(v.GraceUntil), v.Policy, r.is)
}

// replaceVerdict compares all of before and not only its time: two evaluations
// may fall into the same microsecond.
func (t *tx) replaceVerdict(ctx context.Context, r verdictRow) (int64, error) {
	before, after := r.before, r.after
	if before.State == after.State && before.ValidUntil.Equal(after.ValidUntil) {
		return t.renameVerdict(ctx, r)
	}
	return t.change(ctx, `UPDATE compliance_verdicts SET state = $2, since = $3, at = $4, valid_until = $5,
			grace_until = $6, policy = $7, findings = $8,
			changed_at = CASE WHEN state = $2 THEN changed_at ELSE $4 END
		WHERE enrollment_id = $1 AND state = $9 AND since = $10 AND at = $11 AND valid_until = $12
			AND grace_until = $13 AND policy = $14 AND findings = $15`,
		after.EnrollmentID, after.State, micros(after.Since), micros(after.At), micros(after.ValidUntil),
		micros(after.GraceUntil), after.Policy, r.is,
		before.State, micros(before.Since), micros(before.At), micros(before.ValidUntil),
		micros(before.GraceUntil), before.Policy, r.was)
}

// renameVerdict is replaceVerdict where no column of an index changes, which
// SQLite would write anew all the same.
func (t *tx) renameVerdict(ctx context.Context, r verdictRow) (int64, error) {
	before, after := r.before, r.after
	return t.change(ctx, `UPDATE compliance_verdicts SET since = $1, at = $2, grace_until = $3, policy = $4, findings = $5
		WHERE enrollment_id = $6 AND state = $7 AND since = $8 AND at = $9 AND valid_until = $10
			AND grace_until = $11 AND policy = $12 AND findings = $13`,
		micros(after.Since), micros(after.At), micros(after.GraceUntil), after.Policy, r.is,
		after.EnrollmentID, before.State, micros(before.Since), micros(before.At), micros(before.ValidUntil), micros(before.GraceUntil), before.Policy, r.was)
}

// DueVerdicts returns enrolments whose verdict's ValidUntil is before now, the
// longest overdue first.
func (s *Compliance) DueVerdicts(ctx context.Context, now time.Time, limit int) ([]mdm.EnrollmentID, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT enrollment_id FROM compliance_verdicts
		WHERE valid_until < $1 ORDER BY valid_until, enrollment_id LIMIT $2`, micros(now), pageLimit(limit))
	list, err := collect(rows, err, scanEnrollmentID)
	if err != nil {
		return nil, fmt.Errorf("list due verdicts: %w", err)
	}
	return list, nil
}
