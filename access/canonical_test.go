package access

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, in string
		want     DeviceKey
	}{
		{"letters have no case", "ApplDNPH1234", "appldnph1234"},
		{"hex of a text", "4236344445563031", "b64dev01"}, // as SOGo and Horde record B64DEV01
		{"hex of a text, in Z-Push's letters", "4236344445563031", "b64dev01"},
		{"hex of hex", hex.EncodeToString([]byte("4236344445563031")), "b64dev01"},
		{"hex of letters, mixed", "6170706C2d5F", "appl-_"},
		{"hex of other bytes", "00ff00ff00ff", "00ff00ff00ff"},
		{"hex of a dot", "61622e6364", "61622e6364"},
		{"odd", "414243444", "414243444"},
		{"three bytes", "414243", "414243"},
		{"32 digits drawn at random", "9F3A00C2D4E15B6788990AABBCCDDEEF", "9f3a00c2d4e15b6788990aabbccddeef"},
		{"begins like hex", "41SEC1234567890", "41sec1234567890"},
		{"nothing", "", ""},
	}
	for _, tt := range tests {
		if got := Canonical(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestCanonicalBytes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		in   []byte
		want DeviceKey
	}{
		{"text", []byte("B64DEV01"), "b64dev01"},
		{"text with a dot", []byte("B64.DEV"), "b64.dev"},
		{"hex as text", []byte("4236344445563031"), "b64dev01"},
		{"sixteen bytes", []byte{0x9f, 0x3a, 0, 0xc2, 0xd4, 0xe1, 0x5b, 0x67, 0x88, 0x99, 0x0a, 0xab, 0xbc, 0xcd, 0xde, 0xef}, "9f3a00c2d4e15b6788990aabbccddeef"},
		{"a space", []byte("a b"), "612062"},
		{"nothing", nil, ""},
	}
	for _, tt := range tests {
		if got := CanonicalBytes(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Whatever comes in: a key is its own key, letters have no case, and the
// spelling in hex is the same device.
func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"", "ApplDNPH1234", "4236344445563031", "34323336333434343435353633303331", "9F3A00C2D4E15B67", "\xff\x00", "41 42"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		key := Canonical(id)
		if again := Canonical(string(key)); again != key {
			t.Errorf("%q becomes %q, and that %q", id, key, again)
		}
		ascii := strings.IndexFunc(id, func(r rune) bool { return r >= 0x7f }) < 0
		if upper := Canonical(strings.ToUpper(id)); ascii && upper != key {
			t.Errorf("%q becomes %q, in capitals %q", id, key, upper)
		}
		text := len(id) >= minHexText/2
		for i := range len(id) {
			text = text && inText(id[i])
		}
		if text {
			if coded := Canonical(hex.EncodeToString([]byte(id))); coded != key {
				t.Errorf("%q becomes %q, in hex %q", id, key, coded)
			}
			if raw := CanonicalBytes([]byte(id)); raw != key {
				t.Errorf("%q becomes %q, as bytes %q", id, key, raw)
			}
		}
	})
}
