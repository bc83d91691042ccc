package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/problem"
)

func TestSplit(t *testing.T) {
	w := newWorld(t)
	c := w.config()
	c.Split = true
	handlers, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	tests := []struct {
		target        string
		public, admin int
	}{
		{"/api/v1/users", 404, 200},
		{"/api/v1/ca", 404, 200},
		{"/metrics", 404, 200},
		{"/healthz", 200, 200},
		{"/version", 200, 200},
		{"/enroll/" + goodCode, 200, 404},
		{"/scep?operation=GetCACaps", 200, 400},
		{"/crl/" + goodIssuer + ".crl", 200, 404},
		{"/", 200, 404},
	}
	for _, tt := range tests {
		r := func() *http.Request { return example{path: tt.target}.request("GET", token) }
		if got := call(handlers.Public, r()); got != tt.public {
			t.Errorf("%s on the public plane: status %d, want %d", tt.target, got, tt.public)
		}
		if got := call(handlers.Admin, r()); got != tt.admin {
			t.Errorf("%s on the admin plane: status %d, want %d", tt.target, got, tt.admin)
		}
	}
	if got := do(t, handlers.Admin, "PUT", "/mdm", "x").Code; got != 400 {
		t.Errorf("PUT /mdm on the admin plane: status %d, want 400 even there", got)
	}
}

func TestProblems(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Admin, time.Hour).Text.Reveal()
	tests := []struct {
		name, method, target, body, contentType string
		status                                  int
		kind, field                             string
	}{
		{"refusal by field", "POST", "/api/v1/users", `{"upn":"a@b"}`, jsonType, 400, "invalid", "email"},
		{"unknown field", "POST", "/api/v1/users", `{"upn":"a","colour":"red"}`, jsonType, 400, "malformed", "colour"},
		{"wrong type", "POST", "/api/v1/users", `{"upn":7}`, jsonType, 400, "malformed", "upn"},
		{"not JSON", "POST", "/api/v1/users", `upn=a`, jsonType, 400, "malformed", ""},
		{"empty", "POST", "/api/v1/users", ``, jsonType, 400, "malformed", ""},
		{"two values", "POST", "/api/v1/users", `{"upn":"a","email":"b"}{}`, jsonType, 400, "malformed", ""},
		{"wrong media type", "POST", "/api/v1/users", `{}`, "text/plain", 415, "media-type", "Content-Type"},
		{"no media type", "POST", "/api/v1/templates", `name: x`, "", 415, "media-type", "Content-Type"},
		{"too large", "POST", "/api/v1/users", `{"upn":"` + strings.Repeat("a", 65<<10) + `"}`, jsonType, 413, "too-large", ""},
		{"YAML too large", "POST", "/api/v1/templates", strings.Repeat("a", 1<<20+1), yamlType, 413, "too-large", ""},
		{"CSV too large", "POST", "/api/v1/users/import", strings.Repeat("a", 16<<20+1), "text/csv", 413, "too-large", ""},
		{"unknown user", "GET", "/api/v1/users/nobody", "", "", 404, "not-found", ""},
		{"escaped path value", "GET", "/api/v1/users/alice%40example.test", "", "", 200, "", ""},
		{"slash in a path value", "GET", "/api/v1/users/a%2Fb", "", "", 404, "not-found", ""},
		{"unknown parameter", "GET", "/api/v1/users?gruop=sales", "", "", 400, "malformed", "gruop"},
		{"parameter twice", "GET", "/api/v1/users?limit=1&limit=2", "", "", 400, "malformed", "limit"},
		{"limit", "GET", "/api/v1/users?limit=1001", "", "", 400, "malformed", "limit"},
		{"state", "GET", "/api/v1/devices?state=fine", "", "", 400, "malformed", "state"},
		{"time", "GET", "/api/v1/devices?changed_since=yesterday", "", "", 400, "malformed", "changed_since"},
		{"cursor", "GET", "/api/v1/audit?after=-1", "", "", 400, "malformed", "after"},
		{"ttl", "POST", "/api/v1/invitations", `{"all":true,"ttl":"a week"}`, jsonType, 400, "malformed", "ttl"},
		{"role", "POST", "/api/v1/tokens", `{"role":"king","owner":"me"}`, jsonType, 400, "invalid", "role"},
		{"no user", "POST", "/api/v1/access/decisions", `{"device_id":"A"}`, jsonType, 400, "malformed", "user"},
		{"long device", "POST", "/api/v1/access/decisions", `{"user":"a","device_id":"` + strings.Repeat("A", 129) + `"}`, jsonType, 400, "malformed", "device_id"},
		{"no policy", "GET", "/api/v1/compliance/policies/none", "", "", 404, "not-found", ""},
		{"no route", "GET", "/api/v1/nowhere", "", "", 404, "not-found", ""},
		{"wrong method", "PATCH", "/api/v1/users", "", "", 405, "method", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := do(t, h, tt.method, tt.target, tt.body, "Content-Type", tt.contentType, "Authorization", "Bearer "+token)
			if got.Code != tt.status {
				t.Fatalf("status %d, want %d: %s", got.Code, tt.status, got.Body)
			}
			if tt.status < 400 {
				return
			}
			var p problem.Problem
			if err := json.Unmarshal(got.Body.Bytes(), &p); err != nil {
				t.Fatal(err)
			}
			if p.Type != problem.TypePrefix+tt.kind || p.Status != tt.status || p.RequestID == "" || got.Header().Get("Content-Type") != problem.ContentType {
				t.Errorf("problem %+v of type %s", p, got.Header().Get("Content-Type"))
			}
			if tt.field != "" && (len(p.Errors) != 1 || p.Errors[0].Field != tt.field || p.Errors[0].Remedy == "") {
				t.Errorf("errors %+v, want one of %s with a remedy", p.Errors, tt.field)
			}
		})
	}
}

func TestInvitationIsToldOnce(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	token := w.token(t, auth.Operator, time.Hour).Text.Reveal()
	got := do(t, h, "POST", "/api/v1/invitations", `{"user":"alice@example.test","pin":true}`, "Content-Type", jsonType, "Authorization", "Bearer "+token)
	var issued adminapi.IssuedInvitations
	if err := json.Unmarshal(got.Body.Bytes(), &issued); err != nil {
		t.Fatal(err)
	}
	if len(issued.Invitations) != 1 || issued.Invitations[0].URL != "https://mdm.example.test/enroll/"+goodCode || issued.Invitations[0].PIN != goodPIN {
		t.Errorf("issued %+v", issued)
	}
	list := do(t, h, "GET", "/api/v1/invitations", "", "Authorization", "Bearer "+token).Body.String()
	if strings.Contains(list, goodCode) || strings.Contains(list, goodPIN) {
		t.Errorf("the list holds a secret: %s", list)
	}
}

// Who was left out of a group is told, with the reason.
func TestSkippedInvitations(t *testing.T) {
	w := newWorld(t)
	token := w.token(t, auth.Operator, time.Hour).Text.Reveal()
	got := do(t, public(t, w), "POST", "/api/v1/invitations", `{"all":true}`, "Content-Type", jsonType, "Authorization", "Bearer "+token)
	var issued adminapi.IssuedInvitations
	if err := json.Unmarshal(got.Body.Bytes(), &issued); err != nil {
		t.Fatal(err)
	}
	want := adminapi.SkippedUser{User: "alice@example.test", Reason: "is a shared mailbox", Remedy: "clear the mark"}
	if len(issued.Invitations) != 1 || len(issued.Skipped) != 1 || issued.Skipped[0] != want {
		t.Errorf("got %+v", issued)
	}
}

// A backup that fails half-way must not look like a whole one.
func TestTornBackup(t *testing.T) {
	w := newWorld(t)
	w.torn = true
	server := httptest.NewServer(public(t, w))
	defer server.Close()
	r := example{path: "/api/v1/backup"}.request("GET", w.token(t, auth.Admin, time.Hour).Text.Reveal())
	r.RequestURI = ""
	target := server.URL + "/api/v1/backup"
	request, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = r.Header
	response, err := http.DefaultClient.Do(request)
	if err == nil {
		defer func() { _ = response.Body.Close() }()
		_, err = io.ReadAll(response.Body)
	}
	if err == nil {
		t.Error("the torn backup was read to a clean end")
	}
	if !strings.Contains(w.logged(), "disk gone") {
		t.Error("the reason was not logged")
	}
}

func TestHealth(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	if got := do(t, h, "GET", "/healthz", ""); got.Code != 200 || got.Body.String() != `{"status":"ok"}`+"\n" {
		t.Errorf("healthy: %d %s", got.Code, got.Body)
	}
	w.err = errors.New("locked")
	if got := do(t, h, "GET", "/healthz", ""); got.Code != 503 || strings.Contains(got.Body.String(), "locked") {
		t.Errorf("ill: %d %s", got.Code, got.Body)
	}
}

func TestMetricsCountByRoute(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	do(t, h, "GET", "/enroll/"+goodCode, "")
	do(t, h, "GET", "/random/"+goodCode, "")
	got := do(t, h, "GET", "/metrics", "", "Authorization", "Bearer "+w.token(t, auth.Auditor, time.Hour).Text.Reveal()).Body.String()
	for _, want := range []string{
		`sallyport_http_requests_total{method="GET",route="/enroll/{code}",status="200"} 1`,
		`sallyport_http_requests_total{method="GET",route="(none)",status="404"} 1`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(got, goodCode) {
		t.Error("metrics hold a code")
	}
}

func TestConfigNamesWhatIsMissing(t *testing.T) {
	_, err := New(Config{})
	if err == nil || !strings.Contains(err.Error(), "Device.MDM") || !strings.Contains(err.Error(), "Tokens") {
		t.Errorf("error %v", err)
	}
}
