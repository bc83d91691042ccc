package certs_test

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

// serials notes the serials that are claimed, and lets nobody have one.
type serials struct {
	*memory
	mu   sync.Mutex
	seen map[[16]byte]bool
	bad  int // not 16 bytes, negative, or with leading zeros
	same int
}

func (s *serials) ClaimChallenge(_ context.Context, _ []byte, claim certs.Claim, _ time.Time, _ audit.Entry) (certs.Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(claim.Serial) != 16 || claim.Serial[0]&0xc0 != 0x40 {
		s.bad++
		return certs.Claimed{}, certs.ErrChallengeInvalid
	}
	id := [16]byte(claim.Serial)
	if s.seen[id] {
		s.same++
	}
	s.seen[id] = true
	return certs.Claimed{}, certs.ErrChallengeInvalid
}

// TestSerials claims a million of them in the soak.
func TestSerials(t *testing.T) {
	t.Parallel()
	n := 20_000
	if os.Getenv("SALLYPORT_SOAK") != "" {
		n = 1_000_000
	}
	f := newFixture(t)
	s := &serials{memory: f.store, seen: make(map[[16]byte]bool, n)}
	f.issuer.Store = s
	request := certs.Request{Challenge: secret.New("guess"), PublicKey: newKey().Public(), TransactionID: "t"}
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range n / workers {
				if _, err := f.issuer.Issue(t.Context(), request); !errors.Is(err, certs.ErrChallengeInvalid) {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if len(s.seen) != n/workers*workers || s.same != 0 || s.bad != 0 {
		t.Errorf("%d serials, %d twice, %d malformed", len(s.seen), s.same, s.bad)
	}
}
