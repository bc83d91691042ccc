package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// livePhones pages by primary key.
const livePhones = `SELECT ` + androidColumns + ` FROM enroll_android_phones p JOIN enroll_enrollments e ON e.id = p.enrollment_id
	WHERE p.enrollment_id > $1 AND e.state NOT IN ` + endedStates + ` ORDER BY p.enrollment_id LIMIT $2`

// LivePhones returns phones whose enrolments have not ended.
func (s *Android) LivePhones(ctx context.Context, after mdm.EnrollmentID, limit int) ([]enroll.AndroidPhone, error) {
	rows, err := s.db.reader.QueryContext(ctx, livePhones, after, pageLimit(limit))
	list, err := collect(rows, err, scanAndroid)
	if err != nil {
		return nil, fmt.Errorf("list live android phones: %w", err)
	}
	return list, nil
}

// SaveMissing notes since when Google's lists lack a phone.
func (s *Android) SaveMissing(ctx context.Context, id mdm.EnrollmentID, since time.Time) error {
	return s.db.write(ctx, "save missing android phone", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE enroll_android_phones SET missing_since = $2 WHERE enrollment_id = $1`, id, micros(since))
		if err == nil && n == 0 {
			err = enroll.ErrNotFound
		}
		return err
	})
}
