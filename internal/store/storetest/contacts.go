package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/mdm"
)

func testContacts(t *testing.T, make Maker) {
	t.Run("idle", testIdle(make))
	t.Run("results", testResults(make))
	t.Run("a result twice, a foreign one, nonsense", testBadResults(make))
	t.Run("of an absent phone", testAbsent(make))
	t.Run("facts", testFacts(make))
	t.Run("the same result 32 times at once", testResultRace(make))
	t.Run("state machine", testContactMachine(make))
}

func (w *world) contact(e mdm.EnrollmentID, c mdm.Contact) {
	w.t.Helper()
	w.ok(w.DB.Plans().SaveContact(w.ctx, e, c))
}

func testIdle(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		w.unchangedBy(func() {
			w.is(w.DB.Plans().SaveContact(w.ctx, "unknown", mdm.Contact{At: w.now(), Status: mdm.StatusIdle}), enroll.ErrNotFound)
		})
		events := w.newEvents(func() { w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusIdle}) })
		w.same(events, []string{})
		have := w.plan(e.ID)
		w.same([]time.Time{have.Enrollment.LastSeenAt, have.Enrollment.IdleAt}, []time.Time{stored(w.now()), stored(w.now())})

		unanswered, foreign := w.command(e.ID, "SecurityInfo", ""), w.command(other.ID, "SecurityInfo", "")
		events = w.newEvents(func() { w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusIdle}) })
		w.same(events, []string{"reported " + string(e.ID)})
		unanswered.State, unanswered.DoneAt = mdm.Superseded, stored(w.now())
		w.same(w.plan(e.ID).Commands, []mdm.Command{unanswered})
		w.same(w.plan(other.ID).Commands, []mdm.Command{foreign})

		// A clock that went back does not take a phone's last contact away.
		w.contact(e.ID, mdm.Contact{At: start.Add(-time.Hour), Status: mdm.StatusIdle})
		w.same(w.plan(e.ID).Enrollment.LastSeenAt, stored(w.now()))
		// But what a clock noted that stood a year ahead gives way to the next contact.
		w.contact(e.ID, mdm.Contact{At: w.now().AddDate(1, 0, 0), Status: mdm.StatusIdle})
		w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusIdle})
		w.same(w.plan(e.ID).Enrollment.LastSeenAt, stored(w.now()))
	}
}

func testResults(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		chain := []mdm.ErrorItem{{Code: 1, Domain: "Outer", Description: "Failed"}, {Code: 4001, Domain: "MCInstallationErrorDomain", Description: "Profile not installable"}}
		tests := []struct {
			status mdm.Status
			errors []mdm.ErrorItem
			state  mdm.CommandState
			reason string
			chain  []mdm.ErrorItem
		}{
			{mdm.StatusAcknowledged, nil, mdm.Acknowledged, "", nil},
			{mdm.StatusError, chain, mdm.Failed, "Profile not installable (MCInstallationErrorDomain 4001)", chain},
			{mdm.StatusError, nil, mdm.Failed, "Error", nil},
			{mdm.StatusFormatError, nil, mdm.Failed, "CommandFormatError", nil},
			{mdm.StatusNotNow, chain, mdm.NotNow, "", nil},
			{mdm.StatusError, []mdm.ErrorItem{{Domain: "\xff", Description: "nul \x00, bad \xff"}}, mdm.Failed, "nul \ufffd, bad \ufffd (\ufffd 0)",
				[]mdm.ErrorItem{{Domain: "\ufffd", Description: "nul \ufffd, bad \ufffd"}}},
		}
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		for _, tt := range tests {
			for _, before := range []mdm.CommandState{mdm.Sent, mdm.NotNow, mdm.Superseded} {
				c := w.command(e.ID, "InstallProfile", "p")
				switch before {
				case mdm.NotNow:
					w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusNotNow, CommandID: c.ID})
				case mdm.Superseded:
					w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusIdle})
				}
				if tt.state == before {
					continue // the same answer twice
				}
				events := w.newEvents(func() {
					w.contact(e.ID, mdm.Contact{At: w.later(), Status: tt.status, CommandID: c.ID, Errors: tt.errors})
				})
				w.same(events, []string{"reported " + string(e.ID)})
				c.State, c.Error, c.Chain, c.DoneAt = tt.state, tt.reason, tt.chain, stored(w.now())
				w.same(w.plan(e.ID).Commands[0], c)
				w.same(w.plan(e.ID).Enrollment.LastSeenAt, stored(w.now()))
			}
		}
		c := w.command(e.ID, "InstallProfile", "p")
		w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusError, CommandID: c.ID,
			Errors: slices.Repeat([]mdm.ErrorItem{{Code: 1, Description: strings.Repeat("é", 1<<15)}}, 100)})
		kept := w.plan(e.ID).Commands[0]
		if len(kept.Error) > 3000 || len(kept.Chain) > 50 || len(kept.Chain[0].Description) > 3000 {
			t.Fatalf("a phone's words take %d bytes and %d links", len(kept.Error), len(kept.Chain))
		}
	}
}

// testAbsent: what others say of a command is no sign of life of the phone.
func testAbsent(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		before := w.plan(e.ID).Enrollment.LastSeenAt
		c := w.command(e.ID, "LOCK", "")
		w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusError, CommandID: c.ID, Absent: true})
		have := w.plan(e.ID)
		w.same(have.Commands[0].State, mdm.Failed)
		w.same(have.Enrollment.LastSeenAt, before)
	}
}

func testBadResults(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		e, other := w.enrolled(u, "U1"), w.enrolled(u, "U2")
		done, foreign, open := w.command(e.ID, "SecurityInfo", ""), w.command(other.ID, "SecurityInfo", ""), w.command(e.ID, "ProfileList", "")
		present := true
		result := mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: done.ID,
			Report: mdm.Report{Security: &mdm.SecurityFacts{At: w.now(), PasscodePresent: &present}}}
		w.contact(e.ID, result)
		w.unchangedBy(func() {
			absent := false
			result.At = w.later()
			result.Report.Security = &mdm.SecurityFacts{At: w.now(), PasscodePresent: &absent}
			w.contact(e.ID, result)
			result.Status = mdm.StatusError
			w.contact(e.ID, result)

			for _, id := range []mdm.CommandID{foreign.ID, "unknown", ""} {
				result.CommandID = id
				w.is(w.DB.Plans().SaveContact(w.ctx, e.ID, result), enroll.ErrNotFound)
			}
			result.CommandID, result.Status = open.ID, "Nonsense"
			if w.DB.Plans().SaveContact(w.ctx, e.ID, result) == nil {
				t.Error("a status that is none was taken")
			}
		})
	}
}

func testFacts(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		yes, caps := true, 3
		at := func() time.Time { return w.now() }
		whole := mdm.Report{
			Device: &mdm.DeviceFacts{At: at(), UDID: "U1", OSVersion: "17.1", EASDeviceID: "ABCdef", Supervised: &yes},
		}
		report := func(r mdm.Report) {
			c := w.command(e.ID, "DeviceInformation", "")
			w.contact(e.ID, mdm.Contact{At: w.later(), Status: mdm.StatusAcknowledged, CommandID: c.ID, Report: r})
		}
		report(whole)
		security := &mdm.SecurityFacts{At: at(), PasscodePresent: &yes, HardwareEncryptionCaps: &caps}
		report(mdm.Report{Security: security})
		profiles := &mdm.ProfileFacts{At: at(), Items: []mdm.ProfileOnFile{{Identifier: "p", UUID: "U", Managed: &yes}}}
		certificates := &mdm.CertificateFacts{At: at(), Items: []mdm.CertificateOnFile{{CommonName: "c", SHA256: "00", NotAfter: stored(start)}}}
		report(mdm.Report{Profiles: profiles, Certificates: certificates})

		have := w.plan(e.ID).Report
		w.same(have.Device.At, stored(whole.Device.At))
		w.same([]any{have.Device.EASDeviceID, *have.Device.Supervised, *have.Security.HardwareEncryptionCaps}, []any{"ABCdef", true, 3})
		w.same(have.Profiles.Items, profiles.Items)
		w.same(have.Certificates.Items, certificates.Items)
		if have.Security.PasscodeCompliant != nil {
			t.Error("an unknown fact became known")
		}
		told := func() access.DeviceKey { return w.set().Person(e.UserID).Phones[0].EASKey }
		w.same(told(), access.DeviceKey("abcdef"))

		// A later report without an EASDeviceID ends the binding.
		report(mdm.Report{Device: &mdm.DeviceFacts{At: at(), OSVersion: "17.2"}})
		w.same(told(), access.DeviceKey(""))
		w.same(w.plan(e.ID).Report.Device.OSVersion, "17.2")
		w.same(*w.plan(e.ID).Report.Security.PasscodePresent, true)
	}
}

func testResultRace(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		e := w.enrolled(w.user("alice@example.test"), "U1")
		c := w.command(e.ID, "SecurityInfo", "")
		at := w.later()
		events := w.newEvents(func() {
			for _, err := range together(32, func(int) error {
				return w.DB.Plans().SaveContact(w.ctx, e.ID, mdm.Contact{At: at, Status: mdm.StatusAcknowledged, CommandID: c.ID})
			}) {
				w.ok(err)
			}
		})
		w.same(events, []string{"reported " + string(e.ID)})
	}
}
