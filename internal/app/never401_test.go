package app_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"howett.net/plist"

	"sallyport/internal/cms"
)

// answers counts what came back.
type answers map[int]int

// only fails for a status that a phone must never see.
func (a answers) only(t *testing.T, what string, got int, allowed ...int) {
	t.Helper()
	a[got]++
	if !slices.Contains(allowed, got) {
		t.Errorf("%s: status %d, want one of %v", what, got, allowed)
	}
}

func (a answers) sum() (n int) {
	for _, count := range a {
		n += count
	}
	return n
}

// TestNothingUnenrolsAPhone sends each message of a whole enrolment with each
// field and each header spoilt in many ways, to a server that is well and to one
// whose database is gone. A phone that is answered 401, or 403 with Apple's code,
// removes its management and all mail with it: it must see neither.
func TestNothingUnenrolsAPhone(t *testing.T) {
	t.Parallel()
	s := serve(t, testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0"))
	s.seed()
	e := s.enrol(alice)
	said := kinds(t, e.said)
	said = append(said, taken{header: said[0].header, body: checkOut(t, said[0].body)}) // last: it ends the enrolment

	well := answers{}
	for _, m := range said {
		for name, header := range spoiltHeaders(t, m, e.id) {
			status, _ := put(t, s.http, s.app.PublicURL(), m.body, header)
			well.only(t, name, status, 200, 400)
		}
		for name, body := range spoiltFields(t, m.body) {
			status, _ := put(t, s.http, s.app.PublicURL(), body, signedBy(t, m, body, e.id))
			well.only(t, name, status, 200, 400)
		}
	}
	t.Logf("a server that is well: %d messages of %d kinds, %v", well.sum(), len(said), well)
	if well.sum() < 500 || well[200] < 50 || well[400] < 50 {
		t.Errorf("%v: the test does not spoil what it means to", well)
	}

	must(t, s.app.StopDatabase())
	down := answers{}
	for _, m := range said {
		header := signedBy(t, m, m.body, e.id)
		status, _ := put(t, s.http, s.app.PublicURL(), m.body, header)
		down.only(t, "no database", status, 503)
		for name, header := range spoiltHeaders(t, m, e.id) {
			status, _ := put(t, s.http, s.app.PublicURL(), m.body, header)
			down.only(t, "no database, "+name, status, 400, 503)
		}
		for name, body := range spoiltFields(t, m.body) {
			status, _ := put(t, s.http, s.app.PublicURL(), body, signedBy(t, m, body, e.id))
			down.only(t, "no database, "+name, status, 400, 503)
		}
	}
	t.Logf("a server without its database: %d messages, %v", down.sum(), down)
	checkNeighbours(t, s)
}

// checkNeighbours: SCEP and the enrolment pages ask nobody for a login either.
func checkNeighbours(t *testing.T, s serving) {
	t.Helper()
	got := answers{}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "BREW"} {
		for _, path := range []string{"/scep", "/scep?operation=GetCACert", "/scep?operation=PKIOperation&message=AAAA", "/enroll/AAAAAAAA", "/enroll/AAAAAAAA/enroll.mobileconfig", "/mdm/", "/mdm/x"} {
			r, err := http.NewRequestWithContext(t.Context(), method, s.app.PublicURL()+path, strings.NewReader("pin=1"))
			must(t, err)
			r.Header.Set("Authorization", "Bearer nonsense")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			resp, err := s.http.Do(r)
			must(t, err)
			must(t, resp.Body.Close())
			got[resp.StatusCode]++
			if resp.StatusCode == 401 || resp.StatusCode == 403 {
				t.Errorf("%s %s: status %d", method, path, resp.StatusCode)
			}
		}
	}
	t.Logf("the neighbours without the database: %d requests, %v", got.sum(), got)
}

// kinds keeps one message of each kind: of each MessageType, each Status, each
// kind of facts.
func kinds(t testing.TB, said []taken) []taken {
	t.Helper()
	seen := map[string]bool{}
	var some []taken
	for _, m := range said {
		d := dictOf(t, m.body)
		kind := fmt.Sprint(d["MessageType"], d["Status"], slices.Sorted(maps.Keys(d)))
		if !seen[kind] {
			seen[kind] = true
			some = append(some, m)
		}
	}
	if len(some) < 6 {
		t.Fatalf("only %d kinds of message in an enrolment", len(some))
	}
	return some
}

func dictOf(t testing.TB, body []byte) map[string]any {
	t.Helper()
	var d map[string]any
	_, err := plist.Unmarshal(body, &d)
	must(t, err)
	return d
}

func encoded(t testing.TB, d any) []byte {
	t.Helper()
	body, err := plist.Marshal(d, plist.XMLFormat)
	must(t, err)
	return body
}

// checkOut is what a phone says when its owner removes the management.
func checkOut(t testing.TB, authenticate []byte) []byte {
	t.Helper()
	d := dictOf(t, authenticate)
	return encoded(t, map[string]any{"MessageType": "CheckOut", "Topic": d["Topic"], "UDID": d["UDID"]})
}

func signedBy(t testing.TB, m taken, body []byte, id cms.Identity) http.Header {
	t.Helper()
	h := m.header.Clone()
	h.Set("Mdm-Signature", signature(t, body, id))
	return h
}

// spoiltHeaders are the headers of m with each one missing, empty, doubled,
// wrong and large, and with each that could confuse a server.
func spoiltHeaders(t testing.TB, m taken, id cms.Identity) map[string]http.Header {
	t.Helper()
	good := signedBy(t, m, m.body, id)
	all := map[string]http.Header{}
	change := func(what, name string, values ...string) {
		h := good.Clone()
		delete(h, name)
		if len(values) > 0 {
			h[name] = values
		}
		all[what+" "+name] = h
	}
	for _, name := range []string{"Mdm-Signature", "Content-Type", "User-Agent", "Accept", "Authorization", "Cookie", "Client-Cert", "X-Forwarded-For", "Content-Encoding", "If-Match", "Origin"} {
		value := good.Get(name)
		change("no", name)
		change("empty", name, "")
		change("doubled", name, value, value)
		change("another", name, "Bearer nonsense")
		change("large", name, strings.Repeat("A", 12<<10))
		change("high bytes in", name, "\xff\xfe")
	}
	text := good.Get("Mdm-Signature")
	for _, at := range []int{0, len(text) / 3, len(text) / 2, len(text) - 9} {
		for _, c := range []byte{'A', '!', ' '} {
			change(fmt.Sprintf("byte %d turned into %q of", at, c), "Mdm-Signature", text[:at]+string(c)+text[at+1:])
		}
		change(fmt.Sprintf("the first %d bytes of", at), "Mdm-Signature", text[:at])
	}
	return all
}

// spoiltFields are bodies with each field, down to the second level, missing,
// empty, doubled, of another type, and large, and the body itself torn.
func spoiltFields(t testing.TB, body []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{
		"no body": nil, "a blank": []byte(" "), "half a body": body[:len(body)/2],
		"a body beyond its limit": append(bytes.Clone(body), bytes.Repeat([]byte(" "), 1<<20)...),
		"an array":                encoded(t, []any{dictOf(t, body)}),
		"binary":                  binary(t, dictOf(t, body)),
		"an entity":               bytes.Replace(body, []byte("<plist"), []byte("<!DOCTYPE plist [<!ENTITY a 'b'>]><plist"), 1),
		"deep":                    bytes.Replace(body, []byte("</dict>"), []byte("<key>X</key>"+strings.Repeat("<array>", 40)+strings.Repeat("</array>", 40)+"</dict>"), 1),
	}
	d := dictOf(t, body)
	wrong := map[string]any{
		"empty": "", "a blank": " ", "an integer": 7, "a negative": -1, "a real": 1.5, "true": true, "data": []byte{0xff}, "an array": []any{"x", 1},
		"a dictionary": map[string]any{"x": 1}, "large": strings.Repeat("x", 5000), "control characters": "a\tb\nc", "not ASCII": "ÄÖ\u202e\U0001F4F1",
	}
	for key, value := range d {
		without := maps.Clone(d)
		delete(without, key)
		all["no "+key] = encoded(t, without)
		for what, other := range wrong {
			changed := maps.Clone(d)
			changed[key] = other
			all[key+" is "+what] = encoded(t, changed)
		}
		for _, with := range []string{"<string>x</string>", "<integer>1</integer>", "<dict/>"} {
			all[key+" doubled with "+with] = bytes.Replace(body, []byte("</dict>"), []byte("<key>"+key+"</key>"+with+"</dict>"), 1)
		}
		if inner, ok := value.(map[string]any); ok {
			for field := range inner {
				for what, other := range wrong {
					changed, below := maps.Clone(d), maps.Clone(inner)
					below[field] = other
					changed[key] = below
					all[key+"."+field+" is "+what] = encoded(t, changed)
				}
			}
		}
	}
	return all
}

func binary(t testing.TB, d any) []byte {
	t.Helper()
	body, err := plist.Marshal(d, plist.BinaryFormat)
	must(t, err)
	return body
}
