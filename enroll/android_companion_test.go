package enroll

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sallyport/certs"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

const (
	goodCert    = "aa"
	revokedCert = "bb"
)

// keyScene is a phone with one mail account that signs in with a key.
func keyScene(t testing.TB) (*house, Have, []AndroidMail) {
	t.Helper()
	h := newHouse(t)
	h.certs[goodCert] = certs.Certificate{SHA256: goodCert, NotAfter: noon.AddDate(1, 0, 0)}
	h.certs[revokedCert] = certs.Certificate{SHA256: revokedCert, NotAfter: noon.AddDate(1, 0, 0), RevokedAt: noon}
	have := Have{Enrollment: mdm.Enrollment{ID: "01993b1e-0000-7000-8000-0000000000e1"}, User: h.alice, Companion: "com.example.agent"}
	return h, have, []AndroidMail{{Identifier: "p1", Alias: "sallyport-mail"}, {Identifier: "p2"}}
}

func told(keys ...mdm.KeyOnFile) mdm.Report {
	return mdm.Report{Keys: &mdm.KeyFacts{At: noon, Items: keys}}
}

func TestKeyStates(t *testing.T) {
	t.Parallel()
	key := func(sha string) mdm.KeyOnFile {
		return mdm.KeyOnFile{Alias: "sallyport-mail", Profile: "p1", SHA256: sha, NotAfter: noon.AddDate(1, 0, 0), At: noon}
	}
	ended, another := key(goodCert), key(goodCert)
	ended.NotAfter, another.Profile = noon, "p0"
	due := []mdm.Renewal{{Rule: string(certs.RuleMailIdentity), Profile: "p1", DueAt: noon}}
	for _, tt := range []struct {
		name     string
		report   mdm.Report
		renewals []mdm.Renewal
		mail     bool
		want     []AgentState
	}{
		{"nothing was told", mdm.Report{}, nil, true, []AgentState{AgentWanted}},
		{"a failure alone", told(mdm.KeyOnFile{Alias: "sallyport-mail", Profile: "p1", Failure: "no"}), nil, true, []AgentState{AgentWanted}},
		{"there", told(key(goodCert)), nil, true, []AgentState{AgentInstalled}},
		{"revoked", told(key(revokedCert)), nil, true, []AgentState{AgentWanted}},
		{"not on record", told(key("cc")), nil, true, []AgentState{AgentWanted}},
		{"ended", told(ended), nil, true, []AgentState{AgentWanted}},
		{"of another account that had the alias", told(another), nil, true, []AgentState{AgentWanted}},
		{"due", told(key(goodCert)), due, true, []AgentState{AgentRenew}},
		{"due later", told(key(goodCert)), []mdm.Renewal{{Rule: due[0].Rule, Profile: "p1", DueAt: noon.Add(time.Hour)}}, true, []AgentState{AgentInstalled}},
		{"another account's is due", told(key(goodCert)), []mdm.Renewal{{Rule: due[0].Rule, Profile: "p2", DueAt: noon}}, true, []AgentState{AgentInstalled}},
		{"revoked and due", told(key(revokedCert)), due, true, []AgentState{AgentWanted}},
		{"wanted no more", told(key(goodCert)), due, false, []AgentState{AgentRemove}},
		{"wanted no more, and never there", told(mdm.KeyOnFile{Alias: "sallyport-mail", Profile: "p1", Failure: "no"}), nil, false, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h, have, accounts := keyScene(t)
			have.Report, have.Enrollment.Renewals = tt.report, tt.renewals
			if !tt.mail {
				accounts = accounts[1:]
			}
			keys, err := h.enroll.agentKeys(t.Context(), have, accounts)
			if err != nil {
				t.Fatal(err)
			}
			var got []AgentState
			for _, k := range keys {
				got = append(got, k.State)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A revision changes when there is something to do, and not when it was done.
func TestKeyRevisions(t *testing.T) {
	t.Parallel()
	h, have, accounts := keyScene(t)
	h.certs["cc"] = h.certs[goodCert]
	at := noon
	key := func(sha string) mdm.Report {
		at = at.Add(time.Minute)
		return told(mdm.KeyOnFile{Alias: "sallyport-mail", Profile: "p1", SHA256: sha, NotAfter: noon.AddDate(1, 0, 0), At: at})
	}
	var seen []string
	look := func(what string, changed bool) {
		t.Helper()
		keys, err := h.enroll.agentKeys(t.Context(), have, accounts)
		if err != nil || len(keys) != 1 || len(keys[0].Revision) != 16 {
			t.Fatalf("%s: %+v, %v", what, keys, err)
		}
		r := keys[0].Revision
		for i, old := range seen {
			if last := i == len(seen)-1; old == r && (changed || !last) {
				t.Errorf("%s: revision %s was there before", what, r)
			}
		}
		if !changed && len(seen) > 0 && seen[len(seen)-1] != r {
			t.Errorf("%s: the revision changed", what)
		}
		if changed {
			seen = append(seen, r)
		}
		have.Sent.Keys = revisions(keys) // the phone is told
	}
	renew := []mdm.Renewal{{Rule: string(certs.RuleMailIdentity), Profile: "p1", DueAt: noon}}
	look("wanted", true)
	look("wanted still", false)
	have.Report = key(goodCert)
	look("installed", false)
	have.Enrollment.Renewals = renew
	look("due", true)
	have.Enrollment.Renewals = nil // as the new one is issued
	look("issued", false)
	have.Report = key("cc")
	look("renewed", false)
	have.Enrollment.Renewals = renew
	look("due again", true)
	have.Enrollment.Renewals, have.Report = nil, key(revokedCert)
	look("revoked", true)
	have.Report = key("")
	look("removed by the user", true)
	have.Report = key(goodCert)
	look("there again", false)
	accounts = nil
	look("wanted no more", true)
}

func TestCompanionIsTold(t *testing.T) {
	t.Parallel()
	h, have, accounts := keyScene(t)
	keys, err := h.enroll.agentKeys(t.Context(), have, accounts)
	if err != nil {
		t.Fatal(err)
	}
	c := h.enroll.companion(have, keys)
	want := managedconfig.Bundle{
		"server_url": "https://mdm.example.test/android/agent", "token": h.enroll.agentToken(have.Enrollment.ID),
		"certificates": []managedconfig.Bundle{{"alias": "sallyport-mail", "revision": keys[0].Revision}},
	}
	if diff := cmp.Diff(&android.Companion{Package: "com.example.agent", Config: want}, c); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if h.enroll.companion(have, nil) != nil {
		t.Error("a phone that has no keys to fetch gets the app")
	}
	have.Companion = ""
	if h.enroll.companion(have, keys) != nil {
		t.Error("an app is sent that is not set")
	}
}

func TestAgentToken(t *testing.T) {
	t.Parallel()
	h, have, _ := keyScene(t)
	a := &Androids{Service: h.enroll} // nothing else may be asked
	good := h.enroll.agentToken(have.Enrollment.ID)
	id, mac, _ := strings.Cut(good, ".")
	for _, token := range []string{
		"", ".", id, id + ".", "." + mac, good + "A", good[:len(good)-1], strings.ToUpper(id) + "." + mac, "{" + id + "}." + mac,
		id[:len(id)-1] + "2." + mac, id + "." + mac + "=", good + "." + mac, " " + good, strings.Repeat("a", 1<<16),
	} {
		if _, err := a.AgentKeys(t.Context(), token); !errors.Is(err, ErrAgent) {
			t.Errorf("%.60q: %v", token, err)
		}
	}
}

func TestAgentReport(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	for _, tt := range []struct {
		name   string
		in     AgentReport
		fields []string
	}{
		{"installed", AgentReport{State: "installed", SHA256: sum}, nil},
		{"failed", AgentReport{State: "failed", Reason: "the key store is locked"}, nil},
		{"failed, as long as may be", AgentReport{State: "failed", Reason: strings.Repeat("é", 256)}, nil},
		{"removed", AgentReport{State: "removed"}, nil},
		{"nothing", AgentReport{}, []string{"state"}},
		{"a state of the list", AgentReport{State: "wanted"}, []string{"state"}},
		{"no certificate", AgentReport{State: "installed"}, []string{"sha256"}},
		{"too short", AgentReport{State: "installed", SHA256: sum[2:]}, []string{"sha256"}},
		{"not hex", AgentReport{State: "installed", SHA256: "zz" + sum[2:]}, []string{"sha256"}},
		{"no reason", AgentReport{State: "failed", Reason: " "}, []string{"reason"}},
		{"too long", AgentReport{State: "failed", Reason: strings.Repeat("a", 513)}, []string{"reason"}},
		{"two lines", AgentReport{State: "failed", Reason: "a\nb"}, []string{"reason"}},
		{"a bell", AgentReport{State: "failed", Reason: "a\a"}, []string{"reason"}},
		{"not UTF-8", AgentReport{State: "failed", Reason: "a\xff"}, []string{"reason"}},
		{"a reason for none", AgentReport{State: "removed", Reason: "a", SHA256: sum}, []string{"sha256", "reason"}},
	} {
		err := tt.in.check()
		var fields []string
		for _, e := range refusal.All(err) {
			fields = append(fields, e.Field)
		}
		if diff := cmp.Diff(tt.fields, fields, cmpopts.EquateEmpty()); diff != "" || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

// FuzzAgentReport: what is kept of an app's words is one short line.
func FuzzAgentReport(f *testing.F) {
	f.Add("failed", "", "no key store")
	f.Add("installed", strings.Repeat("ab", 32), "")
	f.Add("failed", "", "a\x00\u2028\xff")
	f.Fuzz(func(t *testing.T, state, sha256, reason string) {
		r := AgentReport{State: state, SHA256: sha256, Reason: reason}
		if r.check() != nil {
			return
		}
		if len(r.Reason) > 512 || strings.ContainsFunc(r.Reason, unicode.IsControl) || (r.State == "installed") != (len(r.SHA256) == 64) {
			t.Errorf("taken: %q", r)
		}
	})
}

// picky is Google, which takes no policy with a companion app.
type picky struct {
	AndroidPolicies
	err     error // of a policy with the app
	give    error // of giving a policy to a phone
	patched []android.Policy
}

func (g *picky) PatchPolicy(_ context.Context, _ string, p android.Policy) (int64, error) {
	text, err := p.Encode()
	if err == nil && strings.Contains(string(text), "CERT_INSTALL") {
		err = g.err
	}
	if err != nil {
		return 0, err
	}
	g.patched = append(g.patched, p)
	return int64(len(g.patched)), nil
}

func (g *picky) SetPolicy(context.Context, string, string) error { return g.give }

// Mail waits for no key: where Google takes no policy with the companion app, the
// phone gets the rest.
func TestMailWaitsForNoKey(t *testing.T) {
	t.Parallel()
	app := android.MailApp{Package: managedconfig.GmailPackage, Config: managedconfig.Bundle{"email_address": "a@example.test"}}
	in := android.PolicyInput{Mail: []android.MailApp{app}, Security: profiles.SecurityPolicy{}}
	bare, _, err := android.BuildPolicy(in)
	if err != nil {
		t.Fatal(err)
	}
	in.Companion = &android.Companion{Package: "com.example.agent", Config: managedconfig.Bundle{"token": "t"}}
	whole, _, err := android.BuildPolicy(in)
	if err != nil {
		t.Fatal(err)
	}
	invalid := &android.Problem{Code: 400, Plain: "an app is none"}
	for _, tt := range []struct {
		name string
		g    picky
		kept bool
		err  bool
		sent string // hash
	}{
		{"taken", picky{}, false, false, whole.Hash()},
		{"the app is refused", picky{err: invalid}, true, false, bare.Hash()},
		{"no answer", picky{err: &android.Problem{Retry: true}}, false, true, ""},
		{"another key is needed", picky{err: &android.Problem{Code: 403, Caller: true}}, false, true, ""},
		{"the phone is refused", picky{give: invalid}, false, true, whole.Hash()},
	} {
		p := AndroidPhone{EnrollmentID: "e1"}
		want := androidWant{policy: whole, bare: bare, keys: []AgentKey{{Alias: "a", Revision: "1"}}}
		kept, err := (&Androids{}).sendAny(t.Context(), AndroidAPI{AndroidPolicies: &tt.g}, "enterprises/E", &p, want)
		if errors.Is(kept, errKept) != tt.kept || (err != nil) != tt.err || p.Sent.Hash != tt.sent || (p.Sent.Keys != nil) != (tt.sent == whole.Hash()) {
			t.Errorf("%s: kept %v, %v; sent %+v", tt.name, kept, err, p.Sent)
		}
	}
}

// An Android phone has no enrolment profile that could be sent again.
func TestNoProfileGoesToAnAndroidPhone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.Renewals = nil // is not asked
	e := mdm.Enrollment{Platform: mdm.Android, Ownership: mdm.Corporate, AccessRights: AccessRights(mdm.Corporate)}
	if err := h.enroll.dropRights(t.Context(), e); err != nil {
		t.Error(err)
	}
}
