package storetest

import (
	"fmt"
	"testing"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// testMailbox: who shares a mailbox is one list of mail clients and phones.
func testMailbox(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		sharers := func(u directory.User) []enroll.MailClient {
			t.Helper()
			list, err := w.DB.Access().MailClients(w.ctx, u.ID)
			w.ok(err)
			return list
		}
		w.same(sharers(alice), []enroll.MailClient{})

		// One mail client that was let in once, and two that only ever asked: who does
		// that has proved no password.
		old := w.letIn(alice, "OLD")
		bad := w.meet(alice, "BAD")
		wait := w.meet(alice, "WAIT")
		w.published(old, access.Block)
		w.published(bad, access.Block)
		w.published(wait, access.Quarantine)
		w.meet(bob, "BOB")
		client := func(d access.Device, shut bool) enroll.MailClient {
			return enroll.MailClient{ID: string(d.ID), DeviceID: d.Spellings[0], Type: "iPhone", LastAt: d.LastAt, ShutOut: shut}
		}
		w.same(sharers(alice), []enroll.MailClient{client(bad, true), client(old, false), client(wait, true)})
		w.ok(w.DB.Access().RemoveDevice(w.ctx, wait.ID, w.entry("access.remove_device", string(wait.ID))))

		// A phone that tells another spelling of a DeviceId is that mail client.
		e := w.enrolled(alice, "U1")
		w.tells(e.ID, mdm.DeviceFacts{At: w.now(), Name: "Alice's", Product: "iPhone15,4", EASDeviceID: "old"})
		phone := client(old, false)
		phone.Enrollment, phone.Device, phone.Name, phone.Model = e.ID, e.DeviceID, "Alice's", "iPhone15,4"
		w.same(sharers(alice), []enroll.MailClient{client(bad, true), phone})

		// What it was sent counts until its own list says otherwise.
		install := mdm.Command{ID: mdm.CommandID(newID()), EnrollmentID: e.ID, RequestType: "InstallProfile", Subject: "sallyport.mail.t.u", Revision: "R", State: mdm.Sent, SentAt: w.later()}
		w.ok(w.DB.Plans().SaveCommand(w.ctx, install, nil))
		phone.HasMail = true
		w.same(sharers(alice)[1], phone)
		lists := func(identifiers ...string) {
			t.Helper()
			facts := mdm.ProfileFacts{At: w.later()}
			for _, id := range identifiers {
				facts.Items = append(facts.Items, mdm.ProfileOnFile{Identifier: id})
			}
			w.ok(w.DB.Plans().SaveContact(w.ctx, e.ID, mdm.Contact{At: w.now(), Status: mdm.StatusIdle, Report: mdm.Report{Profiles: &facts}}))
		}
		lists("sallyport.security.u")
		phone.HasMail = false
		w.same(sharers(alice)[1], phone)
		lists("sallyport.security.u", "sallyport.mail.t.u")
		phone.HasMail = true
		w.same(sharers(alice)[1], phone)

		// Another phone without a mail client, and a guess that a client is that phone:
		// whoever asks may be taken for it. Of one that is it for sure, all that counts
		// is whether it is blocked.
		second := w.enrolled(alice, "U2")
		w.same(sharers(alice)[0], enroll.MailClient{Enrollment: second.ID, Device: second.DeviceID})
		guess, err := w.DB.Access().Meet(w.ctx, sighting(alice, "GUESS", w.now()), second.ID)
		w.ok(err)
		maybe := client(guess, true)
		maybe.Enrollment, maybe.Device, maybe.Guessed = second.ID, second.DeviceID, true
		w.same(sharers(alice), []enroll.MailClient{client(bad, true), maybe, phone})
		w.ok(w.DB.Access().Bind(w.ctx, guess.ID, second.ID, access.ProofConfirmed, w.entry("access.bind", string(guess.ID))))
		maybe.Guessed, maybe.ShutOut = false, false
		w.same(sharers(alice)[1], maybe)
		w.published(guess, access.Block)
		maybe.ShutOut = true
		w.same(sharers(alice)[1], maybe)

		// A phone that is not managed any more is a mail client and no more.
		w.ok(w.DB.Enrollments().End(w.ctx, e.ID, mdm.CheckedOut, w.later(), w.entry("enrollment.end", string(e.ID))))
		w.same(sharers(alice)[2], client(old, false))
		w.same(len(sharers(bob)), 1)
	}
}

// letIn is a mail client that was let through to the mail server.
func (w *world) letIn(u directory.User, spelling string) access.Device {
	w.t.Helper()
	d := w.meet(u, spelling)
	seen := sighting(u, spelling, w.now())
	seen.Effect = access.Allow
	w.ok(w.DB.Access().Seen(w.ctx, []access.Sighting{seen}))
	return w.client(d.ID).Device
}

// published says what becomes of a mail client whose effect nobody was told before.
func (w *world) published(d access.Device, effect access.Effect) {
	w.t.Helper()
	_, err := w.DB.Access().Publish(w.ctx, []access.Change{{At: w.now(), DeviceID: d.ID, UserID: d.UserID, Key: d.Key,
		Decision: access.Decision{Effect: effect}}})
	w.ok(err)
}

func testCrowded(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		var users []directory.UserID
		for i := range 4 {
			u := w.user(fmt.Sprintf("u%d@example.test", i))
			users = append(users, u.ID)
			for n := range i {
				w.meet(u, fmt.Sprint("D", n))
			}
		}
		w.enrolled(directory.User{ID: users[1]}, "U1")
		crowded := func(n int, after directory.UserID, limit int) []directory.UserID {
			t.Helper()
			list, err := w.DB.Access().Crowded(w.ctx, n, after, limit)
			w.ok(err)
			return list
		}
		w.same(crowded(2, "", 10), users[1:])
		w.same(crowded(2, "", 2), users[1:3])
		w.same(crowded(2, users[2], 10), users[3:])
		w.same(crowded(4, "", 10), []directory.UserID{})
	}
}

// testPlaces: when a device is forgotten, the phones that may have waited for its
// place are looked at anew, and no others.
func testPlaces(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		alice, bob := w.user("alice@example.test"), w.user("bob@example.test")
		waits, ready := w.enrolled(alice, "U1"), w.enrolled(alice, "U2")
		w.enrolled(bob, "U3")
		w.ok(w.DB.Plans().Advance(w.ctx, ready.ID, mdm.Enrolled, mdm.Configured))
		d := w.meet(alice, "OLD")
		told := w.newEvents(func() {
			w.ok(w.DB.Access().RemoveDevice(w.ctx, d.ID, w.entry("access.remove_device", string(d.ID))))
		})
		w.same(told, []string{"user_changed " + string(waits.ID)})
	}
}
