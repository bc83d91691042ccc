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

// Step takes up what is new in the feed, and sends what is due. A receiver that is
// slow, or hangs, holds up nobody but itself: as long as one is at it, the others
// are told what is new.
func (s *Webhooks) Step(ctx context.Context) (more bool, err error) {
	lanes := work.NewLanes()
	for {
		var woken <-chan struct{} // before looking
		if s.Woken != nil {
			woken = s.Woken()
		}
		more, err = s.start(ctx, lanes)
		if err != nil || lanes.Idle() {
			return more, errors.Join(err, lanes.Wait())
		}
		again := time.NewTimer(lookAgain)
		select {
		case <-woken:
		case <-lanes.Ended():
		case <-again.C: // another server may have something new, or a pause be over
		case <-ctx.Done():
		}
		again.Stop()
		if ctx.Err() != nil || lanes.Err() != nil {
			return false, errors.Join(lanes.Wait(), ctx.Err())
		}
	}
}

// lookAgain is how long nothing is looked for while somebody is slow.
const lookAgain = 5 * time.Second

// start gives work to each webhook that has none under way.
func (s *Webhooks) start(ctx context.Context, lanes *work.Lanes) (more bool, err error) {
	list, err := s.Store.Webhooks(ctx)
	if err != nil {
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
		if lanes.Busy(w.ID) {
			continue
		}
		due, err := s.Deliveries.DueDeliveries(ctx, w.ID, s.now(), deliverAtOnce)
		if err != nil {
			return false, err
		}
		if len(due) > 0 {
			more = true // what follows them
			lanes.Start(w.ID, func() error { return s.deliver(ctx, w, due) })
		}
	}
	return more, nil
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

// deliver sends some messages of a webhook, several at once. Once one was not taken,
// the others wait, too.
func (s *Webhooks) deliver(ctx context.Context, w Webhook, due []Delivery) (err error) {
	var mu sync.Mutex
	stopped := false
	work.Each(len(due), deliverers, func(i int) {
		mu.Lock()
		skip := stopped
		mu.Unlock()
		if skip {
			return
		}
		taken, trouble := s.one(ctx, w, due[i])
		mu.Lock()
		defer mu.Unlock()
		stopped = stopped || !taken
		err = errors.Join(err, trouble)
	})
	return err
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
	mute, err := s.mute(ctx, w, now)
	if err != nil {
		return false, err
	}
	if mute {
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

// mute reports whether a webhook has taken nothing for days. It is looked at anew: it
// may have taken another message, or been enabled again, since this one was begun.
func (s *Webhooks) mute(ctx context.Context, w Webhook, now time.Time) (bool, error) {
	if w.FailingSince.IsZero() || now.Sub(w.FailingSince) < silent {
		return false, nil
	}
	list, err := s.Store.Webhooks(ctx)
	i := slices.IndexFunc(list, func(one Webhook) bool { return one.ID == w.ID })
	return i >= 0 && list[i].FailingSince.Equal(w.FailingSince), err
}

// mostPause is how long a webhook that takes nothing waits at most before one of
// its messages is tried.
const mostPause = 5 * time.Minute

// backOff is the time to wait after so many attempts before: 5 s, doubling up to
// 4 h, so that there are some fifteen in a day.
func backOff(attempts int) time.Duration {
	return min(5*time.Second<<min(attempts, 20), 4*time.Hour)
}
