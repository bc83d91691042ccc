package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/mdm"
)

var _ access.ChangeStore = (*Access)(nil)

const (
	// rowsAtOnce bounds the arguments of one statement.
	rowsAtOnce = 100
	// keptFor is how long a row of the feed outlives its successor's arrival.
	keptFor = 30 * 24 * time.Hour
	// feedSetting is the setting that holds feed.
	feedSetting = "access.feed"
	// restoredFrom lies between the rows of a backup and those that follow a
	// restore: more than were ever written since the backup was made.
	restoredFrom = 1 << 32
)

// feed is how rows in the table make the feed.
type feed struct {
	// Base is added to a row's number. A restore raises it: rows that were lost had
	// numbers, too, which readers know, and no other row must have.
	Base int64 `json:"base"`
	// Dropped is the newest Seq that a reader cannot have any more.
	Dropped int64 `json:"dropped"`
}

func (t *tx) feed(ctx context.Context) (f feed, err error) {
	err = t.QueryRowContext(ctx, `SELECT value FROM app_settings WHERE name = $1`, feedSetting).Scan(document{&f})
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return f, err
}

func (t *tx) setFeed(ctx context.Context, f feed) error {
	text, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return t.setSetting(ctx, feedSetting, string(text))
}

// restoreFeed has every reader of the feed start anew.
func (t *tx) restoreFeed(ctx context.Context) error {
	f, err := t.feed(ctx)
	if err != nil {
		return err
	}
	f.Base += restoredFrom
	f.Dropped = f.Base
	return t.setFeed(ctx, f)
}

// Publish writes decisions that are news, unless somebody else was faster.
func (s *Access) Publish(ctx context.Context, list []access.Change) ([]access.Change, error) {
	var told []access.Change
	err := s.db.write(ctx, "publish decisions", func(t *tx) error {
		written, err := t.publish(ctx, oncePerDevice(list))
		if err != nil {
			return err
		}
		told, err = t.tell(ctx, written)
		if err == nil && len(told) == 0 {
			return errUnchanged
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return told, nil
}

// oncePerDevice orders changes by device: two that publish at once then wait for
// each other, and neither for ever. Of two about one device the first counts: the
// second cannot know what the first has made of it.
func oncePerDevice(list []access.Change) []access.Change {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b access.Change) int { return cmp.Compare(a.DeviceID, b.DeviceID) })
	return slices.CompactFunc(list, func(a, b access.Change) bool { return a.DeviceID == b.DeviceID })
}

// publish compares and swaps the devices' published word, and returns the changes
// that it could write.
func (t *tx) publish(ctx context.Context, list []access.Change) ([]access.Change, error) {
	swapped := map[access.DeviceID]bool{}
	for some := range slices.Chunk(list, rowsAtOnce) {
		ids, err := t.swap(ctx, some)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			swapped[id] = true
		}
	}
	var written []access.Change
	for _, c := range list {
		if !swapped[c.DeviceID] {
			continue
		}
		if c.Removed {
			if _, err := t.ExecContext(ctx, `DELETE FROM access_devices WHERE id = $1`, c.DeviceID); err != nil {
				return nil, err
			}
		}
		written = append(written, c)
	}
	return written, nil
}

// swap sets the effects of devices that are still as before, and returns which.
func (t *tx) swap(ctx context.Context, list []access.Change) ([]access.DeviceID, error) {
	var w where
	rows := make([]string, len(list))
	for i, c := range list {
		rows[i] = fmt.Sprintf("(CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS TEXT), CAST(%s AS BIGINT))",
			w.bind(c.DeviceID), w.bind(c.Before), w.bind(c.Decision.Effect), w.bind(c.Decision.Step), w.bind(micros(c.At)))
	}
	// The engines agree on the names that columns of VALUES have.
	found, err := t.QueryContext(ctx, `UPDATE access_devices SET effect = v.column3, step = v.column4,
			since_at = CASE WHEN effect = v.column3 THEN since_at ELSE v.column5 END
		FROM (VALUES `+strings.Join(rows, ", ")+`) AS v
		WHERE id = v.column1 AND effect = v.column2 RETURNING id`, w.args...)
	return collect(found, err, func(row scanner) (id access.DeviceID, err error) {
		err = row.Scan(&id)
		return id, err
	})
}

// tell appends rows to the feed, which become visible in the order of Seq, each
// with its event. It comes last in a unit of work, as writeEvents does, and for
// the same reason.
func (t *tx) tell(ctx context.Context, list []access.Change) ([]access.Change, error) {
	if len(list) == 0 {
		return []access.Change{}, nil
	}
	told := slices.Clone(list)
	for some := range slices.Chunk(told, rowsAtOnce) {
		devices := make([]access.DeviceID, len(some))
		for i := range some {
			some[i].At, some[i].Decision.ValidUntil = whole(some[i].At), whole(some[i].Decision.ValidUntil)
			devices[i] = some[i].DeviceID
		}
		w := where{args: []any{micros(t.db.now())}}
		w.in("device_id", padded(devices))
		if _, err := t.ExecContext(ctx, `UPDATE access_changes SET followed_at = $1`+w.clause()+` AND followed_at = 0`, w.args...); err != nil {
			return nil, err
		}
	}
	f, err := t.feed(ctx)
	if err != nil {
		return nil, err
	}
	if err := t.orderEvents(ctx); err != nil {
		return nil, err
	}
	for some := range slices.Chunk(told, rowsAtOnce) {
		if err := t.appendChanges(ctx, f.Base, some); err != nil {
			return nil, err
		}
	}
	for _, c := range told {
		t.emitUser(mdm.EventDecision, c.UserID, c.At)
	}
	return told, nil
}

// appendChanges writes rows of the feed and notes their Seq.
func (t *tx) appendChanges(ctx context.Context, base int64, list []access.Change) error {
	var w where
	rows := make([]string, len(list))
	places := make(map[access.DeviceID]int, len(list))
	for i, c := range list {
		c.Seq = 0 // the row knows
		places[c.DeviceID] = i
		rows[i] = "(" + w.bind(c.DeviceID) + ", " + w.bind(document{c}) + ", " + w.bind(micros(c.At)) + ", 0)"
	}
	found, err := t.QueryContext(ctx, `INSERT INTO access_changes (device_id, change, at, followed_at)
		VALUES `+strings.Join(rows, ", ")+` RETURNING seq, device_id`, w.args...)
	_, err = collect(found, err, func(row scanner) (none struct{}, err error) {
		var seq int64
		var id access.DeviceID
		if err = row.Scan(&seq, &id); err == nil {
			list[places[id]].Seq = base + seq
		}
		return none, err
	})
	return err
}

const (
	changesAfter    = `SELECT seq, change FROM access_changes WHERE seq > $1 ORDER BY seq LIMIT $2`
	snapshotChanges = `SELECT seq, change FROM access_changes WHERE followed_at = 0 AND device_id > $1 ORDER BY device_id LIMIT $2`
)

// changes reads rows of the feed.
func (t *tx) changes(ctx context.Context, f feed, query string, args ...any) ([]access.Change, error) {
	rows, err := t.QueryContext(ctx, query, args...)
	return collect(rows, err, func(row scanner) (access.Change, error) {
		var seq int64
		var c access.Change
		err := row.Scan(&seq, document{&c})
		c.Seq = f.Base + seq
		return c, err
	})
}

// Changes returns rows of the feed after the cursor.
func (s *Access) Changes(ctx context.Context, after int64, limit int) ([]access.Change, error) {
	var list []access.Change
	err := s.db.read(ctx, "load decisions", func(t *tx) error {
		f, err := t.feed(ctx)
		if err != nil {
			return err
		}
		if after < f.Dropped {
			return access.ErrGone
		}
		list, err = t.changes(ctx, f, changesAfter, after-f.Base, pageLimit(limit))
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Snapshot returns the newest row of each device, and where the feed goes on.
func (s *Access) Snapshot(ctx context.Context, after access.DeviceID, limit int) ([]access.Change, int64, error) {
	var list []access.Change
	var newest int64
	err := s.db.read(ctx, "load newest decisions", func(t *tx) error {
		f, err := t.feed(ctx)
		if err != nil {
			return err
		}
		if err := t.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM access_changes`).Scan(&newest); err != nil {
			return err
		}
		newest += f.Base
		list, err = t.changes(ctx, f, snapshotChanges, after, pageLimit(limit))
		return err
	})
	if err != nil {
		return nil, 0, err
	}
	return list, newest, nil
}

// goneChanges are the last rows of devices that are not on record any more.
const goneChanges = `SELECT seq FROM access_changes c WHERE followed_at = 0 AND at <= $1
	AND NOT EXISTS (SELECT 1 FROM access_devices d WHERE d.id = c.device_id) ORDER BY seq LIMIT $2`

const followedChanges = `SELECT seq FROM access_changes WHERE followed_at <> 0 AND followed_at <= $1 ORDER BY followed_at, seq LIMIT $2`

// Prune drops rows that were followed long ago, some at a time.
func (s *Access) Prune(ctx context.Context, now time.Time) (int64, error) {
	var all int64
	for {
		n, err := s.prune(ctx, now.Add(-keptFor))
		all += n
		if n < maxLimit || err != nil {
			return all, err
		}
	}
}

func (s *Access) prune(ctx context.Context, before time.Time) (int64, error) {
	var dropped []int64
	err := s.db.write(ctx, "drop old decisions", func(t *tx) error {
		dropped = nil
		for _, query := range []string{followedChanges, goneChanges} {
			rows, err := t.QueryContext(ctx, `DELETE FROM access_changes WHERE seq IN (`+query+`) RETURNING seq`, micros(before), maxLimit-len(dropped))
			some, err := collect(rows, err, func(row scanner) (seq int64, err error) {
				err = row.Scan(&seq)
				return seq, err
			})
			if err != nil {
				return err
			}
			dropped = append(dropped, some...)
		}
		if len(dropped) == 0 {
			return errUnchanged
		}
		f, err := t.feed(ctx)
		if err != nil {
			return err
		}
		f.Dropped = max(f.Dropped, f.Base+slices.Max(dropped))
		return t.setFeed(ctx, f)
	})
	if err != nil {
		return 0, err
	}
	return int64(len(dropped)), nil
}
