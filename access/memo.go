package access

import (
	"hash/maphash"
	"sync"
	"time"
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

// memo is an answer and what it rested on.
type memo struct {
	client Client
	code   string // the one person's, as in the Set: equal means unchanged
	world  *World
	at     time.Time
	answer Decision
	met    contact
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

// find returns the answer to the same question on the same grounds, while it holds.
func (m *memos) find(c *Client, g grounds, at time.Time) (memo, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil || len(g.more) > 0 { // several whose login it may be
		return memo{}, false
	}
	key := m.hash(c)
	found, ok := m.young[key]
	if !ok {
		if found, ok = m.old[key]; ok {
			m.put(key, found)
		}
	}
	return found, ok && found.client == *c && found.code == g.one && found.world == g.world &&
		!at.Before(found.at) && at.Sub(found.at) < memoAge && at.Before(found.answer.ValidUntil)
}

// keep notes an answer.
func (m *memos) keep(one memo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.young == nil {
		m.young, m.seed = map[uint64]memo{}, maphash.MakeSeed()
	}
	m.put(m.hash(&one.client), one)
}

func (m *memos) put(key uint64, one memo) {
	if len(m.young) >= maxMemos {
		m.old, m.young = m.young, map[uint64]memo{}
	}
	m.young[key] = one
}
