package bounded

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"howett.net/plist"
)

const appleHeader = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
`

func TestPlist(t *testing.T) {
	t.Parallel()
	in := func(s string) string { return `<plist version="1.0">` + s + `</plist>` }
	deep := func(n int, open, end string) string {
		return in(strings.Repeat(open, n) + "<true/>" + strings.Repeat(end, n))
	}
	tests := []struct {
		name string
		text string
		want error
	}{
		{"Apple's own", appleHeader + in("<dict><key>MessageType</key><string>Authenticate</string></dict>"), nil},
		{"without header", in("<dict/>"), nil},
		{"every type", in("<array><string>a</string><data>YQ==</data><date>2026-01-02T03:04:05Z</date><integer>-1</integer><real>1.5</real><true/><false/><dict/><array/></array>"), nil},
		{"old doctype", `<!DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">` + in("<true/>"), nil},
		{"doctype over two lines", "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\"\n\t\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">" + in("<true/>"), nil},
		{"comments", "<!-- a -->" + in("<dict><!-- b --><key>k<!-- c --></key><true/></dict>") + "<!-- d -->", nil},
		{"white space around", "\n" + in(" <true/>\n") + "\n\n", nil},
		{"same key in two dicts", in("<array><dict><key>k</key><true/></dict><dict><key>k</key><true/></dict></array>"), nil},
		{"character references", in("<string>&lt;&#65;&amp;</string>"), nil},
		{"32 levels", deep(32, "<array>", "</array>"), nil},

		{"nothing", "", ErrMalformed},
		{"white space", " \n", ErrMalformed},
		{"no list", "<dict/>", ErrMalformed},
		{"empty list", in(""), ErrMalformed},
		{"two values", in("<true/><true/>"), ErrMalformed},
		{"two lists", in("<true/>") + in("<true/>"), ErrMalformed},
		{"list in a list", in(in("<true/>")), ErrMalformed},
		{"trailing text", in("<true/>") + "x", ErrMalformed},
		{"leading text", "x" + in("<true/>"), ErrMalformed},
		{"text between", in("<dict>x</dict>"), ErrMalformed},
		{"cut", appleHeader + "<plist><dict>", ErrMalformed},
		{"unpaired tags", in("<dict></array>"), ErrMalformed},
		{"unknown element", in("<dictionary/>"), ErrMalformed},
		{"key without value", in("<dict><key>k</key></dict>"), ErrMalformed},
		{"value without key", in("<dict><true/></dict>"), ErrMalformed},
		{"two keys in a row", in("<dict><key>k</key><key>l</key><true/></dict>"), ErrMalformed},
		{"key twice", in("<dict><key>k</key><true/><key>k</key><false/></dict>"), ErrMalformed},
		{"key twice, disguised", in("<dict><key>k</key><true/><key>&#107;</key><false/></dict>"), ErrMalformed},
		{"key twice, by comment", in("<dict><key>k1</key><true/><key>k<!-- -->1</key><false/></dict>"), ErrMalformed},
		{"key in an array", in("<array><key>k</key></array>"), ErrMalformed},
		{"key at the top", in("<key>k</key>"), ErrMalformed},
		{"element in a string", in("<string><true/></string>"), ErrMalformed},
		{"unknown entity", in("<string>&xxe;</string>"), ErrMalformed},
		{"JSON", `{"a": 1}`, ErrMalformed},
		{"OpenStep", `{ a = 1; }`, ErrMalformed},
		{"not UTF-8", in("<string>\xff</string>"), ErrMalformed},
		{"UTF-16", string(utf16Bytes(in("<true/>"))), ErrMalformed},
		{"UTF-16 announced", `<?xml version="1.0" encoding="UTF-16"?>` + in("<true/>"), ErrMalformed},

		{"binary", "bplist00\xd1\x01\x02", ErrForbidden},
		{"entity", `<!DOCTYPE plist [<!ENTITY a "b">]>` + in("<string>&a;</string>"), ErrForbidden},
		{"entity in Apple's doctype", strings.Replace(appleHeader, `dtd">`, `dtd" [<!ENTITY a SYSTEM "file:///etc/passwd">]>`, 1) + in("<true/>"), ErrForbidden},
		{"foreign doctype", `<!DOCTYPE plist SYSTEM "http://evil.example/x.dtd">` + in("<true/>"), ErrForbidden},
		{"bare doctype", `<!DOCTYPE plist>` + in("<true/>"), ErrForbidden},
		{"late doctype", in("<true/>") + strings.TrimPrefix(appleHeader, `<?xml version="1.0" encoding="UTF-8"?>`), ErrForbidden},
		{"processing instruction", `<?php x?>` + in("<true/>"), ErrForbidden},
		{"attribute", in(`<dict a="b"/>`), ErrForbidden},
		{"name space", `<plist xmlns:x="y"><x:true/></plist>`, ErrForbidden},
		{"archiver reference", in("<dict><key>CF$UID</key><integer>1</integer></dict>"), ErrForbidden},

		{"33 levels", deep(33, "<array>", "</array>"), ErrTooDeep},
		{"33 levels of dicts", deep(33, "<dict><key>k</key>", "</dict>"), ErrTooDeep},
		{"100,000 levels", "<plist>" + strings.Repeat("<array>", 100_000), ErrTooDeep},
		{"too large", in("<string>" + strings.Repeat("x", MaxPlist) + "</string>"), ErrTooLarge},
		{"too large and a bomb", "<plist>" + strings.Repeat("<array>", 1_000_000), ErrTooLarge},
	}
	for _, tt := range tests {
		err := Plist([]byte(tt.text), MaxPlist, MaxDepth)
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "evil") || strings.Contains(err.Error(), "passwd")) {
			t.Errorf("%s: the error shows content: %v", tt.name, err)
		}
		var v any
		if decoded := DecodePlist([]byte(tt.text), MaxPlist, MaxDepth, &v); !errors.Is(decoded, tt.want) {
			t.Errorf("%s: DecodePlist: %v, want %v", tt.name, decoded, tt.want)
		}
	}
}

func utf16Bytes(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		out = append(out, byte(u), byte(u>>8))
	}
	return out
}

func TestDecodePlist(t *testing.T) {
	t.Parallel()
	var v struct {
		UDID  string
		Count int
	}
	text := appleHeader + "<plist><dict><key>UDID</key><string>ABC</string><key>Count</key><integer>7</integer></dict></plist>"
	if err := DecodePlist([]byte(text), MaxPlist, MaxDepth, &v); err != nil || v.UDID != "ABC" || v.Count != 7 {
		t.Errorf("%+v, %v", v, err)
	}
	for name, text := range map[string]string{
		"text for a number": "<plist><dict><key>Count</key><string>secret</string></dict></plist>",
		"no number":         "<plist><dict><key>Count</key><integer>secret</integer></dict></plist>",
		"no date":           "<plist><date>secret</date></plist>",
		"no base64":         "<plist><data>secret!</data></plist>",
	} {
		err := DecodePlist([]byte(text), MaxPlist, MaxDepth, &v)
		if !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: got %v, want ErrMalformed", name, err)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: the error shows content: %v", name, err)
		}
	}
	if err := DecodePlist([]byte(text), MaxPlist, MaxDepth, nil); !errors.Is(err, ErrMalformed) {
		t.Errorf("into nothing: %v", err)
	}
}

// TestLibraryOutputPasses: what the library writes is what phones and we send.
func TestLibraryOutputPasses(t *testing.T) {
	t.Parallel()
	data, err := plist.MarshalIndent(map[string]any{"a": []any{"b", 1, true, []byte{1}}, "c": map[string]any{}}, plist.XMLFormat, "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := Plist(data, MaxPlist, MaxDepth); err != nil {
		t.Errorf("%v in\n%s", err, data)
	}
}

func FuzzPlist(f *testing.F) {
	f.Add([]byte(appleHeader + "<plist><dict><key>a</key><array><true/><data>YQ==</data></array></dict></plist>"))
	f.Add([]byte("<plist><dict><key>a</key><integer>1</integer><key>b</key><real>1</real><key>c</key><date>2026-01-02T03:04:05Z</date></dict></plist>"))
	f.Add([]byte("bplist00"))
	f.Add([]byte("{a=1;}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var v any
		err := DecodePlist(data, MaxPlist, MaxDepth, &v)
		if err == nil {
			if v == nil || bytes.Contains(data, []byte("<!ENTITY")) && !bytes.Contains(data, []byte("<!--")) && !bytes.Contains(data, []byte("CDATA")) {
				t.Fatal("accepted")
			}
			return
		}
		for _, known := range []error{ErrMalformed, ErrForbidden, ErrTooDeep, ErrTooLarge} {
			if errors.Is(err, known) {
				return
			}
		}
		t.Fatalf("unknown error %v", err)
	})
}
