package agent

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func (s *standIn) play(script AMAPIScript) {
	s.t.Helper()
	if err := s.Play(script); err != nil {
		s.t.Fatal(err)
	}
}

// TestTroubles: each kind as a server sees it, so many times as it says, and no
// violation of the server's.
func TestTroubles(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	for kind, want := range map[string]struct {
		status int
		word   string
		reason string
	}{
		"429":      {429, resourceExhausted, "RATE_LIMIT_EXCEEDED"},
		"500":      {500, "INTERNAL", ""},
		"503":      {503, "UNAVAILABLE", ""},
		"project":  {403, permissionDenied, "PROJECT_NOT_PERMITTED"},
		"disabled": {403, permissionDenied, "SERVICE_DISABLED"},
	} {
		s.play(AMAPIScript{Troubles: []AMAPITrouble{{Kind: kind, Times: 2, Method: "enterprises.get"}}})
		s.call("GET", e+"/policies/base", "") // another method
		for range 2 {
			status, out, err := s.raw("GET", e, "")
			no := inner(out, "error")
			if err != nil || status != want.status || str(no, "status") != want.word {
				t.Fatalf("%s: %d %v %v", kind, status, out, err)
			}
			if want.reason != "" && str(list(no, "details")[0], "reason") != want.reason {
				t.Errorf("%s: %v", kind, no)
			}
		}
		s.call("GET", e, "")
	}
	s.clean()
}

// TestCallsWithoutAnAnswer: the call was carried out, or not, and its answer never comes.
func TestCallsWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	for i, tt := range []struct {
		trouble AMAPITrouble
		made    bool
	}{
		{AMAPITrouble{Kind: "half"}, true},
		{AMAPITrouble{Kind: "503", Done: true}, true},
		{AMAPITrouble{Kind: "503"}, false},
	} {
		policy := e + "/policies/p" + string(rune('a'+i))
		s.play(AMAPIScript{Troubles: []AMAPITrouble{tt.trouble}})
		r, err := http.NewRequest("PATCH", s.URL()+"/v1/"+policy, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+s.token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			_, err = io.ReadAll(answer.Body)
			answer.Body.Close()
			if tt.trouble.Kind == "half" && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("half an answer: %v", err)
			}
		}
		if status, _, _ := s.raw("GET", policy, ""); (status == 200) != tt.made {
			t.Errorf("%+v: %d afterwards", tt.trouble, status)
		}
	}
	s.play(AMAPIScript{Troubles: []AMAPITrouble{{Kind: "timeout", Done: true, Times: Always}}})
	ctx, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, "PATCH", s.URL()+"/v1/"+e+"/policies/late", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	r.Header.Set("Content-Type", "application/json")
	if _, err := http.DefaultClient.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("time-out: %v", err)
	}
	s.play(AMAPIScript{})
	s.call("GET", e+"/policies/late", "")
	s.clean()
}

// TestTokenTroubles: the exchange can fail too, and a key can be revoked.
func TestTokenTroubles(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e := s.enterprise()
	s.play(AMAPIScript{Troubles: []AMAPITrouble{{Kind: "503", Method: tokenExchange}}})
	if status, _ := s.exchangeFor(s.sign(s.header(), s.claims())); status != 503 {
		t.Errorf("exchange in trouble: %d", status)
	}
	s.play(AMAPIScript{Revoked: true})
	if status, out := s.exchangeFor(s.sign(s.header(), s.claims())); status != 400 || str(out, "error") != "invalid_grant" || str(out, "error_description") != "Invalid JWT Signature." {
		t.Errorf("revoked key: %d %v", status, out)
	}
	if status, _, _ := s.refused("GET", e, ""); status != 401 {
		t.Errorf("token of a revoked key: %d", status)
	}
	s.play(AMAPIScript{})
	s.call("GET", e, "")
	s.clean()
}

// TestReplacedKey: what a deleted key gets is no fault of who does not know it yet.
func TestReplacedKey(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	e, before := s.enterprise(), s.sign(s.header(), s.claims())
	if err := s.ReplaceKey(); err != nil {
		t.Fatal(err)
	}
	if status, out := s.exchangeFor(before); status != 400 || str(out, "error_description") != "Invalid JWT Signature." {
		t.Errorf("the key before: %d %v", status, out)
	}
	if status, _, _ := s.refused("GET", e, ""); status != 401 {
		t.Errorf("its token: %d", status)
	}
	if status, out := s.exchangeFor(s.sign(s.header(), s.claims())); status != 200 || str(out, "access_token") == "" {
		t.Errorf("the key in its place: %d %v", status, out)
	}
	s.play(AMAPIScript{Troubles: []AMAPITrouble{{Kind: "429", After: 7}}})
	answer, err := http.Get(s.URL() + "/v1/" + e)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 429 || answer.Header.Get("Retry-After") != "7" {
		t.Errorf("%d, Retry-After %q", answer.StatusCode, answer.Header.Get("Retry-After"))
	}
	s.clean()
}

// TestQuota: so many calls a minute, and then 429 until the next.
func TestQuota(t *testing.T) {
	t.Parallel()
	var minute clockForTests
	minute.set(time.Now().Truncate(time.Minute))
	s := newStandIn(t, func(o *AMAPIOptions) { o.Now = minute.now })
	e := s.enterprise()
	minute.set(minute.now().Add(time.Minute))
	s.play(AMAPIScript{Quota: 3})
	for range 3 {
		s.call("GET", e, "")
	}
	if status, word, _ := s.refused("GET", e, ""); status != 429 || word != resourceExhausted {
		t.Errorf("%d %s", status, word)
	}
	minute.set(minute.now().Add(time.Minute))
	s.call("GET", e, "")
	s.clean()
}

func TestScriptIsChecked(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	for _, bad := range []AMAPIScript{{Push: "mdm.example.test"}, {Troubles: []AMAPITrouble{{Kind: "earthquake"}}}} {
		if err := s.Play(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for text, want := range map[string]AMAPITrouble{
		"503":   {Kind: "503", Times: 1},
		"429:3": {Kind: "429", Times: 3},
		"done:timeout:always:enterprises.policies.patch": {Kind: "timeout", Times: Always, Method: "enterprises.policies.patch", Done: true},
	} {
		if got, err := ParseTrouble(text); err != nil || got != want {
			t.Errorf("%s: %+v %v", text, got, err)
		}
	}
	for _, bad := range []string{"", "503:0", "done:", "503:x:y"} {
		if got, err := ParseTrouble(bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %+v %v", bad, got, err)
		}
	}
}

// TestKeep: a stand-in that is started again goes on, with the same key.
func TestKeep(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var name, key, token string
	for round := range 2 {
		t.Run("", func(t *testing.T) {
			a, err := NewAMAPI(context.Background(), AMAPIOptions{Dir: dir, Keep: true})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- a.Run(ctx) }()
			s := &standIn{AMAPI: a, t: t, token: token}
			if round == 0 {
				name, key = s.enterprise(), a.account.PrivateKey
				s.call("PATCH", name+"/policies/p", gmailPolicy(`,"default_exchange_sync_window":3`))
			}
			if p := s.call("PATCH", name+"/policies/p", gmailPolicy(`,"default_exchange_sync_window":3`)); str(p, "version") != "1" || key != a.account.PrivateKey {
				t.Errorf("version %v", p["version"])
			}
			s.clean()
			token = s.token
			stop()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
	if _, err := NewAMAPI(context.Background(), AMAPIOptions{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a folder: %v", err)
	}
	if _, err := NewAMAPI(context.Background(), AMAPIOptions{Dir: dir, Listen: "0.0.0.0:0"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("on every address: %v", err)
	}
}
