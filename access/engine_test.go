package access_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

var errAway = errors.New("database is away")

// ledger follow the contracts of access.Source, access.Events, access.Register and
// access.Verdicts.
type ledger struct {
	mu        sync.Mutex
	world     access.World
	people    map[directory.UserID]access.Entry
	sorted    []directory.UserID // the keys, for whoever loads them all
	events    []mdm.Event
	verdicts  map[mdm.EnrollmentID]compliance.Verdict
	denials   map[string]access.Denial
	sightings []access.Sighting
	commits   uint64
	asked     map[string]int                 // calls by method
	ends      map[directory.UserID]time.Time // of their certificates

	away  bool          // every call fails at once
	hangs bool          // every call waits until its context ends
	full  bool          // no verdict can be written, so none is made; all else works
	slow  time.Duration // every call takes so long
}

func newLedger() *ledger {
	b := &ledger{people: map[directory.UserID]access.Entry{}, verdicts: map[mdm.EnrollmentID]compliance.Verdict{}, denials: map[string]access.Denial{}, asked: map[string]int{}}
	b.world = access.World{Default: access.Quarantine, Policies: []access.Policy{{Name: "standard", Number: 1, Spec: access.Spec{
		Name: "standard", Assign: directory.Audience{Everyone: true}, Mode: access.Enforce, Require: []access.Requirement{access.RequireEnrolled, access.RequireCompliant},
	}}}}
	b.people["u1"] = access.Entry{
		Person:  access.Person{ID: "u1", UPN: "alice@example.test", Groups: []string{"sales"}},
		Logins:  []string{"alice@example.test", "a.liddell@example.test", "alice", `example\alice`},
		Devices: []access.Device{{ID: "d1", UserID: "u1", Key: "dev1", Spellings: []string{"DEV1"}, Type: "iPhone"}},
		Phones: []access.Phone{{EnrollmentID: "e1", State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4", EASKey: "dev1",
			Verdict: compliance.Verdict{EnrollmentID: "e1", State: compliance.Compliant, Since: start, At: start, ValidUntil: start.Add(24 * time.Hour), Policy: "standard@1"}}},
	}
	b.people["u2"] = access.Entry{Person: access.Person{ID: "u2", UPN: "alice@other.test"}, Logins: []string{"alice@other.test", "alice"}}
	return b
}

// trouble is what a call meets; it counts the call.
func (b *ledger) trouble(ctx context.Context, method string) error {
	b.mu.Lock()
	away, hangs, slow := b.away, b.hangs, b.slow
	b.asked[method]++
	b.mu.Unlock()
	time.Sleep(slow)
	if hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if away {
		return errAway
	}
	return nil
}

func (b *ledger) World(ctx context.Context) (access.World, error) {
	err := b.trouble(ctx, "World")
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.world, err
}

func (b *ledger) Entries(ctx context.Context, after directory.UserID, limit int) ([]access.Entry, error) {
	err := b.trouble(ctx, "Entries")
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.sorted) != len(b.people) {
		b.sorted = slices.Sorted(maps.Keys(b.people))
	}
	first, _ := slices.BinarySearch(b.sorted, after+"\x00")
	var page []access.Entry
	for _, id := range b.sorted[first:min(first+limit, len(b.sorted))] {
		page = append(page, b.people[id])
	}
	return page, err
}

func (b *ledger) EntriesOf(ctx context.Context, ids []directory.UserID) ([]access.Entry, error) {
	err := b.trouble(ctx, "EntriesOf")
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []access.Entry
	for _, id := range ids {
		if e, ok := b.people[id]; ok {
			list = append(list, e)
		}
	}
	return list, err
}

func (b *ledger) Owners(ctx context.Context, ids []mdm.EnrollmentID) (map[mdm.EnrollmentID]directory.UserID, error) {
	err := b.trouble(ctx, "Owners")
	b.mu.Lock()
	defer b.mu.Unlock()
	owners := map[mdm.EnrollmentID]directory.UserID{}
	for user, e := range b.people {
		for _, p := range e.Phones {
			if slices.Contains(ids, p.EnrollmentID) {
				owners[p.EnrollmentID] = user
			}
		}
	}
	return owners, err
}

func (b *ledger) Lapsed(ctx context.Context, from, until time.Time) ([]directory.UserID, error) {
	err := b.trouble(ctx, "Lapsed")
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []directory.UserID
	for user, at := range b.ends {
		if at.After(from) && !at.After(until) {
			list = append(list, user)
		}
	}
	return list, err
}

func (b *ledger) LastEvent(ctx context.Context) (int64, error) {
	err := b.trouble(ctx, "LastEvent")
	b.mu.Lock()
	defer b.mu.Unlock()
	return int64(len(b.events)), err
}

func (b *ledger) After(ctx context.Context, id int64, limit int) ([]mdm.Event, error) {
	err := b.trouble(ctx, "After")
	b.mu.Lock()
	defer b.mu.Unlock()
	rest := b.events[id:]
	return slices.Clone(rest[:min(limit, len(rest))]), err
}

func (b *ledger) Current(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error) {
	err := b.trouble(ctx, "Current")
	b.mu.Lock()
	defer b.mu.Unlock()
	v, ok := b.verdicts[id]
	if err == nil && b.full {
		err = errAway
	}
	if err == nil && !ok {
		err = compliance.ErrNotFound
	}
	return v, err
}

func (b *ledger) Meet(ctx context.Context, s access.Sighting, guess mdm.EnrollmentID) (access.Device, error) {
	if err := b.trouble(ctx, "Meet"); err != nil {
		return access.Device{}, err
	}
	d := access.Device{ID: access.DeviceID("met " + string(s.Key)), UserID: s.UserID, Key: s.Key, Spellings: []string{s.Client.DeviceID}, Type: s.Client.DeviceType, UserAgent: s.Client.UserAgent, FirstAt: s.At, LastAt: s.At}
	if guess != "" {
		d.Bound, d.Proof = guess, access.ProofProbable
	}
	b.change(s.UserID, func(e *access.Entry) { e.Devices = append(slices.Clone(e.Devices), d) })
	return d, nil
}

func (b *ledger) Seen(ctx context.Context, list []access.Sighting) error {
	err := b.trouble(ctx, "Seen")
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.sightings = append(b.sightings, list...)
	}
	return err
}

func (b *ledger) SaveDenials(ctx context.Context, list []access.Denial) error {
	err := b.trouble(ctx, "SaveDenials")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range list {
		if err != nil {
			break
		}
		if known, ok := b.denials[d.Key]; ok {
			known.Count, known.LastAt = known.Count+d.Count, d.LastAt
			d = known
		}
		b.denials[d.Key] = d
	}
	return err
}

func (b *ledger) Denial(ctx context.Context, id string) (access.Denial, error) {
	err := b.trouble(ctx, "Denial")
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, d := range b.denials {
		if d.ID == id {
			return d, err
		}
	}
	return access.Denial{}, access.ErrNotFound
}

func (b *ledger) Denials(ctx context.Context, _ directory.UserID, _ string, _ int) ([]access.Denial, error) {
	return nil, b.trouble(ctx, "Denials")
}

// emit writes events, as a commit does.
func (b *ledger) emit(events ...mdm.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range events {
		e.ID = int64(len(b.events)) + 1
		b.events = append(b.events, e)
	}
	b.commits++
}

// change alters one person, and says so in the outbox.
func (b *ledger) change(id directory.UserID, do func(*access.Entry)) {
	b.mu.Lock()
	e := b.people[id]
	e.Phones, e.Devices, e.Personal = slices.Clone(e.Phones), slices.Clone(e.Devices), slices.Clone(e.Personal)
	do(&e)
	b.people[id] = e
	b.mu.Unlock()
	b.emit(mdm.Event{Kind: mdm.EventAccess, UserID: id})
}

// say changes what compliance says of Alice's phone.
func (b *ledger) say(state compliance.State) {
	b.mu.Lock()
	e := b.people["u1"]
	e.Phones = slices.Clone(e.Phones)
	e.Phones[0].Verdict.State = state
	b.people["u1"] = e
	b.mu.Unlock()
	b.emit(mdm.Event{Kind: mdm.EventVerdict, EnrollmentID: "e1"})
}

// takes makes storage slow. It answers all the same.
func (b *ledger) takes(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.slow = d
}

func (b *ledger) set(away, hangs bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.away, b.hangs = away, hangs
}

func (b *ledger) calls(method string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked[method]
}

func (b *ledger) engine() *access.Engine {
	return &access.Engine{Source: b, Events: b, Register: b, Verdicts: b, MaxStale: 5 * time.Minute, Now: func() time.Time { return start },
		Commits: func() uint64 {
			b.mu.Lock()
			defer b.mu.Unlock()
			return b.commits
		}}
}

// loaded is an engine that may be asked.
func (b *ledger) loaded(t testing.TB) *access.Engine {
	t.Helper()
	e := b.engine()
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e
}

func decide(t testing.TB, e *access.Engine, c access.Client) access.Decision {
	t.Helper()
	d, err := e.Decide(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func client() access.Client {
	return access.Client{User: "Alice@example.test", DeviceID: "DEV1", DeviceType: "iPhone", UserAgent: "Apple-iPhone15C4/2002.91"}
}

func TestEngineDecides(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		set  func(*ledger, *access.Client)
		want access.Effect
		step access.Step
	}{
		{"compliant, in other letters", func(*ledger, *access.Client) {}, access.Allow, access.StepConditionsPassed},
		{"by another login", func(_ *ledger, c *access.Client) { c.User = `EXAMPLE\Alice` }, access.Allow, access.StepConditionsPassed},
		{"unknown user", func(_ *ledger, c *access.Client) { c.User = "mallory@example.test" }, access.Block, access.StepUser},
		{"ambiguous user", func(_ *ledger, c *access.Client) { c.User = "alice" }, access.Block, access.StepUser},
		{"unknown device", func(_ *ledger, c *access.Client) { c.DeviceID = "dev2" }, access.Quarantine, access.StepDefault},
		{"ended", func(b *ledger, _ *access.Client) {
			b.change("u1", func(e *access.Entry) { e.Phones[0].State = mdm.CheckedOut })
		}, access.Block, access.StepConditionsFailed},
		{"not compliant", func(b *ledger, _ *access.Client) { b.say(compliance.NotCompliant) }, access.Block, access.StepConditionsFailed},
		{"hex of the text", func(_ *ledger, c *access.Client) { c.DeviceID = "44455631" }, access.Allow, access.StepConditionsPassed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, c := newLedger(), client()
			tt.set(b, &c)
			d := decide(t, b.loaded(t), c)
			if d.Effect != tt.want || d.Step != tt.step || tt.want != access.Allow && d.Reasons[0].Fix == "" {
				t.Errorf("got %+v, want %s by %s", d, tt.want, tt.step)
			}
			if d.ValidUntil.Before(start) || d.ValidUntil.After(start.Add(300*time.Second)) {
				t.Errorf("valid until %v, want at most 300 s", d.ValidUntil)
			}
		})
	}
}

// TestCertificateEndsByItself: no event tells of that, and nobody is let in by a
// certificate that has ended.
func TestCertificateEndsByItself(t *testing.T) {
	t.Parallel()
	b, c, now := newLedger(), client(), start
	c.Certificate = strings.Repeat("ab", 32)
	b.world.Policies[0].Spec.Require = []access.Requirement{access.RequireCertificate}
	b.change("u1", func(e *access.Entry) { e.Phones[0].Certificates = []string{c.Certificate} })
	b.ends = map[directory.UserID]time.Time{"u1": start.Add(90 * time.Second)}
	e := b.engine()
	e.Now = func() time.Time { return now }
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	look := func(after time.Duration, want access.Effect, asked int) {
		t.Helper()
		now = start.Add(after)
		if _, err := e.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if d := decide(t, e, c); d.Effect != want || b.calls("Lapsed") != asked {
			t.Errorf("after %s: %+v, want %s; storage was asked %d times, want %d", after, d, want, b.calls("Lapsed"), asked)
		}
	}
	look(0, access.Allow, 0)
	look(time.Minute, access.Allow, 1)
	one := b.people["u1"] // as storage has it once the certificate has ended
	one.Phones = slices.Clone(one.Phones)
	one.Phones[0].Certificates = nil
	b.people["u1"] = one
	look(100*time.Second, access.Allow, 1)
	look(2*time.Minute, access.Block, 2)
	look(time.Minute, access.Block, 3) // a clock that was set back
}

// What was never loaded decides nothing.
func TestEngineNotLoaded(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.engine()
	if d, err := e.Decide(t.Context(), client()); !errors.Is(err, access.ErrUnavailable) || d.Effect != "" {
		t.Errorf("before Load: %+v, %v", d, err)
	}
	b.set(true, false)
	if err := e.Load(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("Load without a database: %v", err)
	}
	if _, err := e.Decide(t.Context(), client()); !errors.Is(err, access.ErrUnavailable) {
		t.Errorf("after a Load that failed: %v", err)
	}
}

func TestEngineRefuses(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 2000)
	tests := []struct {
		name string
		c    access.Client
		want string
	}{
		{"nothing", access.Client{}, "user, device_id"},
		{"too long", access.Client{User: long, DeviceID: long, DeviceType: long, UserAgent: long, Protocol: long, Model: long, OS: long, Address: long, Certificate: long},
			"user, device_id, device_type, user_agent, protocol_version, model, os, address, certificate_sha256"},
		{"control characters", access.Client{User: "a\x00", DeviceID: "d", DeviceType: "\n", UserAgent: "\x1b"}, "user, device_type, user_agent"},
		{"device with a space", access.Client{User: "a", DeviceID: "d 1"}, "device_id"},
		{"device that is not ASCII", access.Client{User: "a", DeviceID: "ſ"}, "device_id"}, // lower-cases to itself, upper-cases to S
		{"not UTF-8", access.Client{User: "\xff", DeviceID: "d"}, "user"},
		{"certificate in capitals", access.Client{User: "a", DeviceID: "d", Certificate: strings.Repeat("AB", 32)}, "certificate_sha256"},
		{"address", access.Client{User: "a", DeviceID: "d", Address: "192.0.2.1:80"}, "address"},
		{"longest", access.Client{User: long[:320], DeviceID: long[:128], DeviceType: long[:128], UserAgent: long[:1024], Certificate: long[:64], Address: "2001:db8::1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			e := newLedger().loaded(t)
			_, err := e.Decide(t.Context(), tt.c)
			if got := fields(err); got != tt.want || (tt.want != "") != errors.Is(err, access.ErrInvalid) {
				t.Errorf("got %v, want refusals of %q", err, tt.want)
			}
			if tt.want == "" {
				return
			}
			_, err = e.DecideMany(t.Context(), []access.Client{client(), tt.c})
			if got := strings.ReplaceAll(fields(err), "requests[1].", ""); got != tt.want || !errors.Is(err, access.ErrInvalid) {
				t.Errorf("among others: got %v, want refusals of %q", err, tt.want)
			}
		})
	}
}

func TestDecideManyKeepsTheOrder(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	var clients []access.Client
	for i := range 1000 {
		c := client()
		if i%2 == 1 {
			c.User = fmt.Sprintf("stranger%d@example.test", i)
		}
		clients = append(clients, c)
	}
	list, err := e.DecideMany(t.Context(), clients)
	if err != nil || len(list) != len(clients) {
		t.Fatalf("%d answers, %v", len(list), err)
	}
	for i, d := range list {
		if want := []access.Effect{access.Allow, access.Block}[i%2]; d.Effect != want {
			t.Fatalf("answer %d is %s, want %s", i, d.Effect, want)
		}
	}
}

// Explain says what Decide does, notes nothing and meets nobody.
func TestExplain(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	unknown := client()
	unknown.DeviceID = "dev2"
	for _, c := range []access.Client{client(), unknown} {
		in, d, trace, err := e.Explain(t.Context(), c)
		if err != nil || len(trace) == 0 || trace[len(trace)-1].Step != d.Step || len(in.People) != 1 {
			t.Errorf("%+v, %+v, %v", d, trace, err)
		}
		if want := decide(t, b.loaded(t), c); want.Effect != d.Effect || want.Step != d.Step {
			t.Errorf("explained as %+v, decided as %+v", d, want)
		}
	}
	met := b.calls("Meet")
	if _, err := e.Flush(t.Context()); err != nil || met != 1 || len(b.denials)+len(b.sightings) != 0 {
		t.Errorf("met %d (Decide alone meets), noted %d denials, %d contacts, %v", met, len(b.denials), len(b.sightings), err)
	}
}

// A verdict whose time is over is asked for anew, and kept.
func TestVerdictsAreRenewed(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	e.Now = func() time.Time { return start.Add(25 * time.Hour) }
	b.verdicts["e1"] = compliance.Verdict{EnrollmentID: "e1", State: compliance.Unknown, Since: start, At: start.Add(25 * time.Hour), ValidUntil: start.Add(50 * time.Hour), Policy: "standard@1"}
	for range 3 {
		if d := decide(t, e, client()); d.Effect != access.Block {
			t.Errorf("got %+v, want a block by the new verdict", d)
		}
	}
	if n := b.calls("Current"); n != 1 {
		t.Errorf("asked %d times", n)
	}
}
