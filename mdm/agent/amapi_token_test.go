package agent

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestTokenExchange: every fault of an assertion has its refusal.
func TestTokenExchange(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	other, err := newAccount("sallyport-rehearsal")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	tests := []struct {
		name      string
		assertion func() string
		code      string
		says      string
	}{
		{"nothing", func() string { return "" }, "invalid_grant", "no JWT"},
		{"two parts", func() string { return "e30.e30" }, "invalid_grant", "no JWT"},
		{"not base64", func() string { return "e30.e30.!!!" }, "invalid_grant", "no JWT"},
		{"padded", func() string { return "e30=.e30.AA" }, "invalid_grant", "no JWT"},
		{"none", func() string { return s.sign(with(s.header(), "alg", "none"), s.claims()) }, "invalid_grant", "RS256"},
		{"HS256", func() string { return s.sign(with(s.header(), "alg", "HS256"), s.claims()) }, "invalid_grant", "RS256"},
		{"another key ID", func() string { return s.sign(with(s.header(), "kid", "x"), s.claims()) }, "invalid_grant", "key ID"},
		{"another key", func() string {
			forged := *s
			forged.AMAPI = &AMAPI{account: other}
			return forged.sign(s.header(), s.claims())
		}, "invalid_grant", "Invalid JWT Signature"},
		{"changed after signing", func() string {
			parts := strings.Split(s.sign(s.header(), s.claims()), ".")
			return parts[0] + "." + strings.Split(s.sign(s.header(), with(s.claims(), "exp", now+60)), ".")[1] + "." + parts[2]
		}, "invalid_grant", "Invalid JWT Signature"},
		{"another account", func() string { return s.sign(s.header(), with(s.claims(), "iss", "x@example.test")) }, "invalid_grant", "account not found"},
		{"for another user", func() string { return s.sign(s.header(), with(s.claims(), "sub", "admin@example.test")) }, "unauthorized_client", ""},
		{"for Google itself", func() string {
			return s.sign(s.header(), with(s.claims(), "aud", "https://oauth2.googleapis.com/token"))
		}, "invalid_grant", "aud"},
		{"no scope", func() string { return s.sign(s.header(), with(s.claims(), "scope", "")) }, "invalid_scope", ""},
		{"more scopes", func() string {
			return s.sign(s.header(), with(s.claims(), "scope", androidScope+" https://www.googleapis.com/auth/cloud-platform"))
		}, "invalid_scope", "more"},
		{"no iat", func() string { return s.sign(s.header(), with(s.claims(), "iat", 0)) }, "invalid_grant", "iat"},
		{"from the future", func() string { return s.sign(s.header(), with(s.claims(), "iat", now+3000)) }, "invalid_grant", "iat"},
		{"expired", func() string { return s.sign(s.header(), with(with(s.claims(), "iat", now-3000), "exp", now-10)) }, "invalid_grant", "short-lived"},
		{"for a day", func() string { return s.sign(s.header(), with(s.claims(), "exp", now+86400)) }, "invalid_grant", "short-lived"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := len(s.Log().Violations)
			status, out := s.exchangeFor(tt.assertion())
			if status != http.StatusBadRequest || str(out, "error") != tt.code || !strings.Contains(str(out, "error_description"), tt.says) {
				t.Errorf("%d %v, want %s %q", status, out, tt.code, tt.says)
			}
			if n := len(s.Log().Violations) - before; n != 1 {
				t.Errorf("%d violations noted", n)
			}
		})
	}
	if status, out := s.exchangeFor(s.sign(s.header(), s.claims())); status != http.StatusOK || str(out, "token_type") != "Bearer" {
		t.Errorf("a good one: %d %v", status, out)
	}
}

func with(o object, key string, v any) object {
	o = clone(o)
	o[key] = v
	return o
}

// TestTokenForm: the form is exactly what RFC 7523 asks for.
func TestTokenForm(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	good := "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=" + s.sign(s.header(), s.claims())
	for name, r := range map[string][3]string{
		"not posted":      {"GET", "application/x-www-form-urlencoded", ""},
		"JSON":            {"POST", "application/json", `{}`},
		"another grant":   {"POST", "application/x-www-form-urlencoded", "grant_type=password&assertion=x"},
		"no assertion":    {"POST", "application/x-www-form-urlencoded", "grant_type=x"},
		"something more":  {"POST", "application/x-www-form-urlencoded", good + "&scope=x"},
		"assertion twice": {"POST", "application/x-www-form-urlencoded", good + "&assertion=x"},
		"too large":       {"POST", "application/x-www-form-urlencoded", good + strings.Repeat("x", maxAssertion)},
	} {
		req, err := http.NewRequest(r[0], s.URL()+"/token", strings.NewReader(r[2]))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", r[1])
		answer, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != http.StatusBadRequest {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
	}
}

// TestBearer: calls need a token that is known and has not expired.
func TestBearer(t *testing.T) {
	t.Parallel()
	var late atomic.Int64
	s := newStandIn(t, func(o *AMAPIOptions) { o.Now = func() time.Time { return time.Now().Add(time.Duration(late.Load())) } })
	s.token = "unknown"
	if status, word, _ := s.refused("GET", "enterprises/x", ""); status != 401 || word != "UNAUTHENTICATED" {
		t.Errorf("unknown token: %d %s", status, word)
	}
	s.noted("invalid authentication credentials")
	s.login()
	if status, _, _ := s.refused("GET", "enterprises/x", ""); status != 403 {
		t.Errorf("good token: %d", status)
	}
	late.Store(int64(2 * time.Hour))
	if status, _, _ := s.refused("GET", "enterprises/x", ""); status != 401 {
		t.Errorf("expired token: %d", status)
	}
	if n := len(s.Log().Violations); n != 1 {
		t.Errorf("an expired token is a violation: %v", s.Log().Violations)
	}
}
