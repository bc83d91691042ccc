package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
)

// browse asks for a page of the console with the key of a session.
func browse(t *testing.T, h http.Handler, path, key string) *httptest.ResponseRecorder {
	t.Helper()
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, example{path: path, session: true}.request("GET", key))
	return recorder
}

// Every page × every way to have no session: all lead to the form. Every role that
// may read through the API may read here.
func TestConsoleIsClosed(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	f, err := newFront(c)
	if err != nil {
		t.Fatal(err)
	}
	h := f.handler(publicPlane | adminPlane)
	closed := 0
	for _, row := range f.routes {
		if !row.session {
			continue
		}
		closed++
		e := examples[row.method+" "+row.pattern]
		for _, role := range readers {
			good := w.token(t, role, 24*time.Hour)
			key := signIn(t, h, good.Text.Reveal())
			if got := browse(t, h, e.path, key).Code; got != e.status {
				t.Errorf("%s as %s: status %d, want %d", row.pattern, role, got, e.status)
			}
			short := w.token(t, role, time.Minute)
			expired, revoked, signedOut := signIn(t, h, short.Text.Reveal()), signIn(t, h, good.Text.Reveal()), signIn(t, h, good.Text.Reveal())
			w.sleep(time.Minute)
			if err := c.Admin.Tokens.Revoke(t.Context(), good.ID); err != nil { // as the API does: in this process it counts at once
				t.Fatal(err)
			}
			r := example{path: "/console/session/end", session: true}.request("POST", signedOut)
			h.ServeHTTP(httptest.NewRecorder(), r)
			for name, key := range map[string]string{
				"nothing": "", "garbage": "x", "unknown": strings.Repeat("A", 43), "expired token": expired, "revoked token": revoked,
				"revoked token, first session": key, "signed out": signedOut, "the token itself": good.Text.Reveal(),
			} {
				got := browse(t, h, e.path, key)
				if got.Code != http.StatusSeeOther || got.Header().Get("Location") != "/console" || got.Body.Len() != 0 {
					t.Errorf("%s as %s with %s: status %d to %q", row.pattern, role, name, got.Code, got.Header().Get("Location"))
				}
			}
		}
		r := example{path: e.path}.request("GET", w.token(t, auth.Admin, time.Hour).Text.Reveal())
		if got := call(h, r); got != http.StatusSeeOther {
			t.Errorf("%s with a bearer token: status %d, want 303: the API's way in opens no page", row.pattern, got)
		}
	}
	if closed != 4 {
		t.Errorf("%d closed pages were tried", closed)
	}
	key := signIn(t, h, w.token(t, auth.Admin, time.Hour).Text.Reveal())
	if got := browse(t, h, "/api/v1/users", key).Code; got != http.StatusUnauthorized {
		t.Errorf("a session opens the API: status %d", got)
	}
	r := example{path: "/console/devices", session: true}.request("GET", key)
	r.AddCookie(&http.Cookie{Name: "__Host-sallyport", Value: key})
	if got := call(h, r); got != http.StatusSeeOther {
		t.Errorf("two cookies of that name: status %d, want 303", got)
	}
}

func TestConsoleSignIn(t *testing.T) {
	w := newWorld(t)
	gone := w.token(t, auth.Admin, time.Hour)
	revoke(t, w, gone.ID)
	short := w.token(t, auth.Admin, time.Minute)
	w.sleep(time.Minute)
	engine := w.token(t, auth.Engine, time.Hour)
	admin := w.token(t, auth.Admin, time.Hour)
	tests := []struct {
		name, body, contentType string
		status                  int
		has                     string
	}{
		{"admin", "token=" + admin.Text.Reveal(), formType, 303, ""},
		{"with spaces around", "token=+" + admin.Text.Reveal() + "%0A", formType, 303, ""},
		{"operator", "token=" + w.token(t, auth.Operator, time.Hour).Text.Reveal(), formType, 303, ""},
		{"auditor", "token=" + w.token(t, auth.Auditor, time.Hour).Text.Reveal(), formType, 303, ""},
		{"engine", "token=" + engine.Text.Reveal(), formType, 403, "its role is engine"},
		{"expired", "token=" + short.Text.Reveal(), formType, 401, "lets nobody in"},
		{"revoked", "token=" + gone.Text.Reveal(), formType, 401, "lets nobody in"},
		{"unknown", "token=spt_" + strings.Repeat("A", 43), formType, 401, "lets nobody in"},
		{"nothing", "", formType, 401, "lets nobody in"},
		{"long", "token=" + strings.Repeat("A", 3000), formType, 401, "lets nobody in"},
		{"too large", "token=" + strings.Repeat("A", 5000), formType, 413, "That cannot be read"},
		{"broken", "token=%zz", formType, 400, "That cannot be read"},
		{"JSON", `{"token":"x"}`, jsonType, 415, "That cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, public(t, w), "POST", "/console/session", tt.body, "Content-Type", tt.contentType)
			if got.Code != tt.status || !strings.Contains(got.Body.String(), tt.has) {
				t.Fatalf("status %d, want %d with %q\n%s", got.Code, tt.status, tt.has, got.Body)
			}
			cookie := got.Header().Get("Set-Cookie")
			if (tt.status == 303) != (cookie != "") {
				t.Errorf("cookie %q", cookie)
			}
			form := regexp.MustCompile(`^__Host-sallyport=[A-Za-z0-9_-]{43}; Path=/; HttpOnly; Secure; SameSite=Strict$`)
			if tt.status == 303 && (!form.MatchString(cookie) || got.Header().Get("Location") != "/console/devices") {
				t.Errorf("cookie %q, to %q", cookie, got.Header().Get("Location"))
			}
			if got.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("Cache-Control %q", got.Header().Get("Cache-Control"))
			}
		})
	}
	if rows := w.entries("console.sign_in"); len(rows) != 4 || rows[0].Actor != "owner-admin" || rows[0].Target != admin.ID || rows[0].Detail["role"] != "admin" || rows[0].RequestID == "" {
		t.Errorf("trail of sign-ins: %+v", rows)
	}
	if rows := w.entries("token.forbid"); len(rows) != 1 || rows[0].Actor != "owner-engine" || rows[0].Target != engine.ID || rows[0].Detail["route"] != "/console/session" {
		t.Errorf("trail of a role that may not: %+v", rows)
	}
	if rows := w.entries("token.refuse"); len(rows) != 5 || rows[0].Actor != "address:192.0.2.1" || rows[0].Target != "" {
		t.Errorf("trail of bad tokens: %+v", rows)
	}
	for _, text := range []string{admin.Text.Reveal(), engine.Text.Reveal(), gone.Text.Reveal()} {
		if strings.Contains(w.logged(), text) {
			t.Error("the log holds a token")
		}
	}
	got := do(t, public(t, w), "POST", "/console/session?token="+admin.Text.Reveal(), "", "Content-Type", formType)
	if got.Code != 401 {
		t.Errorf("a token in the URL: status %d, want 401", got.Code)
	}
}

// Many wrong tokens from one network are told to wait, as by the API and together
// with it; a right one is let in all the same.
func TestConsoleSlowsGuessing(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	statuses := map[int]int{}
	for range 50 {
		statuses[do(t, h, "POST", "/console/session", "token=spt_x", "Content-Type", formType).Code]++
	}
	if statuses[401] == 0 || statuses[429] == 0 || len(w.entries("token.refuse")) != statuses[401] {
		t.Errorf("50 bad tokens: %v, %d rows in the trail", statuses, len(w.entries("token.refuse")))
	}
	got := do(t, h, "POST", "/console/session", "token=spt_x", "Content-Type", formType)
	if got.Code != 429 || got.Header().Get("Retry-After") == "" || !strings.Contains(got.Body.String(), "Too many wrong tokens") {
		t.Errorf("status %d, Retry-After %q", got.Code, got.Header().Get("Retry-After"))
	}
	if got := call(h, example{path: "/api/v1/users"}.request("GET", "spt_garbage")); got != 429 {
		t.Errorf("the API for that network: status %d, want 429", got)
	}
	signIn(t, h, w.token(t, auth.Admin, time.Hour).Text.Reveal())
}

// Forms of other sites are not carried out, whatever cookie comes with them.
func TestConsoleForeignForms(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	key := signIn(t, h, token)
	for _, header := range [][2]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.test"}, {"Origin", "null"}} {
		for path, body := range map[string]string{"/console/session": "token=" + token, "/console/session/end": ""} {
			r := example{path: path, body: body, contentType: formType, session: true}.request("POST", key)
			r.Header.Set(header[0], header[1])
			got := httptest.NewRecorder()
			h.ServeHTTP(got, r)
			if got.Code != 403 || got.Header().Get("Set-Cookie") != "" || !strings.Contains(got.Body.String(), "another website") {
				t.Errorf("%s with %v: status %d", path, header, got.Code)
			}
		}
	}
	if got := browse(t, h, "/console/devices", key).Code; got != 200 {
		t.Errorf("a foreign form signed out: status %d", got)
	}
	r := example{path: "/console/session/end", session: true}.request("POST", key)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	got := httptest.NewRecorder()
	h.ServeHTTP(got, r)
	if got.Code != 303 || got.Header().Get("Location") != "/console" || !strings.Contains(got.Header().Get("Set-Cookie"), "__Host-sallyport=; Path=/; Max-Age=0; HttpOnly; Secure") {
		t.Errorf("the own button: status %d, cookie %q", got.Code, got.Header().Get("Set-Cookie"))
	}
	if rows := w.entries("console.sign_out"); len(rows) != 1 || rows[0].Actor != "owner-admin" {
		t.Errorf("trail: %+v", rows)
	}
	if got := call(h, example{path: "/console/session/end"}.request("GET", "")); got != 405 {
		t.Errorf("GET signs out: status %d, want 405", got)
	}
}

func TestConsoleSessionsEnd(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, 24*time.Hour).Text.Reveal()
	status := func(key string) int { return browse(t, h, "/console/devices", key).Code }

	key := signIn(t, h, token)
	w.sleep(29 * time.Minute)
	if status(key) != 200 {
		t.Error("ended after 29 minutes")
	}
	w.sleep(30 * time.Minute)
	if status(key) != 303 {
		t.Error("goes on after 30 idle minutes")
	}
	form := browse(t, h, "/console", key)
	if form.Code != 200 || !strings.Contains(form.Body.String(), "Your session has ended") || !strings.Contains(form.Header().Get("Set-Cookie"), "Max-Age=0") {
		t.Errorf("the form after that: status %d\n%s", form.Code, form.Body)
	}
	if form := browse(t, h, "/console", ""); strings.Contains(form.Body.String(), "Your session has ended") {
		t.Error("who comes for the first time is told of an end")
	}

	key = signIn(t, h, token)
	for range 23 {
		w.sleep(20 * time.Minute)
		if status(key) != 200 {
			t.Fatal("ended within 8 hours of use")
		}
	}
	w.sleep(20 * time.Minute)
	if status(key) != 303 {
		t.Error("goes on after 8 hours")
	}

	key = signIn(t, h, token)
	w.sleep(-time.Minute)
	if status(key) != 303 {
		t.Error("goes on before it began")
	}

	key = signIn(t, h, token)
	if other := public(t, w); browse(t, other, "/console/devices", key).Code != 303 {
		t.Error("another server knows the session")
	}
	if got := browse(t, h, "/console", key); got.Code != 303 || got.Header().Get("Location") != "/console/devices" {
		t.Errorf("the form for who is signed in: status %d", got.Code)
	}
	again := do(t, h, "POST", "/console/session", "token="+token, "Content-Type", formType, "Cookie", "__Host-sallyport="+key)
	if again.Code != 303 || status(key) != 303 {
		t.Error("a second sign-in keeps the first one's key")
	}
}

// Trouble of the storage neither signs out nor tells itself.
func TestConsoleInTrouble(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	key := signIn(t, h, w.token(t, auth.Admin, time.Hour).Text.Reveal())
	w.err = errFoo
	got := browse(t, h, "/console/devices", key)
	if got.Code != 500 || strings.Contains(got.Body.String(), errFoo.Error()) || !strings.Contains(got.Body.String(), "fault of the server") {
		t.Errorf("status %d\n%s", got.Code, got.Body)
	}
	w.err = nil
	if got := browse(t, h, "/console/devices", key).Code; got != 200 {
		t.Errorf("after the trouble: status %d", got)
	}
	c := w.config()
	c.Tokens = failing{}
	c.Unavailable = func(err error) bool { return errors.Is(err, errFoo) }
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	down := do(t, handlers.Public, "POST", "/console/session", "token=spt_x", "Content-Type", formType)
	if down.Code != 503 || !strings.Contains(down.Body.String(), "cannot answer at the moment") || len(w.entries("token.refuse")) != 0 {
		t.Errorf("sign-in without the store: status %d", down.Code)
	}
}

func TestConsolePages(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Auditor, time.Hour).Text.Reveal()
	key := signIn(t, h, token)
	tests := []struct {
		name, path string
		status     int
		has, lack  []string
	}{
		{"list", "/console/devices", 200, []string{alice.UPN, `href="/console/devices/d1"`, "iPhone15,4", "corporate", "not compliant", "quarantine", "No passcode is set", "owner-auditor", "(auditor)"}, []string{"First page", "Next page"}},
		{"of one verdict", "/console/devices?verdict=not_compliant", 200, []string{alice.UPN}, nil},
		{"of another verdict", "/console/devices?verdict=compliant", 200, []string{"No device is like that"}, []string{alice.UPN}},
		{"of one decision", "/console/devices?decision=quarantine", 200, []string{alice.UPN}, nil},
		{"of another decision", "/console/devices?decision=block", 200, []string{"No device is like that"}, []string{alice.UPN}},
		{"a login", "/console/devices?q=ALICE", 200, []string{alice.UPN, `value="ALICE"`}, nil},
		{"no such verdict", "/console/devices?verdict=fine", 400, []string{"no such compliance state"}, nil},
		{"no such decision", "/console/devices?decision=maybe", 400, []string{"is none of allow, quarantine and block"}, nil},
		{"long search", "/console/devices?q=" + strings.Repeat("a", 101), 400, []string{"at most 100 characters"}, nil},
		{"search in no encoding", "/console/devices?q=%ff", 400, []string{"at most 100 characters"}, nil},
		{"long cursor", "/console/devices?after=" + strings.Repeat("a", 65), 400, []string{"is no cursor"}, nil},
		{"unknown parameter", "/console/devices?colour=red", 400, []string{"unknown parameter"}, nil},
		{"twice", "/console/devices?q=a&q=b", 400, []string{"more than once"}, nil},
		{"mail client", "/console/devices/d1", 200, []string{alice.UPN, "The default says quarantine", "probable, counts for nothing", "sallyport access device approve d1", "sallyport access device bind d1", "sallyport access explain alice@example.test ABC", "Exempt from conditional access"}, []string{"Templates left out"}},
		{"phone", "/console/devices/" + deviceID, 200, []string{alice.UPN, "phones@2", "Set a passcode", "sallyport access explain", "Templates left out", "<code>plain</code> (Gmail)", "Gmail takes one account", "Raise it"}, nil},
		{"no such device", "/console/devices/nothing", 404, []string{"no such page, device or template"}, []string{"invitation"}},
		{"odd device", "/console/devices/%2e%2e%2f", 404, []string{"no such page, device or template"}, nil},
		{"templates", "/console/templates", 200, []string{`href="/console/templates/mail/preview"`}, nil},
		{"whose preview", "/console/templates/mail/preview", 200, []string{`name="user"`}, []string{"What becomes"}},
		{"preview", "/console/templates/mail/preview?user=alice@example.test", 200, []string{"PayloadType: Configuration", "oauth.enabled", "iOS 12", "does not reach her", "0 applied, 0 degraded, 1 unsupported"}, nil},
		{"no such template", "/console/templates/none/preview", 404, []string{"no such page, device or template"}, nil},
		{"no such platform", "/console/templates/mail/preview?user=a&platform=windows", 400, []string{"no such platform"}, nil},
		{"long user", "/console/templates/mail/preview?user=" + strings.Repeat("a", 321), 400, []string{"too long for a UPN"}, nil},
		{"long system", "/console/templates/mail/preview?user=a&os=" + strings.Repeat("1", 21), 400, []string{"too long for a version"}, nil},
		{"no such page", "/console/nothing", 404, []string{"no such page, device or template"}, []string{"invitation"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := browse(t, h, tt.path, key)
			body := got.Body.String()
			if got.Code != tt.status {
				t.Fatalf("status %d, want %d\n%s", got.Code, tt.status, body)
			}
			for _, want := range tt.has {
				if !strings.Contains(body, want) {
					t.Errorf("the page lacks %q", want)
				}
			}
			for _, not := range append(tt.lack, token, key, "<script", "style=") {
				if strings.Contains(body, not) {
					t.Errorf("the page holds %q", not)
				}
			}
			for name, want := range map[string]string{
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
				"Cache-Control":           "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin", "Vary": "Accept-Language, Cookie",
			} {
				if got.Header().Get(name) != want {
					t.Errorf("%s: %q, want %q", name, got.Header().Get(name), want)
				}
			}
		})
	}
	if strings.Contains(w.logged(), token) || strings.Contains(w.logged(), key) {
		t.Error("the log holds the token, or the key of the session")
	}
}

// A long list comes in pages, each row once; a search of one that is longer still
// stops on its way and goes on with the next page.
func TestConsolePaging(t *testing.T) {
	w := newWorld(t)
	w.crowd = 120
	h := public(t, w)
	key := signIn(t, h, w.token(t, auth.Auditor, 24*time.Hour).Text.Reveal())
	next := regexp.MustCompile(`rel="next" href="([^"]+)"`)
	person := regexp.MustCompile(`person\d{6}@example\.test`)
	walk := func(path string) (all []string, pages int) {
		for path != "" && pages < 50 {
			got := browse(t, h, path, key)
			if got.Code != 200 {
				t.Fatalf("%s: status %d", path, got.Code)
			}
			all, pages, path = append(all, person.FindAllString(got.Body.String(), -1)...), pages+1, ""
			if found := next.FindStringSubmatch(got.Body.String()); found != nil {
				path = strings.ReplaceAll(found[1], "&amp;", "&")
			}
		}
		return all, pages
	}
	if all, pages := walk("/console/devices"); len(all) != 120 || pages != 3 || len(slices.Compact(slices.Clone(all))) != 120 {
		t.Errorf("%d rows on %d pages", len(all), pages)
	}
	if all, pages := walk("/console/devices?verdict=not_evaluated"); len(all) != 120 || pages != 3 {
		t.Errorf("filtered: %d rows on %d pages", len(all), pages)
	}
	w.crowd = 9000
	// Not on the first page, where the whole word is a login to the fakes.
	query := "/console/devices?" + url.Values{"q": {"008999"}, "after": {"u1"}}.Encode()
	if got := browse(t, h, query, key).Body.String(); !strings.Contains(got, "The search stopped on its way") {
		t.Error("a long search is not broken off")
	}
	if all, pages := walk(query); len(all) != 1 || pages != 3 {
		t.Errorf("searched: %v on %d pages", all, pages)
	}
}

// The console stands where the API stands.
func TestConsolePlane(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Split = true
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if got := do(t, handlers.Public, "GET", "/console", "").Code; got != 404 {
		t.Errorf("on the public plane: status %d, want 404", got)
	}
	page := do(t, handlers.Admin, "GET", "/console", "")
	if page.Code != 200 {
		t.Errorf("on the admin plane: status %d", page.Code)
	}
	for _, style := range regexp.MustCompile(`/assets/[a-z0-9.-]+`).FindAllString(page.Body.String(), -1) {
		if got := do(t, handlers.Admin, "GET", style, "").Code; got != 200 {
			t.Errorf("%s on the admin plane: status %d", style, got)
		}
	}
}
