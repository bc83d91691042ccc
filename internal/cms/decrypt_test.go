package cms

import (
	"bytes"
	"errors"
	"testing"

	"sallyport/internal/bounded"
)

func TestDecryptUpTo(t *testing.T) {
	id := newPKI(t).identity(t, rsaKey())
	content := bytes.Repeat([]byte("x"), bounded.MaxCMS+1)
	der := must(Encrypt(content, id.Certificate))
	if _, err := Decrypt(der, id.Certificate, id.Key); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("beyond the limit of the network: got %v, want bounded.ErrTooLarge", err)
	}
	got, err := DecryptUpTo(der, id.Certificate, id.Key, 2*bounded.MaxCMS)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}
