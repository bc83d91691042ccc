package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"sallyport/access"
	"sallyport/enroll/directory"
)

const denialColumns = `id, denial_key, device_id, inputs, decision, trace, times, first_at, last_at`

func scanDenial(row scanner) (access.Denial, error) {
	var d access.Denial
	err := row.Scan(&d.ID, &d.Key, &d.DeviceID, document{&d.Inputs}, document{&d.Decision}, document{&d.Trace}, &d.Count,
		stamp{&d.FirstAt}, stamp{&d.LastAt})
	return d, err
}

// SaveDenials counts refusals that are on record, and writes down the others. They
// go in the order of Key, so that two that do so at once wait for each other only.
func (s *Access) SaveDenials(ctx context.Context, list []access.Denial) error {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b access.Denial) int { return strings.Compare(a.Key, b.Key) })
	return s.db.write(ctx, "save denials", func(t *tx) error {
		for _, d := range list {
			var user directory.UserID
			if len(d.Inputs.People) == 1 {
				user = d.Inputs.People[0].ID
			}
			t.later(`INSERT INTO access_denials (id, denial_key, user_id, device_id, inputs, decision, trace, times, first_at, last_at)
				VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (denial_key) DO UPDATE SET
					times = access_denials.times + excluded.times,
					first_at = CASE WHEN excluded.first_at < access_denials.first_at THEN excluded.first_at ELSE access_denials.first_at END,
					last_at = CASE WHEN excluded.last_at > access_denials.last_at THEN excluded.last_at ELSE access_denials.last_at END`,
				d.ID, d.Key, user, d.DeviceID, document{d.Inputs}, document{d.Decision}, document{d.Trace}, d.Count, micros(d.FirstAt), micros(d.LastAt))
		}
		return nil
	})
}

// Denial returns one refusal.
func (s *Access) Denial(ctx context.Context, id string) (access.Denial, error) {
	d, err := scanDenial(s.db.reader.QueryRowContext(ctx, `SELECT `+denialColumns+` FROM access_denials WHERE id = $1`, id))
	if err != nil {
		return access.Denial{}, fmt.Errorf("load denial %s: %w", id, orNotFound(err, access.ErrNotFound))
	}
	return d, nil
}

// Denials lists refusals, the newest first.
func (s *Access) Denials(ctx context.Context, user directory.UserID, before string, limit int) ([]access.Denial, error) {
	query, args := listDenials(user, before, limit)
	rows, err := s.db.reader.QueryContext(ctx, query, args...)
	list, err := collect(rows, err, scanDenial)
	if err != nil {
		return nil, fmt.Errorf("list denials: %w", err)
	}
	return list, nil
}

func listDenials(user directory.UserID, before string, limit int) (query string, args []any) {
	var w where
	if user != "" {
		w.add("user_id = ?", user)
	}
	if before != "" {
		w.add("id < ?", before)
	}
	return `SELECT ` + denialColumns + ` FROM access_denials` + w.clause() + ` ORDER BY id DESC` + w.limit(pageLimit(limit)), w.args
}
