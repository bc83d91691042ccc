package agent_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/agent"
	"sallyport/mdm/apple/apns"
)

// standIn is a running push service with a server's client that it trusts.
type standIn struct {
	*agent.PushService
	authority *agent.PushAuthority
	topic     string
	client    *apns.Client
	pair      tls.Certificate
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	authority, err := agent.OpenPushAuthority("", nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{authority: authority}
	if s.PushService, err = agent.NewPushService(t.Context(), agent.PushServiceOptions{Authority: authority}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	key, request, err := apns.NewRequest("Example")
	if err != nil {
		t.Fatal(err)
	}
	file, topic, err := authority.Sign(request, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := apns.Parse(file) // our own import takes what the stand-in issues
	if err != nil || c.Topic != topic {
		t.Fatalf("got %q, %v", c.Topic, err)
	}
	s.topic, s.pair = topic, tls.Certificate{Certificate: [][]byte{c.Raw}, PrivateKey: key}
	s.client = &apns.Client{URL: s.URL(), Roots: authority.Pool(), Identity: func(context.Context) (tls.Certificate, error) { return s.pair, nil }}
	t.Cleanup(s.client.Close)
	return s
}

var phoneToken = strings.Repeat("\x5a", 32)

func (s *standIn) push(t *testing.T) apns.Result {
	t.Helper()
	return s.client.Push(t.Context(), mdm.Push{Topic: s.topic, Token: secret.New(phoneToken), Magic: secret.New("MAGIC-1")})
}

// wait is a phone at the side port.
func (s *standIn) wait(t *testing.T, topic string, seconds int) (int, string) {
	t.Helper()
	body := fmt.Sprintf(`{"token":%q,"topic":%q,"seconds":%d}`, hex.EncodeToString([]byte(phoneToken)), topic, seconds)
	answer, err := http.Post(s.SideURL()+"/wait", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}

func TestOurPushPassesTheStrictStandIn(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	for range 3 { // they coalesce
		if got := s.push(t); got.Outcome != apns.Accepted || got.APNSID == "" {
			t.Fatalf("got %+v", got)
		}
	}
	if code, body := s.wait(t, s.topic, 5); code != 200 || body != `{"mdm":"MAGIC-1"}` {
		t.Errorf("got %d %s", code, body)
	}
	if code, body := s.wait(t, s.topic, 0); code != 204 {
		t.Errorf("a second time: got %d %s", code, body)
	}
	if saw := s.Log(); saw.Accepted != 3 || len(saw.Remarks) != 0 {
		t.Errorf("the stand-in saw %+v", saw)
	}
	if _, body := s.wait(t, "com.apple.mgmt.External.other", 0); body != "" {
		t.Errorf("got %s", body)
	}
	if got := s.push(t); got.Outcome != apns.WrongTopic || got.Reason != "DeviceTokenNotForTopic" {
		t.Errorf("a token of another topic: got %+v", got)
	}
}

func TestScriptedAnswers(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	before := time.Now().Add(-time.Minute)
	for status, want := range map[int]apns.Outcome{
		400: apns.Refused, 403: apns.BadCertificate, 410: apns.Dead, 429: apns.Later, 500: apns.Later, 503: apns.Later,
	} {
		if err := s.Script(agent.PushAnswer{Token: "another", Status: 400}, agent.PushAnswer{Status: status, Times: 1, RetryAfter: 7}); err != nil {
			t.Fatal(err)
		}
		got := s.push(t)
		if got.Outcome != want || got.Status != status || got.Reason == "" || got.RetryAfter != 7*time.Second {
			t.Errorf("%d: got %+v, want %s", status, got, want)
		}
		if status == 410 && got.InvalidSince.Before(before) {
			t.Errorf("dead since %s", got.InvalidSince)
		}
		if got := s.push(t); got.Outcome != apns.Accepted {
			t.Errorf("after %d: got %+v", status, got)
		}
	}
	if err := s.Script(agent.PushAnswer{Status: 200}); !errors.Is(err, agent.ErrInvalid) {
		t.Errorf("got %v", err)
	}
}

// Each thing that a server can get wrong has its answer, and is remarked.
func TestStandInIsStrict(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	var only http.Protocols
	only.SetHTTP2(true)
	raw := &http.Client{Transport: &http.Transport{
		Protocols: &only, TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool(), Certificates: []tls.Certificate{s.pair}},
	}}
	defer raw.CloseIdleConnections()
	const body = `{"mdm":"MAGIC-1"}`
	path := "/3/device/" + hex.EncodeToString([]byte(phoneToken))
	soon := fmt.Sprint(time.Now().Add(time.Hour).Unix())
	tests := []struct {
		name, method, path, body string
		header                   [2]string // replaces one; an empty value takes it away
		status                   int
		reason                   string
	}{
		{"right", "POST", path, body, [2]string{}, 200, ""},
		{"method", "PUT", path, body, [2]string{}, 405, "MethodNotAllowed"},
		{"path", "POST", "/3/devices/x", body, [2]string{}, 404, "BadPath"},
		{"query", "POST", path + "?a=b", body, [2]string{}, 404, "BadPath"},
		{"no token", "POST", "/3/device/", body, [2]string{}, 400, "MissingDeviceToken"},
		{"short token", "POST", "/3/device/5a5a", body, [2]string{}, 400, "BadDeviceToken"},
		{"upper case", "POST", strings.ToUpper(path[:9]) + path[9:], body, [2]string{}, 404, "BadPath"},
		{"no hex", "POST", "/3/device/" + strings.Repeat("zz", 32), body, [2]string{}, 400, "BadDeviceToken"},
		{"no topic", "POST", path, body, [2]string{"Apns-Topic", ""}, 400, "MissingTopic"},
		{"another topic", "POST", path, body, [2]string{"Apns-Topic", "com.apple.mgmt.External.x"}, 400, "TopicDisallowed"},
		{"no type", "POST", path, body, [2]string{"Apns-Push-Type", ""}, 400, "InvalidPushType"},
		{"alert", "POST", path, body, [2]string{"Apns-Push-Type", "alert"}, 400, "InvalidPushType"},
		{"priority", "POST", path, body, [2]string{"Apns-Priority", "5"}, 400, "BadPriority"},
		{"no expiration", "POST", path, body, [2]string{"Apns-Expiration", ""}, 400, "BadExpirationDate"},
		{"expired", "POST", path, body, [2]string{"Apns-Expiration", "1"}, 400, "BadExpirationDate"},
		{"collapse", "POST", path, body, [2]string{"Apns-Collapse-Id", "x"}, 400, "BadMessageId"},
		{"token auth", "POST", path, body, [2]string{"Authorization", "bearer x"}, 403, "InvalidProviderToken"},
		{"aps", "POST", path, `{"mdm":"MAGIC-1","aps":{}}`, [2]string{}, 400, "PayloadEmpty"},
		{"a blank", "POST", path, `{"mdm": "MAGIC-1"}`, [2]string{}, 400, "PayloadEmpty"},
		{"no magic", "POST", path, `{"aps":{}}`, [2]string{}, 400, "PayloadEmpty"},
		{"nothing", "POST", path, ``, [2]string{}, 400, "PayloadEmpty"},
		{"too much", "POST", path, strings.Repeat(" ", 5000), [2]string{}, 413, "PayloadTooLarge"},
	}
	remarks := 0
	for _, tt := range tests {
		r, err := http.NewRequestWithContext(t.Context(), tt.method, s.URL()+tt.path, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"Apns-Topic": s.topic, "Apns-Push-Type": "mdm", "Apns-Priority": "10", "Apns-Expiration": soon} {
			r.Header.Set(name, value)
		}
		if tt.header[0] != "" {
			r.Header.Set(tt.header[0], tt.header[1])
			if tt.header[1] == "" {
				r.Header.Del(tt.header[0])
			}
		}
		answer, err := raw.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		var got struct{ Reason string }
		_ = json.NewDecoder(answer.Body).Decode(&got)
		_ = answer.Body.Close()
		if answer.StatusCode != tt.status || got.Reason != tt.reason {
			t.Errorf("%s: got %d %s, want %d %s", tt.name, answer.StatusCode, got.Reason, tt.status, tt.reason)
		}
		if tt.status != 200 {
			remarks++
		}
	}
	saw := s.Log().Remarks
	if len(saw) != remarks || slices.ContainsFunc(saw, func(r string) bool { return strings.Contains(r, "5a5a") }) {
		t.Errorf("got remarks %q, want %d without a token", saw, remarks)
	}
}

func TestStandInWantsACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	stranger, err := agent.OpenPushAuthority("", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, request, err := apns.NewRequest("Stranger")
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := stranger.Sign(request, false)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(file)
	s.pair = tls.Certificate{Certificate: [][]byte{block.Bytes}, PrivateKey: key}
	// The end of the connection may overtake the alert that says why.
	for range 20 {
		got := s.push(t)
		if got.Outcome == apns.BadCertificate {
			return
		}
		if !got.Everyone() {
			t.Fatalf("got %+v", got)
		}
	}
	t.Error("never told that the certificate is the trouble")
}

func TestSidePortIsForThisMachine(t *testing.T) {
	t.Parallel()
	s := newStandIn(t)
	for name, change := range map[string]func(*http.Request){
		"a page":       func(r *http.Request) { r.Header.Set("Origin", "https://evil.example.test") },
		"another name": func(r *http.Request) { r.Host = "evil.example.test:80" },
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.SideURL()+"/log", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %d", name, answer.StatusCode)
		}
	}
	if _, err := agent.NewPushService(t.Context(), agent.PushServiceOptions{Authority: s.authority, Side: "0.0.0.0:0"}); !errors.Is(err, agent.ErrInvalid) {
		t.Errorf("a side port for everybody: got %v", err)
	}
}

// The portal's one entry keeps its topic, also across a restart.
func TestPortal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, request, err := apns.NewRequest("Example")
	if err != nil {
		t.Fatal(err)
	}
	var topics []string
	for _, another := range []bool{false, false, true} {
		a, err := agent.OpenPushAuthority(dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, topic, err := a.Sign(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), another)
		if err != nil {
			t.Fatal(err)
		}
		topics = append(topics, topic)
	}
	if topics[0] != topics[1] || topics[1] == topics[2] || !strings.HasPrefix(topics[0], "com.apple.mgmt.External.") {
		t.Errorf("got topics %q", topics)
	}
	a, err := agent.OpenPushAuthority("", nil)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptical, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, curve)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{"nothing": nil, "text": []byte("hello"), "no RSA key": elliptical, "a torn one": request[:50]} {
		if _, _, err := a.Sign(bad, false); !errors.Is(err, agent.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// What an MDM vendor signs with our command, the portal takes; a changed byte it does not.
func TestVendorRequestMeetsThePortal(t *testing.T) {
	t.Parallel()
	a, err := agent.OpenPushAuthority("", nil)
	if err != nil {
		t.Fatal(err)
	}
	key, request, err := apns.NewRequest("Vendor")
	if err != nil {
		t.Fatal(err)
	}
	vendorCert, _, err := a.Sign(request, false) // any certificate for an RSA key will do
	if err != nil {
		t.Fatal(err)
	}
	vendorKey := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	v, err := apns.ParseVendor(append(vendorCert, a.PEM()...), vendorKey, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, customer, err := apns.NewRequest("Customer")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := v.Sign(customer)
	if err != nil {
		t.Fatal(err)
	}
	file, _, err := a.Sign(signed, false)
	if err != nil {
		t.Fatal(err)
	}
	c, err := apns.Parse(file)
	if err != nil || !other.PublicKey.Equal(c.PublicKey.(*rsa.PublicKey)) {
		t.Errorf("got %v, want a certificate for the customer's key", err)
	}
	v.Key = other
	if signed, err = v.Sign(customer); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.Sign(signed, false); !errors.Is(err, agent.ErrInvalid) {
		t.Errorf("signed by another key: got %v", err)
	}
}
