package app_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

const (
	googleEnrol = "https://enterprise.google.com/android/enroll?et="
	chrome      = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"
)

// ways is a server that phones of alice's and bob's come to by every way in.
type ways struct {
	g *google
	c *client
}

// way is a part of a story, by its name.
type way struct {
	name string
	play func(ways, *testing.T)
}

// TestAndroidWays: each way in leads to mail, and what does not hold leads nowhere.
func TestAndroidWays(t *testing.T) {
	t.Parallel()
	play(t,
		way{"a company phone reads the QR code", ways.byQR},
		way{"a personal phone comes by the sign-in page", ways.bySignIn},
		way{"a company phone comes by the sign-in page", ways.companyBySignIn},
		way{"the sign-in page refuses", ways.signInRefuses},
		way{"whose link it is decides", ways.swapped},
	)
}

// TestAndroidPage: the page of an invitation says how far its phone is, whatever is
// done to it.
func TestAndroidPage(t *testing.T) {
	t.Parallel()
	play(t,
		way{"it may be opened, and its button pressed, again", ways.page},
		way{"a token is used once", ways.usedUp},
		way{"somebody else's phone is held", ways.held},
	)
}

// play plays them at one server: two, so that all of them stay below what it lets
// one address do.
func play(t *testing.T, parts ...way) {
	t.Helper()
	g, c := withGoogle(t)
	c.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob, DisplayName: "Bob Example"}, &struct{}{})
	for _, part := range parts {
		t.Run(part.name, func(t *testing.T) {
			here := *c
			here.t = t
			part.play(ways{g, &here}, t)
		})
	}
}

// phone is one that its owner has told what of a sign-in page asks for.
func (w ways) phone(t *testing.T, code, pin string, facts ...string) *agent.Phone {
	t.Helper()
	p, err := agent.New(agent.Options{
		Dir: t.TempDir(), As: agent.Android, AMAPI: w.g.URL(), CA: []*x509.Certificate{w.c.root}, Code: secret.New(code), PIN: secret.New(pin),
		Retry: agent.Retry{Total: patience},
	})
	must(t, err)
	t.Cleanup(p.Close)
	if len(facts) > 0 {
		must(t, p.Set(facts...))
	}
	return p
}

// mailed waits for the mail of a user on a phone, and for the decision.
func (w ways) mailed(t *testing.T, p *agent.Phone, user string) (agent.Snapshot, accessapi.Device) {
	t.Helper()
	s := settledPhone(t, p, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	if s.Accounts[0].Email != user {
		t.Errorf("the phone has the mail of %s, want %s", s.Accounts[0].Email, user)
	}
	w.c.decided(user, s.EASDeviceID, access.Allow)
	udid := s.Android.SpecificID
	if udid == "" {
		udid = s.Serial
	}
	for _, d := range w.c.devices() {
		if strings.EqualFold(d.UDID, udid) && d.User == user {
			return s, d
		}
	}
	t.Fatalf("no device of %s is on record as %s", user, udid)
	return s, accessapi.Device{}
}

// opens is what a browser on Android makes of a request.
func (w ways) opens(t *testing.T, method, address string, form url.Values) (status int, location, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	must(t, err)
	r.Header.Set("User-Agent", chrome)
	r.Header.Set("Accept-Language", "en")
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	browser := *w.c.http
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := browser.Do(r)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, resp.Header.Get("Location"), html.UnescapeString(string(body))
}

// presses the button of an invitation's page.
func (w ways) presses(t *testing.T, i adminapi.IssuedInvitation) (link string) {
	t.Helper()
	status, link, text := w.opens(t, http.MethodPost, i.URL+"/android", url.Values{"pin": {i.PIN}})
	if status != http.StatusSeeOther || !strings.HasPrefix(link, googleEnrol) {
		t.Fatalf("the button leads to %q, status %d\n%s", link, status, text)
	}
	return link
}

// shows says that the page of an invitation has these words.
func (w ways) shows(t *testing.T, i adminapi.IssuedInvitation, words ...string) {
	t.Helper()
	status, _, text := w.opens(t, http.MethodGet, i.URL, nil)
	if status != http.StatusOK {
		t.Errorf("the page: status %d", status)
	}
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("the page lacks %q:\n%s", word, text)
		}
	}
}

// tells waits for words on the page of an invitation, as a person does who opens it
// now and then: the server counts how often.
func (w ways) tells(t *testing.T, i adminapi.IssuedInvitation, word string) {
	t.Helper()
	comesTrue(t, word, func() bool {
		_, _, text := w.opens(t, http.MethodGet, i.URL, nil)
		if strings.Contains(text, word) {
			return true
		}
		time.Sleep(200 * time.Millisecond)
		return false
	})
}

// minted is how many tokens were asked for at Google.
func (w ways) minted() int { return w.g.Log().Calls["enterprises.enrollmentTokens.create"] }

var shownQR = regexp.MustCompile(`data-qr="(\{.*?\})"`)

func (w ways) byQR(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"})
	w.shows(t, i, "Reset the phone, tap six times on its first screen", "Show the code")
	status, _, text := w.opens(t, http.MethodPost, i.URL+"/android", url.Values{})
	code := shownQR.FindStringSubmatch(text)
	if status != http.StatusOK || code == nil {
		t.Fatalf("no code is shown: status %d\n%s", status, text)
	}
	running := w.phone(t, "", "", "owner=company")
	if err := running.Enroll(t.Context(), code[1]); !errors.Is(err, agent.ErrInvalid) {
		t.Errorf("a phone that was not reset reads the code: %v", err)
	}
	p := w.phone(t, "", "", "owner=company", "fresh=yes", "passcode=on")
	must(t, p.Enroll(t.Context(), code[1]))
	s, d := w.mailed(t, p, alice)
	if s.Android.Mode != "DEVICE_OWNER" || d.Enrollment.Ownership != "corporate" || !strings.HasPrefix(s.EASDeviceID, "sply") {
		t.Errorf("got %+v, %+v", s.Android, d.Enrollment)
	}
	w.tells(t, i, "It worked: your phone is enrolled, and your mail is set up on it.")
}

// codeOf is the code that an invitation's URL ends with.
func codeOf(i adminapi.IssuedInvitation) string { return i.URL[strings.LastIndexByte(i.URL, '/')+1:] }

// wayIn is what an administrator tells everybody who has such a phone.
func (w ways) wayIn(t *testing.T, ownership string) enroll.AndroidWayIn {
	t.Helper()
	var found adminapi.AndroidWays
	w.c.call(http.MethodGet, "/api/v1/android/signin", "", nil, &found)
	for _, way := range found.Ways {
		if string(way.Ownership) == ownership {
			return way
		}
	}
	t.Fatalf("no way in for %s phones: %+v", ownership, found)
	return enroll.AndroidWayIn{}
}

func (w ways) bySignIn(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: bob, PIN: true})
	p := w.phone(t, strings.ToLower(codeOf(i)), i.PIN) // as people type it
	must(t, p.Enroll(t.Context(), w.wayIn(t, "personal").Link))
	s, d := w.mailed(t, p, bob)
	if s.Android.Mode != "PROFILE_OWNER" || d.Enrollment.Ownership != "personal" {
		t.Errorf("got %+v, %+v", s.Android, d.Enrollment)
	}
	w.shows(t, i, "It worked")
}

func (w ways) companyBySignIn(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate", PIN: true})
	p := w.phone(t, codeOf(i), i.PIN, "owner=company", "fresh=yes", "passcode=on")
	must(t, p.Enroll(t.Context(), w.wayIn(t, "corporate").QR))
	if s, d := w.mailed(t, p, alice); s.Android.Mode != "DEVICE_OWNER" || d.Enrollment.Ownership != "corporate" {
		t.Errorf("got %+v, %+v", s.Android, d.Enrollment)
	}
}

// signInRefuses: nothing of it asks Google for a token, or spends the invitation.
func (w ways) signInRefuses(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: bob, PIN: true})
	wrong := "000000"
	if i.PIN == wrong {
		wrong = "000001"
	}
	link := w.wayIn(t, "personal").Link
	before := w.minted()
	for what, p := range map[string]*agent.Phone{
		"wrong PIN":    w.phone(t, codeOf(i), wrong),
		"no PIN":       w.phone(t, codeOf(i), ""),
		"wrong code":   w.phone(t, "ABCD2345", i.PIN),
		"code of none": w.phone(t, "hello", i.PIN),
	} {
		if err := p.Enroll(t.Context(), link); !errors.Is(err, agent.ErrRefused) {
			t.Errorf("%s: %v", what, err)
		}
		if s := show(t, p); s.State == agent.StageEnrolled {
			t.Errorf("%s: the phone is enrolled", what)
		}
	}
	// Without a set-up at Google the right code and PIN lead nowhere either.
	page := strings.TrimSuffix(i.URL, "/enroll/"+codeOf(i)) + "/android/signin"
	for range 3 {
		if status, _, text := w.opens(t, http.MethodGet, page+"?provisioningInfo=none", nil); status != http.StatusOK || !strings.Contains(text, `value="none"`) {
			t.Errorf("the page itself: status %d\n%s", status, text)
		}
	}
	if status, to, text := w.opens(t, http.MethodPost, page, url.Values{"code": {codeOf(i)}, "pin": {i.PIN}, "provisioning": {"none"}}); status != http.StatusForbidden {
		t.Errorf("a set-up that is none: status %d to %q\n%s", status, to, text)
	}
	if got := w.minted(); got != before {
		t.Errorf("%d tokens were made", got-before)
	}
	p := w.phone(t, codeOf(i), i.PIN)
	must(t, p.Enroll(t.Context(), link))
	w.mailed(t, p, bob)
}

func (w ways) page(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: alice})
	before := w.minted()
	for range 3 {
		w.shows(t, i, "work profile", "Set up the work profile")
	}
	if got := w.minted(); got != before {
		t.Errorf("looking made %d tokens", got-before)
	}
	first := w.presses(t, i)
	w.shows(t, i, "Waiting for your phone", "Set up the work profile")
	second := w.presses(t, i)
	if first == second {
		t.Error("the second press gives the first token again")
	}
	comesTrue(t, "the first token is deleted", func() bool { return w.g.Log().Calls["enterprises.enrollmentTokens.delete"] > 0 })
	if err := w.phone(t, "", "").Enroll(t.Context(), first); !errors.Is(err, agent.ErrRefused) {
		t.Errorf("the first token: %v", err)
	}
	p := w.phone(t, "", "")
	must(t, p.Enroll(t.Context(), second))
	_, d := w.mailed(t, p, alice)
	w.tells(t, i, "It worked: your phone is enrolled, and your mail is set up on it.")
	if a := w.c.order(d.ID, adminapi.ActionRequest{Kind: "retire"}); a.State == "failed" {
		t.Errorf("retire: %+v", a)
	}
	settledPhone(t, p, "its end", func(s agent.Snapshot) bool { return s.Android.ProfilesRemoved == 1 })
	w.tells(t, i, "has ended")
}

func (w ways) usedUp(t *testing.T) {
	i := w.c.invite(adminapi.InvitationRequest{User: bob})
	link := w.presses(t, i)
	p := w.phone(t, "", "")
	must(t, p.Enroll(t.Context(), link))
	w.mailed(t, p, bob)
	second := w.phone(t, "", "")
	if err := second.Enroll(t.Context(), link); !errors.Is(err, agent.ErrRefused) {
		t.Errorf("a token that was used: %v", err)
	}
	before := w.minted()
	if status, to, text := w.opens(t, http.MethodPost, i.URL+"/android", url.Values{}); status != http.StatusOK || !strings.Contains(text, "It worked") {
		t.Errorf("the button of a used invitation: status %d to %q\n%s", status, to, text)
	}
	if err := second.Enroll(t.Context(), i.URL); err == nil {
		t.Error("a second phone gets in by a used invitation")
	}
	if got := w.minted(); got != before {
		t.Errorf("a used invitation made %d tokens", got-before)
	}
}

// swapped: a link is like the invitation that it came of. Whose it is decides whose
// mail the phone gets, and nothing that the phone says.
func (w ways) swapped(t *testing.T) {
	ofAlice, ofBob := w.presses(t, w.c.invite(adminapi.InvitationRequest{User: alice})), w.presses(t, w.c.invite(adminapi.InvitationRequest{User: bob}))
	one, other := w.phone(t, "", "", "name=Alice's phone"), w.phone(t, "", "", "name=Bob's phone")
	must(t, one.Enroll(t.Context(), ofBob))
	must(t, other.Enroll(t.Context(), ofAlice))
	s, _ := w.mailed(t, one, bob)
	w.mailed(t, other, alice)
	if d := w.c.decide(alice, s.EASDeviceID); d.Effect == access.Allow {
		t.Errorf("bob's phone reads alice's mail: %+v", d)
	}
}

// held: a phone that is alice's on record comes with bob's invitation. It gets
// nothing of his before an administrator has said so, and he sees that.
func (w ways) held(t *testing.T) {
	p := w.phone(t, "", "", "farewell=silent")
	must(t, p.Enroll(t.Context(), w.presses(t, w.c.invite(adminapi.InvitationRequest{User: alice}))))
	s, _ := w.mailed(t, p, alice)
	must(t, p.Unenroll(t.Context())) // nobody hears of it
	i := w.c.invite(adminapi.InvitationRequest{User: bob})
	must(t, p.Enroll(t.Context(), w.presses(t, i)))
	w.tells(t, i, "under somebody else's name")
	must(t, p.Connect(t.Context()))
	if now := show(t, p); len(now.Accounts) != 0 {
		t.Errorf("a phone that is held has %+v", now.Accounts)
	}
	if d := w.c.decide(bob, s.EASDeviceID); d.Effect == access.Allow {
		t.Errorf("bob is let in: %+v", d)
	}
	var list adminapi.HeldEnrollments
	w.c.call(http.MethodGet, "/api/v1/held-enrollments", "", nil, &list)
	if len(list.Held) != 1 || list.Held[0].User != bob || list.Held[0].Holder != alice {
		t.Fatalf("held: %+v", list.Held)
	}
	if status := w.c.call(http.MethodPost, "/api/v1/held-enrollments/"+list.Held[0].ID+"/admit", "", nil, nil); status >= 300 {
		t.Fatalf("admit: status %d", status)
	}
	w.mailed(t, p, bob)
	w.c.decided(alice, s.EASDeviceID, access.Block)
}

// TestReportsAnothersTicket: a phone that is on record names the ticket of somebody
// else, which nobody has used yet. It stays whose it is, and the ticket stays good.
func TestReportsAnothersTicket(t *testing.T) {
	t.Parallel()
	r := newRehearsal(t)
	r.post("/api/v1/users", adminapi.UserInput{UPN: bob, Email: bob, DisplayName: "Bob Example"}, &struct{}{})
	phone, id, eas := r.mailed(t)

	bobs := r.g.phone(r.client, "")
	must(t, bobs.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: bob}).URL))
	came := r.pubsub.next(t, "bob's phone", func(n notification) bool { return n.kind == "ENROLLMENT" }) // not delivered yet
	must(t, phone.Connect(t.Context()))
	lie := r.pubsub.next(t, "a report of alice's phone", func(n notification) bool { return n.data["name"] == show(t, phone).Android.Device })
	lie.data["enrollmentTokenData"] = came.data["enrollmentTokenData"]
	text, err := json.Marshal(lie.data)
	must(t, err)
	for _, kind := range []string{"STATUS_REPORT", "ENROLLMENT"} {
		lie.body = envelope(kind, inBase64(string(text)))
		r.pubsub.deliver(t, lie)
	}
	if d := r.theDevice(); d.ID != id || d.User != alice {
		t.Errorf("the phone is %s's now, on record as %s", d.User, d.ID)
	}
	r.decided(alice, eas, access.Allow)
	if d := r.decide(bob, eas); d.Effect == access.Allow {
		t.Errorf("alice's phone reads bob's mail: %+v", d)
	}

	r.pubsub.deliver(t, came)
	s := r.settles(t, bobs, "bob's mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	comesTrue(t, "bob is let in", func() bool { r.pubsub.flow(t); return r.decide(bob, s.EASDeviceID).Effect == access.Allow })
	if s.Accounts[0].Email != bob {
		t.Errorf("bob's phone has the mail of %s", s.Accounts[0].Email)
	}
}
