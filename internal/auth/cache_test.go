package auth_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
)

// slow is a shelf that counts, fails, or never answers.
type slow struct {
	*shelf
	mu     sync.Mutex
	asked  int
	hangs  bool
	during func() // while it answers
}

func (s *slow) TokenByHash(ctx context.Context, hash []byte) (auth.Token, error) {
	s.mu.Lock()
	s.asked++
	hangs, during := s.hangs, s.during
	s.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return auth.Token{}, ctx.Err()
	}
	t, err := s.shelf.TokenByHash(ctx, hash)
	if during != nil {
		during()
	}
	return t, err
}

// inBubble runs do with a service and a token that was used once.
func inBubble(t *testing.T, do func(t *testing.T, s *auth.Service, store *slow, id, text string)) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{shelf: &shelf{}}
		s := &auth.Service{Store: store}
		issued, err := s.Create(t.Context(), auth.Engine, "gate", time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		text := issued.Text.Reveal()
		if _, err := s.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		do(t, s, store, issued.ID, text)
	})
}

// outage makes the store fail at once, or hang.
func outages(t *testing.T, do func(t *testing.T, s *auth.Service, store *slow, text string, goes func(away bool))) {
	for name, hangs := range map[string]bool{"fails": false, "hangs": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *auth.Service, store *slow, _, text string) {
				do(t, s, store, text, func(away bool) {
					store.hangs, store.trouble = away && hangs, nil
					if away && !hangs {
						store.trouble = errors.New("database is away")
					}
				})
			})
		})
	}
}

func TestTokensAreNotLookedUpEachTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *auth.Service, store *slow, _, text string) {
		ask := func(want int) {
			t.Helper()
			for range 10 {
				if p, err := s.Authenticate(t.Context(), text); err != nil || p.Owner != "gate" || p.Role != auth.Engine {
					t.Errorf("%+v, %v", p, err)
				}
			}
			if store.asked != want {
				t.Errorf("the store was asked %d times, want %d", store.asked, want)
			}
		}
		ask(1)
		time.Sleep(4999 * time.Millisecond)
		ask(1)
		time.Sleep(time.Millisecond)
		ask(2)
		for range 4 {
			time.Sleep(auth.RefreshEvery)
			if _, err := s.Refresh(t.Context()); err != nil {
				t.Error(err)
			}
		}
		ask(6)
		time.Sleep(301 * time.Second)
		for range 3 { // nobody uses it any more
			if _, err := s.Refresh(t.Context()); err != nil || store.asked != 6 {
				t.Errorf("asked %d times, %v", store.asked, err)
			}
		}
	})
}

func TestTokensOutliveTheirStore(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, s *auth.Service, store *slow, text string, goes func(bool)) {
		gone := time.Now()
		goes(true)
		for time.Since(gone) < 290*time.Second {
			time.Sleep(5 * time.Second)
			began := time.Now()
			if p, err := s.Authenticate(t.Context(), text); err != nil || p.Owner != "gate" || time.Since(began) > 250*time.Millisecond {
				t.Fatalf("%+v, %v after %v", p, err, time.Since(began))
			}
		}
		time.Sleep(20 * time.Second)
		began := time.Now()
		if p, err := s.Authenticate(t.Context(), text); err == nil || errors.Is(err, auth.ErrUnauthenticated) || p != (auth.Principal{}) || time.Since(began) > 250*time.Millisecond {
			t.Errorf("after 300 s: %+v, %v after %v; want trouble, which is no bad token", p, err, time.Since(began))
		}
		goes(false)
		if _, err := s.Authenticate(t.Context(), text); err != nil {
			t.Errorf("the store is back: %v", err)
		}
	})
}

// With Refresh at work no request waits for a store that hangs.
func TestNobodyWaitsForAStoreThatHangs(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *auth.Service, store *slow, _, text string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				_, _ = s.Refresh(ctx)
				select {
				case <-ctx.Done():
				case <-time.After(auth.RefreshEvery):
				}
			}
		}()
		time.Sleep(time.Minute)
		store.mu.Lock()
		store.hangs = true
		store.mu.Unlock()
		for range 280 {
			began := time.Now()
			if _, err := s.Authenticate(t.Context(), text); err != nil || time.Since(began) > 0 {
				t.Fatalf("%v after %v", err, time.Since(began))
			}
			time.Sleep(time.Second)
		}
	})
}

func TestRevocationIsSeen(t *testing.T) {
	t.Parallel()
	t.Run("at once in this process", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *auth.Service, store *slow, id, text string) {
			if err := s.Revoke(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("got %v", err)
			}
			store.trouble = errors.New("database is away")
			if p, err := s.Authenticate(t.Context(), text); err == nil {
				t.Errorf("a refused token counts in an outage: %+v", p)
			}
		})
	})
	t.Run("while it is looked up", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *auth.Service, store *slow, id, text string) {
			time.Sleep(10 * time.Second)
			store.during = func() {
				if err := s.Revoke(t.Context(), id); err != nil {
					t.Error(err)
				}
			}
			_, _ = s.Authenticate(t.Context(), text)
			store.during = nil
			if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("what the store said before is remembered: %v", err)
			}
		})
	})
	t.Run("within 5 s in another", func(t *testing.T) {
		inBubble(t, func(t *testing.T, s *auth.Service, store *slow, id, text string) {
			if err := store.RevokeToken(t.Context(), id, time.Now(), audit.Entry{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Second)
			if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("got %v", err)
			}
		})
	})
}

// A token ends when it does: neither a cache nor a clock that is set back
// lengthens its life.
func TestTokensEndInAnOutage(t *testing.T) {
	t.Parallel()
	outages(t, func(t *testing.T, s *auth.Service, store *slow, text string, goes func(bool)) {
		time.Sleep(time.Hour - time.Minute)
		if _, err := s.Authenticate(t.Context(), text); err != nil {
			t.Fatal(err)
		}
		goes(true)
		s.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
		time.Sleep(59 * time.Second)
		if _, err := s.Authenticate(t.Context(), text); err != nil {
			t.Errorf("a second before its end: %v", err)
		}
		time.Sleep(time.Second)
		if p, err := s.Authenticate(t.Context(), text); err == nil {
			t.Errorf("after its end, by a clock that was set back: %+v", p)
		}
	})
	inBubble(t, func(t *testing.T, s *auth.Service, store *slow, _, text string) {
		s.Now = func() time.Time { return time.Now().Add(time.Hour) }
		if _, err := s.Authenticate(t.Context(), text); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("expired by the clock, and remembered: %v", err)
		}
	})
}

// What was refused is asked about each time.
func TestRefusedTokensAreNotRemembered(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *auth.Service, store *slow, id, text string) {
		other := "spt_" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		for range 3 {
			if _, err := s.Authenticate(t.Context(), other); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Fatal(err)
			}
		}
		if store.asked != 4 {
			t.Errorf("asked %d times", store.asked)
		}
	})
}

// Who keeps only a token's hash learns of its end all the same.
func TestAgain(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, s *auth.Service, store *slow, id, text string) {
		hash := auth.Hash(text)
		if p, err := s.Again(t.Context(), hash); err != nil || p.TokenID != id || p.Owner != "gate" {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := s.Again(t.Context(), auth.Hash("spt_")); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("hash of nothing: %v", err)
		}
		store.trouble = errors.New("database is away")
		time.Sleep(time.Minute)
		if _, err := s.Again(t.Context(), hash); err != nil {
			t.Errorf("in an outage: %v", err)
		}
		store.trouble = nil
		if err := s.Revoke(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Again(t.Context(), hash); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("revoked: %v", err)
		}
	})
}
