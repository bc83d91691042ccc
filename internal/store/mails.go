package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/notify"
)

var _ notify.Store = (*Mails)(nil)

// Mails keeps what is to be said to people by mail.
type Mails struct{ db *DB }

// Mails returns the store of mails.
func (db *DB) Mails() *Mails { return &Mails{db} }

// watchMail is how far ahead a mail may be due: what lies further is of a clock
// that was set right since.
const watchMail = 24 * time.Hour

// Enqueue takes mails, unless too many wait.
func (s *Mails) Enqueue(ctx context.Context, list []notify.Mail) error {
	return s.db.write(ctx, "queue mails", func(t *tx) error {
		n, err := t.enqueue(ctx, list)
		if err == nil && n == 0 {
			return errUnchanged
		}
		return err
	})
}

// enqueue is for units that note in the same transaction what the mails say, and
// returns how many of them are new.
func (t *tx) enqueue(ctx context.Context, list []notify.Mail) (int64, error) {
	if len(list) == 0 {
		return 0, nil
	}
	var waiting, all int64
	if err := t.QueryRowContext(ctx, waitingMails).Scan(&waiting); err != nil {
		return 0, err
	}
	for _, m := range list {
		n, err := t.change(ctx, `INSERT INTO mails (key, recipient, subject, text, locale, state, attempts, created_at, next_at, done_at, reply)
			VALUES ($1, $2, $3, $4, $5, 'waiting', 0, $6, $6, 0, '') ON CONFLICT (key) DO NOTHING`,
			m.Key, m.To, m.Subject, m.Text, m.Locale, micros(t.db.now()))
		if err != nil {
			return 0, err
		}
		all += n
	}
	if all > 0 && waiting+all > notify.MaxWaiting {
		return 0, notify.ErrFull
	}
	return all, nil
}

const (
	waitingMails = `SELECT COUNT(*) FROM mails WHERE state = 'waiting'`
	dueMails     = `SELECT key, recipient, subject, text, locale, attempts, created_at FROM mails
		WHERE state = 'waiting' AND (next_at <= $1 OR next_at > $2) ORDER BY next_at, key LIMIT $3`
)

// DueMails returns those to be tried.
func (s *Mails) DueMails(ctx context.Context, now time.Time, limit int) ([]notify.Queued, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueMails, micros(now), micros(now.Add(watchMail)), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (q notify.Queued, err error) {
		err = row.Scan(&q.Key, &q.To, &q.Subject, &q.Text, &q.Locale, &q.Attempts, stamp{&q.CreatedAt})
		return q, err
	})
	if err != nil {
		return nil, fmt.Errorf("list due mails: %w", err)
	}
	return list, nil
}

// MailDone ends the waiting of a mail.
func (s *Mails) MailDone(ctx context.Context, key string, state notify.State, reply string, at time.Time) error {
	return s.db.write(ctx, "end mail", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE mails SET state = $2, attempts = attempts + 1, next_at = 0, done_at = $3, reply = $4, text = ''
			WHERE key = $1 AND state = 'waiting'`, key, state, micros(at), reply)
		return err
	})
}

// MailAgain postpones a mail.
func (s *Mails) MailAgain(ctx context.Context, key, reply string, at, next time.Time) error {
	return s.db.write(ctx, "postpone mail", func(t *tx) error {
		_, err := t.ExecContext(ctx, `UPDATE mails SET attempts = attempts + 1, next_at = $2, done_at = $3, reply = $4
			WHERE key = $1 AND state = 'waiting'`, key, micros(next), micros(at), reply)
		return err
	})
}

const mailCounts = `SELECT COUNT(CASE WHEN state = 'waiting' THEN 1 END), COALESCE(MIN(CASE WHEN state = 'waiting' THEN created_at END), 0),
	COUNT(CASE WHEN state = 'waiting' AND attempts > 0 THEN 1 END), COUNT(CASE WHEN state = 'sent' THEN 1 END),
	COUNT(CASE WHEN state IN ('refused', 'expired') THEN 1 END) FROM mails`

// MailStatus counts mails.
func (s *Mails) MailStatus(ctx context.Context) (notify.Status, error) {
	var st notify.Status
	err := s.db.read(ctx, "count mails", func(t *tx) error {
		if err := t.QueryRowContext(ctx, mailCounts).Scan(&st.Waiting, stamp{&st.Oldest}, &st.Tried, &st.Sent, &st.Lost); err != nil {
			return err
		}
		err := t.QueryRowContext(ctx, `SELECT reply, done_at FROM mails WHERE state IN ('waiting', 'refused', 'expired') AND done_at > 0
			ORDER BY done_at DESC LIMIT 1`).Scan(&st.Reply, stamp{&st.ReplyAt})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return st, err
}

// PruneMails forgets old mails.
func (s *Mails) PruneMails(ctx context.Context, before time.Time) (int64, error) {
	var n int64
	err := s.db.write(ctx, "forget old mails", func(t *tx) (err error) {
		n, err = t.change(ctx, `DELETE FROM mails WHERE key IN (SELECT key FROM mails
			WHERE state <> 'waiting' AND done_at < $1 ORDER BY done_at, key LIMIT $2)`, micros(before), maxLimit)
		if err != nil {
			return err
		}
		lines, err := t.change(ctx, `DELETE FROM access_digest WHERE key IN (SELECT key FROM access_digest
			WHERE sent_at > 0 AND sent_at < $1 ORDER BY sent_at, key LIMIT $2)`, micros(before), maxLimit)
		if err == nil && n+lines == 0 {
			return errUnchanged
		}
		return err
	})
	return n, err
}
