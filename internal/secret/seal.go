package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
)

// KeySize is the length of a key-encryption key in bytes.
const KeySize = 32

// ErrOpen says that sealed bytes do not open: they were altered, belong to
// another place, or another key sealed them. It says no more on purpose.
var ErrOpen = errors.New("sealed value does not open")

// A sealed value is
//
//	version (1) | key id (8) | nonce (12) | ciphertext and tag
//
// so that a rotation can tell which key a value waits for.
const (
	sealVersion = 1
	keyIDSize   = 8
	headerSize  = 1 + keyIDSize
)

// Sealer closes secrets for storage with AES-256-GCM under keys that are derived
// from key-encryption keys: the first seals, every one opens what it sealed. Table,
// row and column are authenticated with the value: a row that was moved elsewhere
// does not open. It prints nothing of its keys, and is safe for concurrent use.
type Sealer struct{ keys []sealingKey }

// sealingKey is a key-encryption key and what follows from it.
type sealingKey struct {
	kek  []byte
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// NewSealer makes a Sealer from keys of KeySize bytes. The first seals; the others
// only open, and are there while values wait to be sealed anew.
func NewSealer(kek []byte, older ...[]byte) (*Sealer, error) {
	s := &Sealer{}
	for _, kek := range append([][]byte{kek}, older...) {
		k, err := newSealingKey(kek)
		if err != nil {
			return nil, err
		}
		if !s.Holds(hex.EncodeToString(k.id[:])) {
			s.keys = append(s.keys, k)
		}
	}
	return s, nil
}

func newSealingKey(kek []byte) (sealingKey, error) {
	if len(kek) != KeySize {
		return sealingKey{}, fmt.Errorf("key has %d bytes, want %d", len(kek), KeySize)
	}
	k := sealingKey{kek: append([]byte(nil), kek...)}
	copy(k.id[:], k.derive("key id"))
	block, err := aes.NewCipher(k.derive("seal"))
	if err != nil {
		return k, fmt.Errorf("make cipher: %w", err)
	}
	// The random 96-bit nonce is safe for 2^32 values under one key.
	k.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return k, fmt.Errorf("make cipher: %w", err)
	}
	return k, nil
}

// KeyID names the key that seals without telling anything of it (16 hex digits).
func (s *Sealer) KeyID() string { return hex.EncodeToString(s.keys[0].id[:]) }

// Holds reports whether the key with this KeyID is among those that open.
func (s *Sealer) Holds(keyID string) bool { return s.key(keyID) != nil }

func (s *Sealer) key(keyID string) *sealingKey {
	for i := range s.keys {
		if hex.EncodeToString(s.keys[i].id[:]) == keyID {
			return &s.keys[i]
		}
	}
	return nil
}

// Header is how every value begins that the first key has sealed.
func (s *Sealer) Header() []byte { return s.keys[0].header() }

// SealedUnder names the key that a value was sealed under; empty when it is no
// sealed value.
func SealedUnder(sealed []byte) (keyID string) {
	if len(sealed) < headerSize || sealed[0] != sealVersion {
		return ""
	}
	return hex.EncodeToString(sealed[1:headerSize])
}

// A Sealer shows which key seals, whoever prints it and however.
func (s *Sealer) String() string             { return "sealer " + s.KeyID() }
func (s *Sealer) GoString() string           { return s.String() }
func (s *Sealer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.String())) }

// Seal closes plain for one column of one row.
func (s *Sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	header := s.Header()
	return s.keys[0].aead.Seal(header, nil, plain, binding(header, table, row, column)), nil
}

// Open returns what Seal closed for the same column of the same row. Whatever
// is wrong, the error is ErrOpen; a value of another key is named as such.
func (s *Sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	under := SealedUnder(sealed)
	if under == "" {
		return nil, ErrOpen
	}
	k := s.key(under)
	if k == nil {
		return nil, fmt.Errorf("%w: sealed under key %s, this is key %s", ErrOpen, under, s.KeyID())
	}
	plain, err := k.aead.Open(nil, nil, sealed[headerSize:], binding(k.header(), table, row, column))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// MACKey derives a key for HMACs of one purpose from the key with this KeyID,
// which the Sealer holds. It outlives that key: see MACs.
func (s *Sealer) MACKey(keyID, purpose string) ([]byte, error) {
	k := s.key(keyID)
	if k == nil {
		return nil, fmt.Errorf("%w: key %s is not here", ErrOpen, keyID)
	}
	return k.derive("mac:" + purpose), nil
}

func (k *sealingKey) header() []byte {
	return append([]byte{sealVersion}, k.id[:]...)
}

// binding is the additional authenticated data: the header and the place, each
// part preceded by its length so that ("a","bc") differs from ("ab","c").
func binding(header []byte, place ...string) []byte {
	b := append([]byte(nil), header...)
	for _, part := range place {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// derive gives an independent 32-byte key for each use of the key-encryption key.
func (k *sealingKey) derive(use string) []byte {
	key, err := hkdf.Key(sha256.New, k.kek, nil, "sallyport/v1/"+use, KeySize)
	if err != nil {
		// Only a length beyond 255 hashes fails.
		panic(fmt.Sprintf("derive key: %v", err))
	}
	return key
}
