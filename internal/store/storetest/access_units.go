package storetest

import (
	"context"

	"sallyport/access"
)

// accessUnits are the units of work of conditional access (testAtomicity).
var accessUnits = []unit{
	{"meet mail client", func(w *world) func(context.Context) error {
		seen := sighting(w.user("alice@example.test"), "ApplC39", start)
		return func(ctx context.Context) error {
			_, err := w.DB.Access().Meet(ctx, seen, "")
			return err
		}
	}},
	{"note contacts of mail clients", func(w *world) func(context.Context) error {
		alice := w.user("alice@example.test")
		w.meet(alice, "ApplC39")
		return func(ctx context.Context) error {
			return w.DB.Access().Seen(ctx, []access.Sighting{sighting(alice, "APPLC39", start)})
		}
	}},
	{"save denials", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.DB.Access().SaveDenials(ctx, []access.Denial{{ID: newID(), Key: "k", Count: 1}})
		}
	}},
	{"save access rule", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.DB.Access().SaveRule(ctx, access.Rule{ID: "r", Effect: access.Block, Family: "x"}, w.entry("access.rule", ""))
		}
	}},
	{"add webhook", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error { return w.addWebhook(ctx, "h") }
	}},
	{"remove webhook", func(w *world) func(context.Context) error {
		w.ok(w.addWebhook(w.ctx, "h"))
		return func(ctx context.Context) error {
			return w.DB.Access().RemoveWebhook(ctx, "h", w.entry("webhook.remove", "h"))
		}
	}},
	{"switch webhook", func(w *world) func(context.Context) error {
		w.ok(w.addWebhook(w.ctx, "h"))
		return func(ctx context.Context) error {
			return w.DB.Access().SwitchWebhook(ctx, "h", w.now(), w.entry("webhook.disable", "h"))
		}
	}},
	{"enqueue deliveries", func(w *world) func(context.Context) error {
		w.ok(w.addWebhook(w.ctx, "h"))
		return func(ctx context.Context) error { return w.DB.Access().Enqueue(ctx, "h", 0, 1, delivery("h", "d", 1)) }
	}},
	{"note delivery", func(w *world) func(context.Context) error {
		w.ok(w.addWebhook(w.ctx, "h"))
		w.ok(w.DB.Access().Enqueue(w.ctx, "h", 0, 1, delivery("h", "d", 1)))
		return func(ctx context.Context) error {
			return w.DB.Access().Delivered(ctx, delivery("h", "d", 1)[0], w.now())
		}
	}},
	{"note failed delivery", func(w *world) func(context.Context) error {
		w.ok(w.addWebhook(w.ctx, "h"))
		w.ok(w.DB.Access().Enqueue(w.ctx, "h", 0, 1, delivery("h", "d", 1)))
		return func(ctx context.Context) error {
			return w.DB.Access().Undelivered(ctx, delivery("h", "d", 1)[0], w.now(), w.now(), w.now(), "no")
		}
	}},
	{"remove access rule", func(w *world) func(context.Context) error {
		w.ok(w.DB.Access().SaveRule(w.ctx, access.Rule{ID: "r", Effect: access.Block, Family: "x"}, w.entry("access.rule", "")))
		return func(ctx context.Context) error { return w.DB.Access().RemoveRule(ctx, "r", w.entry("access.rule", "")) }
	}},
	{"set access default", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			return w.DB.Access().SetDefault(ctx, access.Block, w.entry("access.default", ""))
		}
	}},
	{"save access policy", func(w *world) func(context.Context) error {
		return func(ctx context.Context) error {
			_, _, err := w.DB.Access().SavePolicy(ctx, accessPolicy("mail", "one"), w.entry("access.apply", ""))
			return err
		}
	}},
	{"save personal access", func(w *world) func(context.Context) error {
		list := []access.Personal{{UserID: w.user("alice@example.test").ID, Kind: access.PersonalBlock}}
		return func(ctx context.Context) error { return w.DB.Access().SavePersonal(ctx, list, nil) }
	}},
	{"remove personal access", func(w *world) func(context.Context) error {
		p := access.Personal{UserID: w.user("alice@example.test").ID, Kind: access.PersonalBlock}
		w.ok(w.DB.Access().SavePersonal(w.ctx, []access.Personal{p}, nil))
		return func(ctx context.Context) error {
			return w.DB.Access().RemovePersonal(ctx, p.UserID, "", p.Kind, w.entry("access.personal", ""))
		}
	}},
	{"bind mail client", func(w *world) func(context.Context) error {
		alice := w.user("alice@example.test")
		d, e := w.meet(alice, "ApplC39"), w.enrolled(alice, "U1")
		return func(ctx context.Context) error {
			return w.DB.Access().Bind(ctx, d.ID, e.ID, access.ProofConfirmed, w.entry("device.bind", ""))
		}
	}},
	{"set mail", func(w *world) func(context.Context) error {
		id := w.user("alice@example.test").ID
		return func(ctx context.Context) error {
			return w.DB.Access().SetMail(ctx, id, &access.Note{By: "ann"}, w.entry("mail", ""))
		}
	}},
	{"remove mail client", func(w *world) func(context.Context) error {
		d := w.clients(1)[0]
		w.publish(w.change(d, access.Allow))
		return func(ctx context.Context) error {
			return w.DB.Access().RemoveDevice(ctx, d.ID, w.entry("device.remove", ""))
		}
	}},
	{"publish decisions", func(w *world) func(context.Context) error {
		d := w.clients(1)[0]
		w.publish(w.change(d, access.Allow))
		d.Effect = access.Allow
		return func(ctx context.Context) error {
			_, err := w.DB.Access().Publish(ctx, []access.Change{w.change(d, access.Block)})
			return err
		}
	}},
	{"drop old decisions", func(w *world) func(context.Context) error {
		d := w.clients(1)[0]
		w.publish(w.change(d, access.Allow))
		d.Effect = access.Allow
		w.publish(w.change(d, access.Block))
		return func(ctx context.Context) error {
			_, err := w.DB.Access().Prune(ctx, start.AddDate(1, 0, 0))
			return err
		}
	}},
}
