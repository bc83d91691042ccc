package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/internal/server/adminapi"
	"sallyport/internal/server/deviceapi"
	"sallyport/mdm/agent"
)

// keys is what the companion app of a phone is told.
func (s *signed) keys(token string) []deviceapi.AgentCertificate {
	s.Helper()
	var told deviceapi.AgentCertificates
	s.agentCall(http.MethodGet, token, "", &told)
	return told.Certificates
}

func (s *signed) agentCall(method, token, what string, into any) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.app.PublicURL()+"/android/agent/certificates"+what, nil)
	must(s.T, err)
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := s.http.Do(r)
	must(s.T, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	must(s.T, err)
	if answer.StatusCode/100 != 2 {
		s.Fatalf("%s %s: %s %s", method, what, answer.Status, text)
	}
	if answer.Header.Get("Cache-Control") != "no-store" {
		s.Errorf("%s %s may be kept", method, what)
	}
	must(s.T, json.Unmarshal(text, into))
}

// TestCompanionAppEdges: what a companion app may say wrong, and how keys go.
func TestCompanionAppEdges(t *testing.T) {
	t.Parallel()
	s := newSigned(t)
	phone := s.phone(alice)
	s.certified(phone)
	token, first := s.token(phone), s.onPhone(phone).SHA256
	status := "/" + mailKey + "/status"
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"no hex", `{"state":"installed","sha256":"` + strings.Repeat("z", 64) + `"}`, 400},
		{"none of ours", `{"state":"installed","sha256":"` + strings.Repeat("0", 64) + `"}`, 409},
		{"no state", `{}`, 400},
		{"no reason", `{"state":"failed"}`, 400},
		{"a long reason", `{"state":"failed","reason":"` + strings.Repeat("a", 513) + `"}`, 400},
		{"something after it", `{"state":"removed"} {}`, 400},
		{"cut off", `{"state":"remo`, 400},
		{"65 KiB", `{"state":"failed","reason":"` + strings.Repeat("a", 65<<10) + `"}`, 413},
		{"a failure beside a good key", `{"state":"failed","reason":"the user looked at it"}`, 204},
	} {
		if got := s.tells(token, status, tt.body); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	if k := s.keys(token); len(k) != 1 || string(k[0].State) != "installed" || k[0].SHA256 != first || k[0].Subject != "CN="+alice || k[0].Key.Size != 2048 {
		t.Errorf("keys %+v", k)
	}

	// A key that the user removed is fetched again; the old certificate is over.
	before := s.keys(token)[0].Revision
	if got := s.tells(token, status, `{"state":"removed"}`); got != 204 {
		t.Errorf("removed: %d", got)
	}
	s.stands("the certificate of a key that is gone", first, "revoked cessationOfOperation")
	if k := s.keys(token)[0]; string(k.State) != "wanted" || k.SHA256 != "" || k.Revision == before {
		t.Errorf("a key that is gone: %+v", k)
	}
	var challenge deviceapi.AgentChallenge
	s.agentCall(http.MethodPost, token, "/"+mailKey+"/challenge", &challenge)
	if left := challenge.ExpiresAt.Sub(s.clock.now()); len(challenge.Challenge) != 64 || challenge.URL != s.app.PublicURL()+"/scep" || left <= 14*time.Minute || left > 15*time.Minute {
		t.Errorf("challenge for %s at %s", left, challenge.URL)
	}
	settledPhone(t, phone, "another certificate", func(agent.Snapshot) bool { return s.onPhone(phone).SHA256 != first })

	// Without certificates in the template the key goes, and the mail stays.
	second := s.onPhone(phone).SHA256
	s.apply(strings.Replace(mailTemplate, "identity: scep", "identity: none", 1))
	settledPhone(t, phone, "no key", func(shot agent.Snapshot) bool { return len(shot.Certificates) == 0 && len(shot.Accounts) == 1 })
	s.stands("the certificate that is wanted no more", second, "revoked cessationOfOperation")
	if k := s.keys(token); len(k) != 0 {
		t.Errorf("keys %+v", k)
	}
	if got := s.tells(token, status, `{"state":"removed"}`); got != 404 {
		t.Errorf("a key that nobody knows of: %d", got)
	}
	s.call(http.MethodDelete, "/api/v1/android/companion", "", nil, nil)
}

// apply saves a template that is there.
func (s *signed) apply(text string) {
	s.Helper()
	if text == mailTemplate {
		s.Fatal("the template says what it said")
	}
	s.callIf(`"1"`, http.MethodPost, "/api/v1/templates", "application/yaml", []byte(text), &adminapi.TemplateApplied{})
}
