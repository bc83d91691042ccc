package eas

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/internal/refusal"
)

const (
	plainQuery = "Cmd=Sync&User=alice%40example.test&DeviceId=APPLDEV01&DeviceType=iPhone"
	post       = "POST"
)

// packed is a base64 query by hand.
func packed(parts ...string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Join(parts, "")))
}

// head is its fixed part: 14.1, Sync, English, device, policy key, type.
const head = "\x8d\x00\x09\x04\x08B64DEV01\x04\x4e\x61\xbc\x00\x06iPhone"

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, query string
		want        Query
		canonical   string // empty: as it came
	}{
		{"plain", plainQuery, Query{Cmd: "Sync", User: "alice@example.test", DeviceID: "APPLDEV01", DeviceType: "iPhone"}, ""},
		{"names and command in any case, and order", "deviceID=d&CMD=foldersync&uSER=a", Query{Cmd: "FolderSync", User: "a", DeviceID: "d"}, "Cmd=FolderSync&User=a&DeviceId=d"},
		{"domain, escaped and not", `Cmd=Ping&User=EXAMPLE\alice&DeviceId=d`, Query{Cmd: "Ping", User: `EXAMPLE\alice`, DeviceID: "d"}, "Cmd=Ping&User=EXAMPLE%5Calice&DeviceId=d"},
		{"a type with a space", "Cmd=Ping&User=a&DeviceId=d&DeviceType=Some%20Phone", Query{Cmd: "Ping", User: "a", DeviceID: "d", DeviceType: "Some Phone"}, ""},
		{"a plus that is escaped", "Cmd=Ping&User=a%2Bb&DeviceId=d", Query{Cmd: "Ping", User: "a+b", DeviceID: "d"}, ""},
		{"parameters of a command, and of nobody", "Cmd=SmartReply&User=a&DeviceId=d&collectionid=5&ItemId=5%3A1&SaveInSent=T&X-1=y",
			Query{Cmd: "SmartReply", User: "a", DeviceID: "d", Parameters: []Parameter{{"CollectionId", "5"}, {"ItemId", "5:1"}, {"SaveInSent", "T"}, {"X-1", "y"}}},
			"Cmd=SmartReply&User=a&DeviceId=d&CollectionId=5&ItemId=5%3A1&SaveInSent=T&X-1=y"},
		{"base64", packed(head), Query{Encoded: true, Cmd: "Sync", DeviceID: "B64DEV01", DeviceIDBytes: []byte("B64DEV01"), DeviceType: "iPhone", Protocol: "14.1", PolicyKey: "12345678", Locale: 0x409}, ""},
		{"base64, no key, a user and options", packed("\xa1\x02\x07\x04\x02\x00\xff\x00\x00", "\x08\x01a", "\x07\x01\x01", "\x09\x00"),
			Query{Encoded: true, Cmd: "SmartForward", User: "a", DeviceID: "00ff", DeviceIDBytes: []byte{0, 0xff}, Protocol: "16.1", Locale: 0x407,
				Parameters: []Parameter{{"Options", "\x01"}, {"tag 9", ""}}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(Request{Method: post, URI: Path + "?" + tt.query})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Query{})); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
			want := "?" + tt.canonical
			if tt.canonical == "" {
				want = "?" + tt.query
			}
			if got.String() != want {
				t.Errorf("passed on as %q, want %q", got.String(), want)
			}
		})
	}
}

func TestParseWhatBelongsToIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		r    Request
		want Query
	}{
		{"options", Request{Method: "OPTIONS", URI: "/microsoft-server-activesync"}, Query{}},
		{"headers", Request{Method: post, URI: Path + "?" + plainQuery, Protocol: "16.1", PolicyKey: "99"},
			Query{Cmd: "Sync", User: "alice@example.test", DeviceID: "APPLDEV01", DeviceType: "iPhone", Protocol: "16.1", PolicyKey: "99"}},
		{"base64 with the same header again", Request{Method: post, URI: Path + "?" + packed(head), Protocol: "14.1"},
			Query{Encoded: true, Cmd: "Sync", DeviceID: "B64DEV01", DeviceIDBytes: []byte("B64DEV01"), DeviceType: "iPhone", Protocol: "14.1", PolicyKey: "12345678", Locale: 0x409}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(tt.r)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got, cmpopts.IgnoreUnexported(Query{})); diff != "" {
				t.Errorf("query (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	t.Parallel()
	query := func(q string) Request { return Request{Method: post, URI: Path + "?" + q} }
	full := strings.TrimRight(packed(head), "=")
	tests := []struct {
		name, field string
		r           Request
	}{
		{"method", "method", Request{Method: "GET", URI: Path + "?" + plainQuery}},
		{"path with a slash", "path", Request{Method: post, URI: Path + "/?" + plainQuery}},
		{"path with dots", "path", Request{Method: post, URI: "/x/.." + Path + "?" + plainQuery}},
		{"path with escapes", "path", Request{Method: post, URI: "/Microsoft%2DServer-ActiveSync?" + plainQuery}},
		{"path that begins alike", "path", Request{Method: post, URI: Path + "X?" + plainQuery}},
		{"no query", "query", Request{Method: post, URI: Path}},
		{"a question mark alone", "query", Request{Method: "OPTIONS", URI: Path + "?"}},
		{"too long", "uri", query("Cmd=Sync&User=" + strings.Repeat("a", 5000))},
		{"semicolon", "uri", query("Cmd=Sync;User=a&DeviceId=d")},
		{"semicolon in base64", "uri", query(full + ";")},
		{"space", "uri", query("Cmd=Sync&User=a b&DeviceId=d")},
		{"fragment", "uri", query(plainQuery + "#x")},
		{"line end", "uri", query(plainQuery + "\r\n")},
		{"bytes of UTF-8, not escaped", "uri", query("Cmd=Sync&User=ä&DeviceId=d")},

		{"user twice", "user", query(plainQuery + "&user=mallory")},
		{"device twice", "DEVICEID", query(plainQuery + "&DEVICEID=x")},
		{"unknown twice", "X", query(plainQuery + "&x=1&X=1")},
		{"no command", nameCmd, query("User=a&DeviceId=d")},
		{"no user", nameUser, query("Cmd=Sync&DeviceId=d")},
		{"no device", nameDevice, query("Cmd=Sync&User=a")},
		{"unknown command", nameCmd, query("Cmd=Wipe&User=a&DeviceId=d")},
		{"empty value", "query", query("Cmd=Sync&User=&DeviceId=d")},
		{"empty part", "query", query("Cmd=Sync&&User=a&DeviceId=d")},
		{"trailing ampersand", "query", query(plainQuery + "&")},
		{"base64 before names", "query", query(full + "&" + plainQuery)},
		{"padded base64 before names", "query", query("jQAJBANhYmMA=&" + plainQuery)},
		{"names before base64", "query", query(plainQuery + "&" + full)},
		{"second equals sign", nameUser, query("Cmd=Sync&User=a=b&DeviceId=d")},
		{"escaped name", "query", query("Cmd=Sync&%55ser=a&DeviceId=d")},
		{"plus", nameUser, query("Cmd=Sync&User=a+b&DeviceId=d")},
		{"half an escape", nameUser, query("Cmd=Sync&User=a%4&DeviceId=d")},
		{"escape that is none", nameUser, query("Cmd=Sync&User=a%g0&DeviceId=d")},
		{"escaped twice", nameUser, query("Cmd=Sync&User=a%2540b&DeviceId=d")},
		{"hidden parameter", nameUser, query("Cmd=Sync&User=a%26DeviceId=x&DeviceId=d")},
		{"hidden parameter, escaped throughout", nameUser, query("Cmd=Sync&User=a%26DeviceId%3Dx&DeviceId=d")},
		{"NUL", nameDevice, query("Cmd=Sync&User=a&DeviceId=d%00")},
		{"line end in a value", nameUser, query("Cmd=Sync&User=a%0d%0a&DeviceId=d")},
		{"not UTF-8", nameUser, query("Cmd=Sync&User=a%ff&DeviceId=d")},
		{"overlong UTF-8", nameUser, query("Cmd=Sync&User=a%c0%ae&DeviceId=d")},
		{"invisible character", nameUser, query("Cmd=Sync&User=a%E2%80%8B&DeviceId=d")},
		{"device with a space", nameDevice, query("Cmd=Sync&User=a&DeviceId=d%20")},
		{"device in Greek", nameDevice, query("Cmd=Sync&User=a&DeviceId=%CE%B1")},
		{"long user", nameUser, query("Cmd=Sync&DeviceId=d&User=" + strings.Repeat("a", 321))},
		{"long device", nameDevice, query("Cmd=Sync&User=a&DeviceId=" + strings.Repeat("a", 129))},
		{"long type", nameType, query("Cmd=Sync&User=a&DeviceId=d&DeviceType=" + strings.Repeat("a", 129))},
		{"many unknown", "x9", query(plainQuery + "&x1=1&x2=1&x3=1&x4=1&x5=1&x6=1&x7=1&x8=1&x9=1")},
		{"version that is none", "MS-ASProtocolVersion", Request{Method: post, URI: Path + "?" + plainQuery, Protocol: "14.1, 2.5"}},
		{"policy key that is none", "X-MS-PolicyKey", Request{Method: post, URI: Path + "?" + plainQuery, PolicyKey: "-1"}},

		{"alphabet of URLs", "query", query("jQAJBAj____-REVWMDEAAA==")},
		{"escaped base64", "query", query(full + "%3D")},
		{"no padding", "query", query(full)},
		{"too much padding", "query", query(packed(head) + "=")},
		{"bits that are not zero", "query", query(strings.TrimRight(packed("\x8d\x00\x09\x04\x01d\x00"), "=")[:9] + "B==")},
		{"text that is no base64", "query", query("hello!")},
		{"truncated", "query", query(packed("\x8d\x00\x09"))},
		{"device longer than the rest", "query", query(packed("\x8d\x00\x09\x04\xffd\x00\x00"))},
		{"no device in base64", nameDevice, query(packed("\x8d\x00\x09\x04\x00\x00\x00"))},
		{"code of no command", nameCmd, query(packed("\x8d\x05\x09\x04\x01d\x00\x00"))},
		{"code beyond the commands", nameCmd, query(packed("\x8d\xf0\x09\x04\x01d\x00\x00"))},
		{"version zero", "query", query(packed("\x00\x00\x09\x04\x01d\x00\x00"))},
		{"key of three bytes", "policy key", query(packed("\x8d\x00\x09\x04\x01d\x03abc\x00"))},
		{"trailing byte", "query", query(packed(head, "x"))},
		{"trailing bytes", "query", query(packed(head, "\x01\x04abc"))},
		{"tag twice", "CollectionId", query(packed(head, "\x01\x01a\x01\x01a"))},
		{"unknown tag twice", "tag 77", query(packed(head, "M\x01aM\x01a"))},
		{"many unknown tags", "tag 40", query(packed(head, "\x20\x00\x21\x00\x22\x00\x23\x00\x24\x00\x25\x00\x26\x00\x27\x00\x28\x00"))},
		{"empty user in base64", nameUser, query(packed(head, "\x08\x00"))},
		{"user with an end of line in base64", nameUser, query(packed(head, "\x08\x02a\n"))},
		{"user that is not UTF-8 in base64", nameUser, query(packed(head, "\x08\x02a\xff"))},
		{"device with an ampersand in base64", nameDevice, query(packed("\x8d\x00\x09\x04\x03a&b\x00\x00"))},
		{"device too long in hex", nameDevice, query(packed("\x8d\x00\x09\x04\x41" + strings.Repeat("\xff", 65) + "\x00\x00"))},
		{"header against base64", "MS-ASProtocolVersion", Request{Method: post, URI: Path + "?" + packed(head), Protocol: "2.5"}},
		{"policy key against base64", "X-MS-PolicyKey", Request{Method: post, URI: Path + "?" + packed(head), PolicyKey: "1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q, err := Parse(tt.r)
			if !errors.Is(err, ErrQuery) {
				t.Fatalf("got %+v, %v, want it refused", q, err)
			}
			all := refusal.All(err)
			if len(all) != 1 || all[0].Field != tt.field || all[0].Reason == "" || all[0].Remedy == "" {
				t.Errorf("refusals %+v, want one of %s with reason and remedy", all, tt.field)
			}
		})
	}
}
