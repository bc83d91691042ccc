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
	"math/big"
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

// KeyPool makes the RSA keys of many phones out of few primes, two for each: a new
// prime costs more than everything else that a phone does. Every key is another
// one, as a server wants it, but whoever has a few of them has them all: this is for
// load and tests, not for security.
type KeyPool struct {
	mu     sync.Mutex
	primes map[int][]*big.Int // by their length
	pairs  map[int]int        // that were taken
	keys   map[string]*rsa.PrivateKey
}

// NewKeyPool is a pool of no keys yet: 2,000 of them will take 64 primes.
func NewKeyPool() *KeyPool {
	return &KeyPool{primes: map[int][]*big.Int{}, pairs: map[int]int{}, keys: map[string]*rsa.PrivateKey{}}
}

// take makes the key of a pair that nobody had before. Each prime is paired with
// all before it, before there is another one.
func (k *KeyPool) take(bits int) (string, *rsa.PrivateKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	half := bits / 2
	i, j := 1, k.pairs[half]
	for j >= i {
		j -= i
		i++
	}
	k.pairs[half]++
	for len(k.primes[half]) <= i {
		p, err := newPrime(half)
		if err != nil {
			return "", nil, fmt.Errorf("make key: %w", err)
		}
		k.primes[half] = append(k.primes[half], p)
	}
	key, err := keyOf(k.primes[half][i], k.primes[half][j])
	if err != nil {
		return "", nil, fmt.Errorf("make key: %w", err)
	}
	name := keyName(key)
	k.keys[name] = key
	return name, key, nil
}

// exponent is the public one of every key here.
const exponent = 65537

// newPrime is one that an RSA key with our exponent may have. Its two highest bits
// are set, so that a product of two has the full length (crypto/rand.Prime).
func newPrime(bits int) (*big.Int, error) {
	for {
		p, err := rand.Prime(rand.Reader, bits)
		if err != nil {
			return nil, err
		}
		if new(big.Int).Mod(p, big.NewInt(exponent)).Cmp(big.NewInt(1)) != 0 {
			return p, nil
		}
	}
}

// keyOf is the RSA key of two primes (RFC 8017, section 3.2).
func keyOf(p, q *big.Int) (*rsa.PrivateKey, error) {
	one := big.NewInt(1)
	order := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: exponent},
		D:         new(big.Int).ModInverse(big.NewInt(exponent), order),
		Primes:    []*big.Int{p, q},
	}
	key.Precompute()
	return key, key.Validate()
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
		used[id.Key], used[id.MailKey] = true, true
	}
	for _, t := range s.Pending {
		used[t.Key], used[t.Opener] = true, true
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
