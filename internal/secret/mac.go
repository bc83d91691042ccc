package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
)

// MACs are HMAC-SHA-256 under a key of its own for each purpose: what a database
// thief would otherwise guess (short codes) cannot be tried offline.
//
// The keys begin as what Sealer.MACKey derives and are kept, sealed, beside what
// was made with them: such values are on record, and a new key-encryption key must
// not make them worthless. Kept is one key for each purpose and nothing that they
// come from: from that an old key-encryption key's seal could be opened too.
type MACs struct{ keys map[string]Value }

// NewMACs makes MACs from keys of KeySize bytes, by purpose.
func NewMACs(keys map[string][]byte) (MACs, error) {
	m := MACs{keys: make(map[string]Value, len(keys))}
	for purpose, key := range keys {
		if len(key) != KeySize {
			return MACs{}, fmt.Errorf("key for %s has %d bytes, want %d", purpose, len(key), KeySize)
		}
		m.keys[purpose] = New(string(key))
	}
	return m, nil
}

// MAC authenticates data for a purpose. There must be a key for it: the purposes
// stand in the code, and one that nobody named at the start is a fault of ours.
func (m MACs) MAC(purpose string, data []byte) []byte {
	key, known := m.keys[purpose]
	if !known {
		panic("no key for HMACs of the purpose " + purpose)
	}
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write(data)
	return mac.Sum(nil)
}

// MACs show no key, whoever prints them: fmt does not ask a Value that it finds
// in an unexported field.
func (m MACs) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }
