package storetest

import (
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

func testCompliance(t *testing.T, make Maker) {
	t.Run("run", testRun(make))
	t.Run("many verdicts", testManyVerdicts(make))
	t.Run("spell", testSpell(make))
	t.Run("notices", testNotices(make))
	t.Run("facts", testJudgedFacts(make))
}

func testRun(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Compliance()
		now := stored(w.now())
		run, err := books.Run(w.ctx)
		w.ok(err)
		w.same(run, compliance.Run{})
		e := w.enrolled(w.user("alice@example.test"), "U1")
		w.ok(books.RequestRun(w.ctx, mdm.Event{ID: 5, Kind: mdm.EventPolicyChanged}, now))
		run, err = books.Run(w.ctx)
		w.ok(err)
		w.same(run, compliance.Run{Event: 5, Reason: mdm.EventPolicyChanged, Total: 1, StartedAt: now})
		next := run
		next.Position, next.Done = e.ID, 1
		w.ok(books.SaveRun(w.ctx, run, next))
		w.is(books.SaveRun(w.ctx, run, next), compliance.ErrStale)
		w.unchangedBy(func() { w.ok(books.RequestRun(w.ctx, mdm.Event{ID: 5}, now)) })
		// Another change: round once more, from there.
		w.ok(books.RequestRun(w.ctx, mdm.Event{ID: 6, Kind: mdm.EventTemplateChange}, now))
		w.is(books.SaveRun(w.ctx, next, next), compliance.ErrStale)
		run, err = books.Run(w.ctx)
		w.ok(err)
		w.same(run, compliance.Run{Event: 6, Reason: mdm.EventTemplateChange, Began: e.ID, Position: e.ID, Total: 1, StartedAt: now})
		next = run
		next.Wrapped, next.Position, next.FinishedAt = true, "", now
		w.ok(books.SaveRun(w.ctx, run, next))
		w.is(books.SaveRun(w.ctx, next, next), compliance.ErrStale)
		// One that is over begins anew.
		w.ok(books.RequestRun(w.ctx, mdm.Event{ID: 7, Kind: mdm.EventPolicyChanged}, now))
		run, err = books.Run(w.ctx)
		w.ok(err)
		w.same(run, compliance.Run{Event: 7, Reason: mdm.EventPolicyChanged, Total: 1, StartedAt: now})
	}
}

func testManyVerdicts(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		var changes []compliance.Change
		for _, udid := range []string{"U1", "U2", "U3"} {
			e := w.enrolled(u, udid)
			changes = append(changes, compliance.Change{After: w.judged(e.ID, compliance.Compliant), Entry: w.entry("compliance.many", string(e.ID))})
		}
		w.ok(w.DB.Compliance().SaveVerdict(w.ctx, compliance.Verdict{}, changes[1].After, w.entry("compliance.one", "")))
		w.unchangedBy(func() {
			_, err := w.DB.Compliance().SaveVerdicts(w.ctx, append(changes[:1:1], compliance.Change{After: w.judged("unknown", compliance.Compliant)}))
			w.is(err, compliance.ErrNotFound)
		})
		// Of who was overtaken nothing is written, and of the others all.
		stale, err := w.DB.Compliance().SaveVerdicts(w.ctx, changes)
		w.ok(err)
		w.same(stale, []mdm.EnrollmentID{changes[1].After.EnrollmentID})
		w.audited("compliance.many", 2)
		for _, c := range changes {
			got, err := w.DB.Compliance().Verdict(w.ctx, c.After.EnrollmentID)
			w.ok(err)
			w.same(got, c.After)
		}
	}
}

// failing is a verdict upon a phone that has told itself what it fails.
func (w *world) failing(before compliance.Verdict, state compliance.State, at time.Time, reported bool) compliance.Verdict {
	w.t.Helper()
	v := w.judged(before.EnrollmentID, state)
	v.At, v.Findings[1].Reported = stored(at), reported
	if state == compliance.Compliant {
		v.Findings = v.Findings[:1]
	}
	w.ok(w.DB.Compliance().SaveVerdict(w.ctx, before, v, w.entry("compliance.verdict", "")))
	return v
}

func testSpell(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Compliance()
		e := w.enrolled(w.user("alice@example.test"), "U1")
		v := w.verdict(e.ID, compliance.Compliant)
		_, err := books.Spell(w.ctx, e.ID)
		w.is(err, compliance.ErrNotFound)
		begin := v.At.Add(time.Minute)
		at := func(d time.Duration) time.Time { return begin.Add(d) }
		total := func(watched, reported time.Duration) compliance.Spell {
			t.Helper()
			p, err := books.Spell(w.ctx, e.ID)
			w.ok(err)
			if p.Watched != watched || p.Reported != reported || !p.StartedAt.Equal(begin) || p.EnrollmentID != e.ID || p.ID == "" {
				t.Fatalf("spell %+v, want %s, %s", p, watched, reported)
			}
			return p
		}
		v = w.failing(v, compliance.InGrace, at(0), false)
		total(0, 0)
		due, err := books.DueSpells(w.ctx, at(0), 10)
		w.ok(err)
		w.same(due, []mdm.EnrollmentID{e.ID})
		v = w.failing(v, compliance.InGrace, at(10*time.Minute), true)
		total(10*time.Minute, 0)
		v = w.failing(v, compliance.NotCompliant, at(30*time.Minute), true)
		total(30*time.Minute, 20*time.Minute)
		v = w.failing(v, compliance.NotCompliant, at(24*time.Hour), true) // an hour at most
		total(90*time.Minute, 80*time.Minute)
		v = w.failing(v, compliance.NotCompliant, at(23*time.Hour), true) // a clock that went back
		p := total(90*time.Minute, 80*time.Minute)
		p.UserAt, p.RetireAt = stored(at(time.Minute)), stored(at(2*time.Minute))
		w.ok(books.SaveSpell(w.ctx, p, at(24*time.Hour), nil, []audit.Entry{w.entry("compliance.act", "")}))
		w.audited("compliance.act", 1)
		w.same(total(90*time.Minute, 80*time.Minute), p)
		due, err = books.DueSpells(w.ctx, at(23*time.Hour), 10)
		w.ok(err)
		w.same(due, []mdm.EnrollmentID{})
		due, err = books.DueSpells(w.ctx, at(-2*time.Hour), 10) // it lies more than a day ahead
		w.ok(err)
		w.same(due, []mdm.EnrollmentID{e.ID})
		v = w.failing(v, compliance.Unknown, at(23*time.Hour+30*time.Minute), true) // what was until now counts
		total(2*time.Hour, 110*time.Minute)
		v = w.failing(v, compliance.NotCompliant, at(26*time.Hour), true) // silence does not
		total(2*time.Hour, 110*time.Minute)
		watched, err := books.Watched(w.ctx, e.ID)
		w.ok(err)
		w.same(watched, compliance.Watched{Total: 2 * time.Hour, At: stored(at(26 * time.Hour))})
		w.failing(v, compliance.Compliant, at(27*time.Hour), true)
		_, err = books.Spell(w.ctx, e.ID)
		w.is(err, compliance.ErrNotFound)
		w.unchangedBy(func() {
			w.ok(books.SaveSpell(w.ctx, p, at(0), []compliance.Notice{{Key: "k", EnrollmentID: e.ID}}, []audit.Entry{w.entry("compliance.act", "")}))
		})
	}
}

func testNotices(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		books := w.DB.Compliance()
		e := w.enrolled(w.user("alice@example.test"), "U1")
		v := w.failing(w.verdict(e.ID, compliance.Compliant), compliance.InGrace, w.now().Add(time.Minute), true)
		p, err := books.Spell(w.ctx, e.ID)
		w.ok(err)
		n := compliance.Notice{Key: p.ID + ".notify_user", Kind: compliance.NoticeUser, EnrollmentID: e.ID, UPN: "alice@example.test", Since: v.At, At: v.At, Findings: []compliance.Finding{}}
		for range 2 {
			w.ok(books.SaveSpell(w.ctx, p, v.At, []compliance.Notice{n}, nil))
		}
		due := func(at time.Time, want ...compliance.Notice) {
			t.Helper()
			list, err := books.DueNotices(w.ctx, at, 10)
			w.ok(err)
			w.same(list, append([]compliance.Notice{}, want...))
		}
		due(v.At, n)
		w.ok(books.NoticeFailed(w.ctx, n.Key, v.At))
		due(v.At.Add(59 * time.Second))
		due(v.At.Add(time.Minute), n)
		w.ok(books.NoticeFailed(w.ctx, n.Key, v.At))
		due(v.At.Add(time.Minute))
		due(v.At.Add(2*time.Minute), n)
		w.ok(books.NoticeTaken(w.ctx, n.Key))
		due(v.At.Add(time.Hour))
		w.ok(books.NoticeFailed(w.ctx, n.Key, v.At))
		w.ok(books.SaveSpell(w.ctx, p, v.At, []compliance.Notice{n}, nil))
		w.failing(v, compliance.Compliant, v.At.Add(time.Second), true) // it is moot
		due(v.At.Add(time.Hour))
	}
}

// testJudgedFacts: the many at once are what the one is.
func testJudgedFacts(make Maker) func(*testing.T) {
	return func(t *testing.T) {
		w := newWorld(t, make)
		u := w.user("alice@example.test")
		first, second := w.enrolled(u, "U1"), w.enrolled(w.user("bob@example.test"), "U2")
		for i, revision := range []string{"R1", "R2"} {
			c := mdm.Command{ID: mdm.CommandID(newID()), EnrollmentID: first.ID, RequestType: "InstallProfile", Subject: "mail", Revision: revision, State: mdm.Sent, SentAt: w.now()}
			w.ok(w.DB.Plans().SaveCommand(w.ctx, c, nil))
			w.ok(w.DB.Plans().SaveContact(w.ctx, first.ID, mdm.Contact{At: w.now(), Status: []mdm.Status{mdm.StatusAcknowledged, mdm.StatusError}[i], CommandID: c.ID}))
		}
		yes := true
		w.ok(w.DB.Plans().SaveContact(w.ctx, second.ID, mdm.Contact{At: w.now(), Status: mdm.StatusIdle, Report: mdm.Report{
			Device:       &mdm.DeviceFacts{At: stored(w.now()), Name: `,"certificates":{ "}`},
			Certificates: &mdm.CertificateFacts{At: stored(w.now()), Items: []mdm.CertificateOnFile{{CommonName: `}"{`}}},
			Restrictions: &mdm.RestrictionFacts{At: stored(w.now()), AccountModification: &yes},
		}}))
		v := w.failing(w.verdict(second.ID, compliance.Compliant), compliance.InGrace, w.now(), true)
		facts, err := w.DB.Plans().Facts(w.ctx, "", 10)
		w.ok(err)
		if len(facts) != 2 {
			t.Fatalf("%d facts", len(facts))
		}
		for i, id := range []mdm.EnrollmentID{first.ID, second.ID} {
			have, err := w.DB.Plans().LoadPlan(w.ctx, id)
			w.ok(err)
			got := facts[i].Have
			have.Report.Certificates = nil
			w.same(got.Report, have.Report)
			w.same(got.Catalog, have.Catalog)
			w.same(len(got.Commands), len(have.Commands))
			for n := range have.Commands {
				w.same(got.Commands[n].Revision, have.Commands[n].Revision)
				w.same(got.Commands[n].State, have.Commands[n].State)
				w.same(got.Commands[n].Chain, have.Commands[n].Chain)
			}
			w.same([]any{got.User.UPN, got.User.Email, got.User.Groups, got.Enrollment.ID, got.Enrollment.State, got.Enrollment.CertificateHash, got.Enrollment.LastSeenAt},
				[]any{have.User.UPN, have.User.Email, have.User.Groups, have.Enrollment.ID, have.Enrollment.State, have.Enrollment.CertificateHash, have.Enrollment.LastSeenAt})
		}
		w.same(facts[0].Verdict, compliance.Verdict{})
		stored, err := w.DB.Compliance().Verdict(w.ctx, second.ID)
		w.ok(err)
		w.same(facts[1].Verdict, stored)
		w.same(facts[1].Watched, compliance.Watched{At: v.At})
		next := w.judged(second.ID, compliance.NotCompliant)
		stale, err := w.DB.Compliance().SaveVerdicts(w.ctx, []compliance.Change{{Before: facts[1].Verdict, After: next, Kept: facts[1].Kept}})
		w.ok(err)
		w.same(len(stale), 0)
		rest, err := w.DB.Plans().Facts(w.ctx, first.ID, 10)
		w.ok(err)
		if len(rest) != 1 || rest[0].Have.Enrollment.ID != second.ID {
			t.Errorf("after the first: %d", len(rest))
		}
		w.ok(w.DB.Enrollments().End(w.ctx, second.ID, mdm.Retired, w.now(), w.entry("enrollment.end", "")))
		rest, err = w.DB.Plans().Facts(w.ctx, first.ID, 10)
		w.ok(err)
		w.same(rest, []enroll.Fact{})
	}
}
