package access

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/work"
)

// Step takes up what is new in the feed, and sends what is due.
func (s *Webhooks) Step(ctx context.Context) (more bool, err error) {
	list, err := s.Store.Webhooks(ctx)
	if err != nil || len(list) == 0 {
		return false, err
	}
	for _, w := range list {
		if !w.DisabledAt.IsZero() {
			continue
		}
		again, err := s.fill(ctx, w)
		if err != nil {
			return false, err
		}
		more = more || again
	}
	due, err := s.Deliveries.DueDeliveries(ctx, s.now(), deliverAtOnce)
	if err != nil || len(due) == 0 {
		return more, err
	}
	progress, err := s.deliver(ctx, list, due)
	return more || progress, err
}

// fill makes deliveries of rows of the feed.
func (s *Webhooks) fill(ctx context.Context, w Webhook) (more bool, err error) {
	rows, err := s.Changes.Changes(ctx, w.Position, fillAtOnce)
	if errors.Is(err, ErrGone) { // after a restore, or a month of standstill
		_, newest, err := s.Changes.Snapshot(ctx, "", 1)
		if err != nil {
			return false, err
		}
		s.Log.WarnContext(ctx, "webhook has missed changes that are not kept any more; its receiver should read the feed", slog.String("webhook_id", w.ID))
		return false, s.Deliveries.Enqueue(ctx, w.ID, w.Position, newest, nil)
	}
	if err != nil || len(rows) == 0 {
		return false, err
	}
	var list []Delivery
	for _, c := range rows {
		for _, e := range eventsOf(c) {
			if !slices.Contains(w.Events, e) {
				continue
			}
			body, err := message(e, c.At, c)
			if err != nil {
				return false, err
			}
			list = append(list, Delivery{WebhookID: w.ID, Seq: c.Seq, Event: e, DeviceID: c.DeviceID, Body: body, CreatedAt: s.now()})
		}
	}
	return len(rows) == fillAtOnce, s.Deliveries.Enqueue(ctx, w.ID, w.Position, rows[len(rows)-1].Seq, list)
}

// eventsOf says what a row of the feed is news of.
func eventsOf(c Change) []WebhookEvent {
	var list []WebhookEvent
	if c.Compliance != c.ComplianceBefore && !c.Removed {
		list = append(list, EventComplianceChanged)
	}
	if c.Decision.Effect != c.Before || c.Removed {
		list = append(list, EventDecisionChanged)
	}
	return list
}

// deliver sends some messages, several at once. Once one of a webhook was not
// taken, the others of it wait, too.
func (s *Webhooks) deliver(ctx context.Context, list []Webhook, due []Delivery) (progress bool, err error) {
	var mu sync.Mutex
	failed := map[string]bool{}
	work.Each(len(due), deliverers, func(i int) {
		d := due[i]
		at := slices.IndexFunc(list, func(w Webhook) bool { return w.ID == d.WebhookID })
		mu.Lock()
		skip := at < 0 || failed[d.WebhookID] || err != nil
		mu.Unlock()
		if skip {
			return
		}
		taken, trouble := s.one(ctx, list[at], d)
		mu.Lock()
		defer mu.Unlock()
		progress = progress || taken
		failed[d.WebhookID] = failed[d.WebhookID] || !taken
		err = errors.Join(err, trouble)
	})
	return progress, err
}

func (s *Webhooks) one(ctx context.Context, w Webhook, d Delivery) (taken bool, err error) {
	trouble, err := s.attempt(ctx, w, d)
	if errors.Is(err, ErrWebhook) { // removed meanwhile
		return false, nil
	}
	if err != nil || ctx.Err() != nil { // the server stops: that is not the receiver's fault
		return false, errors.Join(err, ctx.Err())
	}
	now := s.now()
	if trouble == "" {
		return true, s.Deliveries.Delivered(ctx, d, now)
	}
	log := s.Log.With(slog.String("webhook_id", w.ID), slog.Int64("seq", d.Seq), slog.String(logkey.Error, trouble))
	if !w.FailingSince.IsZero() && now.Sub(w.FailingSince) >= silent {
		log.ErrorContext(ctx, "webhook disabled: it has taken nothing for days", slog.Time("failing_since", w.FailingSince))
		return false, s.Store.SwitchWebhook(ctx, w.ID, now, audit.New(ctx, now, "webhook.disable", w.ID, audit.Done, "trouble", trouble))
	}
	next := now.Add(backOff(d.Attempts))
	if next.Sub(d.CreatedAt) > givenUp {
		log.ErrorContext(ctx, "webhook message given up", slog.Int("attempts", d.Attempts+1))
		next = time.Time{}
	} else {
		log.WarnContext(ctx, "webhook message not taken", slog.Int("attempts", d.Attempts+1), slog.Time("next_at", next))
	}
	return false, s.Deliveries.Undelivered(ctx, d, now, next, now.Add(min(backOff(w.Failures), mostPause)), trouble)
}

// mostPause is how long a webhook that takes nothing waits at most before one of
// its messages is tried.
const mostPause = 5 * time.Minute

// backOff is the time to wait after so many attempts before: 5 s, doubling up to
// 4 h, so that there are some fifteen in a day.
func backOff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 20), 4*time.Hour)
}
