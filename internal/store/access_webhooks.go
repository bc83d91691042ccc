package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

var (
	_ access.WebhookStore  = (*Access)(nil)
	_ access.DeliveryStore = (*Access)(nil)
)

const webhooksTable = "access_webhooks"

// AddWebhook writes a new one, with its secret sealed.
func (s *Access) AddWebhook(ctx context.Context, w access.Webhook, key secret.Value, entry audit.Entry) error {
	sealed, err := s.db.options.Sealer.Seal(webhooksTable, w.ID, "secret", []byte(key.Reveal()))
	if err != nil {
		return fmt.Errorf("seal secret of webhook %s: %w", w.ID, err)
	}
	return s.db.write(ctx, "add webhook", func(t *tx) error {
		position, err := t.newestChange(ctx)
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `INSERT INTO access_webhooks (id, url, events, secret, created_by, created_at, position,
				failures, failing_since, next_at, delivered_at, disabled_at, trouble)
			VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, 0, '')`,
			w.ID, w.URL, document{w.Events}, sealed, w.CreatedBy, micros(w.CreatedAt), position)
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// newestChange is where the feed ends.
func (t *tx) newestChange(ctx context.Context) (int64, error) {
	f, err := t.feed(ctx)
	if err != nil {
		return 0, err
	}
	var newest int64
	err = t.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) FROM access_changes`).Scan(&newest)
	return f.Base + newest, err
}

// Webhooks returns all, the oldest first.
func (s *Access) Webhooks(ctx context.Context) ([]access.Webhook, error) {
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, url, events, created_by, created_at, position, failures, failing_since,
		delivered_at, disabled_at, next_at, trouble FROM access_webhooks ORDER BY id`)
	list, err := collect(rows, err, func(row scanner) (access.Webhook, error) {
		var w access.Webhook
		err := row.Scan(&w.ID, &w.URL, document{&w.Events}, &w.CreatedBy, stamp{&w.CreatedAt}, &w.Position, &w.Failures, stamp{&w.FailingSince},
			stamp{&w.DeliveredAt}, stamp{&w.DisabledAt}, stamp{&w.NextAt}, &w.Trouble)
		return w, err
	})
	if err != nil {
		return nil, fmt.Errorf("list webhooks: %w", err)
	}
	return list, nil
}

// WebhookSecret opens the secret of one.
func (s *Access) WebhookSecret(ctx context.Context, id string) (secret.Value, error) {
	var sealed []byte
	err := s.db.reader.QueryRowContext(ctx, `SELECT secret FROM access_webhooks WHERE id = $1`, id).Scan(&sealed)
	if err != nil {
		return secret.Value{}, fmt.Errorf("load secret of webhook %s: %w", id, orNotFound(err, access.ErrWebhook))
	}
	plain, err := s.db.options.Sealer.Open(webhooksTable, id, "secret", sealed)
	if err != nil {
		return secret.Value{}, fmt.Errorf("open secret of webhook %s: %w", id, err)
	}
	return secret.New(string(plain)), nil
}

// RemoveWebhook forgets one.
func (s *Access) RemoveWebhook(ctx context.Context, id string, entry audit.Entry) error {
	return s.db.write(ctx, "remove webhook", func(t *tx) error {
		if _, err := t.ExecContext(ctx, `DELETE FROM access_deliveries WHERE webhook_id = $1`, id); err != nil {
			return err
		}
		n, err := t.change(ctx, `DELETE FROM access_webhooks WHERE id = $1`, id)
		if err == nil && n == 0 {
			err = access.ErrWebhook
		}
		if err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// SwitchWebhook disables one, or lets it begin anew.
func (s *Access) SwitchWebhook(ctx context.Context, id string, at time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "switch webhook", func(t *tx) error {
		position, err := t.newestChange(ctx)
		if err != nil {
			return err
		}
		n, err := t.change(ctx, `UPDATE access_webhooks SET disabled_at = $2, position = $3, failures = 0, failing_since = 0, next_at = 0 WHERE id = $1`,
			id, micros(at), position)
		if err == nil && n == 0 {
			err = access.ErrWebhook
		}
		if err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM access_deliveries WHERE webhook_id = $1`, id); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// Enqueue adds what is to be sent.
func (s *Access) Enqueue(ctx context.Context, id string, from, to int64, list []access.Delivery) error {
	return s.db.write(ctx, "enqueue deliveries", func(t *tx) error {
		n, err := t.change(ctx, `UPDATE access_webhooks SET position = $3 WHERE id = $1 AND position = $2 AND disabled_at = 0`, id, from, to)
		if err != nil {
			return err
		}
		if n == 0 {
			return errUnchanged
		}
		for _, d := range list {
			t.later(`INSERT INTO access_deliveries (webhook_id, seq, event, device_id, body, attempts, created_at, next_at)
				VALUES ($1, $2, $3, $4, $5, 0, $6, $6)`, id, d.Seq, d.Event, d.DeviceID, d.Body, micros(d.CreatedAt))
		}
		return nil
	})
}

// dueDeliveries leaves out what follows another one of the same device.
const dueDeliveries = `SELECT d.webhook_id, d.seq, d.event, d.device_id, d.body, d.attempts, d.created_at
	FROM access_deliveries d JOIN access_webhooks w ON w.id = d.webhook_id
	WHERE d.webhook_id = $1 AND d.next_at <= $2 AND w.next_at <= $2 AND w.disabled_at = 0 AND NOT EXISTS (
		SELECT 1 FROM access_deliveries o WHERE o.webhook_id = d.webhook_id AND o.device_id = d.device_id
			AND (o.seq < d.seq OR o.seq = d.seq AND o.event < d.event))
	ORDER BY d.next_at, d.seq LIMIT $3`

// DueDeliveries returns what may be sent now.
func (s *Access) DueDeliveries(ctx context.Context, webhook string, now time.Time, limit int) ([]access.Delivery, error) {
	rows, err := s.db.reader.QueryContext(ctx, dueDeliveries, webhook, micros(now), pageLimit(limit))
	list, err := collect(rows, err, func(row scanner) (access.Delivery, error) {
		var d access.Delivery
		err := row.Scan(&d.WebhookID, &d.Seq, &d.Event, &d.DeviceID, &d.Body, &d.Attempts, stamp{&d.CreatedAt})
		return d, err
	})
	if err != nil {
		return nil, fmt.Errorf("load deliveries: %w", err)
	}
	return slices.Clip(list), nil
}

const deleteDelivery = `DELETE FROM access_deliveries WHERE webhook_id = $1 AND seq = $2 AND event = $3`

// Delivered takes one off the list.
func (s *Access) Delivered(ctx context.Context, d access.Delivery, at time.Time) error {
	return s.db.write(ctx, "note delivery", func(t *tx) error {
		if _, err := t.ExecContext(ctx, deleteDelivery, d.WebhookID, d.Seq, d.Event); err != nil {
			return err
		}
		_, err := t.ExecContext(ctx, `UPDATE access_webhooks SET delivered_at = $2, failures = 0, failing_since = 0, next_at = 0, trouble = '' WHERE id = $1`,
			d.WebhookID, micros(at))
		return err
	})
}

// Undelivered notes an attempt.
func (s *Access) Undelivered(ctx context.Context, d access.Delivery, at, next, pause time.Time, trouble string) error {
	return s.db.write(ctx, "note failed delivery", func(t *tx) error {
		var err error
		if next.IsZero() {
			_, err = t.ExecContext(ctx, deleteDelivery, d.WebhookID, d.Seq, d.Event)
		} else {
			_, err = t.ExecContext(ctx, `UPDATE access_deliveries SET attempts = $4, next_at = $5 WHERE webhook_id = $1 AND seq = $2 AND event = $3`,
				d.WebhookID, d.Seq, d.Event, d.Attempts+1, micros(next))
		}
		if err != nil {
			return err
		}
		_, err = t.ExecContext(ctx, `UPDATE access_webhooks SET failures = failures + 1, next_at = $3, trouble = $4,
				failing_since = CASE WHEN failing_since = 0 THEN $2 ELSE failing_since END WHERE id = $1`,
			d.WebhookID, micros(at), micros(pause), trouble)
		return err
	})
}
