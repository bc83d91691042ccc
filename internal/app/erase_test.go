package app_test

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"sallyport/access"
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
	p, err := agent.New(agent.Options{CA: []*x509.Certificate{c.root}, Keys: phoneKeys, HTTP: web, Story: func(string, string) {}})
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

// holder is whose device the phone is.
func (c *client) holder(p tapped) string {
	c.t.Helper()
	var device accessapi.DeviceDetail
	c.call(http.MethodGet, "/api/v1/devices/"+c.idOf(p), "", nil, &device)
	return device.User
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
	personal, flipped, corporate := newTapped(t, c), newTapped(t, c), newTapped(t, c)
	enroll := func(p tapped, user, ownership string) {
		t.Helper()
		if err := p.Unenroll(t.Context()); err != nil && !errors.Is(err, agent.ErrNotEnrolled) {
			t.Fatal(err)
		}
		must(t, p.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: user, Ownership: ownership}).URL))
	}
	enroll(corporate, alice, "corporate")

	rounds, requests := 2, 160
	switch {
	case soaking():
		rounds, requests = 3, 1000
	case testing.Short():
		rounds = 1
	}
	w := newWildcard(t, map[bool]uint64{false: 1, true: 2}[secondOwner])
	statuses := map[int]int{}
	for round := range rounds {
		wanted := newTapped(t, c)
		enroll(personal, alice, "personal")
		enroll(flipped, alice, "corporate")
		enroll(wanted, alice, "personal")
		wanted.takenOverBy(t, c, mallory)
		w.learn(c, c.idOf(personal), c.idOf(flipped), c.idOf(wanted))
		c.makePersonal(flipped)
		for n := range requests {
			if n%20 == 0 {
				w.learn(c, c.idOf(personal), c.idOf(flipped), c.idOf(wanted))
			}
			method, path, contentType, body := w.request()
			statuses[pick(w.r, callers...).call(method, path, contentType, body, nil)]++
			if n%40 == 39 {
				_ = personal.Connect(t.Context()) // it may be un-enrolled by now
			}
		}
		for _, p := range []tapped{personal, flipped, wanted} {
			if c.holder(p) == mallory { // an admin has let the other user have it: it is theirs, and corporate
				t.Logf("round %d: the takeover was admitted", round)
				continue
			}
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
