package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"sallyport/access"
	"sallyport/api"
	"sallyport/internal/auth"
	"sallyport/internal/secret"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

const mallory = "mallory@example.test"

// wiretapped counts on the wire what a phone is told to do.
type wiretapped struct {
	next http.RoundTripper
	mu   sync.Mutex
	told map[string]int // by RequestType as we compare them: letters alone, in lower case
}

// requestType finds the word however its key is spelled.
var requestType = regexp.MustCompile(`(?i)<key>\s*request\s*type\s*</key>\s*<string>([^<]*)</string>`)

func (w *wiretapped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.next.RoundTrip(r)
	if err != nil || r.URL.Path != "/mdm" {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, found := range requestType.FindAllSubmatch(body, -1) {
		w.told[lettersOnly(string(found[1]))]++
	}
	return resp, nil
}

func lettersOnly(s string) string {
	return strings.Map(func(r rune) rune {
		if r = r | 0x20; r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}

func (w *wiretapped) erasures() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.told["erasedevice"]
}

// tapped is a phone of which everything that it is told is counted.
type tapped struct {
	*agent.Phone
	wire *wiretapped
}

func newTapped(t *testing.T, c *client) tapped {
	t.Helper()
	web := trusting(c.root)
	wire := &wiretapped{next: web.Transport, told: map[string]int{}}
	web.Transport = wire
	p, err := agent.New(agent.Options{CA: []*x509.Certificate{c.root}, HTTP: web, Story: func(string, string) {}})
	must(t, err)
	t.Cleanup(p.Close)
	return tapped{p, wire}
}

// takenOverBy enrols the phone for another user. Its CheckOut is lost, so that it
// is still on record as its holder's.
func (p tapped) takenOverBy(t *testing.T, c *client, user string) {
	t.Helper()
	must(t, p.Play(agent.Script{LoseCheckOut: true}))
	_ = p.Unenroll(t.Context())
	must(t, p.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: user, Ownership: "corporate"}).URL))
}

// as is the same client under a token of its own; an empty role has none.
func (c *client) as(role auth.Role, owner string) *client {
	c.t.Helper()
	other := *c
	other.local.Token = secret.Value{}
	if role != "" {
		var issued adminapi.TokenIssued
		c.post("/api/v1/tokens", adminapi.TokenRequest{Role: string(role), Owner: owner}, &issued)
		other.local.Token = secret.New(issued.Text)
	}
	return &other
}

// idOf is the device that the phone is on record as.
func (c *client) idOf(p tapped) string {
	c.t.Helper()
	udid := show(c.t, p.Phone).UDID
	var list accessapi.Devices
	c.call(http.MethodGet, "/api/v1/devices?limit=1000", "", nil, &list)
	for _, d := range list.Devices {
		if d.UDID == udid {
			return d.ID
		}
	}
	c.t.Fatalf("no device with the UDID %s", udid)
	return ""
}

// eraseSpellings are the ways to say EraseDevice that we could think of.
func eraseSpellings() []string {
	plain := func(word string) string {
		return `<plist version="1.0"><dict><key>RequestType</key><string>` + word + `</string></dict></plist>`
	}
	spellings := []string{
		plain("ProfileList") + plain("EraseDevice"),
		`<plist version="1.0"><dict><key>RequestType</key><string>ProfileList</string><key>RequestType</key><string>EraseDevice</string></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><string>EraseDevice</string><key>RequestType</key><string>ProfileList</string></dict></plist>`,
		`<plist version="1.0"><dict><key>requesttype</key><string>EraseDevice</string><key>RequestType</key><string>ProfileList</string></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><string>Settings</string><key>Settings</key><array><dict><key>RequestType</key><string>EraseDevice</string></dict></array></dict></plist>`,
		`<plist version="1.0"><dict><key>Command</key><dict><key>RequestType</key><string>EraseDevice</string></dict></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><data>RXJhc2VEZXZpY2U=</data></dict></plist>`,
		`<plist version="1.0"><dict><key>RequestType</key><array><string>EraseDevice</string></array></dict></plist>`,
		`<?xml version="1.0"?><!DOCTYPE plist [<!ENTITY e "EraseDevice">]>` + plain("&e;"),
		`<?xml version="1.0" encoding="UTF-16"?>` + plain("EraseDevice"),
		"bplist00\xd1\x01\x02[RequestType[EraseDevice",
		`{"RequestType": "EraseDevice"}`,
	}
	for _, word := range []string{
		"EraseDevice", "erasedevice", "ERASEDEVICE", " EraseDevice", "EraseDevice\n", "Erase Device", "Erase-Device", "Erase_Device", "Erase.Device", "EraseDevice.",
		"&#69;raseDevice", "&#x45;rase&#68;evice", "<![CDATA[EraseDevice]]>", "Erase<!-- -->Device", "Erase\u200bDevice", "\ufeffEraseDevice", "EraseDevice\u0000",
		"ЕraseDevice", "EraseDevicе", "ＥｒａｓｅＤｅｖｉｃｅ", "Erase\u00adDevice",
	} {
		spellings = append(spellings, plain(word))
	}
	return spellings
}

// wildcard makes requests: every route, with what may pass for its parameters.
type wildcard struct {
	r      *rand.Rand
	routes []string            // "METHOD /path/{parameter}"
	pool   map[string][]string // by parameter
	names  []string            // of the devices
	raw    []string
	tried  map[string]int // requests by route
	erase  int            // requests that ask to erase, in whatever words
}

func newWildcard(t *testing.T, seed uint64) *wildcard {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI)
	must(t, err)
	w := &wildcard{r: rand.New(rand.NewPCG(seed, seed)), pool: map[string][]string{}, raw: eraseSpellings(), tried: map[string]int{}}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			w.routes = append(w.routes, method+" "+path)
		}
	}
	slices.Sort(w.routes)
	return w
}

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

var parameter = regexp.MustCompile(`\{[a-z]+\}`)

// request is a random one: of acts every other, of the rest one after the other.
func (w *wildcard) request(n int) (method, path, contentType string, body []byte) {
	route := w.routes[n%len(w.routes)]
	switch w.r.IntN(8) {
	case 0, 1, 2:
		route = "POST /api/v1/devices/{id}/actions"
	case 3:
		route = pick(w.r, "POST /api/v1/devices/{id}/actions/{action}/approve", "PUT /api/v1/devices/{id}/ownership", "POST /api/v1/held-enrollments/{id}/admit", "POST /api/v1/held-enrollments/{id}/refuse")
	}
	w.tried[route]++
	method, pattern, _ := strings.Cut(route, " ")
	path = parameter.ReplaceAllStringFunc(pattern, func(name string) string {
		key := strings.Trim(name, "{}")
		switch {
		case strings.HasPrefix(pattern, "/api/v1/held") || strings.HasPrefix(pattern, "/api/v1/devices"):
		case key == "id":
			return "nothing" // tokens and invitations stay
		case key == "upn":
			return pick(w.r, "nobody@example.test", "EraseDevice")
		}
		if len(w.pool[key]) == 0 || w.r.IntN(20) == 0 {
			return pick(w.r, "EraseDevice", "wipe", "0")
		}
		return url.PathEscape(pick(w.r, w.pool[key]...))
	})
	if method == http.MethodGet || method == http.MethodHead {
		return method, path, "", nil
	}
	if strings.HasSuffix(pattern, "/actions") {
		body = w.order()
	} else if strings.HasSuffix(pattern, "/ownership") {
		body = marshal(adminapi.OwnershipRequest{Ownership: pick(w.r, "personal", "corporate", "Corporate", "", "EraseDevice")})
	} else {
		body = []byte(pick(w.r, "", "{}", `{"kind":"wipe"}`, `{"RequestType":"EraseDevice"}`, "name: EraseDevice\n", pick(w.r, w.raw...)))
		w.erase++
	}
	contentType = "application/json"
	if w.r.IntN(8) == 0 {
		contentType = pick(w.r, "application/yaml", "text/csv", "application/x-apple-aspen-mdm", "application/x-apple-aspen-config")
	}
	return method, path, contentType, body
}

// order is an act, well formed or nearly so.
func (w *wildcard) order() []byte {
	kinds := append(mdm.ActionKinds(), mdm.ActionWipe, mdm.ActionWipe, mdm.ActionCommand, mdm.ActionCommand, "Wipe", "WIPE", " wipe", "erase", "EraseDevice", "")
	in := adminapi.ActionRequest{Kind: string(pick(w.r, kinds...)), DryRun: w.r.IntN(10) == 0, Force: w.r.IntN(8) == 0}
	in.Confirm = pick(w.r, append(slices.Clone(w.names), "", "EraseDevice")...)
	switch odd := w.r.IntN(10) == 0; {
	case in.Kind == string(mdm.ActionCommand) || odd:
		in.Raw = pick(w.r, w.raw...)
	case in.Kind == string(mdm.ActionQuery):
		in.Query = pick(w.r, "ProfileList", "SecurityInfo", "EraseDevice", "erasedevice", "DeviceInformation")
	case in.Kind == string(mdm.ActionRename):
		in.Name = pick(w.r, append(slices.Clone(w.names), "EraseDevice", "<string>EraseDevice</string>")...)
	case in.Kind == string(mdm.ActionLock):
		in.Message = pick(w.r, "", "EraseDevice", "</string><key>RequestType</key><string>EraseDevice</string>")
	}
	if in.Kind == string(mdm.ActionWipe) || in.Raw != "" || in.Query == "EraseDevice" {
		w.erase++
	}
	return marshal(in)
}

func marshal(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err) // a struct of strings
	}
	return body
}

// TestNeverErased drives every route under every role at phones that are not to
// be erased: a personal one, one that was corporate and was made personal, and
// one that another user tries to take over. Whatever was said, none of them is
// ever told EraseDevice. A corporate one beside them is told so once, after one
// confirmed wipe.
func TestNeverErased(t *testing.T) {
	t.Parallel()
	for _, secondOwner := range []bool{false, true} {
		t.Run(fmt.Sprintf("second owner %v", secondOwner), func(t *testing.T) {
			t.Parallel()
			neverErased(t, secondOwner)
		})
	}
}

func neverErased(t *testing.T, secondOwner bool) {
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	cfg.SecondOwner = secondOwner
	c := startConfigured(t, cfg)
	c.seed()
	c.post("/api/v1/users", adminapi.UserInput{UPN: mallory, Email: mallory}, &struct{}{})
	second, operator := c.as(auth.Admin, "a second admin"), c.as(auth.Operator, "an operator")
	callers := []*client{ // who may do more comes more often: refused tokens are limited
		c, c, c, c, c, second, second, second, second, operator, operator, operator,
		c.as(auth.Auditor, "an auditor"), c.as(auth.Engine, "a gate"), c.as("", ""),
	}
	personal, flipped, wanted, corporate := newTapped(t, c), newTapped(t, c), newTapped(t, c), newTapped(t, c)
	enroll := func(p tapped, user, ownership string) {
		t.Helper()
		if err := p.Unenroll(t.Context()); err != nil && !errors.Is(err, agent.ErrNotEnrolled) {
			t.Fatal(err)
		}
		must(t, p.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: user, Ownership: ownership}).URL))
	}
	enroll(corporate, alice, "corporate")

	rounds, requests := 3, 350
	if testing.Short() {
		rounds = 1
	}
	w := newWildcard(t, map[bool]uint64{false: 1, true: 2}[secondOwner])
	statuses := map[int]int{}
	for round := range rounds {
		enroll(personal, alice, "personal")
		enroll(flipped, alice, "corporate")
		enroll(wanted, alice, "personal")
		wanted.takenOverBy(t, c, mallory)
		w.learn(c, personal, flipped, wanted)
		c.makePersonal(flipped)
		for n := range requests {
			if n%20 == 0 {
				w.learn(c, personal, flipped, wanted)
			}
			method, path, contentType, body := w.request(round*requests + n)
			statuses[pick(w.r, callers...).call(method, path, contentType, body, nil)]++
			if n%40 == 39 {
				_ = personal.Connect(t.Context()) // it may be un-enrolled by now
			}
		}
		for _, p := range []tapped{personal, flipped, wanted} {
			_ = p.Connect(t.Context())
			if got := p.wire.erasures() + show(t, p.Phone).Erasures; got != 0 {
				t.Fatalf("round %d: a phone that must never be was told EraseDevice %d times", round, got)
			}
		}
	}
	total := 0
	for _, n := range statuses {
		total += n
	}
	t.Logf("%d requests on %d of %d routes, %d of them about erasing; %d orders; answers %v", total, len(w.tried), len(w.routes), w.erase,
		w.tried["POST /api/v1/devices/{id}/actions"], statuses)
	t.Logf("told the personal phone: %v", told(personal))
	if len(w.tried) != len(w.routes) && !testing.Short() || statuses[http.StatusCreated] == 0 || statuses[http.StatusConflict] == 0 || statuses[http.StatusForbidden] == 0 {
		t.Errorf("the requests were not wild enough: %d of %d routes, %v", len(w.tried), len(w.routes), statuses)
	}
	eraseOnce(t, c, second, corporate, secondOwner)
}

func told(p tapped) []string {
	var lines []string
	for _, word := range slices.Sorted(maps.Keys(p.wire.told)) {
		lines = append(lines, fmt.Sprintf("%s %d", word, p.wire.told[word]))
	}
	return lines
}

// makePersonal has a wipe wait for a phone that then stops to be corporate.
func (c *client) makePersonal(p tapped) {
	c.t.Helper()
	path := "/api/v1/devices/" + c.idOf(p)
	var ordered adminapi.ActionOrdered
	c.post(path+"/actions", adminapi.ActionRequest{Kind: string(mdm.ActionWipe), DryRun: true}, &ordered)
	c.post(path+"/actions", adminapi.ActionRequest{Kind: string(mdm.ActionWipe), Confirm: ordered.Plan.Device}, &ordered)
	if status := c.call(http.MethodPut, path+"/ownership", "application/json", []byte(`{"ownership":"personal"}`), nil); status != http.StatusNoContent {
		c.t.Fatalf("corporate to personal: status %d", status)
	}
}

// learn takes down what there is: devices, their names, acts, held enrolments.
func (w *wildcard) learn(c *client, phones ...tapped) {
	c.t.Helper()
	w.pool = map[string][]string{"name": {"mail", "baseline"}, "revision": {"1"}, "code": {"AAAAAAAA"}, "file": {"none"}}
	w.names = nil
	for _, p := range phones {
		id := c.idOf(p)
		w.pool["id"] = append(w.pool["id"], id)
		var device accessapi.DeviceDetail
		c.call(http.MethodGet, "/api/v1/devices/"+id, "", nil, &device)
		w.names = append(w.names, device.Name, device.Label)
		var acts adminapi.Actions
		c.call(http.MethodGet, "/api/v1/devices/"+id+"/actions?limit=10", "", nil, &acts)
		for _, a := range acts.Actions {
			w.pool["action"] = append(w.pool["action"], a.ID)
		}
	}
	var held adminapi.HeldEnrollments
	c.call(http.MethodGet, "/api/v1/held-enrollments", "", nil, &held)
	for _, h := range held.Held {
		w.pool["id"] = append(w.pool["id"], h.ID, h.ID)
	}
}

// eraseOnce: nothing that was said to others has erased it; one confirmed wipe does, once.
func eraseOnce(t *testing.T, c, second *client, p tapped, secondOwner bool) {
	t.Helper()
	must(t, p.Connect(t.Context()))
	device := show(t, p.Phone).EASDeviceID
	if got := p.wire.erasures(); got != 0 {
		t.Fatalf("the corporate phone was told EraseDevice %d times before anybody asked for it", got)
	}
	path := "/api/v1/devices/" + c.idOf(p) + "/actions"
	if status := c.call(http.MethodPost, path, "application/json", []byte(`{"kind":"wipe","confirm":"another"}`), nil); status != http.StatusBadRequest {
		t.Errorf("a wipe under another name: status %d, want 400", status)
	}
	var ordered adminapi.ActionOrdered
	c.post(path, adminapi.ActionRequest{Kind: string(mdm.ActionWipe), DryRun: true}, &ordered)
	c.post(path, adminapi.ActionRequest{Kind: string(mdm.ActionWipe), Confirm: ordered.Plan.Device}, &ordered)
	if secondOwner {
		must(t, p.Connect(t.Context()))
		approve := path + "/" + ordered.Action.ID + "/approve"
		if got := p.wire.erasures(); got != 0 || ordered.Action.State != string(mdm.ActionUnapproved) {
			t.Fatalf("a wipe that waits for a second owner is %s and was told %d times", ordered.Action.State, got)
		}
		if status := c.call(http.MethodPost, approve, "", nil, nil); status != http.StatusConflict {
			t.Errorf("who ordered it approves: status %d, want 409", status)
		}
		second.call(http.MethodPost, approve, "", nil, &adminapi.Action{})
	}
	c.decided(alice, device, access.Block)
	must(t, p.Connect(t.Context()))
	_ = p.Connect(t.Context()) // it has forgotten us
	if told, done := p.wire.erasures(), show(t, p.Phone).Erasures; told != 1 || done != 1 {
		t.Errorf("the corporate phone was told EraseDevice %d times and was erased %d times, want once", told, done)
	}
}
