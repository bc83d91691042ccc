package store

import (
	"context"
	"fmt"
	"slices"

	"sallyport/access"
)

var _ access.Spoken = (*Access)(nil)

// Newest returns the newest word on each of the devices.
func (s *Access) Newest(ctx context.Context, ids []access.DeviceID) (map[access.DeviceID]access.Change, error) {
	newest := make(map[access.DeviceID]access.Change, len(ids))
	for some := range slices.Chunk(ids, maxLimit) {
		err := s.db.read(ctx, "load what was published last", func(t *tx) error {
			f, err := t.feed(ctx)
			if err != nil {
				return err
			}
			query, args := newestOf(some)
			list, err := t.changes(ctx, f, query, args...)
			for _, c := range list {
				newest[c.DeviceID] = c
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("%d devices: %w", len(some), err)
		}
	}
	return newest, nil
}

func newestOf(ids []access.DeviceID) (query string, args []any) {
	var w where
	w.add("followed_at = 0")
	w.in("device_id", padded(ids))
	return `SELECT seq, change FROM access_changes` + w.clause(), w.args
}
