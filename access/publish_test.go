package access_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// press is the storage of publication, in memory, around the books.
type press struct {
	*books
	now     time.Time
	rows    []access.Change
	events  []mdm.Event
	done    int64
	moved   int64 // as far as it is on record
	timed   []directory.UserID
	asked   [][2]time.Time
	faster  int // how many publications somebody else is faster than
	refuses error
}

func newPress() (*press, *access.Publisher) {
	b, _ := office()
	w := &press{books: b, now: start}
	return w, &access.Publisher{Source: w, Changes: w, Spoken: w, Register: w, Events: w, Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler),
		Links: access.Links{Base: "https://mdm.example.test", MAC: func(string, []byte) []byte { return make([]byte, 32) }}}
}

func (w *press) Owners(_ context.Context, ids []mdm.EnrollmentID) (map[mdm.EnrollmentID]directory.UserID, error) {
	owners := map[mdm.EnrollmentID]directory.UserID{}
	for _, e := range w.entries {
		for _, p := range e.Phones {
			if slices.Contains(ids, p.EnrollmentID) {
				owners[p.EnrollmentID] = e.Person.ID
			}
		}
	}
	return owners, w.refuses
}

func (w *press) Meet(_ context.Context, s access.Sighting, _ mdm.EnrollmentID) (access.Device, error) {
	if !s.At.IsZero() {
		return access.Device{}, errors.New("nobody was met")
	}
	d := access.Device{ID: access.DeviceID("d-" + string(s.Key)), UserID: s.UserID, Key: s.Key, Spellings: []string{s.Client.DeviceID}}
	e := w.entry(s.UserID)
	e.Devices = append(slices.Clip(e.Devices), d)
	return d, nil
}

func (w *press) Publish(_ context.Context, list []access.Change) ([]access.Change, error) {
	var written []access.Change
	for _, c := range list {
		_, d := w.row(c.DeviceID)
		if w.faster > 0 {
			w.faster--
			continue
		}
		if d == nil || d.Effect != c.Before {
			continue
		}
		d.Effect, d.Step = c.Decision.Effect, c.Decision.Step
		c.Seq = int64(len(w.rows) + 1)
		w.rows, written = append(w.rows, c), append(written, c)
	}
	return written, w.refuses
}

func (w *press) Newest(_ context.Context, ids []access.DeviceID) (map[access.DeviceID]access.Change, error) {
	newest := map[access.DeviceID]access.Change{}
	for _, c := range w.rows {
		if slices.Contains(ids, c.DeviceID) {
			newest[c.DeviceID] = c
		}
	}
	return newest, nil
}

func (w *press) Changes(_ context.Context, after int64, limit int) ([]access.Change, error) {
	list := w.rows[min(int(after), len(w.rows)):]
	return slices.Clone(list[:min(limit, len(list))]), w.refuses
}

func (w *press) Snapshot(context.Context, access.DeviceID, int) ([]access.Change, int64, error) {
	return nil, int64(len(w.rows)), w.refuses
}

func (w *press) Timed(_ context.Context, from, until time.Time, _ int) ([]directory.UserID, error) {
	w.asked = append(w.asked, [2]time.Time{from, until})
	return w.timed, nil
}

func (w *press) Prune(context.Context, time.Time) (int64, error) { return 0, nil }

func (w *press) Pending(ctx context.Context, consumer string, limit int) ([]mdm.Event, error) {
	if consumer != access.Consumer {
		return nil, errors.New("who is " + consumer)
	}
	return w.After(ctx, w.done, limit)
}

func (w *press) After(_ context.Context, after int64, limit int) ([]mdm.Event, error) {
	list := w.events[min(int(after), len(w.events)):]
	return list[:min(limit, len(list))], w.refuses
}

func (w *press) Done(_ context.Context, _ string, id int64) error {
	w.done, w.moved = id, id
	return nil
}

func (w *press) Pass(_ context.Context, _ string, id int64) error { w.done = id; return nil }

func (w *press) happens(kind mdm.EventKind, phone mdm.EnrollmentID, user directory.UserID) {
	w.events = append(w.events, mdm.Event{ID: int64(len(w.events) + 1), Kind: kind, EnrollmentID: phone, UserID: user})
}

// run steps until there is nothing left, and returns what was published by that.
func (w *press) run(t *testing.T, p *access.Publisher) []access.Change {
	t.Helper()
	before := len(w.rows)
	for range 100 {
		more, err := p.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return w.rows[before:]
		}
	}
	t.Fatal("the publisher never rests")
	return nil
}

func words(list []access.Change) map[access.DeviceID]string {
	said := map[access.DeviceID]string{}
	for _, c := range list {
		said[c.DeviceID] += string(c.Before) + ">" + string(c.Decision.Effect) + " at " + string(c.Decision.Step) + " " + string(c.Compliance)
	}
	return said
}

func TestPublisherTellsOfEverybodyAtFirst(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	carol := w.entry("u3")
	carol.Phones = []access.Phone{ // one that was never met, one that has ended, one that has not told
		{EnrollmentID: "e3", State: mdm.Configured, EASKey: "never-met", Verdict: compliance.Verdict{EnrollmentID: "e3", State: compliance.Compliant, ValidUntil: start.Add(time.Hour)}},
		{EnrollmentID: "e4", State: mdm.CheckedOut, EASKey: "ended"},
		{EnrollmentID: "e5", State: mdm.Enrolled},
	}
	got := words(w.run(t, p))
	want := map[access.DeviceID]string{
		"d1": ">allow at conditions_passed compliant", "d2": ">block at conditions_failed not_compliant",
		"d3": ">quarantine at default ", "d-never-met": ">allow at conditions_passed compliant",
	}
	if len(got) != len(want) {
		t.Errorf("published %v", got)
	}
	for id, words := range want {
		if got[id] != words {
			t.Errorf("%s: %q, want %q", id, got[id], words)
		}
	}
	for _, c := range w.rows {
		if c.User == "" || c.UserID == "" || len(c.Spellings) == 0 || c.Key == "" || !c.At.Equal(start) || c.Decision.ValidUntil.IsZero() {
			t.Errorf("half a row: %+v", c)
		}
	}
	if again := w.run(t, p); len(again) != 0 {
		t.Errorf("published once more: %v", words(again))
	}
}

func TestPublisherTellsWhatIsNew(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	w.run(t, p)

	w.happens(mdm.EventVerdict, "e1", "")
	w.happens(mdm.EventDecision, "", "u1")
	if got := w.run(t, p); len(got) != 0 || w.done != 2 || w.moved != 0 {
		t.Fatalf("nothing is new, published %v, done %d, on record %d", words(got), w.done, w.moved)
	}
	w.entry("u1").Phones[0].Verdict.State = compliance.NotCompliant
	w.happens(mdm.EventVerdict, "e1", "")
	got := w.run(t, p)
	if said := words(got); len(got) != 1 || said["d1"] != "allow>block at conditions_failed not_compliant" || got[0].ComplianceBefore != compliance.Compliant {
		t.Fatalf("passcode off: %v", said)
	}
	// The decision stays, what is known of the phone does not.
	w.entry("u2").Phones[0].Verdict.State = compliance.Unknown
	w.happens(mdm.EventVerdict, "e2", "")
	if got := w.run(t, p); len(got) != 1 || got[0].Compliance != compliance.Unknown || got[0].ComplianceBefore != compliance.NotCompliant {
		t.Errorf("silent phone: %v", words(got))
	}
	w.entry("u3").Person.MailOff = &access.Note{By: "boss", At: start, Reason: "left"}
	w.happens(mdm.EventAccess, "", "u3")
	if said := words(w.run(t, p)); said["d3"] != "quarantine>block at mail_off " {
		t.Errorf("mail off: %v", said)
	}
	w.entry("u3").Devices[0].Spellings = []string{"DEV3", "44455633"}
	w.happens(mdm.EventAccess, "", "u3")
	if got := w.run(t, p); len(got) != 1 || len(got[0].Spellings) != 2 {
		t.Errorf("another spelling: %v", got)
	}
}

// The cursor stays before what concerns all until all were looked at, so that
// whoever takes over begins anew; events that come meanwhile do not wait.
func TestPublisherKeepsRounds(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	w.run(t, p)
	for i := range 450 {
		id := "x" + time.Duration(i).String()
		w.entries = append(w.entries, access.Entry{Person: access.Person{ID: directory.UserID("u9" + id), UPN: id},
			Devices: []access.Device{{ID: access.DeviceID("d9" + id), UserID: directory.UserID("u9" + id), Key: access.DeviceKey(id), Spellings: []string{id}}}})
	}
	slices.SortFunc(w.entries, func(a, b access.Entry) int {
		if a.Person.ID < b.Person.ID {
			return -1
		}
		return 1
	})
	w.world.Default = access.Allow
	w.happens(mdm.EventAccess, "", "")
	if more, err := p.Step(t.Context()); !more || err != nil || w.done != 0 {
		t.Fatalf("first page: more %v, %v, done %d", more, err, w.done)
	}
	w.entry("u1").Phones[0].Verdict.State = compliance.NotCompliant
	w.happens(mdm.EventVerdict, "e1", "")
	before := len(w.rows)
	if _, err := p.Step(t.Context()); err != nil || w.done != 0 || words(w.rows[before:])["d1"] != "allow>block at conditions_failed not_compliant" {
		t.Fatalf("the phone waits: %v", words(w.rows[before:]))
	}
	w.run(t, p)
	if w.done != 2 || len(w.rows) != 3+1+1+450 {
		t.Errorf("done %d, %d rows", w.done, len(w.rows))
	}
	w.happens(mdm.EventPolicyChanged, "", "")
	if _, err := p.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.happens(mdm.EventPolicyChanged, "", "") // goes round once more
	if got := w.run(t, p); len(got) != 0 || w.done != 4 {
		t.Errorf("published %v, done %d", words(got), w.done)
	}
}

func TestPublisherLooksAgainWhereOthersWereFaster(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	w.faster = 2
	if got := words(w.run(t, p)); len(got) != 3 {
		t.Errorf("published %v", got)
	}
	w.world.Default, w.faster = access.Block, 1000
	w.happens(mdm.EventAccess, "", "u3")
	if _, err := p.Step(t.Context()); err == nil || w.done != 0 {
		t.Errorf("nobody told it: %v, done %d", err, w.done)
	}
	w.faster = 0
	if got := words(w.run(t, p)); got["d3"] != "quarantine>block at default " || w.done != 1 {
		t.Errorf("published %v, done %d", got, w.done)
	}
}

func TestPublisherSweepsTime(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	if _, err := p.Sweep(t.Context()); err != nil || len(w.asked) != 0 {
		t.Fatal("swept before the start")
	}
	w.entry("u2").Personal = []access.Personal{{UserID: "u2", Key: "dev2", Kind: access.PersonalExempt, Note: access.Note{By: "boss", At: start, Reason: "r"}, ExpiresAt: start.Add(time.Minute)}}
	if got := words(w.run(t, p)); got["d2"] != ">quarantine at default not_compliant" {
		t.Fatalf("exempt: %v", got)
	}
	w.now, w.timed = start.Add(time.Minute), []directory.UserID{"u2"}
	if _, err := p.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if last := w.rows[len(w.rows)-1]; last.DeviceID != "d2" || last.Decision.Effect != access.Block {
		t.Errorf("the exemption ran out: %+v", last)
	}
	if want := [2]time.Time{start, w.now.Add(time.Microsecond)}; len(w.asked) != 1 || w.asked[0] != want {
		t.Errorf("asked for %v, want %v", w.asked, want)
	}
	w.now, w.timed = start.Add(30*time.Second), nil // the clock is set back
	if _, err := p.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.run(t, p)
	if last := w.rows[len(w.rows)-1]; last.DeviceID != "d2" || last.Decision.Effect != access.Quarantine {
		t.Errorf("the clock was set back: %+v", last)
	}
}

func TestPublisherKeepsWhatItCouldNotTell(t *testing.T) {
	t.Parallel()
	w, p := newPress()
	w.run(t, p)
	w.happens(mdm.EventAccess, "", "u1")
	w.refuses = errors.New("the database is away")
	if _, err := p.Step(t.Context()); !errors.Is(err, w.refuses) || w.done != 0 {
		t.Errorf("got %v, done %d", err, w.done)
	}
	w.refuses = nil
	if w.run(t, p); w.done != 1 {
		t.Errorf("done %d", w.done)
	}
}
