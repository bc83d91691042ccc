package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

const (
	// publishBatch is how many events are taken up at once: those of one user are
	// then one.
	publishBatch = 200
	// publishPage is how many people are looked at between two looks at the events.
	publishPage = 200
	// publishTries bounds how often a word is made anew because somebody else
	// published meanwhile.
	publishTries = 3
)

// Spoken is what was published last. internal/store implements it.
type Spoken interface {
	// Newest returns the newest row of the feed on each of the devices; those on
	// which there is none are absent.
	Newest(ctx context.Context, ids []DeviceID) (map[DeviceID]Change, error)
}

// Events is the outbox as the publisher reads it.
type Events interface {
	// Pending returns events that the consumer has not done, oldest first.
	Pending(ctx context.Context, consumer string, limit int) ([]mdm.Event, error)
	// After returns events after that one, oldest first.
	After(ctx context.Context, after int64, limit int) ([]mdm.Event, error)
	// Done moves the consumer's cursor.
	Done(ctx context.Context, consumer string, id int64) error
	// Pass is Done for events of which nothing came; it may be forgotten.
	Pass(ctx context.Context, consumer string, id int64) error
}

// Meeter makes devices known. Any Register is one.
type Meeter interface {
	Meet(ctx context.Context, s Sighting, guess mdm.EnrollmentID) (Device, error)
}

// Publisher tells the feed what is decided of each device on record, whenever
// that becomes another thing. A phone that told its DeviceId over MDM is put on
// record before its mail client ever came, so that whoever reads the feed can let
// it in at its first request.
//
// Everybody is looked at once at each start, and when rules or policies change:
// page by page, between the events, so that one phone's change does not wait for
// a round through all. The consumer's cursor stays before the event that asked for
// a round until the round is over: whoever takes over begins it again.
type Publisher struct {
	Source   Source
	Changes  ChangeStore
	Spoken   Spoken
	Register Meeter // asked for phones whose mail client has not come yet, with a Sighting that has no time
	Events   Events
	Links    Links
	Now      func() time.Time
	Log      *slog.Logger

	mu    sync.Mutex // one step or sweep at a time
	round *round     // under way; nil: none
	begun bool       // the round of the start was begun
	swept time.Time  // up to when time was looked at
}

// Consumer is the publisher's name in the outbox.
const Consumer = "access"

// round is one way through all people.
type round struct {
	after  directory.UserID
	again  bool  // something came meanwhile that concerns all
	event  int64 // the newest event that was taken up during the round
	people int
	told   int
}

// Step takes up what has happened, then some people of a round that is under way.
func (p *Publisher) Step(ctx context.Context) (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		p.begun, p.round, p.swept = true, &round{}, p.now()
	}
	events, err := p.pending(ctx)
	if err != nil {
		return false, err
	}
	if err := p.handle(ctx, events); err != nil {
		return false, err
	}
	if p.round != nil {
		return true, p.page(ctx)
	}
	return len(events) == publishBatch, nil
}

func (p *Publisher) pending(ctx context.Context) ([]mdm.Event, error) {
	if p.round != nil && p.round.event > 0 {
		return p.Events.After(ctx, p.round.event, publishBatch)
	}
	return p.Events.Pending(ctx, Consumer, publishBatch)
}

// handle publishes what the events made another thing.
func (p *Publisher) handle(ctx context.Context, events []mdm.Event) error {
	if len(events) == 0 {
		return nil
	}
	users, all, err := p.concerned(ctx, events)
	if err != nil {
		return err
	}
	told, err := p.publishUsers(ctx, users)
	if err != nil {
		return err
	}
	last := events[len(events)-1].ID
	if all {
		p.everybody()
	}
	if p.round != nil && (all || p.round.event > 0) {
		p.round.event = last
		return nil
	}
	if told == 0 && !all {
		return p.Events.Pass(ctx, Consumer, last)
	}
	return p.Events.Done(ctx, Consumer, last)
}

// everybody has all people looked at, from the beginning.
func (p *Publisher) everybody() {
	if p.round == nil {
		p.round = &round{}
		return
	}
	p.round.again = true
}

// concerned says whose devices the events are about, or that it is everybody's.
func (p *Publisher) concerned(ctx context.Context, events []mdm.Event) (users []directory.UserID, all bool, err error) {
	var phones []mdm.EnrollmentID
	for _, e := range events {
		switch {
		case e.Kind == mdm.EventDecision: // our own
		case e.UserID != "":
			users = append(users, e.UserID)
		case e.EnrollmentID != "":
			phones = append(phones, e.EnrollmentID)
		case e.Kind == mdm.EventAccess, e.Kind == mdm.EventPolicyChanged:
			all = true
		}
	}
	owners, err := p.Source.Owners(ctx, unique(phones))
	if err != nil {
		return nil, false, err
	}
	for _, user := range owners {
		users = append(users, user)
	}
	return unique(users), all, nil
}

func unique[T ~string](list []T) []T {
	slices.Sort(list)
	return slices.Compact(list)
}

// page looks at some more people of the round.
func (p *Publisher) page(ctx context.Context) error {
	r := p.round
	people, err := p.Source.Entries(ctx, r.after, publishPage)
	if err != nil {
		return err
	}
	told, err := p.publish(ctx, people)
	if err != nil {
		return err
	}
	before := r.people / progressEvery
	r.people, r.told = r.people+len(people), r.told+told
	if r.people/progressEvery > before {
		p.Log.InfoContext(ctx, "looking at all mail clients", slog.Int("people", r.people), slog.Int("decisions_changed", r.told))
	}
	switch {
	case len(people) == publishPage:
		r.after = people[len(people)-1].Person.ID
	case r.again:
		p.round = &round{event: r.event}
	default:
		if r.event > 0 {
			if err := p.Events.Done(ctx, Consumer, r.event); err != nil {
				return err
			}
		}
		p.Log.InfoContext(ctx, "looked at all mail clients", slog.Int("people", r.people), slog.Int("decisions_changed", r.told))
		p.round = nil
	}
	return nil
}

// progressEvery is after how many people the log is told.
const progressEvery = 10_000

// Sweep publishes what time alone made another thing: words that ran out,
// policies that began. Verdicts that run out make events of their own. What ran
// out while nobody swept, the round of the start finds.
func (p *Publisher) Sweep(ctx context.Context) (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.begun {
		return false, nil
	}
	now := p.now()
	if now.Before(p.swept) { // the clock was set back: what had run out has not
		p.swept = now
		p.everybody()
		return false, nil
	}
	users, err := p.Changes.Timed(ctx, p.swept, now.Add(time.Microsecond), 0)
	if err != nil {
		return false, err
	}
	if _, err := p.publishUsers(ctx, users); err != nil {
		return false, err
	}
	p.swept = now
	return false, nil
}

// publishUsers looks at the devices of some people, and says how much was told.
func (p *Publisher) publishUsers(ctx context.Context, users []directory.UserID) (told int, err error) {
	for some := range slices.Chunk(users, publishPage) {
		people, err := p.Source.EntriesOf(ctx, some)
		if err != nil {
			return told, err
		}
		n, err := p.publish(ctx, people)
		if err != nil {
			return told, err
		}
		told += n
	}
	return told, nil
}

// publish tells the feed what is new of these people's devices, and how much that
// was. Where somebody else told of a device meanwhile, it looks once more.
func (p *Publisher) publish(ctx context.Context, people []Entry) (int, error) {
	told := 0
	for range publishTries {
		if len(people) == 0 {
			return told, nil
		}
		changes, err := p.changes(ctx, people)
		if err != nil || len(changes) == 0 {
			return told, err
		}
		written, err := p.Changes.Publish(ctx, changes)
		if err != nil {
			return told, err
		}
		told += len(written)
		left := missing(changes, written)
		if len(left) == 0 {
			return told, nil
		}
		if people, err = p.Source.EntriesOf(ctx, left); err != nil {
			return told, err
		}
	}
	return told, fmt.Errorf("publish decisions: others were faster %d times", publishTries)
}

// missing are the owners of what was not written.
func missing(changes, written []Change) []directory.UserID {
	done := make(map[DeviceID]bool, len(written))
	for _, c := range written {
		done[c.DeviceID] = true
	}
	var users []directory.UserID
	for _, c := range changes {
		if !done[c.DeviceID] {
			users = append(users, c.UserID)
		}
	}
	return unique(users)
}

// changes are the words on these people's devices that are news.
func (p *Publisher) changes(ctx context.Context, people []Entry) ([]Change, error) {
	world, err := p.Source.World(ctx)
	if err != nil {
		return nil, err
	}
	var list []Change
	var ids []DeviceID
	for i := range people {
		devices, err := p.devices(ctx, &people[i])
		if err != nil {
			return nil, err
		}
		for _, d := range devices {
			list, ids = append(list, p.word(&people[i], d, world)), append(ids, d.ID)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	newest, err := p.Spoken.Newest(ctx, ids)
	if err != nil {
		return nil, err
	}
	var news []Change
	for _, c := range list {
		last, ok := newest[c.DeviceID]
		if c.ComplianceBefore = last.Compliance; !ok || c.news(&last) {
			news = append(news, c)
		}
	}
	return news, nil
}

// devices are those on record of the person, with the phones whose DeviceId is
// known and whose mail client has not come yet: those are put on record now.
func (p *Publisher) devices(ctx context.Context, e *Entry) ([]Device, error) {
	known := make(map[DeviceKey]bool, len(e.Devices))
	for _, d := range e.Devices {
		known[d.Key] = true
	}
	for _, phone := range e.Phones {
		if phone.EASKey == "" || !phone.State.Active() || known[phone.EASKey] {
			continue
		}
		known[phone.EASKey] = true
		d, err := p.Register.Meet(ctx, Sighting{UserID: e.Person.ID, Key: phone.EASKey,
			Client: Client{User: e.Person.UPN, DeviceID: string(phone.EASKey)}}, "")
		if errors.Is(err, ErrNotFound) { // the user was removed meanwhile
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		e.Devices = append(e.Devices, d)
	}
	return e.Devices, nil
}

// word is what is to be said of a device now.
func (p *Publisher) word(e *Entry, d Device, world World) Change {
	now := p.now()
	in := e.Inputs(now, d.client(e.Person.UPN), d, world)
	c := Change{At: now, DeviceID: d.ID, UserID: e.Person.ID, User: e.Person.UPN, Key: d.Key, Spellings: d.Spellings, Before: d.Effect, Decision: in.Decide()}
	for _, phone := range in.Phones {
		if !phone.Proof.Counts() {
			continue
		}
		c.EnrollmentID, c.Compliance = phone.EnrollmentID, phone.Verdict.State
		if c.Compliance == "" {
			c.Compliance = compliance.NotEvaluated
		}
		break
	}
	if c.Decision.Effect != Allow {
		c.Decision.Why = p.Links.Why(d.ID)
	}
	return c
}

// news reports whether the word differs from the one before in what readers of
// the feed act on.
func (c *Change) news(last *Change) bool {
	return c.Decision.Effect != last.Decision.Effect || c.Decision.Step != last.Decision.Step || c.Before != last.Decision.Effect ||
		c.EnrollmentID != last.EnrollmentID || c.Compliance != last.Compliance || c.User != last.User ||
		!slices.Equal(c.Spellings, last.Spellings) || c.Decision.Why != last.Decision.Why ||
		!slices.EqualFunc(c.Decision.Reasons, last.Decision.Reasons, func(a, b Reason) bool { return a.Rule == b.Rule })
}

func (p *Publisher) now() time.Time { return p.Now().UTC().Truncate(time.Microsecond) }
