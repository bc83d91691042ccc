package access

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Set holds what decisions rest on of everybody, in memory: each person in a few
// hundred bytes. Readers wait for nobody longer than it takes to put one person in.
// The zero Set is empty and ready.
type Set struct {
	lexicon lexicon
	world   atomic.Pointer[World]

	mu      sync.RWMutex
	seed    maphash.Seed
	people  []string            // each person's entry, by place; "" is free
	free    []uint32            // places
	first   map[uint32]uint32   // from the hash of an ID or a login to a place
	more    map[uint32][]uint32 // further ones of the same hash: shared logins, mostly
	devices int
	count   int
}

// SetWorld replaces what all decisions rest on. w must not be changed any more.
func (s *Set) SetWorld(w World) { s.world.Store(&w) }

// begin makes the zero Set ready for a writer.
func (s *Set) begin() {
	if s.first == nil {
		s.first, s.more, s.seed = map[uint32]uint32{}, map[uint32][]uint32{}, maphash.MakeSeed()
	}
}

// Size is how many people are in the set, and how many devices are theirs.
func (s *Set) Size() (people, devices int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.count, s.devices
}

// Put puts a person in, in the place of what was known of them.
func (s *Set) Put(e Entry) {
	code := encode(&s.lexicon, compact(&e))
	s.mu.Lock()
	defer s.mu.Unlock()
	words := s.lexicon.all()
	s.begin()
	at, ok := s.place(words, string(e.Person.ID))
	if ok {
		s.unlink(words, at)
	} else {
		at = s.fresh()
	}
	s.people[at] = code
	s.count++
	s.devices += len(e.Devices)
	for _, hash := range s.hashes(words, code) {
		s.link(hash, at)
	}
}

// Remove forgets a person.
func (s *Set) Remove(id directory.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	words := s.lexicon.all()
	if at, ok := s.place(words, string(id)); ok {
		s.unlink(words, at)
		s.people[at] = ""
		s.free = append(s.free, at)
	}
}

// grounds are what the Set has on a login: not looked into yet.
type grounds struct {
	login string // folded
	one   string // an entry; "" is none
	more  []string
	words []string
	world *World
}

func (s *Set) grounds(login string) grounds {
	g := grounds{login: directory.Fold(login), world: s.world.Load()}
	if login != "" { // people without a domain have an empty one
		g.one, g.more, g.words = s.candidates(g.login)
	}
	return g
}

// people are those whose login it is, in the order of ID. Their Logins are left out.
func (g *grounds) people() []*Entry {
	var found []*Entry
	if g.one != "" && answersTo(g.words, g.one, g.login) {
		found = append(found, decode(g.words, g.one, false))
	}
	for _, code := range g.more {
		if answersTo(g.words, code, g.login) {
			found = append(found, decode(g.words, code, false))
		}
	}
	if len(found) > 1 {
		slices.SortFunc(found, func(a, b *Entry) int { return strings.Compare(string(a.Person.ID), string(b.Person.ID)) })
	}
	return found
}

func (g *grounds) inputs(people []*Entry, c Client, now time.Time) Inputs {
	w := World{}
	if g.world != nil {
		w = *g.world
	}
	return Gather(people, w, c, now)
}

// Find returns whom a login names, in the order of ID: nobody, one, or several. Their
// Logins are left out.
func (s *Set) Find(login string) []*Entry {
	g := s.grounds(login)
	return g.people()
}

// Person returns one; nil when that person is not in the set.
func (s *Set) Person(id directory.UserID) *Entry {
	one, more, words := s.candidates(string(id))
	for _, code := range append([]string{one}, more...) {
		if code != "" && isOf(words, code, string(id)) {
			return decode(words, code, true)
		}
	}
	return nil
}

// Renew replaces the verdict on one phone, if the one in the set still is before.
func (s *Set) Renew(id directory.UserID, of mdm.EnrollmentID, before, after compliance.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin()
	words := s.lexicon.all()
	at, ok := s.place(words, string(id))
	if !ok {
		return
	}
	e := decode(words, s.people[at], true)
	i := slices.IndexFunc(e.Phones, func(p Phone) bool { return p.EnrollmentID == of })
	if i >= 0 && e.Phones[i].Verdict.At.Equal(before.At) && e.Phones[i].Verdict.State == before.State {
		e.Phones[i].Verdict = after
		s.people[at] = encode(&s.lexicon, compact(e))
	}
}

// Inputs gathers what a decision about a client rests on.
func (s *Set) Inputs(c Client, now time.Time) Inputs {
	g := s.grounds(c.User)
	return g.inputs(g.people(), c, now)
}

// candidates are the entries under a hash; whether they are meant is to be seen.
func (s *Set) candidates(name string) (one string, more, words []string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.first == nil {
		return "", nil, nil
	}
	hash := s.hash(name)
	at, ok := s.first[hash]
	if !ok {
		return "", nil, nil
	}
	for _, at := range s.more[hash] {
		more = append(more, s.people[at])
	}
	return s.people[at], more, s.lexicon.all() // under the lock: it holds all their words
}

func (s *Set) hash(name string) uint32 { return uint32(maphash.String(s.seed, name) >> 32) }

// hashes are those of an entry's ID and logins, each once.
func (s *Set) hashes(words []string, code string) []uint32 {
	r := reader{words, code}
	list := []uint32{s.hash(r.id())}
	for prefix, rest := range r.logins(r.text()) {
		if prefix+rest != "" {
			list = append(list, s.hash(prefix+rest))
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func isOf(words []string, code, id string) bool {
	r := &reader{words, code}
	return r.id() == id
}

func answersTo(words []string, code, login string) bool {
	r := reader{words, code}
	r.skipID()
	for prefix, rest := range r.logins(r.text()) {
		if len(login) == len(prefix)+len(rest) && login[:len(prefix)] == prefix && login[len(prefix):] == rest {
			return true
		}
	}
	return false
}

// place finds a person's, under the lock.
func (s *Set) place(words []string, id string) (uint32, bool) {
	hash := s.hash(id)
	at, ok := s.first[hash]
	if ok && isOf(words, s.people[at], id) {
		return at, true
	}
	for _, at := range s.more[hash] {
		if isOf(words, s.people[at], id) {
			return at, true
		}
	}
	return 0, false
}

func (s *Set) fresh() uint32 {
	if n := len(s.free); n > 0 {
		at := s.free[n-1]
		s.free = s.free[:n-1]
		return at
	}
	s.people = append(s.people, "")
	return uint32(len(s.people) - 1)
}

func (s *Set) link(hash, at uint32) {
	if _, taken := s.first[hash]; taken {
		s.more[hash] = append(s.more[hash], at)
		return
	}
	s.first[hash] = at
}

// unlink takes an entry out of every index; its place stays taken.
func (s *Set) unlink(words []string, at uint32) {
	code := s.people[at]
	for _, hash := range s.hashes(words, code) {
		rest := s.more[hash]
		if s.first[hash] != at {
			rest = slices.DeleteFunc(rest, func(other uint32) bool { return other == at })
		} else if len(rest) > 0 {
			s.first[hash], rest = rest[0], rest[1:]
		} else {
			delete(s.first, hash)
		}
		if len(rest) > 0 {
			s.more[hash] = rest
		} else {
			delete(s.more, hash)
		}
	}
	s.count--
	s.devices -= len(decode(words, code, false).Devices)
}

// compact leaves out what no decision rests on: of a device when and from where it
// was met, how it was spelled and what was published of it; of a profile that is as
// it should be, everything but that.
func compact(e *Entry) *Entry {
	c := *e
	c.Devices = slices.Clone(e.Devices)
	for i, d := range c.Devices {
		c.Devices[i] = compactDevice(d)
	}
	c.Phones = slices.Clone(e.Phones)
	for i := range c.Phones {
		c.Phones[i].Verdict.Findings = telling(c.Phones[i].Verdict.Findings)
	}
	return &c
}

func compactDevice(d Device) Device {
	return Device{ID: d.ID, UserID: d.UserID, Key: d.Key, Type: d.Type, Model: d.Model, OS: d.OS,
		UserAgent: d.UserAgent, Protocol: d.Protocol, Bound: d.Bound, Proof: d.Proof}
}

// telling are the findings that decisions and their reasons speak of.
func telling(findings []compliance.Finding) []compliance.Finding {
	var kept []compliance.Finding
	for _, f := range findings {
		switch {
		case f.State != compliance.Met:
			kept = append(kept, f)
		case f.Rule == compliance.RuleMailProfile:
			kept = append(kept, compliance.Finding{Rule: f.Rule, State: f.State})
		}
	}
	return kept
}
