package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
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

func TestKeyID(t *testing.T) {
	t.Parallel()
	a, b := sealer(t, 1), sealer(t, 2)
	if a.KeyID() == b.KeyID() || len(a.KeyID()) != 16 {
		t.Errorf("KeyID: %q and %q", a.KeyID(), b.KeyID())
	}
	sealed, _ := a.Seal("t", "r", "c", nil)
	if SealedUnder(sealed) != a.KeyID() || !bytes.HasPrefix(sealed, a.Header()) {
		t.Errorf("sealed under %q, want %q", SealedUnder(sealed), a.KeyID())
	}
	if under := SealedUnder([]byte("canary, no sealed value")); under != "" {
		t.Errorf("what was not sealed is sealed under %q", under)
	}
}

// TestOlderKeysOpen: while a rotation is under way the new key seals, and both open.
func TestOlderKeysOpen(t *testing.T) {
	t.Parallel()
	older, newer := sealer(t, 1), sealer(t, 2)
	both, err := NewSealer(bytes.Repeat([]byte{2}, KeySize), bytes.Repeat([]byte{1}, KeySize), bytes.Repeat([]byte{2}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	if both.KeyID() != newer.KeyID() || !both.Holds(older.KeyID()) || both.Holds(sealer(t, 3).KeyID()) || len(both.keys) != 2 {
		t.Errorf("holds %d keys, seals under %s", len(both.keys), both.KeyID())
	}
	for _, s := range []*Sealer{older, newer, both} {
		sealed, _ := s.Seal("t", "r", "c", []byte("plain"))
		if plain, err := both.Open("t", "r", "c", sealed); err != nil || string(plain) != "plain" {
			t.Errorf("under %s: got %q, %v", s.KeyID(), plain, err)
		}
		if _, err := both.Open("t", "r", "d", sealed); !errors.Is(err, ErrOpen) {
			t.Errorf("under %s, elsewhere: got %v, want ErrOpen", s.KeyID(), err)
		}
	}
	sealed, _ := both.Seal("t", "r", "c", nil)
	if _, err := older.Open("t", "r", "c", sealed); !errors.Is(err, ErrOpen) {
		t.Errorf("the old key opens what was sealed under the new one: %v", err)
	}
	if _, err := NewSealer(make([]byte, KeySize), make([]byte, 16)); err == nil {
		t.Error("a short older key was taken")
	}
}

// TestSealerNeverPrintsKeys: somebody will log one.
func TestSealerNeverPrintsKeys(t *testing.T) {
	t.Parallel()
	s, err := NewSealer([]byte("canary-canary-canary-canary-cana"))
	if err != nil {
		t.Fatal(err)
	}
	type holder struct{ S *Sealer }
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb+verb, s, holder{s})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("m", "s", s, "h", holder{s})
	slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "s", s, "h", holder{s})
	for _, sign := range []string{"canary", "63616e", "99 97 110"} {
		if strings.Contains(out.String(), sign) {
			t.Errorf("the key was printed: %s", out.String())
		}
	}
}

// TestMACKeyIsForEver: what it gives is on record, so this is its value for ever.
func TestMACKeyIsForEver(t *testing.T) {
	t.Parallel()
	a := sealer(t, 1)
	key, err := a.MACKey(a.KeyID(), "invitation-code")
	if err != nil {
		t.Fatal(err)
	}
	macs, err := NewMACs(map[string][]byte{"invitation-code": key})
	if err != nil {
		t.Fatal(err)
	}
	const want = "cfcb4506f2bfb804626462f30ea1b5b71f39996f0f8d6f1364039e642adf9723"
	if got := hex.EncodeToString(macs.MAC("invitation-code", []byte("ABCDEFGH"))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if _, err := a.MACKey(sealer(t, 2).KeyID(), "invitation-code"); err == nil {
		t.Error("a key that is not here gives keys for HMACs")
	}
	if _, err := NewMACs(map[string][]byte{"p": key[1:]}); err == nil {
		t.Error("a short key was taken")
	}
	if shown := fmt.Sprintf("%v %+v %#v", macs, macs, macs); strings.Contains(shown, string(key)) || strings.Contains(shown, hex.EncodeToString(key)) {
		t.Errorf("keys are shown: %s", shown)
	}
}

func TestMACsDiffer(t *testing.T) {
	t.Parallel()
	a, b := sealer(t, 1), sealer(t, 2)
	var macs [][]byte
	for _, s := range []*Sealer{a, b} {
		for _, purpose := range []string{"code", "pin"} {
			key, err := s.MACKey(s.KeyID(), purpose)
			if err != nil {
				t.Fatal(err)
			}
			m, err := NewMACs(map[string][]byte{"same name": key})
			if err != nil {
				t.Fatal(err)
			}
			macs = append(macs, m.MAC("same name", []byte("x")), m.MAC("same name", []byte("y")))
		}
	}
	for i := range macs {
		for j := range i {
			if bytes.Equal(macs[i], macs[j]) {
				t.Errorf("MAC %d equals %d", i, j)
			}
		}
	}
}

func TestParseKey(t *testing.T) {
	t.Parallel()
	key := bytes.Repeat([]byte{0xfb, 0xef}, KeySize/2)
	for _, text := range []string{
		hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)), " " + hex.EncodeToString(key) + "\n",
		base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key), base64.URLEncoding.EncodeToString(key), base64.RawURLEncoding.EncodeToString(key),
	} {
		if got, err := ParseKey(New(text)); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%s: got %x, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "canary", string(key), hex.EncodeToString(key)[2:], hex.EncodeToString(key) + "00", base64.StdEncoding.EncodeToString(key[1:]), strings.Repeat("canary", 8)} {
		if _, err := ParseKey(New(text)); !errors.Is(err, ErrNoKey) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestKeyFileOfARotation(t *testing.T) {
	t.Parallel()
	newer, older := bytes.Repeat([]byte{2}, KeySize), bytes.Repeat([]byte{1}, KeySize)
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, FormatKeyFile(newer, older), 0o600); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadKeys(path)
	if err != nil || len(keys) != 2 || !bytes.Equal(keys[0], newer) || !bytes.Equal(keys[1], older) {
		t.Errorf("got %x, %v", keys, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := ReplaceKeys(link, newer); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if keys, loadErr := LoadKeys(link); err != nil || loadErr != nil || len(keys) != 1 || info.Mode().Perm() != 0o600 {
		t.Errorf("replaced: %d keys, %v, %v", len(keys), err, loadErr)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left-over files: %v", entries)
	}
	if err := ReplaceKeys(path+"2", newer); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file to replace: %v", err)
	}
	if _, err := ParseKeyFile(FormatKeyFile(newer, older, newer)); !errors.Is(err, ErrNoKey) {
		t.Errorf("three keys: %v", err)
	}
	if _, err := LoadKeys(path + "2"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestLoadOrCreateKeys(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	keys, err := LoadOrCreateKeys(path)
	if err != nil || len(keys) != 1 || len(keys[0]) != KeySize {
		t.Fatalf("create: %d keys, %v", len(keys), err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
	second, err := LoadOrCreateKeys(path)
	if err != nil || !bytes.Equal(keys[0], second[0]) {
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
		if _, err := LoadOrCreateKeys(path); err == nil {
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
		_, err := LoadOrCreateKeys(path)
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

func TestLoadOrCreateKeysRace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kek")
	keys := make([][]byte, 16)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			made, err := LoadOrCreateKeys(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = made[0]
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

func FuzzKeys(f *testing.F) {
	f.Add(FormatKeyFile(make([]byte, KeySize)))
	f.Add(FormatKeyFile(make([]byte, KeySize), make([]byte, KeySize)))
	f.Add([]byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="))
	f.Fuzz(func(t *testing.T, text []byte) {
		if keys, err := ParseKeyFile(text); err == nil {
			if again, err := ParseKeyFile(FormatKeyFile(keys...)); err != nil || len(again) != len(keys) {
				t.Fatalf("what was read is not read again: %v", err)
			}
		}
		if key, err := ParseKey(New(string(text))); err == nil && len(key) != KeySize {
			t.Fatalf("a key of %d bytes", len(key))
		}
	})
}
