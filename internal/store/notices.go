package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sallyport/access"
	"sallyport/internal/notify"
)

var _ access.NoticeStore = (*Mails)(nil)

// noticesSetting is the setting that holds a noticesState.
const noticesSetting = "access.notices"

// noticesState is how far notices have come.
type noticesState struct {
	Seq      int64     `json:"seq"` // of the feed
	DigestAt time.Time `json:"digest_at,omitzero"`
}

func (t *tx) noticesState(ctx context.Context) (s noticesState, begun bool, err error) {
	err = t.QueryRowContext(ctx, `SELECT value FROM app_settings WHERE name = $1`, noticesSetting).Scan(document{&s})
	if errors.Is(err, sql.ErrNoRows) {
		return s, false, nil
	}
	return s, err == nil, err
}

func (t *tx) setNoticesState(ctx context.Context, s noticesState) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return t.setSetting(ctx, noticesSetting, string(text))
}

// NoticeCursor is up to where the feed was read.
func (s *Mails) NoticeCursor(ctx context.Context) (seq int64, begun bool, err error) {
	err = s.db.read(ctx, "load cursor of notices", func(t *tx) error {
		var state noticesState
		state, begun, err = t.noticesState(ctx)
		seq = state.Seq
		return err
	})
	return seq, begun, err
}

// BeginNotices sets the cursor and drops all that waits.
func (s *Mails) BeginNotices(ctx context.Context, seq int64) error {
	return s.db.write(ctx, "begin notices", func(t *tx) error {
		state, _, err := t.noticesState(ctx)
		if err != nil {
			return err
		}
		if err := t.dropNotices(ctx); err != nil {
			return err
		}
		state.Seq = seq
		return t.setNoticesState(ctx, state)
	})
}

// ForgetNotices takes the cursor away.
func (s *Mails) ForgetNotices(ctx context.Context) error {
	return s.db.write(ctx, "forget notices", func(t *tx) error {
		_, begun, err := t.noticesState(ctx)
		if err != nil {
			return err
		}
		if !begun {
			return errUnchanged
		}
		if err := t.dropNotices(ctx); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `DELETE FROM app_settings WHERE name = $1`, noticesSetting)
		return err
	})
}

func (t *tx) dropNotices(ctx context.Context) error {
	now := micros(t.db.now())
	if _, err := t.ExecContext(ctx, `UPDATE mails SET state = 'dropped', next_at = 0, done_at = $1, text = '' WHERE state = 'waiting'`, now); err != nil {
		return err
	}
	if _, err := t.ExecContext(ctx, `UPDATE access_notices SET due_at = 0, change = '' WHERE due_at > 0`); err != nil {
		return err
	}
	_, err := t.ExecContext(ctx, `DELETE FROM access_digest WHERE sent_at = 0`)
	return err
}

// NoteChanges moves the cursor, with what the rows mean.
func (s *Mails) NoteChanges(ctx context.Context, from, to int64, list []access.Noted, gap time.Duration) error {
	return s.db.write(ctx, "note changes of decisions", func(t *tx) error {
		state, begun, err := t.noticesState(ctx)
		if err != nil {
			return err
		}
		if !begun || state.Seq != from {
			return errUnchanged
		}
		for _, n := range list {
			if err := t.noteChange(ctx, n, gap); err != nil {
				return fmt.Errorf("device %s: %w", n.Change.DeviceID, err)
			}
		}
		state.Seq = to
		return t.setNoticesState(ctx, state)
	})
}

func (t *tx) noteChange(ctx context.Context, n access.Noted, gap time.Duration) error {
	var err error
	switch id := n.Change.DeviceID; n.Move {
	case access.NoticeBegin:
		if _, err = t.ExecContext(ctx, `INSERT INTO access_notices (device_id, told_at, due_at, change, seq) VALUES ($1, 0, $2, $3, $5)
			ON CONFLICT (device_id) DO UPDATE SET change = excluded.change, seq = excluded.seq,
			due_at = CASE WHEN access_notices.told_at > 0 AND access_notices.told_at + $4 > excluded.due_at
				THEN access_notices.told_at + $4 ELSE excluded.due_at END`,
			id, micros(n.DueAt), document{n.Change}, gap.Microseconds(), n.Change.Seq); err != nil {
			return err
		}
		return t.putLine(ctx, n.Line, `DO UPDATE SET at = excluded.at, line = excluded.line, urgent = excluded.urgent, sent_at = 0`)
	case access.NoticeTurn:
		if _, err = t.ExecContext(ctx, `UPDATE access_notices SET change = $2, seq = $3 WHERE device_id = $1 AND due_at > 0`, id, document{n.Change}, n.Change.Seq); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `UPDATE access_digest SET line = $2, urgent = $3 WHERE key = $1 AND sent_at = 0`, n.Line.Key, document{n.Line}, n.Line.Effect == access.Quarantine)
	case access.NoticeEnd, access.NoticeForget:
		query := `UPDATE access_notices SET due_at = 0, change = '' WHERE device_id = $1 AND due_at > 0`
		if n.Move == access.NoticeForget {
			query = `DELETE FROM access_notices WHERE device_id = $1`
		}
		if _, err = t.ExecContext(ctx, query, id); err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `DELETE FROM access_digest WHERE key = $1 AND sent_at = 0`, access.DeviceLine(id))
	}
	return err
}

func (t *tx) putLine(ctx context.Context, l access.DigestLine, conflict string) error {
	_, err := t.ExecContext(ctx, `INSERT INTO access_digest (key, at, line, urgent, sent_at) VALUES ($1, $2, $3, $4, 0) ON CONFLICT (key) `+conflict,
		l.Key, micros(l.At), document{l}, l.Effect == access.Quarantine)
	return err
}

const dueNotices = `SELECT change, due_at FROM access_notices WHERE due_at > 0 AND (due_at <= $1 OR due_at > $2) ORDER BY due_at, device_id LIMIT $3`

// DueNotices returns those to be told.
func (s *Mails) DueNotices(ctx context.Context, now, ahead time.Time, limit int) ([]access.WaitingNotice, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueNotices, micros(now), micros(ahead), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (w access.WaitingNotice, err error) {
		err = row.Scan(document{&w.Change}, stamp{&w.DueAt})
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("list due notices: %w", err)
	}
	return list, nil
}

// NoticeTold ends the waiting of a notice, with its mail.
func (s *Mails) NoticeTold(ctx context.Context, w access.WaitingNotice, m *notify.Mail, now time.Time) error {
	return s.db.write(ctx, "tell notice", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE access_notices SET due_at = 0, change = '' WHERE device_id = $1 AND due_at = $2 AND seq = $3`,
			w.Change.DeviceID, micros(w.DueAt), w.Change.Seq)
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		if m == nil {
			return nil
		}
		if _, err := t.ExecContext(ctx, `UPDATE access_notices SET told_at = $2 WHERE device_id = $1`, w.Change.DeviceID, micros(now)); err != nil {
			return err
		}
		_, err = t.enqueue(ctx, []notify.Mail{*m})
		return err
	})
}

// AddLine puts a line for admins on record.
func (s *Mails) AddLine(ctx context.Context, l access.DigestLine) error {
	return s.db.write(ctx, "note line for admins", func(t *tx) error { return t.putLine(ctx, l, `DO NOTHING`) })
}

const (
	digestWaiting = `SELECT line FROM access_digest WHERE sent_at = 0 AND at <= $1 ORDER BY at, key LIMIT $2`
	digestCounts  = `SELECT COUNT(*), COALESCE(MIN(at), 0), COUNT(CASE WHEN urgent THEN 1 END)
		FROM access_digest WHERE sent_at = 0 AND at <= $1`
)

// Digest returns the lines that wait.
func (s *Mails) Digest(ctx context.Context, before time.Time, limit int) (access.Digest, error) {
	var d access.Digest
	err := s.db.read(ctx, "load lines for admins", func(t *tx) error {
		state, _, err := t.noticesState(ctx)
		if err != nil {
			return err
		}
		d = access.Digest{SentAt: state.DigestAt}
		if err := t.QueryRowContext(ctx, digestCounts, micros(before)).Scan(&d.Waiting, stamp{&d.Oldest}, &d.Quarantined); err != nil || d.Waiting == 0 {
			return err
		}
		rows, err := t.QueryContext(ctx, digestWaiting, micros(before), pageLimit(limit))
		d.Lines, err = collect(rows, err, func(row scanner) (l access.DigestLine, err error) { return l, row.Scan(document{&l}) })
		return err
	})
	return d, err
}

// DigestSent notes which lines went out, with the mails.
func (s *Mails) DigestSent(ctx context.Context, before, now time.Time, mails []notify.Mail) error {
	return s.db.write(ctx, "tell admins", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE access_digest SET sent_at = $2 WHERE sent_at = 0 AND at <= $1`, micros(before), micros(now))
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		state, _, err := t.noticesState(ctx)
		if err != nil {
			return err
		}
		if _, err := t.enqueue(ctx, mails); err != nil {
			return err
		}
		state.DigestAt = now
		return t.setNoticesState(ctx, state)
	})
}
