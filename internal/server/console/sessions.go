package console

import (
	"crypto/sha256"
	"encoding/base64"
	"sync"
	"time"

	"sallyport/internal/secret"
)

const (
	// idleTime ends a session in which nobody looks at anything.
	idleTime = 30 * time.Minute
	// wholeTime ends every session: about a day's work.
	wholeTime = 8 * time.Hour
	// mostSessions bounds the memory, mostOfToken what one token's holder takes of it.
	mostSessions = 1000
	mostOfToken  = 20

	keyBytes = 32
)

// session is somebody who has shown a token. Of the token nothing is kept but its
// hash, by which every request finds out whether it still counts.
type session struct {
	token   []byte // auth.Hash
	tokenID string
	began   time.Time
	used    time.Time
}

// sessions are those of this process, by the hash of the key in the cookie: what a
// memory dump shows lets nobody in. The zero value is empty.
type sessions struct {
	mu    sync.Mutex
	known map[[sha256.Size]byte]*session
}

// begin makes a session and returns its key. Where there are too many, the one that
// was used longest ago goes.
func (s *sessions) begin(tokenID string, token []byte, now time.Time) (key string) {
	raw := secret.Random(keyBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known == nil {
		s.known = map[[sha256.Size]byte]*session{}
	}
	for id, one := range s.known {
		if one.over(now) {
			delete(s.known, id)
		}
	}
	s.makeRoom(mostOfToken, func(one *session) bool { return one.tokenID == tokenID })
	s.makeRoom(mostSessions, func(*session) bool { return true })
	s.known[sha256.Sum256(raw)] = &session{token: token, tokenID: tokenID, began: now, used: now}
	return base64.RawURLEncoding.EncodeToString(raw)
}

// makeRoom drops the oldest of its kind until one more is at most.
func (s *sessions) makeRoom(most int, kind func(*session) bool) {
	count := 0
	var oldest [sha256.Size]byte
	var of *session
	for id, one := range s.known {
		if !kind(one) {
			continue
		}
		count++
		if of == nil || one.used.Before(of.used) {
			oldest, of = id, one
		}
	}
	if count >= most {
		delete(s.known, oldest)
	}
}

// find returns the session of a key, and notes that it is used.
func (s *sessions) find(key string, now time.Time) (session, bool) {
	id, ok := idOf(key)
	if !ok {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[id]
	switch {
	case one == nil:
		return session{}, false
	case one.over(now):
		delete(s.known, id)
		return session{}, false
	}
	one.used = now
	return *one, true
}

// end forgets the session of a key, and returns it.
func (s *sessions) end(key string) (session, bool) {
	id, ok := idOf(key)
	if !ok {
		return session{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.known[id]
	if one == nil {
		return session{}, false
	}
	delete(s.known, id)
	return *one, true
}

// over reports whether the session has ended by itself. One that began after now
// has: a clock that was set back must lengthen nothing.
func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= idleTime || now.Sub(s.began) >= wholeTime || now.Before(s.began)
}

// idOf reads the key of a cookie, of which there is one spelling.
func idOf(key string) (id [sha256.Size]byte, ok bool) {
	if len(key) != base64.RawURLEncoding.EncodedLen(keyBytes) {
		return id, false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(key)
	if err != nil || len(raw) != keyBytes {
		return id, false
	}
	return sha256.Sum256(raw), true
}
