package server

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/auth"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/problem"
)

// asAdmin sends one request with an admin's token and reads the answer into out.
func asAdmin(t *testing.T, w *world, method string, e example, out any) int {
	t.Helper()
	handlers, err := New(w.config())
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handlers.Public.ServeHTTP(recorder, e.request(method, w.token(t, auth.Admin, time.Hour).Text.Reveal()))
	if err := json.Unmarshal(recorder.Body.Bytes(), out); err != nil {
		t.Fatalf("%s: %v", recorder.Body, err)
	}
	return recorder.Code
}

func TestRevokeDryRunChangesNothing(t *testing.T) {
	w := newWorld(t)
	var out adminapi.Revoked
	e := example{path: "/api/v1/certificates/" + strings.ToUpper(issuedHash) + "/revoke", body: `{"dry_run":true}`, contentType: jsonType}
	if status := asAdmin(t, w, http.MethodPost, e, &out); status != http.StatusOK || w.writes != 0 {
		t.Fatalf("status %d, %d writes", status, w.writes)
	}
	if out.Certificate.State != "valid" || out.Certificate.User != alice.UPN || len(out.Effects) != 4 || !strings.Contains(out.Effects[0], "enrol again") {
		t.Errorf("%+v", out)
	}
	e.body = `{"reason":"keycompromise"}` // and of the mail identity; the successor goes with the first
	if status := asAdmin(t, w, http.MethodPost, e, &out); status != http.StatusOK || w.writes != 2 || out.Certificate.State != "revoked" || out.Certificate.Reason != "keyCompromise" {
		t.Errorf("status %d, %d writes, %+v", status, w.writes, out)
	}
}

// TestRevokeNamesWhatFollows: the phone's other identity and the successor, each once
// and with what becomes of it; what has ended is nobody's concern.
func TestRevokeNamesWhatFollows(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		body string
		want []string
	}{
		{`{"reason":"superseded","dry_run":true}`, []string{
			"mail-identity 0211223344556677 of this phone stays valid; to revoke it too: sallyport ca revoke 0211223344556677",
			"mdm-identity 0112233445566778, renewed from it by signature, stays valid; to revoke it too: sallyport ca revoke 0112233445566778"}},
		{`{"reason":"superseded"}`, []string{
			"mail-identity 0211223344556677 of this phone stays valid; to revoke it too: sallyport ca revoke 0211223344556677",
			"mdm-identity 0112233445566778, renewed from it by signature, stays valid; to revoke it too: sallyport ca revoke 0112233445566778"}},
		{`{"reason":"keyCompromise","dry_run":true}`, []string{
			"mail-identity 0211223344556677 of this phone would be revoked with it: who has the phone has its keys",
			"mdm-identity 0112233445566778, renewed from it by signature, would be revoked with it: whoever had the key can have renewed it"}},
		{`{"reason":"keyCompromise"}`, []string{
			"mail-identity 0211223344556677 of this phone is revoked with it: who has the phone has its keys",
			"mdm-identity 0112233445566778, renewed from it by signature, is revoked with it: whoever had the key can have renewed it"}},
	} {
		var out adminapi.Revoked
		e := example{path: "/api/v1/certificates/" + issuedHash + "/revoke", body: tt.body, contentType: jsonType}
		if status := asAdmin(t, w, http.MethodPost, e, &out); status != http.StatusOK {
			t.Fatalf("%s: status %d", tt.body, status)
		}
		var got []string
		for _, effect := range out.Effects {
			if strings.Contains(effect, "-identity ") {
				got = append(got, effect)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.body, got, tt.want)
		}
	}
}

func TestCertificateRefusals(t *testing.T) {
	w := newWorld(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		field              string
	}{
		{"POST", "/api/v1/certificates/" + issuedHash + "/revoke", `{"reason":"boredom"}`, 400, "reason"},
		{"POST", "/api/v1/certificates/00/revoke", `{}`, 404, "sha256"},
		{"GET", "/api/v1/certificates/00", "", 404, "sha256"},
		{"GET", "/api/v1/certificates?rule=root", "", 400, "rule"},
		{"GET", "/api/v1/certificates?expiring_before=soon", "", 400, "expiring_before"},
		{"GET", "/api/v1/certificates?user=mallory@example.test", "", 404, "user"},
		{"POST", "/api/v1/scep/challenges", `{"upn":"a@b","ttl":"soon"}`, 400, "ttl"},
	} {
		e := example{path: tt.path, body: tt.body}
		if tt.body != "" {
			e.contentType = jsonType
		}
		var p problem.Problem
		status := asAdmin(t, w, tt.method, e, &p)
		if status != tt.status || len(p.Errors) != 1 || p.Errors[0].Field != tt.field || p.Errors[0].Remedy == "" {
			t.Errorf("%s %s %s: status %d, %+v", tt.method, tt.path, tt.body, status, p)
		}
	}
	if w.writes != 0 {
		t.Errorf("%d writes", w.writes)
	}
}
