package secret

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func sealer(t *testing.T, fill byte) *Sealer {
	t.Helper()
	s, err := NewSealer(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSealOpensOnlyInItsPlace(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, err := s.Seal("keys", "7", "private", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("plain")) {
		t.Fatal("the sealed value shows its content")
	}
	plain, err := s.Open("keys", "7", "private", sealed)
	if err != nil || string(plain) != "plain" {
		t.Fatalf("Open = %q, %v", plain, err)
	}
	again, _ := s.Seal("keys", "7", "private", []byte("plain"))
	if bytes.Equal(again, sealed) {
		t.Error("sealing twice gives the same bytes")
	}
	places := [][3]string{
		{"key", "s7", "private"}, {"keys", "8", "private"}, {"keys", "7", "public"},
		{"keys7", "", "private"}, {"", "", ""}, {"keys", "7private", ""},
	}
	for _, p := range places {
		if _, err := s.Open(p[0], p[1], p[2], sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("Open at %v: got %v, want ErrOpen", p, err)
		}
	}
}

func TestOpenRefusesEveryAlteredByte(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, _ := s.Seal("t", "r", "c", []byte("content"))
	for i := range sealed {
		altered := bytes.Clone(sealed)
		altered[i] ^= 1
		if _, err := s.Open("t", "r", "c", altered); !errors.Is(err, ErrOpen) {
			t.Errorf("byte %d altered: got %v, want ErrOpen", i, err)
		}
		if _, err := s.Open("t", "r", "c", sealed[:i]); !errors.Is(err, ErrOpen) {
			t.Errorf("cut to %d bytes: got %v, want ErrOpen", i, err)
		}
	}
	if _, err := sealer(t, 2).Open("t", "r", "c", sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("another key: got %v, want ErrOpen", err)
	}
}

func TestSealEmptyAndKeySize(t *testing.T) {
	t.Parallel()
	s := sealer(t, 1)
	sealed, _ := s.Seal("t", "r", "c", nil)
	if plain, err := s.Open("t", "r", "c", sealed); err != nil || len(plain) != 0 {
		t.Errorf("Open(empty) = %q, %v", plain, err)
	}
	for _, n := range []int{0, 16, 31, 33} {
		if _, err := NewSealer(make([]byte, n)); err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
}

func TestMACAndKeyID(t *testing.T) {
	t.Parallel()
	a, b := sealer(t, 1), sealer(t, 2)
	if !bytes.Equal(a.MAC("code", []byte("x")), sealer(t, 1).MAC("code", []byte("x"))) {
		t.Error("MAC is not stable")
	}
	macs := [][]byte{a.MAC("code", []byte("x")), a.MAC("pin", []byte("x")), a.MAC("code", []byte("y")), b.MAC("code", []byte("x"))}
	for i := range macs {
		for j := range i {
			if bytes.Equal(macs[i], macs[j]) {
				t.Errorf("MAC %d equals %d", i, j)
			}
		}
	}
	if a.KeyID() == b.KeyID() || len(a.KeyID()) != 16 {
		t.Errorf("KeyID: %q and %q", a.KeyID(), b.KeyID())
	}
}

func TestLoadOrCreateKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	first, err := LoadOrCreateKey(path)
	if err != nil || len(first) != KeySize {
		t.Fatalf("create: %d bytes, %v", len(first), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	second, err := LoadOrCreateKey(path)
	if err != nil || !bytes.Equal(first, second) {
		t.Fatalf("second load differs: %v", err)
	}
	entries, _ := os.ReadDir(filepath.Dir(path))
	if len(entries) != 1 {
		t.Errorf("left-over files: %v", entries)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o660, 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadOrCreateKey(path); err == nil {
			t.Errorf("mode %04o was taken", mode)
		}
	}
}

func TestLoadRefusesDamagedKey(t *testing.T) {
	t.Parallel()
	const good = "00112233445566778899aabbccddeeff00112233445566778899aabbccddee"
	for name, text := range map[string]string{
		"empty": "", "short": good, "not hex": good + "zz", "long": good + "0000", "binary": strings.Repeat("\x00", 32),
	} {
		path := filepath.Join(t.TempDir(), "kek")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadOrCreateKey(path)
		if err == nil {
			t.Errorf("%s: was taken", name)
		} else if strings.Contains(err.Error(), good) || strings.Contains(err.Error(), "zz") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
		if got, _ := os.ReadFile(path); string(got) != text {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestLoadOrCreateKeyRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
			}
			keys[i] = key
		})
	}
	wg.Wait()
	for _, key := range keys {
		if !bytes.Equal(key, keys[0]) {
			t.Fatal("two keys for one file")
		}
	}
}

func TestValueNeverPrints(t *testing.T) {
	t.Parallel()
	v := New("canary")
	type holder struct {
		V Value
		P *Value
	}
	h := holder{v, &v}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, v, h)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v, "h", h)
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v, "h", h)
	text, err := json.Marshal(map[string]any{"v": v, "h": h})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if s := out.String(); strings.Contains(s, "canary") || strings.Contains(s, "63616e617279") {
		t.Errorf("the secret was printed: %s", s)
	}
	if v.Reveal() != "canary" || v.IsZero() || !(Value{}).IsZero() {
		t.Error("Reveal or IsZero is wrong")
	}
}

func FuzzOpen(f *testing.F) {
	s, err := NewSealer(make([]byte, KeySize))
	if err != nil {
		f.Fatal(err)
	}
	good, _ := s.Seal("t", "r", "c", []byte("x"))
	f.Add(good)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sealed []byte) {
		plain, err := s.Open("t", "r", "c", sealed)
		if err == nil && string(plain) != "x" {
			t.Fatal("opened what was never sealed")
		}
	})
}
