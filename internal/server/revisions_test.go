package server

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/routers/gorillamux"

	"sallyport/internal/auth"
	"sallyport/internal/server/problem"
)

// TestConditions: two admins never overwrite each other.
func TestConditions(t *testing.T) {
	router, err := gorillamux.NewRouter(spec(t))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	routes := []string{
		"POST /api/v1/templates", "PUT /api/v1/templates/{name}/assign", "POST /api/v1/templates/{name}/rollback", "POST /api/v1/security-policies",
	}
	tests := []struct {
		name, header, value string
		status              int
	}{
		{"no condition", "", "", 428},
		{"the newest", "If-Match", `"1"`, 200},
		{"whatever is there", "If-Match", "*", 200},
		{"an older one", "If-Match", `"7"`, 412},
		{"something new", "If-None-Match", "*", 412},
		{"without quotes", "If-Match", "1", 400},
		{"weak", "If-Match", `W/"1"`, 400},
		{"a list", "If-Match", `"1", "2"`, 400},
		{"any among others", "If-Match", `*, "1"`, 400},
		{"zero", "If-Match", `"0"`, 400},
		{"signed", "If-Match", `"+1"`, 400},
		{"the other header", "If-None-Match", `"1"`, 400},
	}
	for _, name := range routes {
		method, _, _ := strings.Cut(name, " ")
		for _, test := range tests {
			t.Run(name+", "+test.name, func(t *testing.T) {
				e := examples[name]
				e.match = ""
				r := e.request(method, token)
				if test.header != "" {
					r.Header.Set(test.header, test.value)
				}
				recorder, before := httptest.NewRecorder(), w.writes
				handlers.Public.ServeHTTP(recorder, r)
				if recorder.Code != test.status {
					t.Errorf("status %d, want %d: %s", recorder.Code, test.status, recorder.Body)
				}
				if test.status != 400 && recorder.Header().Get("ETag") != `"1"` {
					t.Errorf("ETag %q", recorder.Header().Get("ETag"))
				}
				if test.status != 200 && w.writes != before {
					t.Error("something was written")
				}
				validateResponse(t, router, e.request(method, token), recorder)
			})
		}
	}
}

// TestPreconditionRequired: the answer says how to ask again (RFC 6585, section 3).
func TestPreconditionRequired(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	send := func(body string) *httptest.ResponseRecorder {
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, example{path: "/api/v1/templates", body: body, contentType: yamlType}.request("POST", token))
		return recorder
	}
	got := send(mailTemplate)
	for _, want := range []string{`"type":"urn:sallyport:problem:precondition-required"`, "the newest revision of mail is 1", `send it with If-Match: \"1\"`} {
		if !strings.Contains(got.Body.String(), want) {
			t.Errorf("%s: want %s", got.Body, want)
		}
	}
	if got := send(strings.Replace(mailTemplate, "name: mail", "name: other", 1)); got.Code != 200 || got.Header().Get("ETag") != `"1"` || !strings.Contains(got.Body.String(), `"field":"exclude.users[0]"`) {
		t.Errorf("something new: status %d: %s; want it made, with a warning", got.Code, got.Body)
	}
}

// TestNotFoundSaysWhich of what was asked for there is not.
func TestNotFoundSaysWhich(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	for _, test := range []struct {
		method        string
		e             example
		field, reason string
	}{
		{"GET", example{path: "/api/v1/templates/none"}, "name", `there is no template "none"`},
		{"GET", example{path: "/api/v1/templates/none/revisions"}, "name", `there is no template "none"`},
		{"GET", example{path: "/api/v1/templates/none/revisions/1"}, "name", `there is no template "none"`},
		{"GET", example{path: "/api/v1/templates/mail/revisions/9"}, "revision", "template mail has no revision 9: its newest one is 1"},
		{"GET", example{path: "/api/v1/templates/mail/diff?from=9"}, "from", "template mail has no revision 9: its newest one is 1"},
		{"POST", example{path: "/api/v1/templates/mail/rollback", body: `{"revision":9}`, contentType: jsonType}, "revision", "template mail has no revision 9: its newest one is 1"},
		{"PUT", example{path: "/api/v1/templates/none/assign", body: `{"assign":"everyone"}`, contentType: jsonType, match: "*"}, "name", `there is no template "none"`},
		{"POST", example{path: "/api/v1/templates/import?user=x@y", body: foreignProfile, contentType: "application/octet-stream"}, "user", `there is no user "x@y"`},
		{"GET", example{path: "/api/v1/security-policies/none"}, "name", `there is no security policy "none"`},
		{"GET", example{path: "/api/v1/compliance/policies/none"}, "name", `there is no compliance policy "none"`},
		{"GET", example{path: "/api/v1/users/x@y"}, "upn", `there is no user "x@y"`},
		{"DELETE", example{path: "/api/v1/users/x%0ay"}, "upn", `there is no user "x\ny"`},
		{"GET", example{path: "/api/v1/users/" + strings.Repeat("x", 1000)}, "upn", `there is no user "` + strings.Repeat("x", 100) + `…"`},
		{"DELETE", example{path: "/api/v1/secrets/gone"}, "name", `there is no secret "gone" for everyone`},
		{"DELETE", example{path: "/api/v1/secrets/gone?user=alice@example.test"}, "name", `there is no secret "gone" of "alice@example.test"`},
	} {
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, test.e.request(test.method, token))
		var p problem.Problem
		if err := json.Unmarshal(recorder.Body.Bytes(), &p); err != nil {
			t.Errorf("%s %s: %v: %s", test.method, test.e.path, err, recorder.Body)
			continue
		}
		if p.Status != 404 || len(p.Errors) != 1 || p.Errors[0].Field != test.field || p.Errors[0].Reason != test.reason {
			t.Errorf("%s %s: %s, want %s: %s", test.method, test.e.path, recorder.Body, test.field, test.reason)
			continue
		}
		if how := p.Errors[0].Remedy; strings.HasPrefix(how, "list them") && !(strings.Contains(how, ": sallyport ") && strings.HasSuffix(how, " list")) {
			t.Errorf("%s %s: the remedy %q names no command", test.method, test.e.path, how)
		}
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	send := func(query, match string) *httptest.ResponseRecorder {
		r := example{path: "/api/v1/templates" + query, body: mailTemplate, contentType: yamlType}.request("POST", token)
		if match != "" {
			r.Header.Set("If-Match", match)
		}
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, r)
		return recorder
	}
	before := w.writes
	if got := send("?dry_run=true", `"1"`); got.Code != 200 || !strings.Contains(got.Body.String(), `"touched":1`) || w.writes != before {
		t.Errorf("status %d, %d writes: %s", got.Code, w.writes-before, got.Body)
	}
	if got := send("?dry_run=true", ""); got.Code != 200 || got.Header().Get("ETag") != `"1"` {
		t.Errorf("without a condition: status %d, ETag %q; want the revision that it compares with", got.Code, got.Header().Get("ETag"))
	}
	if got := send("?dry_run=true", "*"); got.Code != 200 {
		t.Errorf("over whatever is there: status %d", got.Code)
	}
	if got := send("?dry_run=true", `"2"`); got.Code != 412 {
		t.Errorf("against a stale revision: status %d, want 412", got.Code)
	}
	for _, query := range []string{"?dry_run=yes", "?dryrun=true", "?dry_run=true&dry_run=true"} {
		if got := send(query, ""); got.Code != 400 || w.writes != before {
			t.Errorf("%s: status %d, want 400", query, got.Code)
		}
	}
}

// TestSecretsGoOneWay: no answer and no log holds a value.
func TestSecretsGoOneWay(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	put := example{path: "/api/v1/secrets/mail", body: `{"kind":"password","value":"` + canary + `"}`, contentType: jsonType}
	wrong := example{path: "/api/v1/secrets/mail", body: `{"kind":"password","value":"` + canary + `","` + canary, contentType: jsonType}
	for method, e := range map[string]example{"GET": {path: "/api/v1/secrets"}, "PUT": put, "POST": wrong} {
		if method == "POST" {
			method = "PUT"
		}
		recorder := httptest.NewRecorder()
		handlers.Public.ServeHTTP(recorder, e.request(method, token))
		if strings.Contains(recorder.Body.String(), canary) {
			t.Errorf("%s answers %s", method, recorder.Body)
		}
	}
	if strings.Contains(w.logged(), canary) {
		t.Error("the log holds a secret")
	}
	if got := call(handlers.Public, example{path: "/api/v1/secrets/in-use"}.request("DELETE", token)); got != 409 {
		t.Errorf("a secret in use: status %d, want 409", got)
	}
}

func TestImportRefuses(t *testing.T) {
	w := newWorld(t)
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Operator, time.Hour).Text.Reveal()
	for _, test := range []struct {
		e      example
		status int
	}{
		{example{path: "/api/v1/templates/import", body: "no profile", contentType: "application/octet-stream"}, 400},
		{example{path: "/api/v1/templates/import", body: foreignProfile, contentType: jsonType}, 415},
		{example{path: "/api/v1/templates/import?user=nobody@example.test", body: foreignProfile, contentType: "application/octet-stream"}, 404},
		{example{path: "/api/v1/templates/preview", body: `{"user":"alice@example.test"}`, contentType: jsonType}, 400},
		{example{path: "/api/v1/templates/preview", body: `{"name":"mail"}`, contentType: jsonType}, 400},
		{example{path: "/api/v1/templates/check", body: `{"limit":1001}`, contentType: jsonType}, 400},
		{example{path: "/api/v1/templates/check", body: `{"name":"a","source":"b"}`, contentType: jsonType}, 400},
	} {
		if got := call(handlers.Public, test.e.request("POST", token)); got != test.status {
			t.Errorf("%s %s: status %d, want %d", test.e.path, test.e.body, got, test.status)
		}
	}
}
