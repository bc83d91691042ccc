package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
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
// so that a later key rotation can tell which key a value waits for.
const (
	sealVersion = 1
	keyIDSize   = 8
	headerSize  = 1 + keyIDSize
)

// Sealer closes secrets for storage with AES-256-GCM under a key derived from
// the key-encryption key. Table, row and column are authenticated with the
// value: a row that was moved elsewhere does not open. It is safe for
// concurrent use.
type Sealer struct {
	aead cipher.AEAD
	kek  []byte
	id   [keyIDSize]byte
}

// NewSealer makes a Sealer from a key of KeySize bytes.
func NewSealer(kek []byte) (*Sealer, error) {
	if len(kek) != KeySize {
		return nil, fmt.Errorf("key has %d bytes, want %d", len(kek), KeySize)
	}
	s := &Sealer{kek: append([]byte(nil), kek...)}
	copy(s.id[:], s.derive("key id"))
	block, err := aes.NewCipher(s.derive("seal"))
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	// The random 96-bit nonce is safe for 2^32 values under one key.
	s.aead, err = cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make cipher: %w", err)
	}
	return s, nil
}

// KeyID names the key without telling anything of it (16 hex digits).
func (s *Sealer) KeyID() string { return hex.EncodeToString(s.id[:]) }

// Seal closes plain for one column of one row.
func (s *Sealer) Seal(table, row, column string, plain []byte) ([]byte, error) {
	header := s.header()
	return s.aead.Seal(header, nil, plain, s.binding(header, table, row, column)), nil
}

// Open returns what Seal closed for the same column of the same row. Whatever
// is wrong, the error is ErrOpen; a value of another key is named as such.
func (s *Sealer) Open(table, row, column string, sealed []byte) ([]byte, error) {
	header := s.header()
	if len(sealed) < headerSize || sealed[0] != sealVersion {
		return nil, ErrOpen
	}
	if [keyIDSize]byte(sealed[1:headerSize]) != s.id {
		return nil, fmt.Errorf("%w: sealed under key %x, this is key %s", ErrOpen, sealed[1:headerSize], s.KeyID())
	}
	plain, err := s.aead.Open(nil, nil, sealed[headerSize:], s.binding(header, table, row, column))
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

// MAC is HMAC-SHA-256 of data under a key of its own for each purpose: what a
// database thief would otherwise guess (short codes) cannot be tried offline.
func (s *Sealer) MAC(purpose string, data []byte) []byte {
	mac := hmac.New(sha256.New, s.derive("mac:"+purpose))
	mac.Write(data)
	return mac.Sum(nil)
}

func (s *Sealer) header() []byte {
	return append([]byte{sealVersion}, s.id[:]...)
}

// binding is the additional authenticated data: the header and the place, each
// part preceded by its length so that ("a","bc") differs from ("ab","c").
func (s *Sealer) binding(header []byte, place ...string) []byte {
	b := append([]byte(nil), header...)
	for _, part := range place {
		b = binary.AppendUvarint(b, uint64(len(part)))
		b = append(b, part...)
	}
	return b
}

// derive gives an independent 32-byte key for each use of the key-encryption key.
func (s *Sealer) derive(use string) []byte {
	key, err := hkdf.Key(sha256.New, s.kek, nil, "sallyport/v1/"+use, KeySize)
	if err != nil {
		// Only a length beyond 255 hashes fails.
		panic(fmt.Sprintf("derive key: %v", err))
	}
	return key
}
