package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/certs/scep"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles"
	"sallyport/templates"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const (
	goodCode = "K7QX2MPA"
	pinCode  = "P7QX2MPA"
	goodPIN  = "482913"
	deviceID = "01990000-0000-7000-8000-000000000001"
)

// world is everything behind the front. Its methods are the rooms' services;
// err, when set, is what all of them answer.
type world struct {
	mu       sync.Mutex
	now      time.Time
	err      error
	panics   bool
	trail    []audit.Entry
	profiles int // enrolment profiles handed out
	writes   int // acts that changed something
	torn     bool
	company  bool                  // phones of invitations are the organisation's
	crowd    int                   // people beside alice that the console lists
	tokens   map[string]auth.Token // by hash
	root     *x509.Certificate
	log      bytes.Buffer
	mdm      func(apple.Request) ([]byte, error)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	plain := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
	der, err := x509.CreateCertificate(rand.Reader, plain, plain, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &world{now: noon, tokens: make(map[string]auth.Token), root: root}
}

func (w *world) clock() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }

func (w *world) sleep(d time.Duration) { w.mu.Lock(); defer w.mu.Unlock(); w.now = w.now.Add(d) }

// did notes a change, or is the trouble that all services have.
func (w *world) did(change bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.panics {
		panic("a bug with a secret: " + goodCode)
	}
	if w.err == nil && change {
		w.writes++
	}
	return w.err
}

// config wires the world to a front.
func (w *world) config() Config {
	tokens := &auth.Service{Store: tokenStore{w}, Now: w.clock}
	var c Config
	c.Device.Enroll, c.Device.SCEP, c.Device.MDM = enroller{w}, scepFake{w}, mdmFake{w}
	c.Device.CRLs, c.Device.Reasons = crlFake{w}, engine{w}
	c.Device.PublicURL, c.Device.Organization, c.Device.Now = "https://mdm.example.test", "Example Organisation", w.clock
	c.Admin.Users, c.Admin.Templates, c.Admin.Compliance = users{w}, templatesFake{w}, complianceFake{w}
	c.Admin.Revisions, c.Admin.Viewer, c.Admin.Security, c.Admin.Secrets = templatesFake{w}, templatesFake{w}, templatesFake{w}, templatesFake{w}
	c.Admin.Invitations, c.Admin.Tokens, c.Admin.Audit = enroller{w}, tokens, trail{w}
	c.Admin.Actions, c.Admin.Devices, c.Admin.Held = enroller{w}, enroller{w}, enroller{w}
	c.Device.Android, c.Admin.Android = androidFake{w: w}, androidFake{w: w}
	c.Admin.Push, c.Admin.Access, c.Admin.Mails = pushFake{w}, accessFake{w}, mailsFake{w}
	c.Admin.SMIME, c.Admin.SMIMEExports = smimeFake{w}, smimeFake{w}
	c.Admin.DeviceReport, c.Admin.DeploymentReport, c.Admin.Mailboxes = reportFake{w}, reportFake{w}, reportFake{w}
	c.Admin.Certificates, c.Admin.People, c.Admin.Hand = caFake{w}, caFake{w}, caFake{w}
	c.Admin.Authority, c.Admin.Rollover, c.Admin.Endings = authorityFake{w}, rolloverFake{w}, rolloverFake{w}
	c.Admin.Backup, c.Admin.Now = backup{w}, w.clock
	c.Access.Engine, c.Access.Logins, c.Access.Devices, c.Access.Verdicts = engine{w}, engine{w}, enroller{w}, complianceFake{w}
	c.Access.Explains, c.Access.Feed, c.Access.Tokens, c.Access.Webhooks = explainFake{w}, feedFake{w}, tokens, webhooksFake{w}
	c.Fleet, c.Tokens, c.Audit, c.Now = fleetFake{w}, tokens, trail{w}, w.clock
	c.Admin.Storage = storageFake{}
	c.Ping = func(context.Context) error { return w.did(false) }
	c.Version = "1.2.3"
	c.Log = slog.New(slog.NewJSONHandler(&lockedWriter{w: w}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	return c
}

// token makes a token of role that lives for ttl from now on.
func (w *world) token(t *testing.T, role auth.Role, ttl time.Duration) auth.Issued {
	t.Helper()
	issued, err := (&auth.Service{Store: tokenStore{w}, Now: w.clock}).Create(t.Context(), role, "owner-"+string(role), ttl)
	if err != nil {
		t.Fatal(err)
	}
	return issued
}

func (w *world) entries(action string) []audit.Entry {
	w.mu.Lock()
	defer w.mu.Unlock()
	var found []audit.Entry
	for _, e := range w.trail {
		if e.Action == action {
			found = append(found, e)
		}
	}
	return found
}

func (w *world) logged() string { w.mu.Lock(); defer w.mu.Unlock(); return w.log.String() }

type lockedWriter struct{ w *world }

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.w.mu.Lock()
	defer l.w.mu.Unlock()
	return l.w.log.Write(p)
}

type trail struct{ w *world }

func (f trail) Append(ctx context.Context, e audit.Entry) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	e.ID = int64(len(f.w.trail) + 1)
	f.w.trail = append(f.w.trail, e)
	return nil
}

func (f trail) List(_ context.Context, filter audit.Filter) ([]audit.Entry, error) {
	if err := f.w.did(false); err != nil {
		return nil, err
	}
	return []audit.Entry{{ID: filter.After + 1, At: noon, Actor: "admin", Action: "user.save", Target: "u1", Outcome: audit.Done, Detail: map[string]string{"k": "v"}}}, nil
}

type tokenStore struct{ w *world }

func (f tokenStore) SaveToken(_ context.Context, t auth.Token, _ audit.Entry) error {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	f.w.tokens[string(t.Hash)] = t
	return nil
}

func (f tokenStore) TokenByHash(_ context.Context, hash []byte) (auth.Token, error) {
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	t, found := f.w.tokens[string(hash)]
	if !found {
		return auth.Token{}, auth.ErrNotFound
	}
	return t, nil
}

func (f tokenStore) ListTokens(context.Context) ([]auth.Token, error) {
	if err := f.w.did(false); err != nil {
		return nil, err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	var all []auth.Token
	for _, t := range f.w.tokens {
		all = append(all, t)
	}
	return all, nil
}

func (f tokenStore) RevokeToken(_ context.Context, id string, now time.Time, _ audit.Entry) error {
	if err := f.w.did(true); err != nil {
		return err
	}
	f.w.mu.Lock()
	defer f.w.mu.Unlock()
	for hash, t := range f.w.tokens {
		if t.ID == id {
			t.RevokedAt = now
			f.w.tokens[hash] = t
			return nil
		}
	}
	return auth.ErrNotFound
}

var alice = directory.User{ID: "u1", UPN: "alice@example.test", Email: "alice@example.test", DisplayName: "Alice Example", Groups: []string{"sales"}, CreatedAt: noon, UpdatedAt: noon}

type users struct{ w *world }

func (f users) Save(_ context.Context, all []directory.User) ([]directory.User, error) {
	if err := f.w.did(true); err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Email == "" {
			return nil, refusal.List{refusal.New(directory.ErrInvalid, "email", "is empty", "give an address")}
		}
		all[i].ID, all[i].CreatedAt, all[i].UpdatedAt = "u2", noon, noon
	}
	return all, nil
}

func (f users) Remove(_ context.Context, upn string) error {
	if upn != alice.UPN {
		return directory.ErrNotFound
	}
	return f.w.did(true)
}

func (f users) Get(_ context.Context, upn string) (directory.User, error) {
	if err := f.w.did(false); err != nil {
		return directory.User{}, err
	}
	if upn != alice.UPN {
		return directory.User{}, directory.ErrNotFound
	}
	return alice, nil
}

func (f users) List(_ context.Context, _ string, page directory.Page) ([]directory.User, error) {
	if err := f.w.did(false); err != nil {
		return nil, err
	}
	if page.After != "" {
		return nil, nil
	}
	return []directory.User{alice}, nil
}

func (f users) Import(_ context.Context, csv io.Reader) (int, int, error) {
	data, err := io.ReadAll(csv)
	if err != nil {
		return 0, 0, err
	}
	return bytes.Count(data, []byte("\n")), 0, f.w.did(true)
}

type templatesFake struct{ w *world }

var revision = templates.Revision{TemplateID: "t1", Name: "mail", Number: 1, Source: "name: mail\n", CreatedAt: noon, CreatedBy: "admin",
	Spec: templates.Spec{Name: "mail", DisplayName: "Mail", Assign: directory.Audience{Everyone: true}, Accounts: []profiles.ExchangeAccount{{Name: "Mail", Host: "mail.example.test"}}}}

func (f templatesFake) ApplyExpecting(_ context.Context, source []byte, expected int) (templates.Revision, bool, error) {
	if err := conflict(expected); err != nil && bytes.Contains(source, []byte("name: mail\n")) {
		return templates.Revision{}, false, err
	}
	return revision, true, f.w.did(true)
}
func (f templatesFake) Assign(_ context.Context, name string, a directory.Audience, _ *directory.Audience, expected int) (templates.Revision, bool, error) {
	r, err := f.Get(context.Background(), name)
	r.Spec.Assign = a
	if err != nil {
		return r, false, err
	}
	if err := conflict(expected); err != nil {
		return templates.Revision{}, false, err
	}
	return r, true, f.w.did(true)
}
func (f templatesFake) List(context.Context) ([]templates.Revision, error) {
	return []templates.Revision{revision}, f.w.did(false)
}
func (f templatesFake) Get(_ context.Context, name string) (templates.Revision, error) {
	if name != "mail" {
		return templates.Revision{}, templates.ErrNotFound
	}
	return revision, f.w.did(false)
}
func (f templatesFake) Revisions(ctx context.Context, name string) ([]templates.Revision, error) {
	r, err := f.Get(ctx, name)
	return []templates.Revision{r}, err
}
func (f templatesFake) Revision(ctx context.Context, name string, number int) (templates.Revision, error) {
	if number > 2 {
		return templates.Revision{}, templates.ErrNotFound
	}
	return f.Get(ctx, name)
}
func (f templatesFake) RollbackExpecting(ctx context.Context, name string, _, expected int) (templates.Revision, bool, error) {
	return f.Assign(ctx, name, directory.Audience{}, nil, expected)
}

// conflict: the newest revision is 1.
func conflict(expected int) error {
	if expected != templates.AnyRevision && expected != 1 {
		return templates.ConflictOf("mail", 1, expected)
	}
	return nil
}

func (f templatesFake) Preview(context.Context, templates.PreviewRequest) (templates.Preview, error) {
	return templates.Preview{Template: "mail", Revision: 1, User: alice.UPN, Platform: templates.PlatformApple, Tree: "PayloadType: Configuration\n",
		Fidelity: []templates.AccountFidelity{{Account: "Mail", OSVersion: "11.4", Report: profiles.Report{{Field: "oauth.enabled", Status: profiles.Unsupported, Why: "iOS 12", Substitute: "a password"}}}},
		Warnings: []*refusal.Error{refusal.New(templates.ErrRender, "assign", "does not reach her", "assign it")},
		Body:     []byte("<plist/>"), ContentType: "application/x-apple-aspen-config"}, f.w.did(false)
}
func (f templatesFake) Check(context.Context, templates.CheckRequest) (templates.CheckReport, error) {
	return templates.CheckReport{Users: 1, Refused: 1, Next: alice.UPN, Failures: []templates.Failure{{
		User: alice.UPN, Template: "mail", Kind: templates.FailedRender, Field: "accounts[0].domain", Reason: "is missing", Remedy: "set it"}}}, f.w.did(false)
}
func (f templatesFake) Plan(context.Context, []byte) (templates.ChangePlan, error) {
	return templates.ChangePlan{Template: "mail", Revision: 1, Changed: true, Users: 1, Touched: 1, Sample: []string{alice.UPN},
		Changes:  []templates.Change{{Field: "accounts[0].host", Before: "a", After: "b"}},
		Effects:  []templates.Effect{{Template: "mail", Wins: 1}},
		Failures: []templates.Failure{}, Warnings: unreached}, f.w.did(false)
}

var unreached = []*refusal.Error{refusal.New(templates.ErrInvalid, "exclude.users[0]", "names nobody", "add them")}

func (f templatesFake) Unreached(context.Context, directory.Audience, directory.Audience) ([]*refusal.Error, error) {
	return unreached, f.w.did(false)
}

var security = templates.SecurityRevision{PolicyID: "p1", Name: "phones", Number: 1, Source: "name: phones\n", CreatedAt: noon, CreatedBy: "admin",
	Spec: templates.SecuritySpec{Name: "phones", Assign: directory.Audience{Everyone: true}, Settings: profiles.SecurityPolicy{RequirePasscode: true, MinimumLength: 6}}}

func (f templatesFake) ApplySecurityExpecting(_ context.Context, _ []byte, expected int) (templates.SecurityRevision, bool, error) {
	if err := conflict(expected); err != nil {
		return templates.SecurityRevision{}, false, err
	}
	return security, true, f.w.did(true)
}
func (f templatesFake) ListSecurity(context.Context) ([]templates.SecurityRevision, error) {
	return []templates.SecurityRevision{security}, f.w.did(false)
}
func (f templatesFake) GetSecurity(_ context.Context, name string) (templates.SecurityRevision, error) {
	if name != "phones" {
		return templates.SecurityRevision{}, templates.ErrNotFound
	}
	return security, f.w.did(false)
}

const canary = "a secret value"

func (f templatesFake) SetSecret(_ context.Context, in templates.SecretInput) (templates.Secret, error) {
	return templates.Secret{Name: in.Name, Kind: in.Kind, UserID: alice.ID, UPN: in.UPN, Revision: "r1", Value: in.Value, Data: in.Data, CreatedAt: noon}, f.w.did(true)
}
func (f templatesFake) ListSecrets(context.Context) ([]templates.Secret, error) {
	return []templates.Secret{{Name: "cert", Kind: templates.SecretPKCS12, Revision: "r1", Value: secret.New(canary), Data: []byte(canary),
		Subject: "CN=alice", UPNs: []string{alice.UPN}, Mails: []string{alice.Email}, NotAfter: noon, CreatedAt: noon}}, f.w.did(false)
}
func (f templatesFake) RemoveSecret(_ context.Context, name, _ string) error {
	switch name {
	case "gone":
		return templates.ErrNotFound
	case "in-use":
		return templates.ConflictOf(name, 1, 2)
	}
	return f.w.did(true)
}

type complianceFake struct{ w *world }

var policy = compliance.Policy{Name: "phones", Number: 2, Source: "name: phones\n", CreatedAt: noon, CreatedBy: "admin",
	Spec: compliance.Spec{Name: "phones", Assign: directory.Audience{Groups: []string{"sales"}}, Rules: compliance.Rules{Passcode: true}, Grace: compliance.Duration(time.Hour)}}

func (f complianceFake) Apply(context.Context, []byte) (compliance.Policy, bool, error) {
	return policy, false, f.w.did(true)
}
func (f complianceFake) Plan(context.Context, compliance.Spec) (compliance.Impact, error) {
	return compliance.Impact{Phones: 2, ShutOut: 1, Sample: []compliance.Shift{{EnrollmentID: "e1", User: "alice@example.test",
		Before: compliance.Compliant, After: compliance.NotCompliant, Policy: "phones@3", Open: "passcode failed"}}}, f.w.did(false)
}
func (f complianceFake) Policies(context.Context) ([]compliance.Policy, error) {
	return []compliance.Policy{policy}, f.w.did(false)
}
func (f complianceFake) Unmailed(context.Context, compliance.Spec) ([]string, int, error) {
	return []string{"alice@example.test"}, 2, f.w.did(false)
}
func (f complianceFake) Progress(context.Context) (compliance.Run, error) {
	return compliance.Run{Reason: mdm.EventPolicyChanged, Done: 1, Total: 2, StartedAt: noon}, f.w.did(false)
}
func (f complianceFake) Current(_ context.Context, id mdm.EnrollmentID) (compliance.Verdict, error) {
	return compliance.Verdict{EnrollmentID: id, State: compliance.NotCompliant, Since: noon, At: noon, ValidUntil: noon.Add(time.Hour), Policy: "phones@2",
		Findings: []compliance.Finding{{Rule: compliance.RulePasscode, State: compliance.Failed, Fact: "no passcode", Expected: "a passcode", Since: noon, Fix: "set a passcode"}}}, f.w.did(false)
}

type engine struct{ w *world }

func (f engine) Decide(_ context.Context, c access.Client) (access.Decision, error) {
	if err := c.Validate(); err != nil {
		return access.Decision{}, err
	}
	return access.Decision{Effect: access.Allow, ValidUntil: noon.Add(time.Hour)}, f.w.did(false)
}

func (f engine) Named(_ context.Context, login string) ([]directory.UserID, error) {
	if err := f.w.did(false); err != nil || login == "nobody" {
		return nil, err
	}
	return []directory.UserID{"u1"}, nil
}

func (f engine) Certified(context.Context, string, string) (bool, error) { return true, f.w.did(false) }

// goodReason is the token of the one reason page there is.
const goodReason = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

func (f engine) Standing(_ context.Context, token string) (access.Standing, error) {
	if err := f.w.did(false); err != nil {
		return access.Standing{}, err
	}
	if token != goodReason {
		return access.Standing{}, access.ErrNotFound
	}
	return access.Standing{
		Device:   access.DeviceRow{UPN: alice.UPN, Device: access.Device{Type: "iPhone", UserAgent: "Apple-iPhone"}},
		Decision: access.Decision{Effect: access.Block, Reasons: []access.Reason{{Rule: "passcode", Fact: "no passcode is set", Fix: "Set a passcode.", Since: noon}}},
		Since:    noon, At: noon,
	}, nil
}

type backup struct{ w *world }

func (f backup) Backup(_ context.Context, out io.Writer) error {
	if err := f.w.did(false); err != nil {
		return err
	}
	if _, err := out.Write([]byte("SQLite format 3\x00")); err != nil {
		return err
	}
	if f.w.torn {
		return errors.New("disk gone")
	}
	return nil
}

type enroller struct{ w *world }

var invitation = enroll.Invitation{ID: "i1", UserID: "u1", UPN: alice.UPN, Ownership: mdm.Personal, State: enroll.InvitationOpen,
	CreatedAt: noon, CreatedBy: "Dana Admin", ExpiresAt: noon.AddDate(0, 0, 7)}

func (f enroller) find(code string) (enroll.Invitation, error) {
	if err := f.w.did(false); err != nil {
		return enroll.Invitation{}, err
	}
	i := invitation
	switch strings.ToUpper(code) {
	case goodCode:
	case pinCode:
		i.PINHash = []byte("hash")
	case "USED2222":
		return i, refusal.New(enroll.ErrInvitationUsed, "code", "used", "ask")
	case "EXPR2222":
		return i, refusal.New(enroll.ErrInvitationExpired, "code", "expired", "ask")
	case "RVKD2222":
		return i, refusal.New(enroll.ErrInvitationRevoked, "code", "revoked", "ask")
	default:
		return i, refusal.New(enroll.ErrNotFound, "code", "unknown", "ask")
	}
	if f.w.company {
		i.Ownership = mdm.Corporate
	}
	return i, nil
}

func (f enroller) Open(_ context.Context, code string) (enroll.Welcome, error) {
	i, err := f.find(code)
	return enroll.Welcome{Invitation: i, User: alice, Organization: "Example Organisation", PINAsked: i.PINHash != nil,
		Accounts: []profiles.ExchangeAccount{{Email: alice.Email, Host: "mail.example.test", UserName: alice.UPN}}}, err
}

func (f enroller) EnrollmentProfile(_ context.Context, code, pin string) ([]byte, error) {
	i, err := f.find(code)
	if err != nil {
		return nil, err
	}
	if i.PINHash != nil && pin != goodPIN {
		return nil, refusal.New(enroll.ErrInvalid, "pin", "wrong", "look again")
	}
	f.w.mu.Lock()
	f.w.profiles++
	f.w.mu.Unlock()
	return []byte("signed profile"), f.w.did(true)
}

func (f enroller) InviteAll(_ context.Context, r enroll.InviteRequest) (enroll.Invited, error) {
	if err := f.w.did(true); err != nil {
		return enroll.Invited{}, err
	}
	issued := enroll.Issued{Invitation: invitation, User: alice, URL: secret.New("https://mdm.example.test/enroll/" + goodCode)}
	if r.PIN {
		issued.PIN = secret.New(goodPIN)
	}
	invited := enroll.Invited{Issued: []enroll.Issued{issued}}
	if r.All {
		invited.Skipped = []enroll.Skipped{{User: alice, Reason: refusal.New(enroll.ErrInvalid, "user", "is a shared mailbox", "clear the mark")}}
	}
	return invited, nil
}

func (f enroller) ListInvitations(context.Context, string, directory.Page) ([]enroll.Invitation, error) {
	return []enroll.Invitation{invitation}, f.w.did(false)
}

func (f enroller) RevokeInvitation(_ context.Context, id string) error {
	if id != "i1" {
		return enroll.ErrNotFound
	}
	return f.w.did(true)
}

func row() enroll.DeviceRow {
	yes := true
	return enroll.DeviceRow{
		Device:     mdm.Device{ID: deviceID, Platform: mdm.Apple, UDID: "00008110-000A", Product: "iPhone15,4"},
		Enrollment: mdm.Enrollment{ID: "e1", State: mdm.Configured, Ownership: mdm.Personal, CreatedAt: noon, EnrolledAt: noon, LastSeenAt: noon},
		UPN:        alice.UPN, Verdict: "compliant", ChangedAt: noon,
		Report: mdm.Report{
			Device:       &mdm.DeviceFacts{At: noon, OSVersion: "18.1", EASDeviceID: "ABC", Supervised: &yes},
			Security:     &mdm.SecurityFacts{At: noon, PasscodePresent: &yes},
			Profiles:     &mdm.ProfileFacts{At: noon, Items: []mdm.ProfileOnFile{{Identifier: "p", UUID: "U", Managed: &yes, Encrypted: true}}},
			Certificates: &mdm.CertificateFacts{At: noon, Items: []mdm.CertificateOnFile{{CommonName: "c", Identity: true, SHA256: "00", NotAfter: noon}}},
		},
	}
}

func (f enroller) ListDevices(context.Context, enroll.DeviceFilter) ([]enroll.DeviceRow, error) {
	return []enroll.DeviceRow{row()}, f.w.did(false)
}

func (f enroller) Device(_ context.Context, id mdm.DeviceID) (enroll.DeviceRow, error) {
	if id != deviceID {
		return enroll.DeviceRow{}, enroll.ErrNotFound
	}
	return row(), f.w.did(false)
}

func (f enroller) Capabilities(_ context.Context, row enroll.DeviceRow) ([]mdm.Capability, error) {
	return mdm.Capabilities(row.Enrollment.Target(row.Report)), nil
}

type scepFake struct{ w *world }

func (f scepFake) Do(_ context.Context, operation string, message []byte) (string, []byte, error) {
	if err := f.w.did(false); err != nil {
		return "", nil, err
	}
	switch operation {
	case "GetCACaps":
		return "text/plain", []byte("SHA-256\nAES\n"), nil
	case "PKIOperation":
		if len(message) == 0 {
			return "", nil, scep.ErrBadRequest
		}
		return "application/x-pki-message", slices.Concat([]byte("reply to "), message), nil
	}
	return "", nil, scep.ErrBadRequest
}

type mdmFake struct{ w *world }

func (f mdmFake) Handle(_ context.Context, r apple.Request) ([]byte, error) {
	if err := f.w.did(false); err != nil {
		return nil, err
	}
	if f.w.mdm != nil {
		return f.w.mdm(r)
	}
	return []byte("<plist/>"), nil
}
