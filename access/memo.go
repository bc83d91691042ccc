package access

import (
	"hash/maphash"
	"sync"
	"time"

	"sallyport/enroll/directory"
)

// Mail clients ask the same again and again, and are let in. What was answered last
// is kept for a while: a repeated question whose grounds are the very same costs
// then no more than to find that out.

const (
	maxMemos = 16_384 // of one generation; there are two
	// memoAge is how long an answer is given again. It holds 300 s, or shorter where
	// something ends: a gate is not to ask much sooner because its question was a
	// repeated one.
	memoAge = 60 * time.Second
)

// memos are the answers by a hash of the question. The zero value is empty.
type memos struct {
	mu         sync.Mutex
	seed       maphash.Seed
	young, old map[uint64]memo
}

// memo is an answer and what it rested on. The garbage collector has two strings of
// it to look at, whatever stands in them.
type memo struct {
	text   string // question, answer and contact, as memoText writes them
	code   string // the one person's, as in the Set: equal means unchanged
	world  *World
	at     time.Time
	minute int64 // since 1970, in which it was told last whom it is a contact of
}

// memoText writes an answer behind what it is compared with.
func memoText(c *Client, met *contact, d *Decision) string {
	w := &writer{b: make([]byte, 0, 512)}
	for _, s := range c.texts() {
		w.text(s)
	}
	w.text(string(d.Effect))
	w.text(string(d.Step))
	w.time(d.ValidUntil)
	w.count(len(d.Reasons))
	for i := range d.Reasons {
		r := &d.Reasons[i]
		w.text(r.Rule)
		w.text(r.Fact)
		w.time(r.Since)
		w.text(r.Fix)
	}
	for _, s := range [...]string{string(met.user), string(met.device), string(met.key)} {
		w.text(s)
	}
	return string(w.b)
}

// texts are all that a client says.
func (c *Client) texts() [9]string {
	return [...]string{c.User, c.DeviceID, c.DeviceType, c.UserAgent, c.Protocol, c.Model, c.OS, c.Address, c.Certificate}
}

// read returns the answer that memoText has written, unless it is to another client,
// and what follows it.
func (m *memo) read(c *Client) (d Decision, rest reader, ok bool) {
	r := reader{s: m.text}
	for _, s := range c.texts() {
		if r.text() != s {
			return Decision{}, reader{}, false
		}
	}
	d = Decision{Effect: Effect(r.text()), Step: Step(r.text()), ValidUntil: r.time()}
	if n := r.count(); n > 0 {
		d.Reasons = make([]Reason, n)
		for i := range d.Reasons {
			d.Reasons[i] = Reason{Rule: r.text(), Fact: r.text(), Since: r.time(), Fix: r.text()}
		}
	}
	return d, r, true
}

// hash covers what differs between the questions of one person's devices.
func (m *memos) hash(c *Client) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, text := range [...]string{c.User, c.DeviceID, c.UserAgent, c.Address, c.Certificate} {
		_, _ = h.WriteString(text)
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// find returns the answer to the same question on the same grounds, while it holds,
// and once a minute whose contact it is: a question is not repeated sooner with any news.
func (m *memos) find(c *Client, g grounds, at time.Time) (d Decision, met contact, ok bool) {
	if len(g.more) > 0 { // several whose login it may be
		return Decision{}, contact{}, false
	}
	found, told, ok := m.look(c, at.Unix()/60)
	if !ok || found.code != g.one || found.world != g.world || at.Before(found.at) || at.Sub(found.at) >= memoAge {
		return Decision{}, contact{}, false
	}
	d, rest, ok := found.read(c)
	if ok && !told {
		met = contact{directory.UserID(rest.text()), DeviceID(rest.text()), DeviceKey(rest.text())}
	}
	return d, met, ok && at.Before(d.ValidUntil)
}

// look also says whether it was found in that minute before.
func (m *memos) look(c *Client, minute int64) (found memo, told, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil {
		return memo{}, false, false
	}
	key := m.hash(c)
	found, ok = m.young[key]
	young := ok
	if !ok {
		found, ok = m.old[key]
	}
	told = found.minute == minute
	if ok && !(young && told) {
		found.minute = minute
		m.put(key, found)
	}
	return found, told, ok
}

// keep notes an answer.
func (m *memos) keep(c *Client, met *contact, d *Decision, one memo) {
	one.text = memoText(c, met, d)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil {
		m.young, m.seed = map[uint64]memo{}, maphash.MakeSeed()
	}
	m.put(m.hash(c), one)
}

func (m *memos) put(key uint64, one memo) {
	if len(m.young) >= maxMemos {
		m.old, m.young = m.young, map[uint64]memo{}
	}
	m.young[key] = one
}
