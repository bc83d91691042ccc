package storetest

import (
	"context"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/secret"
)

func (w *world) addWebhook(ctx context.Context, id string) error {
	hook := access.Webhook{ID: id, URL: "https://x.test/" + id, Events: []access.WebhookEvent{access.EventDecisionChanged}, CreatedBy: "boss", CreatedAt: start}
	return w.DB.Access().AddWebhook(ctx, hook, secret.New("whsec_"+id), w.entry("webhook.add", id))
}

func delivery(webhook string, device access.DeviceID, seqs ...int64) []access.Delivery {
	var list []access.Delivery
	for _, seq := range seqs {
		list = append(list, access.Delivery{WebhookID: webhook, Seq: seq, Event: access.EventDecisionChanged, DeviceID: device, Body: "{}", CreatedAt: start})
	}
	return list
}

func testWebhooks(t *testing.T, make Maker) {
	t.Run("on record", testWebhookRecord(make))
	t.Run("order", testDeliveryOrder(make))
}

func (w *world) webhooks() []access.Webhook {
	w.t.Helper()
	list, err := w.DB.Access().Webhooks(w.ctx)
	w.ok(err)
	return list
}

func testWebhookRecord(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		a := w.DB.Access()
		w.ok(w.addWebhook(w.ctx, "h1"))
		w.publish(w.change(w.clients(1)[0], access.Allow))
		w.ok(w.addWebhook(w.ctx, "h2")) // begins after that
		all := w.webhooks()
		w.same([]any{len(all), all[0].Position, all[1].Position, all[0].URL, all[0].CreatedAt}, []any{2, int64(0), int64(1), "https://x.test/h1", stored(start)})
		key, err := a.WebhookSecret(w.ctx, "h2")
		w.ok(err)
		w.same(key.Reveal(), "whsec_h2")
		w.ok(a.RemoveWebhook(w.ctx, "h1", w.entry("webhook.remove", "h1")))
		w.unchangedBy(func() {
			_, err = a.WebhookSecret(w.ctx, "h1")
			w.is(err, access.ErrWebhook)
			w.is(a.RemoveWebhook(w.ctx, "h1", w.entry("webhook.remove", "h1")), access.ErrWebhook)
			w.is(a.SwitchWebhook(w.ctx, "h1", start, w.entry("webhook.disable", "h1")), access.ErrWebhook)
			w.ok(a.Enqueue(w.ctx, "h2", 0, 5, delivery("h2", "d", 5))) // from elsewhere
		})
		w.ok(a.SwitchWebhook(w.ctx, "h2", start, w.entry("webhook.disable", "h2")))
		w.unchangedBy(func() { w.ok(a.Enqueue(w.ctx, "h2", 1, 5, nil)) })
		w.same(w.webhooks()[0].DisabledAt, stored(start))
		w.ok(a.SwitchWebhook(w.ctx, "h2", time.Time{}, w.entry("webhook.enable", "h2")))
		w.same(w.webhooks()[0].DisabledAt.IsZero(), true)
	}
}

// A device's next message waits for the one before; others do not.
func testDeliveryOrder(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		a := w.DB.Access()
		for _, id := range []string{"h1", "h2"} {
			w.ok(w.addWebhook(w.ctx, id))
			w.ok(a.Enqueue(w.ctx, id, 0, 9, append(delivery(id, "d1", 1, 3), delivery(id, "d2", 2)...)))
		}
		due := func(at time.Time) (found []any) {
			t.Helper()
			for _, id := range []string{"h1", "h2"} {
				list, err := a.DueDeliveries(w.ctx, id, at, 100)
				w.ok(err)
				for _, d := range list {
					found = append(found, d.WebhookID, d.Seq)
				}
			}
			return found
		}
		w.same(due(start.Add(-time.Second)), []any(nil))
		one, two := int64(1), int64(2)
		w.same(due(start), []any{"h1", one, "h1", two, "h2", one, "h2", two})
		w.ok(a.Undelivered(w.ctx, delivery("h1", "d1", 1)[0], start, start.Add(time.Hour), start.Add(time.Minute), "no"))
		w.same(due(start), []any{"h2", one, "h2", two})
		w.same(due(start.Add(time.Minute)), []any{"h1", two, "h2", one, "h2", two})
		hook := w.webhooks()[0]
		w.same([]any{hook.Failures, hook.FailingSince, hook.Trouble}, []any{1, stored(start), "no"})
		w.same(hook.NextAt, stored(start.Add(time.Minute)))
		w.ok(a.Delivered(w.ctx, delivery("h1", "d2", 2)[0], start))
		hook = w.webhooks()[0]
		w.same([]any{hook.Failures, hook.FailingSince.IsZero(), hook.Trouble, hook.DeliveredAt}, []any{0, true, "", stored(start)})
		list, err := a.DueDeliveries(w.ctx, "h1", start.Add(time.Hour), 100)
		w.ok(err)
		for _, d := range list {
			w.same([]any{d.Seq, d.Attempts}, []any{one, 1})
			w.ok(a.Undelivered(w.ctx, d, start, time.Time{}, start, "given up"))
		}
		w.same(due(start.Add(time.Hour)), []any{"h1", int64(3), "h2", one, "h2", two})
		w.ok(a.SwitchWebhook(w.ctx, "h2", start, w.entry("webhook.disable", "h2")))
		w.same(due(start.Add(time.Hour)), []any{"h1", int64(3)})
	}
}
