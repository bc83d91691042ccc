package cms

import (
	"errors"
	"testing"

	"sallyport/internal/bounded"
)

func TestOpen(t *testing.T) {
	id := newPKI(t).identity(t, ecKey())
	content := []byte("a profile that nobody here trusts")
	der := must(Sign(content, id))
	got, signer, err := Open(der, 0)
	if err != nil || string(got) != string(content) || !signer.Equal(id.Certificate) {
		t.Errorf("got %q, %v, %v", got, signer, err)
	}
	forged := append([]byte(nil), der...)
	forged[len(forged)-1] ^= 1
	if _, _, err := Open(forged, 0); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrMalformed) {
		t.Errorf("forged: got %v", err)
	}
	if _, _, err := Open(must(SignDetached(content, id)), 0); !errors.Is(err, ErrMalformed) {
		t.Errorf("detached: got %v, want ErrMalformed", err)
	}
	if _, _, err := Open(der, 100); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("beyond its limit: got %v, want bounded.ErrTooLarge", err)
	}
}
