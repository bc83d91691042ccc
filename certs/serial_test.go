package certs_test

import (
	"context"
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/secret"
)

// serials notes the serials of what is signed, and lets nobody have it.
type serials struct {
	*memory
	mu   sync.Mutex
	seen map[[16]byte]bool
	bad  int // not 16 bytes, negative, or with leading zeros
	same int
}

func (s *serials) Issue(_ context.Context, _ []byte, _ certs.Claim, _ time.Time, sign certs.Signing) (certs.Certificate, error) {
	cert, _, err := sign(grant())
	if err != nil {
		return cert, err
	}
	serial, err := hex.DecodeString(cert.Serial)
	if err != nil {
		return cert, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(serial) != 16 || serial[0]&0xc0 != 0x40 {
		s.bad++
		return certs.Certificate{}, certs.ErrChallengeInvalid
	}
	id := [16]byte(serial)
	if s.seen[id] {
		s.same++
	}
	s.seen[id] = true
	return certs.Certificate{}, certs.ErrChallengeInvalid
}

// TestSerials signs a million certificates in the soak.
func TestSerials(t *testing.T) {
	t.Parallel()
	n := 5_000
	if os.Getenv("SALLYPORT_SOAK") != "" {
		n = 1_000_000
	}
	f := newFixture(t)
	s := &serials{memory: f.store, seen: make(map[[16]byte]bool, n)}
	f.issuer.Store = s
	request := certs.Request{Challenge: secret.New(strings.Repeat("0", 64)), PublicKey: phoneKey().Public(), TransactionID: "t"}
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
