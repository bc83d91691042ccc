package storetest

import (
	"fmt"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

func testSettings(t *testing.T, make Maker) {
	t.Run("the first value holds", func(t *testing.T) {
		w := newWorld(t, make)
		value, err := w.DB.Setting(w.ctx, "public_url")
		w.ok(err)
		w.same(value, "")
		for _, try := range []string{"https://a.example", "https://b.example"} {
			value, err = w.DB.SetSettingOnce(w.ctx, "public_url", try)
			w.ok(err)
			w.same(value, "https://a.example")
		}
		value, err = w.DB.Setting(w.ctx, "public_url")
		w.ok(err)
		w.same(value, "https://a.example")
	})
	t.Run("all callers at once get the same", func(t *testing.T) {
		w := newWorld(t, make)
		values := [16]string{}
		for _, err := range together(len(values), func(i int) (err error) {
			values[i], err = w.DB.SetSettingOnce(w.ctx, "id", newID())
			return err
		}) {
			w.ok(err)
		}
		for _, v := range values {
			w.same(v, values[0])
		}
	})
	t.Run("ping", func(t *testing.T) {
		w := newWorld(t, make)
		w.ok(w.DB.Ping(w.ctx))
	})
	t.Run("try a write", func(t *testing.T) {
		w := newWorld(t, make)
		_, err := w.DB.SetSettingOnce(w.ctx, "id", "the first")
		w.ok(err)
		w.unchangedBy(func() { w.ok(w.DB.TryWrite(w.ctx)) })
		w.Exec(t, `ALTER TABLE app_settings RENAME TO app_settings_away`)
		if err := w.DB.TryWrite(w.ctx); err == nil {
			t.Error("nothing was written")
		}
	})
}

func testAudit(t *testing.T, make Maker) {
	w := newWorld(t, make)
	log := w.DB.Audit()
	empty, err := log.List(w.ctx, audit.Filter{})
	w.ok(err)
	w.same(empty, []audit.Entry{})

	ctx := audit.WithRequestID(audit.WithActor(w.ctx, "admin"), "r1")
	for _, action := range []string{"user.save", "user.remove", "userx.save", "certificate.issue"} {
		w.ok(log.Append(ctx, audit.New(ctx, w.now(), action, "target of "+action, audit.Refused, "reason", "because")))
	}
	w.ok(log.Append(w.ctx, w.entry("user.save", "other")))

	all, err := log.List(w.ctx, audit.Filter{})
	w.ok(err)
	w.same(all[0], audit.Entry{ID: all[0].ID, At: stored(start), Actor: "admin", Action: "user.save", Target: "target of user.save",
		Outcome: audit.Refused, RequestID: "r1", Detail: map[string]string{"reason": "because"}})
	for i := 1; i < len(all); i++ {
		if all[i].ID <= all[i-1].ID {
			t.Fatal("not in the order of ID")
		}
	}
	tests := []struct {
		name   string
		filter audit.Filter
		want   int
	}{
		{"all", audit.Filter{}, 5},
		{"exact", audit.Filter{Action: "user.save"}, 2},
		{"prefix ends at the dot", audit.Filter{Action: "user."}, 3},
		{"case matters", audit.Filter{Action: "User."}, 0},
		{"no wildcard", audit.Filter{Action: "user%."}, 0},
		{"actor", audit.Filter{Actor: "system"}, 1},
		{"target", audit.Filter{Target: "other"}, 1},
		{"together", audit.Filter{Action: "user.", Actor: "admin"}, 2},
		{"after", audit.Filter{After: all[2].ID}, 2},
		{"limit", audit.Filter{Limit: 2}, 2},
	}
	for _, tt := range tests {
		got, err := log.List(w.ctx, tt.filter)
		w.ok(err)
		if len(got) != tt.want {
			t.Errorf("%s: %d entries, want %d", tt.name, len(got), tt.want)
		}
	}
}

func testOutbox(t *testing.T, make Maker) {
	w := newWorld(t, make)
	none, err := w.DB.Outbox().Pending(w.ctx, "a", 10)
	w.ok(err)
	w.same(none, []mdm.Event{})
	if len(w.commitsSeen()) != 0 {
		t.Fatal("woken without an event")
	}

	w.ok(w.DB.Audit().Append(w.ctx, w.entry("nothing", "")))
	if len(w.commitsSeen()) != 0 {
		t.Fatal("woken by a unit that writes no event")
	}
	u := w.user("alice@example.test")
	first := w.enrolled(u, "U1")
	w.same(w.commitsSeen(), []string{"save users", "activate enrolment"})

	events, err := w.DB.Outbox().Pending(w.ctx, "a", 10)
	w.ok(err)
	if len(events) != 2 || events[0].ID >= events[1].ID {
		t.Fatalf("got %v, want two events in the order of their ID", events)
	}
	w.same(events, []mdm.Event{{ID: events[0].ID, Kind: mdm.EventAccess, UserID: u.ID, At: stored(start)},
		{ID: events[1].ID, Kind: mdm.EventEnrolled, EnrollmentID: first.ID, At: stored(start)}})
	limited, err := w.DB.Outbox().Pending(w.ctx, "a", 1)
	w.ok(err)
	w.same(limited, events[:1])

	w.ok(w.DB.Outbox().Done(w.ctx, "a", events[0].ID))
	rest, err := w.DB.Outbox().Pending(w.ctx, "a", 10)
	w.ok(err)
	w.same(rest, events[1:])
	other, err := w.DB.Outbox().Pending(w.ctx, "b", 10)
	w.ok(err)
	w.same(other, events)
	after, err := w.DB.Outbox().After(w.ctx, events[0].ID, 10)
	w.ok(err)
	w.same(after, events[1:])
	one, err := w.DB.Outbox().After(w.ctx, 0, 1)
	w.ok(err)
	w.same(one, events[:1])

	w.ok(w.DB.Outbox().Done(w.ctx, "a", events[1].ID))
	w.ok(w.DB.Outbox().Done(w.ctx, "a", events[0].ID)) // late and out of order
	rest, err = w.DB.Outbox().Pending(w.ctx, "a", 10)
	w.ok(err)
	w.same(rest, []mdm.Event{})
	if len(w.commitsSeen()) != 2 {
		t.Fatal("moving a cursor wakes consumers: they would never sleep again")
	}
}

// What a consumer passed is pending for it no more, and is on record once it is much.
func testPassedEvents(t *testing.T, make Maker) {
	w := newWorld(t, make)
	u := w.user("alice@example.test")
	outbox := w.DB.Outbox()
	pending := func(consumer string) int {
		t.Helper()
		list, err := outbox.Pending(w.ctx, consumer, 1000)
		w.ok(err)
		return len(list)
	}
	for i := range 4 {
		w.reachable(u, fmt.Sprint("U", i))
	}
	list, err := outbox.Pending(w.ctx, "a", 1000)
	w.ok(err)
	first, last := list[0].ID, list[len(list)-1].ID
	w.unchangedBy(func() {
		w.ok(outbox.Pass(w.ctx, "a", list[1].ID))
		w.same([]int{pending("a"), pending("b")}, []int{len(list) - 2, len(list)})
		w.ok(outbox.Pass(w.ctx, "a", first)) // late
		w.same(pending("a"), len(list)-2)
	})
	w.ok(outbox.Done(w.ctx, "a", first)) // a cursor behind what was passed takes nothing back
	w.same(pending("a"), len(list)-2)
	w.ok(outbox.Done(w.ctx, "a", list[2].ID))
	w.ok(outbox.Pass(w.ctx, "a", last))
	w.same(pending("a"), 0)

	w.unchangedBy(func() { w.ok(outbox.Pass(w.ctx, "b", first)) })
	before := w.Dump(t)
	w.ok(outbox.Pass(w.ctx, "b", first+50))
	if w.Dump(t) == before {
		t.Error("50 events were passed, and the next server will look at all of them")
	}
	w.same(pending("b"), 0)
}

func testPrunedEvents(t *testing.T, make Maker) {
	w := newWorld(t, make)
	u := w.user("alice@example.test")
	outbox := w.DB.Outbox()
	old := w.now()
	for i := range 4 {
		w.reachable(u, fmt.Sprint("U", i))
	}
	list, err := outbox.After(w.ctx, 0, 1000)
	w.ok(err)
	young := w.later()
	w.reachable(u, "U4")
	prune := func(want int, before time.Time, limit int) {
		t.Helper()
		n, err := outbox.Prune(w.ctx, before, limit, "a", "b")
		w.ok(err)
		w.same(n, want)
	}
	last := list[len(list)-1].ID
	w.unchangedBy(func() { prune(0, young, 1000) })
	w.ok(outbox.Done(w.ctx, "a", last+1))
	w.unchangedBy(func() { prune(0, young, 1000) }) // b has not begun
	w.ok(outbox.Done(w.ctx, "b", list[2].ID))
	w.ok(outbox.Done(w.ctx, "c", 1)) // not asked for
	w.unchangedBy(func() { prune(0, old, 1000) })
	prune(1, young, 1)
	prune(1, young, 1000)
	rest, err := outbox.After(w.ctx, 0, 1000)
	w.ok(err)
	w.same(rest[:len(list)-2], list[2:])
	w.ok(outbox.Done(w.ctx, "b", last+1000))
	w.ok(outbox.Done(w.ctx, "a", last+1000))
	prune(len(list)-2, young, 1000)
	rest, err = outbox.After(w.ctx, 0, 1000)
	w.ok(err)
	w.same(len(rest) > 0 && rest[0].ID > last, true) // what is young stays, though it is done
}

func testTokens(t *testing.T, make Maker) {
	w := newWorld(t, make)
	tokens := w.DB.Tokens()
	_, err := tokens.TokenByHash(w.ctx, secret.Hash("unknown"))
	w.is(err, auth.ErrNotFound)
	list, err := tokens.ListTokens(w.ctx)
	w.ok(err)
	w.same(list, []auth.Token{})

	want := []auth.Token{}
	for _, owner := range []string{"first", "second"} {
		token := auth.Token{ID: newID(), Hash: secret.Hash(owner), Role: auth.Operator, Owner: owner, CreatedBy: "maker of " + owner,
			CreatedAt: stored(w.later()), ExpiresAt: stored(w.now().AddDate(0, 1, 0))}
		w.ok(tokens.SaveToken(w.ctx, token, w.entry("token.create", token.ID)))
		want = append([]auth.Token{token}, want...)
	}
	list, err = tokens.ListTokens(w.ctx)
	w.ok(err)
	w.same(list, want)

	w.is(tokens.RevokeToken(w.ctx, newID(), w.now(), w.entry("token.revoke", "")), auth.ErrNotFound)
	revoked := w.later()
	w.ok(tokens.RevokeToken(w.ctx, want[0].ID, revoked, w.entry("token.revoke", "")))
	w.unchangedBy(func() { w.ok(tokens.RevokeToken(w.ctx, want[0].ID, w.later(), w.entry("token.revoke", ""))) })
	got, err := tokens.TokenByHash(w.ctx, want[0].Hash)
	w.ok(err)
	want[0].RevokedAt = stored(revoked)
	w.same(got, want[0])
	w.audited("token.create", 2)
	w.audited("token.revoke", 1)
}
