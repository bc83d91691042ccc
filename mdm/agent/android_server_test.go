package agent_test

import (
	"context"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/mdm"
	"sallyport/mdm/agent"
	"sallyport/mdm/android"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

// outside is a stand-in as the server sees it, and what it pushed.
type outside struct {
	*agent.AMAPI
	t      *testing.T
	client *android.Client
	heard  chan android.Notification
}

func newOutside(t *testing.T) *outside {
	t.Helper()
	o := &outside{t: t, heard: make(chan android.Notification, 100)}
	ear := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		n, err := android.ParseNotification(body)
		if err != nil {
			t.Errorf("notification: %v\n%s", err, body)
		}
		o.heard <- n
	}))
	t.Cleanup(ear.Close)
	var err error
	if o.AMAPI, err = agent.NewAMAPI(t.Context(), agent.AMAPIOptions{Dir: t.TempDir(), Push: ear.URL}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	file, err := os.ReadFile(o.Account())
	if err != nil {
		t.Fatal(err)
	}
	account, err := android.ParseAccount(file)
	if err != nil {
		t.Fatal(err)
	}
	if o.client, err = android.NewClient(t.Context(), account, o.URL()); err != nil {
		t.Fatal(err)
	}
	return o
}

// signUp is the way through Google's page.
func (o *outside) signUp() string {
	o.t.Helper()
	ctx := o.t.Context()
	name, page, err := o.client.SignupURL(ctx, "https://mdm.example.test/android/callback")
	o.must(err)
	browser := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := browser.Get(page)
	o.must(err)
	answer.Body.Close()
	back, err := answer.Location()
	o.must(err)
	made, err := o.client.CreateEnterprise(ctx, name, back.Query().Get("enterpriseToken"), android.Enterprise{
		DisplayName: "Example", Topic: "projects/sallyport-rehearsal/topics/android", Notifications: android.NotificationTypes(),
		SignIn: []android.SignIn{{URL: "https://mdm.example.test/android/signin", Personal: true}},
	})
	o.must(err)
	_, err = o.client.PatchEnterprise(ctx, made)
	o.must(err)
	_, err = o.client.PatchPolicy(ctx, made.Name+"/policies/"+android.BasePolicyID, android.BasePolicy())
	o.must(err)
	return made.Name
}

func (o *outside) must(err error) {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
}

// phone that tells of a device with a report which fits.
func (o *outside) phone(fits func(*android.Phone) bool) *android.Phone {
	o.t.Helper()
	for {
		if n := <-o.heard; n.Phone != nil && fits(n.Phone) {
			return n.Phone
		}
	}
}

// TestServerAndPhone: package mdm/android, which shares no code with the stand-in,
// takes a phone from a token to its mail, hears of trouble and repair, and lets it
// go. Neither finds a fault with the other.
func TestServerAndPhone(t *testing.T) {
	t.Parallel()
	o := newOutside(t)
	ctx := t.Context()
	enterprise := o.signUp()
	token, err := o.client.CreateToken(ctx, enterprise, android.TokenRequest{Policy: android.BasePolicyID, Ticket: "TICKET", Personal: true, TTL: time.Hour})
	o.must(err)
	p, err := agent.New(agent.Options{As: agent.Android, AMAPI: o.URL(), CA: []*x509.Certificate{}})
	o.must(err)
	o.must(p.Enroll(ctx, token.Link().Reveal()))
	o.must(o.client.DeleteToken(ctx, token.Name))
	met := o.phone(func(p *android.Phone) bool { return p.Ticket == "TICKET" })
	if met.Mode != android.WorkProfile || met.Ownership != mdm.Personal || met.Deleted || met.Policy != android.BasePolicyID {
		t.Errorf("met %+v", met)
	}

	const easID = "sply0123456789abcdef0123456789ab"
	account := profiles.ExchangeAccount{Name: "Mail", Host: "mail.example.test", Domain: "EXAMPLE", UserName: "alice", Email: "alice@example.test"}.WithDefaults()
	for _, app := range managedconfig.Apps() {
		schema, err := o.client.Schema(ctx, enterprise, string(app.Package()))
		o.must(err)
		if len(schema.Keys) == 0 {
			t.Errorf("%s has no keys", app)
		}
	}
	bundle, _, err := managedconfig.Gmail(account)
	o.must(err)
	bundle["exchange_device_id"] = easID
	policy, _, err := android.BuildPolicy(android.PolicyInput{
		Mode: met.Mode, Ownership: mdm.Personal, Told: met.Ownership, OSVersion: "16",
		Security: profiles.SecurityPolicy{RequirePasscode: true, MinimumLength: 6, RequireEncryption: true},
		Android:  profiles.AndroidPolicy{MinimumOS: "13"},
		Mail:     []android.MailApp{{Package: managedconfig.GmailPackage, Config: bundle}},
	})
	o.must(err)
	name := enterprise + "/policies/d-0123"
	version, err := o.client.PatchPolicy(ctx, name, policy)
	o.must(err)
	again, err := o.client.PatchPolicy(ctx, name, policy)
	o.must(err)
	modified, err := o.client.ModifyApplications(ctx, name, policy.Mail())
	o.must(err)
	if version != 1 || again != 1 || modified != 1 {
		t.Errorf("versions %d %d %d: nothing changed", version, again, modified)
	}
	o.must(o.client.SetPolicy(ctx, met.Name, "d-0123"))
	o.must(p.Connect(ctx))
	shot, err := p.Show()
	o.must(err)
	if shot.EASDeviceID != easID || len(shot.Accounts) != 1 || shot.Accounts[0].User != `EXAMPLE\alice` || len(shot.Android.Broken) != 0 {
		t.Errorf("%+v %+v", shot, shot.Android)
	}
	fine := o.phone(func(p *android.Phone) bool { return p.Report.Policy != nil && p.Report.Policy.Applied == "d-0123" })
	if s := fine.Report.Security; s == nil || s.Posture != mdm.PostureSecure || s.PasscodePresent == nil || !*s.PasscodePresent || s.Encrypted == nil || !*s.Encrypted || !*fine.Report.Policy.Compliant {
		t.Errorf("fine: %+v", fine.Report)
	}

	o.must(p.Set("posture=COMPROMISED_OS", "passcode=off"))
	o.must(p.Connect(ctx))
	bad := o.phone(func(p *android.Phone) bool {
		return p.Report.Security != nil && p.Report.Security.Posture == mdm.PostureCompromised
	})
	if *bad.Report.Policy.Compliant || len(bad.Report.Policy.Broken) == 0 || *bad.Report.Security.PasscodePresent {
		t.Errorf("bad: %+v", bad.Report)
	}

	op, err := o.client.Issue(ctx, android.Target{Name: met.Name, Ownership: mdm.Personal}, android.Command{Type: android.ClearAppData, Packages: []string{"com.google.android.gm"}})
	o.must(err)
	o.must(p.Connect(ctx))
	outcome, err := o.client.Operation(ctx, op)
	o.must(err)
	if !outcome.Done || outcome.Failed {
		t.Errorf("%+v", outcome)
	}
	o.must(o.client.Delete(ctx, android.Target{Name: met.Name, Ownership: mdm.Personal}, "Goodbye"))
	o.must(p.Connect(ctx))
	o.phone(func(p *android.Phone) bool { return p.Deleted })
	if shot, err = p.Show(); err != nil || shot.Android.ProfilesRemoved != 1 || shot.Android.Resets != 0 || shot.State != agent.StageNone {
		t.Errorf("%+v %+v", shot, shot.Android)
	}
	if v := o.Log().Violations; len(v) > 0 {
		t.Errorf("violations: %v", v)
	}
	if strings.Contains(token.Link().String(), "et=") {
		t.Error("a link prints its token")
	}
}
