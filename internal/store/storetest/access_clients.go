package storetest

import (
	"fmt"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

func testClients(t *testing.T, make Maker) {
	t.Run("first contact", testMeet(make))
	t.Run("known before it comes", testKnownBefore(make))
	t.Run("first contact 32 times at once", testMeetRace(make))
	t.Run("later contacts", testSeen(make))
	t.Run("what decisions rest on", testSeenTells(make))
	t.Run("lists", testListClients(make))
	t.Run("compliance", testClientCompliance(make))
	t.Run("bindings by hand", testBind(make))
	t.Run("personal words", testPersonal(make))
	t.Run("mail off and on", testMailOff(make))
	t.Run("denials", testDenials(make))
	t.Run("old denials", testDropDenials(make))
	t.Run("idle devices", testForgetDevices(make))
	t.Run("who shares a mailbox", testMailbox(make))
	t.Run("crowded mailboxes", testCrowded(make))
	t.Run("a place in a mailbox", testPlaces(make))
}

func sighting(u directory.User, spelling string, at time.Time) access.Sighting {
	return access.Sighting{UserID: u.ID, Key: access.Canonical(spelling), At: at,
		Client: access.Client{User: u.UPN, DeviceID: spelling, DeviceType: "iPhone", UserAgent: "Apple-iPhone15C4/2301.96", Address: "192.0.2.1"}}
}

func (w *world) meet(u directory.User, spelling string) access.Device {
	w.t.Helper()
	d, err := w.DB.Access().Meet(w.ctx, sighting(u, spelling, w.now()), "")
	w.ok(err)
	return d
}

func (w *world) client(id access.DeviceID) access.DeviceRow {
	w.t.Helper()
	d, err := w.DB.Access().Device(w.ctx, id)
	w.ok(err)
	return d
}

func minute(t time.Time) time.Time { return t.UTC().Truncate(time.Minute) }

// A phone tells its DeviceId before its mail client comes.
func testKnownBefore(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		known, err := w.DB.Access().Meet(w.ctx, access.Sighting{UserID: alice.ID, Key: "applc39", Client: access.Client{DeviceID: "applc39"}}, "")
		w.ok(err)
		w.same([]any{known.FirstAt, known.LastAt, known.SyncAt}, []any{stored(w.now()), time.Time{}, time.Time{}})
		w.later()
		w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{sighting(alice, "ApplC39", w.now())}))
		came := w.client(known.ID)
		w.same([]any{came.FirstAt, came.LastAt, came.Spellings}, []any{known.FirstAt, known.FirstAt, []string{"applc39", "ApplC39"}})
	}
}

func testMeet(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, gone := w.user("alice@example.test"), w.user("gone@example.test")
		w.ok(w.DB.Users().RemoveUser(w.ctx, gone.ID, w.now(), w.entry("user.remove", "")))
		w.unchangedBy(func() {
			for _, u := range []directory.User{gone, {ID: "unknown"}} {
				_, err := w.DB.Access().Meet(w.ctx, sighting(u, "x", w.now()), "")
				w.is(err, access.ErrNotFound)
			}
		})
		e := w.enrolled(alice, "U1")
		var d access.Device
		told := w.told(func() {
			var err error
			d, err = w.DB.Access().Meet(w.ctx, sighting(alice, "ApplC39", w.now()), e.ID)
			w.ok(err)
		})
		w.same(told, []string{"access " + string(alice.ID)})
		w.same(d, access.Device{ID: d.ID, UserID: alice.ID, Key: "applc39", Spellings: []string{"ApplC39"}, Type: "iPhone",
			UserAgent: "Apple-iPhone15C4/2301.96", Address: "192.0.2.1", Bound: e.ID, Proof: access.ProofProbable,
			FirstAt: stored(start), LastAt: stored(start)})
		w.same(w.client(d.ID).Device, d)
		w.unchangedBy(func() {
			again, err := w.DB.Access().Meet(w.ctx, sighting(alice, "APPLC39", w.later()), "")
			w.ok(err)
			w.same(again, d)
		})
		if other := w.meet(w.user("bob@example.test"), "ApplC39"); other.ID == d.ID {
			t.Error("two users share a device")
		}
		_, err := w.DB.Access().Device(w.ctx, "unknown")
		w.is(err, access.ErrNotFound)
	}
}

func testMeetRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		met := [32]access.Device{}
		told := w.told(func() {
			for _, err := range together(len(met), func(i int) (err error) {
				met[i], err = w.DB.Access().Meet(w.ctx, sighting(alice, "ApplC39", start), "")
				return err
			}) {
				w.ok(err)
			}
		})
		w.same(told, []string{"access " + string(alice.ID)})
		for _, d := range met {
			w.same(d, met[0])
		}
	}
}

func testSeen(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		want := w.meet(alice, "ApplC39")
		w.ok(w.DB.Access().Seen(w.ctx, nil))
		w.unchangedBy(func() {
			w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{sighting(alice, "unknown", w.now()), sighting(directory.User{ID: "unknown"}, "ApplC39", w.now())}))
			w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{sighting(alice, "ApplC39", w.now())})) // the same minute
		})
		allowed, moved, older := sighting(alice, "ApplC39", start.Add(2*time.Minute)), sighting(alice, "APPLC39", start.Add(5*time.Minute)), sighting(alice, "4170706C433339", start.Add(3*time.Minute))
		allowed.Effect = access.Allow
		moved.Effect, moved.Client.Address, moved.Client.UserAgent, moved.Client.DeviceType = access.Block, "192.0.2.7", "", ""
		moved.Client.Model, moved.Client.OS, moved.Client.Protocol = "iPhone15,4", "iOS 26.1", "16.1"
		older.Effect, older.Client.OS, older.Client.Address = access.Allow, "iOS 1", "192.0.2.9"
		w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{allowed, moved, older}))
		want.Spellings = []string{"ApplC39", "APPLC39", "4170706C433339"}
		want.LastAt, want.SyncAt, want.Address = minute(moved.At), minute(older.At), "192.0.2.7"
		want.Model, want.OS, want.Protocol = "iPhone15,4", "iOS 26.1", "16.1"
		w.same(w.client(want.ID).Device, want)

		// A client cannot fill the disk with spellings.
		var many []access.Sighting
		for i := range 20 {
			s := sighting(alice, "ApplC39", moved.At)
			s.Client.DeviceID = fmt.Sprint("spelling ", i)
			many = append(many, s)
		}
		w.ok(w.DB.Access().Seen(w.ctx, many))
		w.same(len(w.client(want.ID).Spellings), 8)
	}
}

func testSeenTells(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		for _, u := range []directory.User{alice, bob} {
			w.meet(u, "ApplC39")
			w.meet(u, "ApplD40")
		}
		seen := func(change func(*access.Sighting)) []string {
			t.Helper()
			at := w.later().Add(time.Hour)
			var list []access.Sighting
			for _, u := range []directory.User{bob, alice} {
				for _, spelling := range []string{"ApplD40", "ApplC39"} {
					s := sighting(u, spelling, at)
					change(&s)
					list = append(list, s)
				}
			}
			return w.told(func() { w.ok(w.DB.Access().Seen(w.ctx, list)) })
		}
		w.same(seen(func(s *access.Sighting) { s.Effect, s.Client.Address = access.Allow, "192.0.2.7" }), []string{})
		for name, change := range map[string]func(*access.Client){
			"type":     func(c *access.Client) { c.DeviceType = "Android" },
			"agent":    func(c *access.Client) { c.UserAgent = "Android/14" },
			"version":  func(c *access.Client) { c.Protocol = "14.1" },
			"model":    func(c *access.Client) { c.Model = "Pixel" },
			"system":   func(c *access.Client) { c.OS = "Android 14" },
			"spelling": func(c *access.Client) { c.DeviceID += "x" },
		} {
			got := seen(func(s *access.Sighting) { change(&s.Client) })
			if len(got) != 2 || got[0] == got[1] {
				t.Errorf("%s: told %v, want each user once", name, got)
			}
		}
	}
}

func testListClients(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		var ids []access.DeviceID
		for i, u := range []directory.User{alice, bob, alice} {
			s := sighting(u, fmt.Sprint("APPL", i), w.now())
			s.Client.DeviceType, s.Client.Model = []string{"iPhone", "Android", "IPHONE"}[i], []string{"iPhone15,4", "Pixel", ""}[i]
			d, err := w.DB.Access().Meet(w.ctx, s, "")
			w.ok(err)
			ids = append(ids, d.ID)
		}
		w.publish(w.change(w.client(ids[1]), access.Block))
		tests := []struct {
			name   string
			filter access.DeviceFilter
			want   []access.DeviceID
		}{
			{"all", access.DeviceFilter{}, ids},
			{"user", access.DeviceFilter{User: alice.ID}, []access.DeviceID{ids[0], ids[2]}},
			{"effect", access.DeviceFilter{Effect: access.Block}, ids[1:2]},
			{"family", access.DeviceFilter{Family: "iphone"}, []access.DeviceID{ids[0], ids[2]}},
			{"model", access.DeviceFilter{Model: "PIXEL"}, ids[1:2]},
			{"page", access.DeviceFilter{After: ids[0], Limit: 1}, ids[1:2]},
			{"none", access.DeviceFilter{User: alice.ID, Effect: access.Block}, nil},
		}
		for _, tt := range tests {
			rows, err := w.DB.Access().Devices(w.ctx, tt.filter)
			w.ok(err)
			if rows == nil {
				t.Errorf("%s: nil instead of an empty list", tt.name)
			}
			var got []access.DeviceID
			for _, r := range rows {
				got = append(got, r.ID)
				w.same(r, w.client(r.ID))
			}
			w.same(got, tt.want)
		}
		w.same(w.client(ids[0]).UPN, alice.UPN)
	}
}

func testClientCompliance(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		told, tied, ended := w.enrolled(alice, "U1"), w.enrolled(alice, "U2"), w.enrolled(alice, "U3")
		w.verdict(told.ID, compliance.Compliant)
		w.verdict(tied.ID, compliance.NotCompliant)
		w.verdict(ended.ID, compliance.Unknown)
		w.reports(told.ID, "APPL1")
		w.reports(ended.ID, "APPL1")
		w.ok(w.DB.Enrollments().End(w.ctx, ended.ID, mdm.CheckedOut, w.now(), w.entry("device.checkout", "")))
		reported, bound, stranger := w.meet(alice, "4150504C31"), w.meet(alice, "b"), w.meet(alice, "c")
		w.same(reported.Key, access.Canonical("appl1"))
		w.ok(w.DB.Access().Bind(w.ctx, bound.ID, tied.ID, access.ProofProbable, w.entry("device.bind", "")))
		w.same([]string{w.client(reported.ID).Compliance, w.client(bound.ID).Compliance, w.client(stranger.ID).Compliance}, []string{"compliant", "", ""})
		w.ok(w.DB.Access().Bind(w.ctx, bound.ID, tied.ID, access.ProofConfirmed, w.entry("device.bind", "")))
		w.same(w.client(bound.ID).Compliance, "not_compliant")
	}
}

func testBind(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		own, foreign, d := w.enrolled(alice, "U1"), w.enrolled(w.user("bob@example.test"), "U2"), w.meet(alice, "ApplC39")
		bind := func(id access.DeviceID, to mdm.EnrollmentID) error {
			return w.DB.Access().Bind(w.ctx, id, to, access.ProofConfirmed, w.entry("device.bind", string(id)))
		}
		w.unchangedBy(func() {
			w.is(bind("unknown", own.ID), access.ErrNotFound)
			w.is(bind(d.ID, "unknown"), access.ErrNotFound)
			w.is(bind(d.ID, foreign.ID), access.ErrNotFound)
		})
		told := w.told(func() { w.ok(bind(d.ID, own.ID)) })
		w.same(told, []string{"access " + string(alice.ID)})
		d.Bound, d.Proof = own.ID, access.ProofConfirmed
		w.same(w.client(d.ID).Device, d)
		w.ok(bind(d.ID, ""))
		d.Bound, d.Proof = "", access.ProofNone
		w.same(w.client(d.ID).Device, d)
		w.audited("device.bind", 2)
	}
}

func testPersonal(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		word := func(u directory.User, key access.DeviceKey, kind access.PersonalKind) access.Personal {
			return access.Personal{UserID: u.ID, Key: key, Kind: kind, Note: access.Note{By: "ann", At: stored(w.now()), Reason: string(kind)}}
		}
		save := func(list ...access.Personal) error {
			return w.DB.Access().SavePersonal(w.ctx, list, []audit.Entry{w.entry("access.personal", "")})
		}
		w.unchangedBy(func() {
			w.is(save(word(alice, "a", access.PersonalAllow), word(directory.User{ID: "unknown"}, "a", access.PersonalAllow)), access.ErrNotFound)
		})
		told := w.told(func() {
			w.ok(save(word(alice, "a", access.PersonalAllow), word(alice, "", access.PersonalExempt), word(bob, "a", access.PersonalAllow)))
		})
		w.same(told, []string{"access " + string(alice.ID), "access " + string(bob.ID)})
		w.ok(save(word(alice, "", access.PersonalBlock)))
		w.ok(save(word(alice, "a", access.PersonalExempt)))
		later := w.later()
		w.ok(save(word(alice, "a", access.PersonalBlock))) // in the place of the allow
		block := word(alice, "a", access.PersonalBlock)
		exempt := access.Personal{UserID: alice.ID, Key: "a", Kind: access.PersonalExempt, Note: access.Note{By: "ben", At: stored(later), Reason: "new"}, ExpiresAt: stored(later.Add(time.Hour))}
		w.ok(save(exempt)) // in the place of itself
		everyDevice := []access.Personal{word(alice, "", access.PersonalBlock), word(alice, "", access.PersonalExempt)}
		for i := range everyDevice {
			everyDevice[i].At = stored(start)
		}
		w.same(w.entryOf(alice).Personal, append(everyDevice, block, exempt))

		remove := func(kind access.PersonalKind) error {
			return w.DB.Access().RemovePersonal(w.ctx, alice.ID, "a", kind, w.entry("access.personal", ""))
		}
		w.unchangedBy(func() { w.is(remove(access.PersonalAllow), access.ErrNotFound) })
		told = w.told(func() { w.ok(remove(access.PersonalBlock)) })
		w.same(told, []string{"access " + string(alice.ID)})
		w.same(w.entryOf(alice).Personal, append(everyDevice, exempt))
	}
}

func testMailOff(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		set := func(u directory.UserID, off *access.Note) error {
			return w.DB.Access().SetMail(w.ctx, u, off, w.entry("mail", string(u)))
		}
		w.unchangedBy(func() { w.is(set("unknown", nil), access.ErrNotFound) })
		for _, off := range []*access.Note{{By: "ann", At: stored(start), Reason: "a"}, {By: "ben", At: stored(w.later()), Reason: "b"}, nil, nil} {
			told := w.told(func() { w.ok(set(alice.ID, off)) })
			w.same(told, []string{"access " + string(alice.ID)})
			w.same(w.entryOf(alice).Person.MailOff, off)
		}
		w.audited("mail", 4)
	}
}

func testDenials(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice := w.user("alice@example.test")
		at := stored(start)
		denial := func(key string, people ...access.Person) access.Denial {
			return access.Denial{ID: newID(), Key: key, DeviceID: "d", Count: 1, FirstAt: at, LastAt: at,
				Inputs: access.Inputs{At: start.UTC(), Client: access.Client{User: "alice", DeviceID: "x"}, People: people, World: w.rules(),
					Phones: []access.Phone{{EnrollmentID: "e", Verdict: compliance.Verdict{State: compliance.NotCompliant, Since: start.UTC()}}}},
				Decision: access.Decision{Effect: access.Block, Step: access.StepDefault, Reasons: []access.Reason{{Rule: "r", Since: at}}, ValidUntil: at},
				Trace:    []access.TraceLine{{Step: access.StepUser, Outcome: "passed"}}}
		}
		first, stranger := denial("k1", access.Person{ID: alice.ID, UPN: alice.UPN}), denial("k2")
		w.ok(w.DB.Access().SaveDenials(w.ctx, nil))
		w.ok(w.DB.Access().SaveDenials(w.ctx, []access.Denial{stranger, first}))
		again, older := denial("k1", access.Person{ID: alice.ID}), denial("k1", access.Person{ID: alice.ID})
		again.Count, again.FirstAt, again.LastAt = 5, at.Add(time.Minute), at.Add(time.Hour)
		older.FirstAt, older.LastAt = at.Add(-time.Hour), at.Add(-time.Hour)
		third := denial("k3", access.Person{ID: alice.ID, UPN: alice.UPN})
		w.ok(w.DB.Access().SaveDenials(w.ctx, []access.Denial{third, again, older}))
		first.Count, first.FirstAt, first.LastAt = 7, older.FirstAt, again.LastAt
		got, err := w.DB.Access().Denial(w.ctx, first.ID)
		w.ok(err)
		w.same(got, first) // to the nanosecond: it must come out the same again
		_, err = w.DB.Access().Denial(w.ctx, again.ID)
		w.is(err, access.ErrNotFound)
		for _, tt := range []struct {
			user   directory.UserID
			before string
			limit  int
			want   []access.Denial
		}{
			{"", "", 0, []access.Denial{third, stranger, first}},
			{"", "", 2, []access.Denial{third, stranger}},
			{"", stranger.ID, 2, []access.Denial{first}},
			{alice.ID, "", 0, []access.Denial{third, first}},
			{alice.ID, third.ID, 0, []access.Denial{first}},
			{"unknown", "", 0, []access.Denial{}},
		} {
			list, err := w.DB.Access().Denials(w.ctx, tt.user, tt.before, tt.limit)
			w.ok(err)
			w.same(list, tt.want)
		}
		for _, err := range together(16, func(int) error { return w.DB.Access().SaveDenials(w.ctx, []access.Denial{denial("k9"), denial("k8")}) }) {
			w.ok(err)
		}
		list, err := w.DB.Access().Denials(w.ctx, "", "", 2)
		w.ok(err)
		w.same([]int64{list[0].Count, list[1].Count}, []int64{16, 16})
	}
}
