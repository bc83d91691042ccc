package agent

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"testing"
)

func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return hex.EncodeToString(sum[:])
}

// renewal is the enrolment profile once more, with a fresh challenge.
func (f *fakeServer) renewal(change ...string) []byte {
	challenge := randomText()
	f.challenges[challenge] = ""
	return f.ca.signed(f.t, []byte(strings.NewReplacer(change...).Replace(string(f.enrolmentProfile(challenge)))))
}

// identityOf is the phone's certificate of a profile.
func identityOf(t *testing.T, p *Phone, profile string) string {
	t.Helper()
	found := ""
	for _, c := range show(t, p).Certificates {
		if c.Identity && c.Profile == profile {
			if found != "" {
				t.Errorf("two identities of %s", profile)
			}
			found = c.SHA256
		}
	}
	return found
}

// TestRenewedManagement: the enrolment profile again brings a new identity, which
// speaks from the very answer on, and nothing else changes.
func TestRenewedManagement(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	before, old := show(t, p), identityOf(t, p, "test.example.enrol")
	f.successors = true
	f.order("InstallProfile", m{"Payload": f.renewal("7999", "7991")})
	connect(t, p)
	if statuses(f) != statusAcknowledged {
		t.Fatalf("%v", f.lastResult())
	}
	after, renewed := show(t, p), identityOf(t, p, "test.example.enrol")
	if renewed == old || renewed == "" {
		t.Errorf("identity %s", renewed)
	}
	if last := f.signers[len(f.signers)-2:]; last[0] != old || last[1] != renewed {
		t.Errorf("signed by %v, want the old identity and then the new one", last)
	}
	if after.State != StageEnrolled || len(after.Profiles) != 1 || after.Profiles[0].Managed || after.UDID != before.UDID || after.Prompts != 0 {
		t.Errorf("%+v", after)
	}
	if got := strings.Join(f.checkedIn, " "); got != "Authenticate TokenUpdate" {
		t.Errorf("checked in with %s", got)
	}
	f.order("EraseDevice", nil) // the right is gone
	connect(t, p)
	if domain, code := rootCause(t, f); domain != domainMDM || code != codeMDMNotAuthorized || show(t, p).Erasures != 0 {
		t.Errorf("EraseDevice: %s %d", domain, code)
	}
}

// TestManagementStaysAsItIs: iOS refuses what would move it elsewhere, or give it more.
func TestManagementStaysAsItIs(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	old := identityOf(t, p, "test.example.enrol")
	for what, change := range map[string][]string{
		"topic":   {topic, "com.apple.mgmt.External.99999999-3333-5333-8333-333333333333"},
		"address": {f.http.URL + "/mdm<", f.http.URL + "/mdm2<"},
		"rights":  {"7999", "8191"},
		"payload": {mdmUUID, "12121212-1111-5111-8111-111111111111"},
		"nothing": {"com.apple.mdm", "com.apple.mdn"},
	} {
		f.order("InstallProfile", m{"Payload": f.renewal(change...)})
		connect(t, p)
		if domain, code := rootCause(t, f); domain != domainMDM || code != codeMDMMismatch && code != codeMDMNoIdentity {
			t.Errorf("another %s: %s %d: %v", what, domain, code, f.lastResult()["Status"])
		}
	}
	if now := identityOf(t, p, "test.example.enrol"); now != old {
		t.Errorf("identity %s, want %s", now, old)
	}
}

// TestRenewedMail: the mail profile again changes the account in place, without a
// word to the owner. Under another UUID it would make it anew.
func TestRenewedMail(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	for range 2 {
		f.order("InstallProfile", m{"Payload": f.encrypted(f.mailProfile(easUUID, "mail.example.test"))})
		connect(t, p)
	}
	first := identityOf(t, p, "test.example.mail")
	set(t, p, "lose-replies=1")
	f.order("InstallProfile", m{"Payload": f.encrypted(f.mailProfile(easUUID, "mail.example.test"))})
	connect(t, p)
	if domain, code := rootCause(t, f); domain != domainSCEP || code != codeSCEPNetwork {
		t.Errorf("lost certificate: %s %d", domain, code)
	}
	if s := show(t, p); identityOf(t, p, "test.example.mail") != first || s.AccountsMade != 1 || s.Recreated != 0 || s.Prompts != 0 || s.Accounts[0].Updates != 1 {
		t.Errorf("%+v", s)
	}
	anew := f.mailProfile("99999999-9999-5999-8999-999999999999", "mail.example.test")
	delete(anew["PayloadContent"].([]any)[1].(m), "PayloadCertificateUUID")
	f.order("InstallProfile", m{"Payload": f.encrypted(anew)})
	connect(t, p)
	if s := show(t, p); s.AccountsMade != 2 || s.Recreated != 1 || s.Prompts != 1 {
		t.Errorf("%+v", s)
	}
	f.answerWith = 400
	if err := p.Connect(t.Context()); err == nil || show(t, p).Refused != 1 {
		t.Errorf("%v, %d refused", err, show(t, p).Refused)
	}
}

// TestKeyPool: every key is another one and does what a key must; few primes do.
func TestKeyPool(t *testing.T) {
	t.Parallel()
	pool, seen := NewKeyPool(), map[string]bool{}
	for range 10 {
		name, key, err := pool.take(smallestKey)
		if err != nil || key.N.BitLen() != smallestKey || seen[name] {
			t.Fatalf("%v, %d bits", err, key.N.BitLen())
		}
		seen[name] = true
		if got, err := pool.get(name); err != nil || !got.Equal(key) {
			t.Errorf("%v", err)
		}
		if _, err := rsa.SignPKCS1v15(nil, key, 0, []byte("text")); err != nil {
			t.Error(err)
		}
	}
	if n := len(pool.primes[smallestKey/2]); n != 5 {
		t.Errorf("%d primes for 10 keys", n)
	}
}
