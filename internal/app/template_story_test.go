package app_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"software.sslmate.com/src/go-pkcs12"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/templates"
)

const (
	mailPassword = "canary-mail-password-0815"
	filePassword = "canary-file-password-4711"

	everySetting = `name: mail
display_name: "Mail of %displayname%, 100%%"
assign: everyone
accounts:
  - name: "Mail %serialnumber|% %firstname|%"
    host_type: on_premises
    host: mail.example.test
    user_name: "%username%"
    domain: "%domainname|EXAMPLE%"
    email: "%email%"
    ssl: true
    password: {secret: mail-password}
    override_previous_password: true
    identity: pkcs12
    pkcs12: alice-p12
    oauth: {enabled: false}
    prevent_move: true
    block_non_mail_apps: true
    disable_recents_sync: true
    allow_mail_drop: true
    audio_call_app: com.example.phone
    smime:
      sign: {enabled: true, identity: pkcs12, pkcs12: alice-p12, user_may_change: true, user_may_change_identity: true}
      encrypt: {by_default: true, identity: pkcs12, pkcs12: alice-p12, user_may_change: true, user_may_change_identity: true, per_message_switch: true}
    sync:
      mail: {enabled: true, locked: true}
      contacts: {enabled: false}
      calendar: {enabled: false, locked: true}
      reminders: {enabled: true}
      notes: {locked: true}
    days_to_keep_offline: 31
  - name: Cloud
    host_type: office365
    oauth: {sign_in_url: "https://login.example.test/authorize", token_url: "https://login.example.test/token"}
`
)

// everyKey is what the phone must find in the first account, in Apple's spelling,
// with the UUID of the one PKCS#12 payload wherever an identity is named.
func everyKey(identity string) map[string]any {
	return map[string]any{
		"Host": "mail.example.test", "UserName": `EXAMPLE\alice`, "EmailAddress": alice, "SSL": true, "OverridePreviousPassword": true,
		"PayloadCertificateUUID": identity, "PreventMove": true, "PreventAppSheet": true, "disableMailRecentsSyncing": true, "allowMailDrop": true,
		"CommunicationServiceRules": map[string]any{"DefaultServiceHandlers": map[string]any{"AudioCall": "com.example.phone"}},
		"SMIMESigningEnabled":       true, "SMIMESigningUserOverrideable": true, "SMIMESigningCertificateUUID": identity, "SMIMESigningCertificateUUIDUserOverrideable": true,
		"SMIMEEncryptByDefault": true, "SMIMEEncryptByDefaultUserOverrideable": true, "SMIMEEncryptionCertificateUUID": identity,
		"SMIMEEncryptionCertificateUUIDUserOverrideable": true, "SMIMEEnableEncryptionPerMessageSwitch": true,
		"EnableMail": true, "EnableMailUserOverridable": false, "EnableContacts": false, "EnableContactsUserOverridable": true,
		"EnableCalendars": false, "EnableCalendarsUserOverridable": false, "EnableReminders": true, "EnableRemindersUserOverridable": true,
		"EnableNotes": true, "EnableNotesUserOverridable": false, "MailNumberOfPastDaysToSync": 31,
	}
}

// TestEverySettingReachesThePhone: and no secret of it is anywhere in clear but
// on the phone.
func TestEverySettingReachesThePhone(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	c, log := startLogged(t, data)
	c.seed()
	leaf, file := identityFile(t)
	c.put("/api/v1/secrets/mail-password", adminapi.SecretInput{Kind: "password", Value: mailPassword})
	c.put("/api/v1/secrets/alice-p12", adminapi.SecretInput{Kind: "pkcs12", User: alice, Value: filePassword, Data: file})
	c.apply(everySetting)
	invitation := c.invite(adminapi.InvitationRequest{User: alice})
	page, download := c.fetch(invitation.URL), c.fetch(invitation.URL+"/enroll.mobileconfig")
	preview := c.body(http.MethodPost, "/api/v1/templates/preview", adminapi.PreviewRequest{Name: "mail", User: alice})

	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), invitation.URL))
	s := show(t, phone)
	mail := profileOf(t, s, templates.IdentifierPrefix)
	if !mail.Encrypted || mail.SignedBy == "" || mail.DisplayName != "Mail of Alice Example, 100%" {
		t.Errorf("profile %+v, want it encrypted and signed", mail)
	}
	if len(s.Accounts) != 2 {
		t.Fatalf("accounts %+v, want two", s.Accounts)
	}
	first, cloud := s.Accounts[0], s.Accounts[1]
	identity, _ := first.Settings["PayloadCertificateUUID"].(string)
	if diff := cmp.Diff(normal(t, everyKey(identity)), normal(t, first.Settings)); diff != "" || identity == "" {
		t.Errorf("the account's settings: %s", diff)
	}
	if !first.Password || !first.Certificate || first.Name != "Mail "+s.Serial+" " {
		t.Errorf("account %+v, want a password, a certificate and the phone's serial number in its name", first)
	}
	if !cloud.OAuth || cloud.Host != "outlook.office365.com" || cloud.Settings["OAuthSignInURL"] != "https://login.example.test/authorize" || cloud.Settings["OAuthTokenRequestURL"] != "https://login.example.test/token" || cloud.Password {
		t.Errorf("cloud account %+v", cloud)
	}
	if !slices.ContainsFunc(s.Certificates, func(have agent.ShownCertificate) bool { return have.Identity && have.Subject == leaf.Subject.String() }) {
		t.Errorf("certificates %+v, want the uploaded one: its password opens it", s.Certificates)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)

	shown := map[string][]byte{
		"the enrolment page": page, "the enrolment profile": download, "the preview": preview, "the log": log.bytes(),
		"the templates": c.body(http.MethodGet, "/api/v1/templates", nil), "the secrets": c.body(http.MethodGet, "/api/v1/secrets", nil),
		"the trail": c.body(http.MethodGet, "/api/v1/audit?limit=1000", nil), "the device": c.body(http.MethodGet, "/api/v1/devices?user="+alice, nil),
	}
	for name, content := range filesBelow(t, data) {
		shown[name] = content
	}
	if !slices.ContainsFunc(slices.Collect(maps.Values(shown)), func(b []byte) bool { return bytes.Contains(b, []byte("alice-p12")) }) {
		t.Error("not even the name of a secret was found: this looks in the wrong places")
	}
	secrets := map[string][]byte{"the mail password": []byte(mailPassword), "the file's password": []byte(filePassword), "the file": file[len(file)/3 : len(file)/2]}
	for where, content := range shown {
		for what, value := range secrets {
			if bytes.Contains(content, value) {
				t.Errorf("%s is in %s in clear", what, where)
			}
		}
	}
}

const security = `name: phones
assign: everyone
settings: {require_passcode: true, minimum_length: 6}
`

// TestSecurityPolicyReachesThePhone, and its changes replace it in place.
func TestSecurityPolicyReachesThePhone(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	c.applySecurity(security)
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	before := show(t, phone)
	c.decided(alice, before.EASDeviceID, access.Allow)
	first := profileOf(t, before, templates.SecurityIdentifierPrefix)
	if !slices.Equal(first.Payloads, []string{"com.apple.mobiledevice.passwordpolicy"}) || !first.Managed || !first.Encrypted || first.SignedBy == "" {
		t.Errorf("profile %+v, want a managed, encrypted and signed passcode policy", first)
	}

	c.applySecurity(strings.Replace(security, "minimum_length: 6", "minimum_length: 8", 1))
	must(t, phone.Connect(t.Context()))
	second := profileOf(t, show(t, phone), templates.SecurityIdentifierPrefix)
	if second.Identifier != first.Identifier || second.UUID == first.UUID {
		t.Errorf("got %+v after %+v, want the same profile with new content", second, first)
	}
	// Another policy of another name takes its place as well.
	c.applySecurity("name: stricter\npriority: 1\nassign: {users: [" + alice + "]}\nsettings: {require_passcode: true, minimum_length: 12}\n")
	must(t, phone.Connect(t.Context()))
	s := show(t, phone)
	third := profileOf(t, s, templates.SecurityIdentifierPrefix)
	if third.Identifier != first.Identifier || third.UUID == second.UUID || len(s.Profiles) != len(before.Profiles) {
		t.Errorf("got %+v of %d profiles after %+v, want the one profile with new content", third, len(s.Profiles), second)
	}
	if s.Accounts[0].Updates != 0 || s.Recreated != 0 {
		t.Errorf("the mail account was touched: %+v", s.Accounts)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)
}

// TestOneMailboxTwoTemplates: only the winner is installed, and the loser is named.
func TestOneMailboxTwoTemplates(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	rival := strings.NewReplacer("name: mail\n", "name: rival\npriority: 10\n", "Company mail", "Rival mail", "assign: everyone", "assign: {users: ["+alice+"]}").Replace(mailTemplate)
	c.apply(rival)
	var preview templates.Preview
	c.post("/api/v1/templates/preview", adminapi.PreviewRequest{Name: "mail", User: alice}, &preview)
	if len(preview.Warnings) == 0 || preview.Warnings[0].Field != "priority" || !strings.Contains(preview.Warnings[0].Reason, "rival") {
		t.Errorf("preview of the loser warns of %+v, want the winner's name", preview.Warnings)
	}
	var report templates.CheckReport
	c.post("/api/v1/templates/check", adminapi.CheckRequest{}, &report)
	if report.Rendered != 1 || report.Lost != 1 || len(report.Failures) != 1 || report.Failures[0].Template != "mail" || report.Failures[0].User != alice {
		t.Errorf("check: %+v, want one that is lost to the rival", report)
	}
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	s := show(t, phone)
	if len(s.Accounts) != 1 || s.Accounts[0].Name != "Rival mail" || len(s.Profiles) != 2 {
		t.Errorf("accounts %+v, %d profiles; want the rival's alone", s.Accounts, len(s.Profiles))
	}
	c.decided(alice, s.EASDeviceID, access.Allow)

	// Another winner: a phone refuses its profile while the first one's is there.
	c.apply(strings.Replace(mailTemplate, "name: mail\n", "name: mail\npriority: 20\n", 1))
	must(t, phone.Connect(t.Context()))
	if s = show(t, phone); len(s.Accounts) != 1 || s.Accounts[0].Name != "Company mail" || len(s.Profiles) != 2 {
		t.Errorf("accounts %+v, %d profiles; want those of the new winner alone", s.Accounts, len(s.Profiles))
	}
	c.decided(alice, s.EASDeviceID, access.Allow)
}

// TestRollbackReachesThePhone at its next contact, in place.
func TestRollbackReachesThePhone(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	first := profileOf(t, show(t, phone), templates.IdentifierPrefix)
	c.apply(strings.Replace(mailTemplate, "mail.example.test", "mail2.example.test", 1))
	must(t, phone.Connect(t.Context()))
	if s := show(t, phone); s.Accounts[0].Host != "mail2.example.test" {
		t.Fatalf("accounts %+v, want the second revision", s.Accounts)
	}
	var back adminapi.TemplateApplied
	c.callIf(`"2"`, http.MethodPost, "/api/v1/templates/mail/rollback", "application/json", []byte(`{"revision": 1}`), &back)
	if !back.Changed || back.Template.Number != 3 {
		t.Errorf("rollback: %+v, want a third revision", back)
	}
	must(t, phone.Connect(t.Context()))
	s := show(t, phone)
	if got := profileOf(t, s, templates.IdentifierPrefix); got.UUID != first.UUID || s.Accounts[0].Host != "mail.example.test" || s.Accounts[0].Updates != 2 || s.Recreated != 0 {
		t.Errorf("profile %+v, accounts %+v; want the first content again, changed in place", got, s.Accounts)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)
}

// TestTwoAdmins never overwrite each other.
func TestTwoAdmins(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	change := func(host, match string) int {
		source := strings.Replace(mailTemplate, "mail.example.test", host, 1)
		return c.callIf(match, http.MethodPost, "/api/v1/templates", "application/yaml", []byte(source), nil)
	}
	if got := change("first.example.test", ""); got != http.StatusPreconditionRequired {
		t.Errorf("without saying what was seen: status %d, want 428", got)
	}
	if got := change("second.example.test", `"1"`); got != http.StatusOK {
		t.Errorf("on the revision that was seen: status %d", got)
	}
	if got := change("third.example.test", `"1"`); got != http.StatusPreconditionFailed {
		t.Errorf("on a stale revision: status %d, want 412", got)
	}
	if got := change("third.example.test", "1"); got != http.StatusBadRequest {
		t.Errorf("with a condition that is none: status %d, want 400", got)
	}
	for path, body := range map[string]string{"assign": `{"assign": {"groups": ["none"]}}`, "rollback": `{"revision": 1}`} {
		method := map[string]string{"assign": http.MethodPut, "rollback": http.MethodPost}[path]
		for match, want := range map[string]int{"": http.StatusPreconditionRequired, `"1"`: http.StatusPreconditionFailed} {
			if got := c.callIf(match, method, "/api/v1/templates/mail/"+path, "application/json", []byte(body), nil); got != want {
				t.Errorf("%s with If-Match %q: status %d, want %d", path, match, got, want)
			}
		}
	}
	var newest templates.Revision
	c.call(http.MethodGet, "/api/v1/templates/mail", "", nil, &newest)
	if newest.Number != 2 || newest.Spec.Accounts[0].Host != "second.example.test" {
		t.Errorf("newest revision %d for %s, want the second", newest.Number, newest.Spec.Accounts[0].Host)
	}
}

// TestRacingCreators: of several who say nothing of what they have seen, one
// makes the first revision, and nobody writes over it.
func TestRacingCreators(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	for path, source := range map[string]string{"/api/v1/templates": mailTemplate, "/api/v1/security-policies": security} {
		const racers = 8
		status := make(chan int, racers)
		for i := range racers {
			go func() {
				status <- c.call(http.MethodPost, path, "application/yaml", fmt.Appendf([]byte(source), "# number %d\n", i), nil)
			}()
		}
		got := map[int]int{}
		for range racers {
			got[<-status]++
		}
		if got[http.StatusOK] != 1 || got[http.StatusPreconditionRequired] != racers-1 {
			t.Errorf("%s: got %v, want one made and the others refused", path, got)
		}
	}
	var revisions adminapi.TemplateRevisions
	c.call(http.MethodGet, "/api/v1/templates/mail/revisions", "", nil, &revisions)
	if len(revisions.Revisions) != 1 {
		t.Errorf("%d revisions, want one", len(revisions.Revisions))
	}
}

// TestSharedMailboxIsRefused as the target of anything.
func TestSharedMailboxIsRefused(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	const shared = "info@example.test"
	named := strings.Replace(mailTemplate, "assign: everyone", "assign: {users: ["+shared+", "+alice+"]}", 1)
	c.apply(named) // it is on record, and marked, from now on only
	c.post("/api/v1/users", adminapi.UserInput{UPN: shared, Email: shared, DisplayName: "Info", SharedMailbox: true}, &struct{}{})
	if got := c.call(http.MethodPost, "/api/v1/templates", "application/yaml", []byte(named+"# again\n"), nil); got != http.StatusBadRequest {
		t.Errorf("a template that names one: status %d, want %d", got, http.StatusBadRequest)
	}
	for path, request := range map[string]any{
		"/api/v1/invitations":       adminapi.InvitationRequest{User: shared},
		"/api/v1/templates/preview": adminapi.PreviewRequest{Name: "mail", User: shared},
	} {
		body, err := json.Marshal(request)
		must(t, err)
		if got := c.call(http.MethodPost, path, "application/json", body, nil); got < 400 || got >= 500 {
			t.Errorf("%s: status %d, want a refusal", path, got)
		}
		if answer := string(c.body(http.MethodPost, path, request)); !strings.Contains(answer, "shared mailbox") {
			t.Errorf("%s: %s, want the reason", path, answer)
		}
	}
	var report templates.CheckReport
	c.post("/api/v1/templates/check", adminapi.CheckRequest{}, &report)
	if report.SharedMailbox != 1 || report.Rendered != 1 {
		t.Errorf("check: %+v, want the shared mailbox named", report)
	}
}

// startLogged is startInside with everything that the server logs.
func startLogged(t *testing.T, data string) (*client, *logged) {
	t.Helper()
	log := &logged{}
	a, err := app.New(t.Context(), testConfig(data, "127.0.0.1:0"), app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		must(t, a.Close())
	})
	return newClient(t, data), log
}

type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) bytes() []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	return bytes.Clone(l.text.Bytes())
}

// apply writes over whatever is newest.
func (c *client) apply(source string) {
	c.t.Helper()
	c.callIf("*", http.MethodPost, "/api/v1/templates", "application/yaml", []byte(source), &adminapi.TemplateApplied{})
}

func (c *client) applySecurity(source string) {
	c.t.Helper()
	c.callIf("*", http.MethodPost, "/api/v1/security-policies", "application/yaml", []byte(source), &adminapi.SecurityPolicyApplied{})
}

func (c *client) put(path string, in any) {
	c.t.Helper()
	body, err := json.Marshal(in)
	must(c.t, err)
	c.call(http.MethodPut, path, "application/json", body, &struct{}{})
}

// body is an answer as it comes, also one that refuses.
func (c *client) body(method, path string, in any) []byte {
	c.t.Helper()
	var sent io.Reader
	if in != nil {
		body, err := json.Marshal(in)
		must(c.t, err)
		sent = bytes.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, c.local.URL+path, sent)
	must(c.t, err)
	req.Header.Set("Authorization", "Bearer "+c.local.Token.Reveal())
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	must(c.t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	must(c.t, err)
	return answer
}

// fetch is what a browser gets.
func (c *client) fetch(url string) []byte {
	c.t.Helper()
	resp, err := c.http.Get(url)
	must(c.t, err)
	defer resp.Body.Close()
	content, err := io.ReadAll(resp.Body)
	must(c.t, err)
	if resp.StatusCode != http.StatusOK {
		c.t.Fatalf("%s: %s", url, resp.Status)
	}
	return content
}

// profileOf is the one profile on the phone whose identifier begins so.
func profileOf(t *testing.T, s agent.Snapshot, prefix string) agent.ShownProfile {
	t.Helper()
	var found []agent.ShownProfile
	for _, p := range s.Profiles {
		if strings.HasPrefix(p.Identifier, prefix) {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d profiles %s..., want one: %+v", len(found), prefix, s.Profiles)
	}
	return found[0]
}

// normal makes numbers of any type alike.
func normal(t *testing.T, v any) any {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	var out any
	must(t, json.Unmarshal(text, &out))
	return out
}

// identityFile is a PKCS#12 file with a certificate for alice.
func identityFile(t *testing.T) (*x509.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	now := time.Now()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Alice of the uploaded file"}, EmailAddresses: []string{alice}, NotBefore: now, NotAfter: now.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	file, err := pkcs12.Modern.Encode(key, leaf, nil, filePassword)
	must(t, err)
	return leaf, file
}

// filesBelow reads every file of a directory, the database's log too.
func filesBelow(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(path)
		return err
	}))
	if !slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(path string) bool { return strings.HasSuffix(path, "-wal") }) {
		t.Error("the database has no write-ahead log to look into")
	}
	return files
}
