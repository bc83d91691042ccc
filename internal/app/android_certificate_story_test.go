package app_test

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/templates"
)

const (
	mailKey        = "sallyport-mail" // alias of the template's key
	signedBaseline = `name: baseline
assign: everyone
rules:
  mail_profile: true
  passcode: true
  identity_certificate: true
`
	signedAccess = `name: standard
assign: everyone
mode: enforce
require: [enrolled, compliant, client_certificate]
`
)

// signed is a server with a clock of its own that lets in only who signs in by a
// certificate, and the phones of alice and bob, whose companion app brings it.
type signed struct {
	*testing.T
	*stage
	g     *google
	front *httptest.Server
	dir   map[*agent.Phone]string
}

func newSigned(t *testing.T) *signed {
	t.Helper()
	s := &signed{T: t, stage: &stage{clock: &clock{}}, dir: map[*agent.Phone]string{}}
	cfg := testConfig(filepath.Join(t.TempDir(), "data"), freeAddress(t))
	_, stop := s.run(t, cfg) // for its root, which the stand-in has to trust
	stop()
	root := readRoot(t, cfg.Data)
	s.g = newGoogle(t, root)
	cfg.AMAPIURL = s.g.URL()
	s.app = s.serve(t, cfg)
	s.client = newClient(t, cfg.Data)
	for _, user := range []string{alice, bob} {
		s.post("/api/v1/users", adminapi.UserInput{UPN: user, Email: user, DisplayName: "A User"}, &struct{}{})
	}
	s.call(http.MethodPost, "/api/v1/templates", "application/yaml", []byte(mailTemplate), &adminapi.TemplateApplied{})
	s.call(http.MethodPost, "/api/v1/compliance/policies", "application/yaml", []byte(signedBaseline), &adminapi.PolicyApplied{})
	s.call(http.MethodPost, "/api/v1/access/policies", "application/yaml", []byte(signedAccess), &adminapi.AccessPolicyApplied{})
	s.g.signUp(s.client)
	var set struct {
		Package string `json:"package"`
	}
	s.call(http.MethodPut, "/api/v1/android/companion", "application/json", []byte(`{"package":"com.example.agent"}`), &set)
	if set.Package != "com.example.agent" {
		t.Errorf("companion %+v", set)
	}
	var seen templates.Preview
	s.post("/api/v1/templates/preview", adminapi.PreviewRequest{Name: "mail", User: alice, Platform: string(templates.PlatformGmail)}, &seen)
	if !strings.Contains(string(seen.Body), mailKey) {
		t.Errorf("a preview without the key's alias: %s", seen.Body)
	}
	var issued adminapi.TokenIssued
	s.post("/api/v1/tokens", adminapi.TokenRequest{Role: "admin", Owner: "two years", TTL: "17000h"}, &issued)
	s.local.Token = secret.New(issued.Text)
	s.front = mailFront(t, s)
	return s
}

// mailFront is a front of a mail server that asks for certificates of our root, as
// nginx does, and lets in whom the server lets in.
func mailFront(t *testing.T, s *signed) *httptest.Server {
	t.Helper()
	front := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		in := access.Client{User: q.Get("User"), DeviceID: q.Get("DeviceId"), DeviceType: q.Get("DeviceType"), UserAgent: r.UserAgent()}
		if shown := r.TLS.PeerCertificates; len(shown) > 0 {
			o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: s.clock.now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
			o.Roots.AddCert(s.root)
			for _, above := range shown[1:] {
				o.Intermediates.AddCert(above)
			}
			if _, err := shown[0].Verify(o); err != nil {
				t.Errorf("client certificate: %v", err)
			}
			sum := sha256.Sum256(shown[0].Raw)
			in.Certificate = hex.EncodeToString(sum[:])
		}
		d := s.decideAs(in)
		w.Header().Set("X-Sallyport-Decision", string(d.Effect))
		if d.Effect != access.Allow {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	front.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	front.StartTLS()
	t.Cleanup(front.Close)
	return front
}

// phone is one of that user's, with its work profile and its mail account; what is
// set of it before.
func (s *signed) phone(user string, set ...string) *agent.Phone {
	s.Helper()
	dir := s.TempDir()
	p, err := agent.New(agent.Options{
		Dir: dir, As: agent.Android, AMAPI: s.g.URL(), CA: []*x509.Certificate{s.root, s.front.Certificate()}, Keys: phoneKeys, Now: s.clock.now,
		Story: func(step, text string) { s.Log(user, "phone:", step, text) },
	})
	must(s.T, err)
	s.Cleanup(p.Close)
	s.dir[p] = dir
	must(s.T, p.Set(set...))
	must(s.T, p.Enroll(s.Context(), s.invite(adminapi.InvitationRequest{User: user}).URL))
	settledPhone(s.T, p, "mail", func(shot agent.Snapshot) bool { return len(shot.Accounts) == 1 })
	return p
}

// asks has the phone's mail app ask until the answer is the one. Mail is shut from a
// new policy on until the phone tells that it has it: one that shall be let in fetches
// what there is, as phones do that Google tells of it.
func (s *signed) asks(p *agent.Phone, want access.Effect) {
	s.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if want == access.Allow {
			must(s.T, p.Connect(s.Context()))
		}
		a, err := p.AskMail(s.Context(), agent.MailRequest{Server: s.front.URL, Password: secret.New("pw")})
		must(s.T, err)
		if a.Decision == string(want) {
			return
		}
		if time.Now().After(deadline) {
			shot := show(s.T, p)
			s.Fatalf("mail: %+v, want %s: %+v", a, want, s.decideAs(access.Client{User: shot.Accounts[0].User, DeviceID: shot.EASDeviceID, Certificate: shot.Accounts[0].Presents}))
		}
	}
}

// token is what the policy told the phone's companion app.
func (s *signed) token(p *agent.Phone) string {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir[p], "phone.json"))
	must(s.T, err)
	var kept struct {
		Android struct {
			Managed struct {
				Policy struct {
					Applications []struct {
						Package string         `json:"packageName"`
						Scopes  []string       `json:"delegatedScopes"`
						Config  map[string]any `json:"managedConfiguration"`
					} `json:"applications"`
				} `json:"policy"`
			} `json:"managed"`
		} `json:"android"`
	}
	must(s.T, json.Unmarshal(text, &kept))
	for _, app := range kept.Android.Managed.Policy.Applications {
		if app.Package == "com.example.agent" {
			token, _ := app.Config["token"].(string)
			return token
		}
	}
	s.Fatalf("no companion app in %s", text)
	return ""
}

// tells is a companion app that says something, and the status of the answer.
func (s *signed) tells(token, what, body string) int {
	s.Helper()
	method := http.MethodPost
	if body == "" && what == "" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(s.Context(), method, s.app.PublicURL()+"/android/agent/certificates"+what, strings.NewReader(body))
	must(s.T, err)
	r.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.http.Do(r)
	must(s.T, err)
	must(s.T, answer.Body.Close())
	return answer.StatusCode
}

// onPhone is the certificate on a phone.
func (s *signed) onPhone(p *agent.Phone) agent.ShownCertificate {
	s.Helper()
	shot := show(s.T, p)
	if len(shot.Certificates) != 1 || shot.Certificates[0].Alias != mailKey || shot.Accounts[0].Presents != shot.Certificates[0].SHA256 {
		s.Fatalf("certificates %+v, accounts %+v", shot.Certificates, shot.Accounts)
	}
	return shot.Certificates[0]
}

// certified has the phone connect until its companion app has brought a certificate.
func (s *signed) certified(p *agent.Phone) {
	s.Helper()
	settledPhone(s.T, p, "a certificate", func(shot agent.Snapshot) bool { return len(shot.Certificates) == 1 })
}

// stands waits until the server says so of a certificate.
func (s *signed) stands(what, sha256, want string) {
	s.Helper()
	got := ""
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var found adminapi.CertificateDetail
		s.call(http.MethodGet, "/api/v1/certificates/"+sha256, "", nil, &found)
		if got = strings.TrimSpace(found.Certificate.State + " " + found.Certificate.Reason); got == want {
			return
		}
	}
	s.Errorf("%s is %s, want %s", what, got, want)
}

// TestAndroidCertificateStory: the companion app brings a certificate, by which
// alone the phone gets at its mail, and which follows itself and ends with the phone.
func TestAndroidCertificateStory(t *testing.T) {
	t.Parallel()
	s := newSigned(t)
	phone := s.phone(alice, "companion=failing:the key store is locked")
	s.tellsWhy(phone)
	must(t, phone.Set("companion=working"))
	s.certified(phone)
	first := s.onPhone(phone)
	if !strings.Contains(first.Subject, "CN="+alice) {
		t.Errorf("subject %s", first.Subject)
	}
	s.asks(phone, access.Allow)
	s.strangers(phone)
	s.renewed(phone, first)
	s.revoked(phone)
	s.retired(phone)
}

// tellsWhy: while there is no certificate the mail stays shut, and administrators
// read why.
func (s *signed) tellsWhy(p *agent.Phone) {
	s.Helper()
	if d := s.decide(alice, show(s.T, p).EASDeviceID); d.Effect == access.Allow {
		s.Errorf("without a certificate: %+v", d)
	}
	device := "/api/v1/devices/" + s.theDevice().ID
	for _, path := range []string{device, device + "/compliance"} {
		var found json.RawMessage
		for deadline := time.Now().Add(patience); !strings.Contains(string(found), "the key store is locked"); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				s.Errorf("%s does not say why there is no certificate: %s", path, found)
				break
			}
			s.call(http.MethodGet, path, "", nil, &found)
		}
	}
}

// strangers: neither another phone's token nor another phone's certificate is of
// any use.
func (s *signed) strangers(p *agent.Phone) {
	s.Helper()
	other := s.phone(bob)
	s.certified(other)
	s.asks(other, access.Allow)
	mine, his := s.token(p), s.token(other)
	status := "/" + mailKey + "/status"
	installed := func(phone *agent.Phone) string {
		return `{"state":"installed","sha256":"` + s.onPhone(phone).SHA256 + `"}`
	}
	hisID, _, _ := strings.Cut(his, ".")
	_, myMAC, _ := strings.Cut(mine, ".")
	for _, tt := range []struct {
		name, token, what, body string
		want                    int
	}{
		{"its own", mine, "", "", 200},
		{"its own, again", mine, status, installed(p), 204},
		{"bob's phone with alice's proof", hisID + "." + myMAC, "", "", 401},
		{"no proof", hisID, "", "", 401},
		{"nobody", "", "", "", 401},
		{"the other's certificate", mine, status, installed(other), 409},
		{"another alias", mine, "/sallyport-other/challenge", "", 404},
		{"nothing is wanted", mine, "/" + mailKey + "/challenge", "", 409},
		{"control characters", mine, status, `{"state":"failed","reason":"a\u0007"}`, 400},
		{"an unknown field", mine, status, `{"state":"removed","force":true}`, 400},
	} {
		if got := s.tells(tt.token, tt.what, tt.body); got != tt.want {
			s.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
	d := s.decideAs(access.Client{User: alice, DeviceID: show(s.T, p).EASDeviceID, Certificate: s.onPhone(other).SHA256})
	if d.Effect != access.Block {
		s.Errorf("alice's phone with bob's certificate: %+v", d)
	}
}

// renewed: as the certificate grows old the phone is told to get another one. The
// old one is good until the phone has told of it.
func (s *signed) renewed(p *agent.Phone, first agent.ShownCertificate) {
	s.Helper()
	before := s.given(alice)
	s.clock.ahead.Add(int64(untilDue))
	must(s.T, s.app.Pass(s.Context()))
	comesTrue(s.T, "Google was told of a certificate that is due", func() bool { return s.given(alice).Version > before.Version })
	s.stands("the certificate that is due", first.SHA256, "valid")
	// The phone has not applied that policy yet: what it has is as good meanwhile.
	if d := s.decideAs(access.Client{User: alice, DeviceID: show(s.T, p).EASDeviceID, Certificate: first.SHA256}); d.Effect != access.Allow {
		s.Errorf("with a certificate that is due: %+v", d)
	}
	s.another(p, first.SHA256)
	s.stands("the new certificate", s.onPhone(p).SHA256, "valid")
	s.stands("the one before", first.SHA256, "revoked superseded")
	s.asks(p, access.Allow)
	if n := show(s.T, p).Recreated; n != 0 {
		s.Errorf("%d accounts made anew", n)
	}
	var trail adminapi.AuditEntries
	s.call(http.MethodGet, "/api/v1/audit?limit=1000&action=android.challenge", "", nil, &trail)
	granted := slices.DeleteFunc(trail.Entries, func(e audit.Entry) bool { return e.Outcome != audit.Done })
	if len(granted) != 2 { // alice's first, and bob's
		s.Errorf("%d challenges: a renewal is signed by the certificate that is due", len(granted))
	}
}

// revoked: an administrator's revocation shuts the mail, and the phone gets another
// certificate.
func (s *signed) revoked(p *agent.Phone) {
	s.Helper()
	old := s.onPhone(p)
	s.post("/api/v1/certificates/"+old.SHA256+"/revoke", adminapi.RevokeRequest{}, &adminapi.Revoked{})
	s.asks(p, access.Block)
	s.another(p, old.SHA256)
	s.asks(p, access.Allow)
}

// another has the phone connect until it has another certificate.
func (s *signed) another(p *agent.Phone, old string) {
	s.Helper()
	settledPhone(s.T, p, "another certificate", func(agent.Snapshot) bool { return s.onPhone(p).SHA256 != old })
}

// retired: with the work profile its certificate ends, and the app's token.
func (s *signed) retired(p *agent.Phone) {
	s.Helper()
	last, token, eas := s.onPhone(p), s.token(p), show(s.T, p).EASDeviceID
	var list accessapi.Devices
	s.call(http.MethodGet, "/api/v1/devices", "", nil, &list)
	for _, d := range list.Devices {
		if d.User == alice {
			s.order(d.ID, adminapi.ActionRequest{Kind: "retire"})
		}
	}
	settledPhone(s.T, p, "the end of the work profile", func(shot agent.Snapshot) bool { return shot.Android.ProfilesRemoved == 1 })
	if shot := show(s.T, p); len(shot.Certificates) != 0 || shot.Android.Resets != 0 {
		s.Errorf("left behind: %+v", shot.Certificates)
	}
	s.stands("the last certificate", last.SHA256, "revoked cessationOfOperation")
	for deadline := time.Now().Add(patience); s.tells(token, "", "") != http.StatusUnauthorized; time.Sleep(100 * time.Millisecond) { // each answer counts
		if time.Now().After(deadline) {
			s.Fatal("the token of a phone that is gone is good")
		}
	}
	if d := s.decideAs(access.Client{User: alice, DeviceID: eas, Certificate: last.SHA256}); d.Effect != access.Block {
		s.Errorf("a phone that is gone: %+v", d)
	}
}
