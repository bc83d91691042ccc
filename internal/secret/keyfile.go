package secret

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Random returns n bytes from the system's random source.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // crypto/rand.Read never fails: the program ends instead
	return b
}

// Hash is SHA-256, for tokens and challenges that hold enough randomness that
// nobody can try them all. Short codes need MAC.
func Hash(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// LoadOrCreateKeys reads the key-encryption keys from path, or makes one when
// there is no such file: 64 hex digits, and while a rotation is under way a second
// line with the older key. A file that its group or the world can read is refused:
// the key is as good as everything it seals.
func LoadOrCreateKeys(path string) ([][]byte, error) {
	keys, err := LoadKeys(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, err
	}
	if err := createKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return LoadKeys(path) // another process may have been first: its key counts
}

// LoadKeys reads what LoadOrCreateKeys has made; fs.ErrNotExist when there is none.
func LoadKeys(path string) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("key file %s is not a regular file", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s can be read by others (mode %04o): chmod 600 it", path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, 256))
	if err != nil {
		return nil, fmt.Errorf("read key file: %w", err)
	}
	keys, err := ParseKeyFile(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s %w", path, err)
	}
	return keys, nil
}

// ErrNoKey says that something which should hold a key does not. It shows nothing
// of what is there: that may be most of a key.
var ErrNoKey = errors.New("does not hold a key")

// ParseKeyFile reads the content of a key file: one key, or two while a rotation
// is under way.
func ParseKeyFile(text []byte) ([][]byte, error) {
	var keys [][]byte
	for line := range strings.FieldsSeq(string(text)) {
		key, err := hex.DecodeString(line)
		if err != nil || len(key) != KeySize {
			return nil, fmt.Errorf("%w: that is %d hex digits", ErrNoKey, 2*KeySize)
		}
		keys = append(keys, key)
	}
	if len(keys) < 1 || len(keys) > 2 {
		return nil, fmt.Errorf("%w: that is %d hex digits", ErrNoKey, 2*KeySize)
	}
	return keys, nil
}

// FormatKeyFile is what ParseKeyFile reads, the key that seals first.
func FormatKeyFile(keys ...[]byte) []byte {
	var text []byte
	for _, key := range keys {
		text = append(hex.AppendEncode(text, key), '\n')
	}
	return text
}

// ParseKey reads a key as an environment variable holds it: KeySize bytes in hex,
// or in base64 of either alphabet, padded or not.
func ParseKey(v Value) ([]byte, error) {
	text := strings.TrimSpace(v.Reveal())
	if key, err := hex.DecodeString(text); err == nil && len(key) == KeySize {
		return key, nil
	}
	bare := strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	if key, err := base64.RawStdEncoding.Strict().DecodeString(bare); err == nil && len(key) == KeySize {
		return key, nil
	}
	return nil, fmt.Errorf("%w: that is %d bytes in hex or base64, as openssl rand -hex %d prints them", ErrNoKey, KeySize, KeySize)
}

// ReplaceKeys puts other keys into the file at path, the one that seals first. The
// file is whole at every moment, has the owner that it had, and is on the disk when
// ReplaceKeys returns: something may be sealed under a key from then on.
func ReplaceKeys(path string, keys ...[]byte) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	old, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	name, err := writeKeys(filepath.Dir(path), keys, func(f *os.File) error { return sameOwner(f, old) })
	if err != nil {
		return fmt.Errorf("replace key file: %w", err)
	}
	if err := os.Rename(name, path); err != nil {
		return errors.Join(fmt.Errorf("replace key file: %w", err), os.Remove(name))
	}
	return syncDir(filepath.Dir(path))
}

// createKey writes the file completely before it gets its name, and never over
// one that exists: a half-written key would lock everything for good.
func createKey(path string) error {
	dir := filepath.Dir(path)
	name, err := writeKeys(dir, [][]byte{Random(KeySize)}, func(*os.File) error { return nil })
	if err != nil {
		return fmt.Errorf("create key file: %w", err)
	}
	defer func() { _ = os.Remove(name) }()
	if err := os.Link(name, path); err != nil { // fails when path exists
		return fmt.Errorf("create key file: %w", err)
	}
	return syncDir(dir)
}

// writeKeys writes a file of mode 0600 that has no name of its own yet.
func writeKeys(dir string, keys [][]byte, prepare func(*os.File) error) (name string, err error) {
	f, err := os.CreateTemp(dir, ".key-*")
	if err != nil {
		return "", err
	}
	_, err = f.Write(FormatKeyFile(keys...))
	if err == nil {
		err = prepare(f)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync key file: %w", err)
	}
	return nil
}
