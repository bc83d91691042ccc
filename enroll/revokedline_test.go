package enroll

import (
	"errors"
	"testing"

	"sallyport/certs"
	"sallyport/mdm/apple"
)

// TestRevokedLine: whoever stole a phone's key may have had a successor issued
// before an admin revoked it. Nothing follows a revoked identity: the successor is
// refused, whatever it says first, and changes nothing.
func TestRevokedLine(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	old, thief := twice(t, h)
	c := h.certs[old.hash]
	c.RevokedAt, c.Reason = h.now(), certs.ReasonKeyCompromise
	h.certs[old.hash] = c
	state := h.state()
	for what, err := range map[string]error{
		"Idle": idle(t, thief), "Authenticate": thief.authenticate(t), "TokenUpdate": thief.tokenUpdate(t), "CheckOut": thief.checkOut(t),
		"Idle of the old one": idle(t, old),
	} {
		if !apple.Refused(err) || !errors.Is(err, apple.ErrUnauthenticated) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	same(t, h.state(), state)
}
