package agent

import (
	"context"
	"crypto/tls"
	"encoding/asn1"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// identityPolicy has Gmail sign in by a key that the companion app fetches.
func identityPolicy(c *agentSite, token string, rules string) string {
	return `{` + reporting + `,"applications":[{"packageName":"com.google.android.gm","installType":"FORCE_INSTALLED","managedConfiguration":{
	"email_address":"alice@example.test","exchange_host":"mail.example.test:443","exchange_username":"alice","exchange_device_id":"sply0123456789abcdef0123456789ab",
	"exchange_login_certificate_alias":"` + companionAlias + `"}},
	{"packageName":"` + companionPackage + `","installType":"FORCE_INSTALLED","delegatedScopes":["CERT_INSTALL"],"managedConfiguration":{
	"server_url":"` + c.http.URL + `/android/agent","token":"` + token + `","certificates":[{"alias":"` + companionAlias + `","revision":"1"}]}}]` + rules + `}`
}

const gmailRule = `,"choosePrivateKeyRules":[{"packageNames":["com.google.android.gm"],"privateKeyAlias":"` + companionAlias + `"}]`

// states are the words of all apps on their configuration.
func (s *scene) states(p *Phone) map[string]string {
	out := map[string]string{}
	for _, app := range list(s.device(p), "applicationReports") {
		for _, st := range list(app, "keyedAppStates") {
			out[str(st, "key")] = str(st, "severity") + " " + str(st, "message")
		}
	}
	return out
}

func (s *scene) saw(p *Phone, key, want string) {
	s.t.Helper()
	if got := s.states(p)[key]; !strings.HasPrefix(got, want) {
		s.t.Errorf("%s: %q, want %q", key, got, want)
	}
}

func heardBy(t *testing.T, c *agentSite, want string) {
	t.Helper()
	if got := c.said(); got != want {
		t.Errorf("the server heard %q, want %q", got, want)
	}
}

// TestCompanion: a certificate is fetched, installed, used, renewed by its own
// signature, and removed.
func TestCompanion(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), newAgentSite(t)
	p := s.worker()
	s.give(p, identityPolicy(c, companionSecret, gmailRule))
	heardBy(t, c, "GET, challenge, PKIOperation, installed")
	s.saw(p, "exchange_login_certificate_alias", "INFO")
	s.saw(p, "certificates", "INFO")
	shot := show(t, p)
	first := shot.Certificates[0]
	if len(shot.Certificates) != 1 || !first.Identity || first.Alias != companionAlias || first.Profile != companionPackage || shot.Accounts[0].Presents != first.SHA256 || first.SHA256 != c.state(companionAlias).SHA256 {
		t.Errorf("%+v %+v", shot.Certificates, shot.Accounts)
	}
	reconnect(t, p)
	heardBy(t, c, "GET")

	c.want(companionAlias, keyRenew)
	reconnect(t, p)
	heardBy(t, c, "GET, PKIOperation, installed")
	second := show(t, p).Certificates
	if len(second) != 1 || second[0].SHA256 == first.SHA256 || show(t, p).Recreated != 0 {
		t.Errorf("renewed: %+v", second)
	}
	c.revoked[second[0].SHA256] = true // and yet due: the signature is of no use
	c.want(companionAlias, keyRenew)
	reconnect(t, p)
	heardBy(t, c, "GET, PKIOperation, challenge, PKIOperation, installed")

	setAll(t, p, "key="+companionAlias+":removed")
	reconnect(t, p)
	heardBy(t, c, "GET, removed")
	s.saw(p, "exchange_login_certificate_alias", "ERROR there is no key pair")
	reconnect(t, p)
	heardBy(t, c, "GET, challenge, PKIOperation, installed")
	if n := keyFiles(t, p); n != 1 {
		t.Errorf("%d key files", n)
	}
	c.want(companionAlias, keyRemove)
	reconnect(t, p)
	heardBy(t, c, "GET, removed")
	if n := keyFiles(t, p); n != 0 || len(show(t, p).Certificates) != 0 {
		t.Errorf("%d key files", n)
	}
	s.clean()
}

func keyFiles(t *testing.T, p *Phone) int {
	t.Helper()
	files, err := os.ReadDir(filepath.Join(p.disk.dir, keyFolder))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), info.Mode(), err)
		}
	}
	return len(files)
}

// TestCompanionInTrouble: what goes wrong is told to the server, to Google, or to
// both, and never keeps the phone from its other duties.
func TestCompanionInTrouble(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), newAgentSite(t)
	p := s.worker()
	setAll(t, p, "companion=failing:the key store is locked")
	s.give(p, identityPolicy(c, companionSecret, gmailRule))
	heardBy(t, c, "GET, failed")
	if len(c.failures) != 1 || !strings.Contains(c.failures[0], "the key store is locked") {
		t.Errorf("failures %q", c.failures)
	}
	s.saw(p, "certificates", "ERROR")
	s.saw(p, "exchange_login_certificate_alias", "ERROR")
	if trouble := androidOf(t, p).Companion; !strings.Contains(trouble, companionAlias+": key store: refused") {
		t.Errorf("trouble %q", trouble)
	}
	setAll(t, p, "companion=working", "app="+companionPackage+":missing")
	reconnect(t, p)
	heardBy(t, c, "")

	setAll(t, p, "app="+companionPackage+":fine")
	play(t, p, Script{LoseReplies: 1})
	reconnect(t, p)
	heardBy(t, c, "GET, challenge, PKIOperation")
	c.lose = 1
	reconnect(t, p) // the same bytes as before; and the answer to the report is lost, once
	heardBy(t, c, "GET, PKIOperation, installed, installed")
	if n := len(c.ca.issued); n != 1 {
		t.Errorf("%d certificates", n)
	}
	s.saw(p, "certificates", "INFO")

	c.want(companionAlias, keyRenew)
	c.deaf = true
	reconnect(t, p)
	c.deaf = false
	c.said()
	reconnect(t, p)
	heardBy(t, c, "GET, installed")
	if n := len(c.ca.issued); n != 2 {
		t.Errorf("%d certificates", n)
	}
	c.revoked[show(t, p).Certificates[0].SHA256] = true
	c.certs[companionAlias].SHA256, c.certs[companionAlias].State = strings.Repeat("0", 64), keyWanted
	reconnect(t, p)
	heardBy(t, c, "GET, installed, challenge, PKIOperation, installed")

	c.want(companionAlias, keyWanted)
	c.void = 1
	reconnect(t, p)
	heardBy(t, c, "GET, challenge, PKIOperation, challenge, PKIOperation, installed")
	c.want(companionAlias, keyWanted)
	c.void = 2
	reconnect(t, p)
	heardBy(t, c, "GET, challenge, PKIOperation, challenge, PKIOperation, failed")
	c.refuse = true
	reconnect(t, p)
	heardBy(t, c, "GET, challenge")
	s.saw(p, "certificates", "ERROR "+companionAlias+": the list of certificates is another one")
	s.give(p, identityPolicy(c, "another", gmailRule))
	s.saw(p, "certificates", "ERROR companion server: refused")
	s.give(p, strings.Replace(identityPolicy(c, "", gmailRule), "https:", "http:", 1))
	s.saw(p, "token", "ERROR")
	s.saw(p, "server_url", "ERROR")
	heardBy(t, c, "")
	if text := fmt.Sprint(show(t, p)); strings.Contains(text, companionSecret) {
		t.Error("the token is shown")
	}
	s.clean()
}

// TestCompanionLeaves: with the work profile its keys are gone.
func TestCompanionLeaves(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), newAgentSite(t)
	p := s.worker()
	s.give(p, identityPolicy(c, companionSecret, gmailRule))
	if n := keyFiles(t, p); n != 1 {
		t.Errorf("%d key files", n)
	}
	if err := p.Unenroll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if shot := show(t, p); len(shot.Certificates) != 0 || keyFiles(t, p) != 0 {
		t.Errorf("%+v", shot.Certificates)
	}
}

// TestKeyRules: which app the policy lets use which key.
func TestKeyRules(t *testing.T) {
	t.Parallel()
	const mine, other = `{"packageNames":["com.google.android.gm"],"privateKeyAlias":"a"}`, `{"packageNames":["com.google.android.gm"],"privateKeyAlias":"b"}`
	for _, tt := range []struct{ name, os, rules, want string }{
		{"none", "16", ``, ""},
		{"mine", "16", mine, "a"},
		{"the last one counts", "16", mine + "," + other, "b"},
		{"another app's", "16", `{"packageNames":["com.ninefolders.hd3.work"],"privateKeyAlias":"a"}`, ""},
		{"for everybody who asks", "16", `{"privateKeyAlias":"a"}`, ""},
		{"for everybody, and all ask", "10", `{"privateKeyAlias":"a"}`, "a"},
		{"for any URL", "16", `{"packageNames":["com.google.android.gm"],"urlPattern":".*","privateKeyAlias":"a"}`, "a"},
		{"for a URL", "16", `{"packageNames":["com.google.android.gm"],"urlPattern":"https://x/.*","privateKeyAlias":"a"}`, ""},
	} {
		s := newState(Android)
		s.Facts.OS, s.Android.Managed = tt.os, &management{Policy: []byte(`{"choosePrivateKeyRules":[` + tt.rules + `]}`)}
		if got := s.granted(gmailPackage); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestMailByCertificate: the mail app presents its certificate, and without the
// right to its key it does not ask.
func TestMailByCertificate(t *testing.T) {
	t.Parallel()
	s, c := newScene(t), newAgentSite(t)
	presented := ""
	mail := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) > 0 {
			presented = fingerprint(r.TLS.PeerCertificates[0])
		}
	}))
	mail.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	mail.StartTLS()
	t.Cleanup(mail.Close)
	p := s.worker()
	ask := func() error {
		_, err := p.AskMail(context.Background(), MailRequest{Server: mail.URL, Password: secret.New("pw")})
		return err
	}
	s.give(p, identityPolicy(c, companionSecret, ""))
	s.saw(p, "exchange_login_certificate_alias", "ERROR the policy does not let")
	if err := ask(); err == nil || presented != "" || show(t, p).Accounts[0].Presents != "" {
		t.Errorf("without a rule: %v, presented %q", err, presented)
	}
	s.give(p, identityPolicy(c, companionSecret, gmailRule))
	if err := ask(); err != nil || presented == "" || presented != show(t, p).Certificates[0].SHA256 {
		t.Errorf("%v, presented %q", err, presented)
	}
	s.clean()
}

// FuzzCompanion: neither a policy nor a server's answer takes the app down, and
// what it says of trouble may be sent.
func FuzzCompanion(f *testing.F) {
	f.Add([]byte(`{"certificates":[{"alias":"a","revision":"1","state":"wanted","subject":"CN=a","key":{"type":"RSA","size":2048}}]}`), "CN=a\\, b+O=c,OU=\\41")
	f.Add([]byte(`{"url":"https://x/scep","challenge":"c","expires_at":"2026-11-22T12:15:00Z"}`), "CN=")
	f.Add([]byte(`{"applications":[{"packageName":"a.b","delegatedScopes":["CERT_INSTALL"],"managedConfiguration":{"server_url":"https://x","token":"t","certificates":[{"alias":"a","revision":"1"}]}}]}`), "1.2.3=x")
	f.Add([]byte(`{"title":"No","errors":[{"field":"sha256","reason":"x"}]}`), "CN=a,")
	f.Fuzz(func(t *testing.T, body []byte, subject string) {
		if list, err := readWanted(body); err == nil {
			for _, w := range list {
				if !isAlias(w.Alias) || w.State == "" {
					t.Errorf("%q: %+v", body, w)
				}
			}
		}
		if got, err := readChallenge(body); err == nil && !strings.HasPrefix(strings.ToLower(got.URL), "https://") {
			t.Errorf("%q: %+v", body, got)
		}
		if o, err := readObject(body); err == nil {
			if app, _, works, _ := companionOf(o); works && (app.server.Scheme != "https" || app.token == "") {
				t.Errorf("%q: %+v", body, app)
			}
		}
		if text := reasonText(fmt.Errorf("%s", problemText(body)+subject)); len(text) > 512 || strings.ContainsAny(text, "\n\x00") {
			t.Errorf("reason %q", text)
		}
		if name, err := parseDN(subject); err == nil {
			if _, err := asn1.Marshal(name); err != nil {
				t.Errorf("%q: %v", subject, err)
			}
		}
	})
}

func TestParseDN(t *testing.T) {
	t.Parallel()
	name, err := parseDN(`CN=Alice \"A\"\, B+OU=x,O=\45xample`)
	if err != nil {
		t.Fatal(err)
	}
	csr, err := certificateRequest(scepPayload{subject: name}, raKey())
	if err != nil {
		t.Fatal(err)
	}
	if s := csr.Subject; s.CommonName != `Alice "A", B` || s.Organization[0] != "Example" || s.OrganizationalUnit[0] != "x" {
		t.Errorf("%+v", s)
	}
	for _, bad := range []string{"", "CN", "CN=", "CN=a,", "CN=#0401", `CN=a\`, `CN=a\x1`, "X=a", "CN=a;b"} {
		if _, err := parseDN(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
