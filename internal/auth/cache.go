package auth

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"
)

const (
	// askEvery is how long a token counts without another look at the store: that
	// long, at most, another server's revocation is not seen.
	askEvery = 5 * time.Second
	// outlives is how long a token counts while the store does not answer.
	outlives = 300 * time.Second
	// askTime is how long anybody waits for the store about a token that it has
	// verified before, or after it has just not answered.
	askTime = 250 * time.Millisecond
	// firstTime is how long the store has for a token that nobody has asked it about:
	// there is nothing to fall back on, and it may only be slow.
	firstTime = 5 * time.Second
	// RefreshEvery is how often Refresh should be called, so that no request waits for
	// the store on account of a token that was used lately.
	RefreshEvery = 2 * time.Second
)

// cache remembers the tokens that the store has verified, and nothing of those
// that it has not. Its times are on the monotonic clock. The zero cache is empty.
type cache struct {
	mu      sync.Mutex
	known   map[uint64]*verified // by the first bytes of the hash
	revoked int                  // counts revocations in this process
	silent  time.Time            // when the store last did not answer
}

// verified is a token as the store had it then.
type verified struct {
	token Token
	at    time.Time     // with its monotonic reading
	left  time.Duration // until the token expired, by the wall clock of then
	used  time.Time
}

// good reports whether the token still counts, if the store was asked so long ago.
func (v *verified) good(most time.Duration) bool {
	age := time.Since(v.at)
	return age < most && age < v.left
}

func bucket(hash []byte) uint64 { return binary.BigEndian.Uint64(hash) }

// find returns what is known of the token of a hash. The whole hash is compared in
// constant time: its first bytes alone lead to it.
func (c *cache) find(hash []byte) (v verified, asks, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := c.known[bucket(hash)]
	if found == nil || subtle.ConstantTimeCompare(found.token.Hash, hash) != 1 {
		return verified{}, true, false
	}
	found.used = time.Now()
	silent := !c.silent.IsZero() && time.Since(c.silent) < askEvery
	return *found, !found.good(askEvery) && !(silent && found.good(outlives)), true
}

// learn notes what the store said, unless a token was revoked since the store was
// asked: its answer may be from before.
func (c *cache) learn(t Token, now time.Time, revoked int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = time.Time{}
	if revoked != c.revoked {
		return
	}
	if c.known == nil {
		c.known = map[uint64]*verified{}
	}
	at := time.Now()
	used := at
	if before := c.known[bucket(t.Hash)]; before != nil {
		used = before.used
	}
	c.known[bucket(t.Hash)] = &verified{token: t, at: at, left: t.ExpiresAt.Sub(now), used: used}
}

func (c *cache) forget(hash []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.known, bucket(hash))
}

// revoke forgets a token, and whatever is about to be learned.
func (c *cache) revoke(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.revoked++
	for k, v := range c.known {
		if v.token.ID == id {
			delete(c.known, k)
		}
	}
}

func (c *cache) missed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = time.Now()
}

// patience is how long the store has to tell about a token.
func (c *cache) patience(hash []byte) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	silent := !c.silent.IsZero() && time.Since(c.silent) < askEvery
	if c.known[bucket(hash)] == nil && !silent {
		return firstTime
	}
	return askTime
}

func (c *cache) revocations() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.revoked
}

// inUse returns the hashes of the tokens that were used of late, and drops the
// others.
func (c *cache) inUse() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list [][]byte
	for k, v := range c.known {
		if time.Since(v.used) >= outlives {
			delete(c.known, k)
			continue
		}
		list = append(list, v.token.Hash)
	}
	return list
}

// ask looks the token up in the store, and remembers the answer.
func (s *Service) ask(ctx context.Context, hash []byte) (Token, error) {
	revoked := s.cache.revocations()
	limited, cancel := context.WithTimeout(ctx, s.cache.patience(hash))
	defer cancel()
	t, err := s.Store.TokenByHash(limited, hash)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !s.good(t):
		s.cache.forget(hash)
		return Token{}, ErrUnauthenticated
	case err != nil:
		if ctx.Err() == nil { // it was not the caller who gave up
			s.cache.missed()
		}
		return Token{}, fmt.Errorf("find token: %w", err)
	}
	s.cache.learn(t, s.now(), revoked)
	return t, nil
}

func (s *Service) good(t Token) bool {
	return t.RevokedAt.IsZero() && s.now().Before(t.ExpiresAt) && t.Role.Valid()
}

// Refresh is a step of background work: it looks at the tokens in use before a
// request has to wait for that. A store that does not answer is no error: that it
// did not is what requests have to know, as soon as it happens.
func (s *Service) Refresh(ctx context.Context) (more bool, err error) {
	for _, hash := range s.cache.inUse() {
		if _, err := s.ask(ctx, hash); err != nil && !errors.Is(err, ErrUnauthenticated) {
			break
		}
	}
	return false, nil
}
