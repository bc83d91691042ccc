package server

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sallyport/enroll"
	"sallyport/mdm"
)

// TestAndroidPages: a phone gets a button, which leads on to Google; looking
// changes nothing, and nothing keeps the address with the token.
func TestAndroidPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config()
	c.Device.Android = androidFake{w: w, ready: true}
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "https://mdm.example.test"+path, strings.NewReader(body))
		r.Header.Set("User-Agent", "Mozilla/5.0 (Linux; Android 16; K) AppleWebKit/537.36 Chrome/142.0.0.0 Mobile Safari/537.36")
		if body != "" {
			r.Header.Set("Content-Type", formType)
		}
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, r)
		return recorder
	}
	page := ask("GET", "/enroll/"+goodCode, "")
	for _, want := range []string{`action="/enroll/` + goodCode + `/android"`, "work profile", "Waiting for your phone"} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if csp := page.Header().Get("Content-Security-Policy"); !strings.Contains(csp, "form-action 'self' https://enterprise.google.com;") {
		t.Errorf("the form may not lead on: %s", csp)
	}
	sent := ask("POST", "/enroll/"+goodCode+"/android", "pin=")
	if to := sent.Header().Get("Location"); sent.Code != http.StatusSeeOther || to != "https://enterprise.google.com/android/enroll?et=T" || sent.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("got %d to %q, %s", sent.Code, to, sent.Header().Get("Cache-Control"))
	}
	signIn := ask("GET", "/android/signin?provisioningInfo=p%22%3E1", "")
	if !strings.Contains(signIn.Body.String(), `value="p&#34;&gt;1"`) {
		t.Error("the sign-in page does not give the set-up back")
	}
	if strings.Contains(w.logged(), "et=T") {
		t.Error("the log holds a token")
	}
}

// TestAndroidSignupTrouble: an administrator whose sign-up does not end well is told
// what to do, and not to open an invitation.
func TestAndroidSignupTrouble(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err    error
		status int
		says   string
	}{
		"over":    {enroll.ErrConflict, http.StatusConflict, "begin again: sallyport android signup"},
		"bare":    {enroll.ErrInvalid, http.StatusBadRequest, "begin again: sallyport android signup"},
		"refused": {enroll.ErrGoogle, http.StatusBadGateway, "what Google said under the number below"},
		"ours":    {errors.New("disk full"), http.StatusInternalServerError, "fault of the server"},
	} {
		w := newWorld(t)
		c := w.config()
		c.Device.Android = androidFake{w: w, signup: tt.err}
		handlers, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "https://mdm.example.test/android/callback?state=secret&enterpriseToken=T", nil))
		if recorder.Code != tt.status || !strings.Contains(strings.ReplaceAll(recorder.Body.String(), "&#39;", "'"), tt.says) {
			t.Errorf("%s: got %d without %q", name, recorder.Code, tt.says)
		}
		if strings.Contains(w.logged(), "state=secret") {
			t.Errorf("%s: the log holds the state", name)
		}
	}
}

// TestCompanyCodeOnAnyScreen: a phone that was reset has no browser: the code that it
// reads has to be on a screen that is no phone's.
func TestCompanyCodeOnAnyScreen(t *testing.T) {
	t.Parallel()
	for _, company := range []bool{true, false} {
		w := newWorld(t)
		w.company = company
		c := w.config()
		c.Device.Android = androidFake{w: w, ready: true}
		handlers, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		page := do(t, handlers.Public, "GET", "/enroll/"+goodCode, "", "User-Agent", windows).Body.String()
		if !strings.Contains(page, "Open this page on your phone") || strings.Contains(page, "on your iPhone or iPad") {
			t.Error("the page is for iPhones alone")
		}
		if shown := strings.Contains(page, `action="/enroll/`+goodCode+`/android"`); shown != company {
			t.Errorf("of the company: %t, button: %t", company, shown)
		}
	}
}

// TestRehearsalOfAndroid: what Apple's phones would miss keeps no Android phone out.
func TestRehearsalOfAndroid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.config()
	c.Rehearsal = func(p mdm.Platform) []string {
		if p == mdm.Android {
			return nil
		}
		return []string{"no push certificate"}
	}
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	for agent, told := range map[string]bool{android: false, windows: true, safari: true} {
		page := do(t, handlers.Public, "GET", "/enroll/"+goodCode, "", "User-Agent", agent).Body.String()
		if strings.Contains(page, "no push certificate") != told || strings.Contains(page, "rehearsal server") != told {
			t.Errorf("%s: told: %t", agent, !told)
		}
	}
}
