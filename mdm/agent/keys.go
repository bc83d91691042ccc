package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// newKey makes an RSA key and keeps it before anything is done with it.
func (d *disk) newKey(bits int) (string, *rsa.PrivateKey, error) {
	if d.pool != nil {
		return d.pool.take(bits)
	}
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		return "", nil, fmt.Errorf("make key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", nil, fmt.Errorf("make key: %w", err)
	}
	name := keyName(key)
	return name, key, d.putKey(name, der)
}

func keyName(key *rsa.PrivateKey) string {
	hash := sha256.Sum256(x509.MarshalPKCS1PublicKey(&key.PublicKey))
	return hex.EncodeToString(hash[:12]) + ".pem"
}

func (d *disk) putKey(name string, der []byte) error {
	if d.dir == "" {
		if d.keys == nil {
			d.keys = map[string][]byte{}
		}
		d.keys[name] = der
		return nil
	}
	if err := os.MkdirAll(filepath.Join(d.dir, keyFolder), 0o700); err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	if err := writeAtomic(filepath.Join(d.dir, keyFolder, filepath.Base(name)), block); err != nil {
		return fmt.Errorf("save key: %w", err)
	}
	return nil
}

func (d *disk) key(name string) (*rsa.PrivateKey, error) {
	if d.pool != nil {
		return d.pool.get(name)
	}
	der, err := d.keyDER(name)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("read key %s: %w", name, err)
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("read key %s: not an RSA key", name)
	}
	return key, nil
}

func (d *disk) keyDER(name string) ([]byte, error) {
	if d.dir == "" {
		return d.keys[name], nil
	}
	data, err := os.ReadFile(filepath.Join(d.dir, keyFolder, filepath.Base(name)))
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("read key %s: not PEM", name)
	}
	return block.Bytes, nil
}

// KeyPool lends the same few keys to many phones: making an RSA key costs more
// than everything else that a phone does. It is for load and tests, not for security.
type KeyPool struct {
	size int

	mu    sync.Mutex
	order []string
	keys  map[string]*rsa.PrivateKey
	next  int
}

// NewKeyPool is a pool of so many keys, which are made as they are asked for.
func NewKeyPool(size int) *KeyPool { return &KeyPool{size: size} }

// take makes keys until the pool is full, then lends the next one.
func (k *KeyPool) take(bits int) (string, *rsa.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.order) < k.size {
		key, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			return "", nil, fmt.Errorf("make key: %w", err)
		}
		if k.keys == nil {
			k.keys = map[string]*rsa.PrivateKey{}
		}
		name := keyName(key)
		k.keys[name], k.order = key, append(k.order, name)
		return name, key, nil
	}
	for range k.order {
		name := k.order[k.next%len(k.order)]
		k.next++
		if key := k.keys[name]; key.N.BitLen() == bits {
			return name, key, nil
		}
	}
	return "", nil, fmt.Errorf("%w: the fleet's keys do not have %d bits", ErrProfile, bits)
}

func (k *KeyPool) get(name string) (*rsa.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if key := k.keys[name]; key != nil {
		return key, nil
	}
	return nil, fmt.Errorf("read key %s: not one of the fleet's", name)
}

// forget removes key files that no identity and no pending request names. Call
// it after the state that no longer names them is saved.
func (d *disk) forget(s *state) error {
	used := map[string]bool{}
	for _, id := range s.Identities {
		used[id.Key] = true
	}
	for _, t := range s.Pending {
		used[t.Key] = true
	}
	if d.dir == "" {
		for name := range d.keys {
			if !used[name] {
				delete(d.keys, name)
			}
		}
		return nil
	}
	entries, err := os.ReadDir(filepath.Join(d.dir, keyFolder))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove keys: %w", err)
	}
	for _, e := range entries {
		if !used[e.Name()] {
			if err := os.Remove(filepath.Join(d.dir, keyFolder, e.Name())); err != nil {
				return fmt.Errorf("remove keys: %w", err)
			}
		}
	}
	return nil
}
