package agent

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// testAccount is the service account of all stand-ins here: a key takes long.
var testAccount = sync.OnceValues(func() ([]byte, error) {
	account, err := newAccount("sallyport-rehearsal")
	if err != nil {
		return nil, err
	}
	return json.Marshal(account)
})

// standIn is a running stand-in and a caller of its API.
type standIn struct {
	*AMAPI
	t     testing.TB
	token string
}

func newStandIn(t testing.TB, change ...func(*AMAPIOptions)) *standIn {
	t.Helper()
	account, err := testAccount()
	if err != nil {
		t.Fatal(err)
	}
	o := AMAPIOptions{Dir: t.TempDir(), Backoff: time.Millisecond}
	if err := os.WriteFile(filepath.Join(o.Dir, accountFile), account, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(&o)
	}
	a, err := NewAMAPI(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &standIn{AMAPI: a, t: t}
}

// claims of a good assertion.
func (s *standIn) claims() object {
	now := s.o.Now().Unix()
	return object{"iss": s.account.ClientEmail, "aud": s.URL() + "/token", "scope": androidScope, "iat": now, "exp": now + 3600}
}

func (s *standIn) header() object {
	return object{"alg": "RS256", "typ": "JWT", "kid": s.account.PrivateKeyID}
}

// sign makes a JWT with the account's key.
func (s *standIn) sign(header, claims object) string {
	s.t.Helper()
	block, _ := pem.Decode([]byte(s.account.PrivateKey))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	part := func(v object) string {
		text, err := json.Marshal(v)
		if err != nil {
			s.t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(text)
	}
	signed := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key.(*rsa.PrivateKey), crypto.SHA256, sum[:])
	if err != nil {
		s.t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func (s *standIn) exchangeFor(assertion string) (int, object) {
	s.t.Helper()
	answer, err := http.PostForm(s.URL()+"/token", url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	var out object
	if err := json.NewDecoder(answer.Body).Decode(&out); err != nil {
		s.t.Fatal(err)
	}
	return answer.StatusCode, out
}

func (s *standIn) login() {
	s.t.Helper()
	status, out := s.exchangeFor(s.sign(s.header(), s.claims()))
	if status != http.StatusOK {
		s.t.Fatalf("token: %d %v", status, out)
	}
	s.token = str(out, "access_token")
}

// raw sends one call; body is JSON text, or nothing.
func (s *standIn) raw(verb, path, body string) (int, object, error) {
	s.t.Helper()
	if s.token == "" {
		s.login()
	}
	r, err := http.NewRequest(verb, s.URL()+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return answer.StatusCode, nil, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var out object
	if err := d.Decode(&out); err != nil {
		s.t.Fatalf("%s %s: %d %q", verb, path, answer.StatusCode, text)
	}
	return answer.StatusCode, out, nil
}

// call sends what must work.
func (s *standIn) call(verb, path, body string) object {
	s.t.Helper()
	status, out, err := s.raw(verb, path, body)
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("%s %s: %d %v %v", verb, path, status, out, err)
	}
	return out
}

// refused sends what must not work and returns Google's word for it, and the sentence.
func (s *standIn) refused(verb, path, body string) (int, string, string) {
	s.t.Helper()
	status, out, err := s.raw(verb, path, body)
	e := inner(out, "error")
	if err != nil || status == http.StatusOK || number(e, "code") != status || str(e, "status") == "" {
		s.t.Fatalf("%s %s: %d %v %v, want a refusal in Google's envelope", verb, path, status, out, err)
	}
	return status, str(e, "status"), str(e, "message")
}

// enterprise signs one up with notifications, and a base policy.
func (s *standIn) enterprise() string {
	s.t.Helper()
	up := s.call("POST", "signupUrls?projectId=sallyport-rehearsal&callbackUrl=https%3A%2F%2Fmdm.example.test%2Fandroid%2Fcallback%3Fs%3D1", "")
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Get(str(up, "url"))
	if err != nil {
		s.t.Fatal(err)
	}
	answer.Body.Close()
	back, err := answer.Location()
	if err != nil || back.Host != "mdm.example.test" || back.Query().Get("s") != "1" || back.Query().Get("enterpriseToken") == "" {
		s.t.Fatalf("callback: %v %v", back, err)
	}
	made := s.call("POST", "enterprises?projectId=sallyport-rehearsal&signupUrlName="+str(up, "name")+"&enterpriseToken="+back.Query().Get("enterpriseToken"),
		`{"enterpriseDisplayName":"Example","pubsubTopic":"projects/sallyport-rehearsal/topics/android","enabledNotificationTypes":["ENROLLMENT","STATUS_REPORT","COMMAND"],
		"signinDetails":[{"signinUrl":"https://mdm.example.test/android/signin","allowPersonalUsage":"PERSONAL_USAGE_ALLOWED","defaultStatus":"SIGNIN_DETAIL_IS_DEFAULT"}]}`)
	name := str(made, "name")
	s.call("PATCH", name+"/policies/base", basePolicy)
	return name
}

const basePolicy = `{"statusReportingSettings":{"applicationReportsEnabled":true,"deviceSettingsEnabled":true,"softwareInfoEnabled":true}}`

func (s *standIn) enrolToken(enterprise, more string) object {
	s.t.Helper()
	return s.call("POST", enterprise+"/enrollmentTokens", `{"policyName":"base","oneTimeOnly":true,"duration":"600s","additionalData":"ticket"`+more+`}`)
}

// clean fails when the stand-in noted a violation.
func (s *standIn) clean() {
	s.t.Helper()
	if v := s.Log().Violations; len(v) > 0 {
		s.t.Errorf("violations: %v", v)
	}
}

// noted fails unless a violation says so.
func (s *standIn) noted(text string) {
	s.t.Helper()
	if v := s.Log().Violations; !slices.ContainsFunc(v, func(v Violation) bool { return strings.Contains(v.String(), text) }) {
		s.t.Errorf("no violation says %q: %v", text, v)
	}
}
