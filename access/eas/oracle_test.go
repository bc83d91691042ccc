package eas

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// oracle reads a query a second time, with nothing of what Parse is made of: the
// plain form by net/url and a pattern, the base64 form sextet by sextet. It knows
// nothing of reasons; it says who asks for what, or that nobody may know.
func oracle(query string) (reading, bool) {
	if len(Path)+1+len(query) > 4096 || !oracleBytes.MatchString(query) {
		return reading{}, false
	}
	if bits, ok := sextets(query); ok {
		return oracleBinary(bits)
	}
	return oraclePlain(query)
}

// reading is what a decision rests on.
type reading struct{ cmd, user, device, kind, protocol string }

var oracleBytes = regexp.MustCompile(`^[!$-:=?-\[\]_a-z~\\]+$`)

var oracleNames = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,31}=[^=+]+$`)

func oraclePlain(query string) (reading, bool) {
	unknown := 0
	for _, part := range strings.Split(query, "&") {
		if !oracleNames.MatchString(part) {
			return reading{}, false
		}
		name := strings.ToLower(strings.SplitN(part, "=", 2)[0])
		if !slices.Contains(strings.Fields("cmd user deviceid devicetype attachmentname collectionid collectionname itemid longid parentid occurrence saveinsent"), name) {
			unknown++
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil || unknown > 8 {
		return reading{}, false
	}
	folded := make(map[string][]string)
	for name, list := range values {
		folded[strings.ToLower(name)] = append(folded[strings.ToLower(name)], list...)
	}
	for _, list := range folded {
		if len(list) != 1 || len(list[0]) > 512 || !oneLine(list[0]) {
			return reading{}, false
		}
	}
	one := func(name string) string { return strings.Join(folded[name], "") }
	return reading{oracleCommand(one("cmd")), one("user"), one("deviceid"), one("devicetype"), ""}.checked(true)
}

// sextets decodes canonical base64 by its definition (RFC 4648, section 4).
func sextets(query string) ([]byte, bool) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	body := strings.TrimRight(query, "=")
	if len(query)%4 != 0 || len(query)-len(body) > 2 {
		return nil, false
	}
	var out []byte
	acc, bits := 0, 0
	for _, c := range body {
		v := strings.IndexRune(alphabet, c)
		if v < 0 {
			return nil, false
		}
		acc, bits = acc<<6|v, bits+6
		if bits >= 8 {
			bits -= 8
			out = append(out, byte(acc>>bits))
			acc &= 1<<bits - 1
		}
	}
	return out, acc == 0 && len(out) == len(query)/4*3-(len(query)-len(body))
}

func oracleBinary(b []byte) (reading, bool) {
	if len(b) < 5 || b[0] < 20 {
		return reading{}, false
	}
	at := 4
	next := func() (string, bool) {
		if at >= len(b) || at+1+int(b[at]) > len(b) {
			return "", false
		}
		s := string(b[at+1 : at+1+int(b[at])])
		at += 1 + int(b[at])
		return s, true
	}
	id, ok1 := next()
	key, ok2 := next()
	kind, ok3 := next()
	if !ok1 || !ok2 || !ok3 || len(key) != 0 && len(key) != 4 {
		return reading{}, false
	}
	names := strings.Split("Sync SendMail SmartForward SmartReply GetAttachment - - - - FolderSync FolderCreate FolderDelete FolderUpdate MoveItems GetItemEstimate MeetingResponse Search Settings Ping ItemOperations Provision ResolveRecipients ValidateCert Find", " ")
	r := reading{device: id, kind: kind, protocol: fmt.Sprintf("%d.%d", int(b[0])/10, int(b[0])%10)}
	if int(b[1]) < len(names) && names[b[1]] != "-" {
		r.cmd = names[b[1]]
	}
	for _, c := range []byte(id) {
		if c < '!' || c > '~' {
			r.device = fmt.Sprintf("%x", id)
			break
		}
	}
	seen := map[byte]bool{}
	unknown := 0
	for at < len(b) {
		tag := b[at]
		at++
		value, ok := next()
		if !ok || seen[tag] {
			return reading{}, false
		}
		seen[tag] = true
		if tag > 8 {
			unknown++
		}
		if tag == 8 {
			if r.user = value; value == "" {
				return reading{}, false
			}
		}
	}
	if unknown > 8 {
		return reading{}, false
	}
	return r.checked(false)
}

func (r reading) checked(userNeeded bool) (reading, bool) {
	harmless := func(s string, limit int) bool {
		return len(s) <= limit && oneLine(s) && !strings.ContainsAny(s, "%&=?#") && !strings.ContainsFunc(s, func(c rune) bool {
			return unicode.IsSpace(c) || unicode.Is(unicode.Cf, c)
		})
	}
	ascii := func(c rune) bool { return c < 0x7f }
	ok := r.cmd != "" && r.device != "" && (r.user != "" || !userNeeded) && harmless(r.user, 320) && harmless(r.device, 128) &&
		strings.IndexFunc(r.device, func(c rune) bool { return !ascii(c) }) < 0 && len(r.kind) <= 128 && oneLine(r.kind)
	return r, ok
}

func oneLine(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(c rune) bool {
		return unicode.IsControl(c) || c == 0xfffe || c == 0xffff || c == 0x2028 || c == 0x2029
	})
}

func oracleCommand(name string) string {
	for _, c := range strings.Fields("Sync SendMail SmartForward SmartReply GetAttachment GetHierarchy CreateCollection DeleteCollection MoveCollection FolderSync FolderCreate FolderDelete FolderUpdate MoveItems GetItemEstimate MeetingResponse Search Settings Ping ItemOperations Provision ResolveRecipients ValidateCert Find") {
		if len(name) == len(c) && strings.EqualFold(c, name) {
			return c
		}
	}
	return ""
}

// compare reads one query both ways, and once more after it was passed on.
func compare(t interface {
	Helper()
	Fatalf(string, ...any)
}, query string,
) {
	t.Helper()
	got, err := Parse(Request{Method: "POST", URI: Path + "?" + query})
	want, ok := oracle(query)
	if (err == nil) != ok {
		t.Fatalf("%q: got %v, the other decoder says %v", query, err, ok)
	}
	if err != nil {
		return
	}
	seen := reading{got.Cmd, got.User, got.DeviceID, got.DeviceType, got.Protocol}
	if seen != want {
		t.Fatalf("%q: got %+v, the other decoder %+v", query, seen, want)
	}
	again, err := Parse(Request{Method: "POST", URI: Path + got.String()})
	if err != nil || again.String() != got.String() {
		t.Fatalf("%q is passed on as %q, and that reads as %q, %v", query, got.String(), again.String(), err)
	}
	if passed, _ := oracle(got.String()[1:]); passed != want {
		t.Fatalf("%q is passed on as %q: %+v, was %+v", query, got.String(), passed, want)
	}
}

// TestAgainstAnotherDecoder builds queries out of pieces that are nearly right.
func TestAgainstAnotherDecoder(t *testing.T) {
	t.Parallel()
	name := rapid.SampledFrom([]string{"Cmd", "cmd", "User", "USER", "DeviceId", "deviceid", "DeviceType", "CollectionId", "X-1", "%43md", "", "1x"})
	value := rapid.SampledFrom([]string{"Sync", "sync", "Ping", "a", "alice%40example.test", `D%5Ca`, `D\a`, "", "%00", "%zz", "a%2541", "a+b", "a%2Bb", "%c3%a9", "%ff", "a=b", "x?y", "%E2%80%8B", "Some%20Phone"})
	join := rapid.SampledFrom([]string{"&", "&", "&", "&", "&&", ";", ""})
	rapid.Check(t, func(t *rapid.T) {
		var b strings.Builder
		b.WriteString("Cmd=Sync&User=a&DeviceId=d"[:rapid.SampledFrom([]int{0, 8, 15, 26, 26}).Draw(t, "begin")])
		for range rapid.IntRange(0, 4).Draw(t, "parts") {
			b.WriteString(join.Draw(t, "join") + name.Draw(t, "name") + "=" + value.Draw(t, "value"))
		}
		compare(t, b.String())
	})
	piece := rapid.OneOf(rapid.Just(head), rapid.Just("\x8d\x00\x09\x04"), rapid.Just("\x01d"), rapid.Just("\x00"), rapid.Just("\x08\x01a"),
		rapid.Just("\x04abcd"), rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 6), func(b []byte) string { return string(b) }))
	rapid.Check(t, func(t *rapid.T) {
		query := packed(rapid.SliceOfN(piece, 1, 8).Draw(t, "bytes")...)
		if cut := rapid.IntRange(0, 12).Draw(t, "cut"); cut < 3 {
			query = query[:len(query)-min(cut, len(query))]
		}
		if query != "" {
			compare(t, query)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(plainQuery)
	f.Add(packed(head))
	f.Add(packed(head, "\x08\x01a\x01\x01b"))
	f.Add("Cmd=Sync&User=a%40b&DeviceId=d&x=%2e")
	f.Fuzz(func(t *testing.T, query string) {
		if query == "" {
			return
		}
		compare(t, query)
	})
}
