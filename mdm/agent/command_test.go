package agent

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

const easUUID = "88888888-8888-5888-8888-888888888888"

func install(f *fakeServer, der []byte) { f.order("InstallProfile", m{"Payload": der}) }

// rootCause is the last item of the last result's ErrorChain.
func rootCause(t *testing.T, f *fakeServer) (string, uint64) {
	t.Helper()
	r := f.lastResult()
	chain, _ := r["ErrorChain"].([]any)
	if r["Status"] != statusError || len(chain) == 0 {
		t.Fatalf("result is %v", r)
	}
	last := chain[len(chain)-1].(m)
	return last["ErrorDomain"].(string), last["ErrorCode"].(uint64)
}

func TestInstallMailProfile(t *testing.T) {
	f := newFakeServer(t)
	p, told := enrolled(t, f)
	install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
	f.order("ProfileList", nil)
	f.order("CertificateList", nil)
	connect(t, p)
	told.has(t, "EAS profile installed  alice@example.test on mail.example.test")
	told.has(t, "command  InstallProfile  acknowledged")

	certificates := f.results[len(f.results)-1]["CertificateList"].([]any)
	if len(certificates) != 3 {
		t.Errorf("%d certificates", len(certificates))
	}
	profiles := f.results[len(f.results)-2]["ProfileList"].([]any)
	if len(profiles) != 2 {
		t.Fatalf("%d profiles", len(profiles))
	}
	enrolment, mail := profiles[0].(m), profiles[1].(m)
	if enrolment["IsManaged"] != false || enrolment["PayloadContent"] == nil {
		t.Errorf("enrolment profile: %v", enrolment)
	}
	// What an encrypted profile holds is not told.
	if mail["IsManaged"] != true || mail["IsEncrypted"] != true || mail["PayloadContent"] != nil || mail["PayloadUUID"] != "77777777-7777-5777-8777-777777777777" {
		t.Errorf("mail profile: %v", mail)
	}
	s := show(t, p)
	if len(s.Accounts) != 1 || s.Accounts[0].Host != "mail.example.test" || !s.Accounts[0].Certificate || !s.Accounts[0].SSL {
		t.Errorf("accounts: %+v", s.Accounts)
	}
}

// The same payload identifier and UUID change an account in place; another UUID
// makes it anew. Each installation asks for a new certificate.
func TestAccountUpdatedOrMadeAnew(t *testing.T) {
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	for i, want := range []struct {
		uuid, host         string
		updates, recreated int
	}{
		{easUUID, "mail.example.test", 0, 0},
		{strings.ToLower(easUUID), "mail2.example.test", 1, 0},
		{"99999999-9999-5999-8999-999999999999", "mail2.example.test", 0, 1},
	} {
		install(f, f.encrypted(f.mailProfile(want.uuid, want.host)))
		connect(t, p)
		s := show(t, p)
		if len(s.Accounts) != 1 || s.Accounts[0].Updates != want.updates || s.Accounts[0].Host != want.host || s.Recreated != want.recreated {
			t.Errorf("%d: %+v recreated %d", i, s.Accounts, s.Recreated)
		}
		if len(f.issued) != i+2 || len(s.Certificates) != 3 || len(s.Profiles) != 2 {
			t.Errorf("%d: issued %d, %d certificates, %d profiles", i, len(f.issued), len(s.Certificates), len(s.Profiles))
		}
	}
	f.order("RemoveProfile", m{"Identifier": "test.example.mail"})
	connect(t, p)
	if s := show(t, p); len(s.Accounts) != 0 || len(s.Certificates) != 2 || len(s.Profiles) != 1 {
		t.Errorf("after RemoveProfile: %+v", s)
	}
	install(f, f.encrypted(f.mailProfile(easUUID, "mail2.example.test")))
	connect(t, p)
	if s := show(t, p); s.Recreated != 2 {
		t.Errorf("removed and installed again: recreated %d", s.Recreated)
	}
}

func TestInstallRefused(t *testing.T) {
	eas := func(p m) m { return p["PayloadContent"].([]any)[1].(m) }
	stranger := newFakeCA(t)
	tests := []struct {
		name   string
		make   func(f *fakeServer, p *Phone) []byte
		domain string
		code   uint64
	}{
		{"signed by a stranger", func(f *fakeServer, _ *Phone) []byte {
			return stranger.signed(t, f.encode(f.mailProfile(easUUID, "mail.example.test")))
		}, domainProfile, 1004},
		{"not CMS", func(f *fakeServer, _ *Phone) []byte { return []byte("hello") }, domainProfile, 1004},
		{"not a plist", func(f *fakeServer, _ *Phone) []byte { return f.ca.signed(t, []byte("hello")) }, domainProfile, 1000},
		{"closed to another phone", func(f *fakeServer, _ *Phone) []byte {
			mine := f.identity
			f.identity = f.ca.identity(t, "other", "bob@example.test", mustRSA(t).Public())
			defer func() { f.identity = mine }()
			return f.encrypted(f.mailProfile(easUUID, "mail.example.test"))
		}, domainProfile, 1006},
		{"no host", func(f *fakeServer, _ *Phone) []byte { return f.encrypted(f.mailProfile(easUUID, "")) }, domainEAS, 21003},
		{"host with a scheme", func(f *fakeServer, _ *Phone) []byte {
			return f.encrypted(f.mailProfile(easUUID, "https://mail.example.test"))
		}, domainPayload, 2004},
		{"variable left", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			eas(q)["UserName"] = "%upn%"
			return f.encrypted(q)
		}, domainPayload, 2004},
		{"nothing enabled", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			for _, s := range services {
				eas(q)[s] = false
			}
			return f.encrypted(q)
		}, domainEAS, 21009},
		{"five days", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			eas(q)["MailNumberOfPastDaysToSync"] = 5
			return f.encrypted(q)
		}, domainPayload, 2004},
		{"wrong type", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			eas(q)["SSL"] = "yes"
			return f.encrypted(q)
		}, domainPayload, 2003},
		{"identity elsewhere", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			eas(q)["PayloadCertificateUUID"] = scepUUID
			return f.encrypted(q)
		}, domainEAS, 21007},
		{"same UUID twice", func(f *fakeServer, _ *Phone) []byte {
			return f.encrypted(f.mailProfile("66666666-6666-5666-8666-666666666666", "mail.example.test"))
		}, domainProfile, 1007},
		{"made by hand before", func(f *fakeServer, p *Phone) []byte {
			if err := p.AddAccount("Alice@example.test", "alice", "MAIL.example.test"); err != nil {
				t.Fatal(err)
			}
			return f.encrypted(f.mailProfile(easUUID, "mail.example.test"))
		}, domainEAS, 21005},
		{"second management", func(f *fakeServer, _ *Phone) []byte {
			return f.ca.signed(t, []byte(strings.ReplaceAll(string(f.enrolmentProfile("x")), "test.example.enrol", "test.example.other")))
		}, domainMDM, 12001},
		{"challenge used before", func(f *fakeServer, _ *Phone) []byte {
			q := f.mailProfile(easUUID, "mail.example.test")
			for c := range f.challenges {
				f.challenges[c] = "somebody"
			}
			return f.encrypted(q)
		}, domainSCEP, 22013},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			p, told := enrolled(t, f)
			install(f, tt.make(f, p))
			connect(t, p)
			if domain, code := rootCause(t, f); domain != tt.domain || code != tt.code {
				t.Errorf("got %s %d, want %s %d", domain, code, tt.domain, tt.code)
			}
			first := f.lastResult()["ErrorChain"].([]any)[0].(m)
			if first["ErrorDomain"] != domainInstallation || first["ErrorCode"] != uint64(4001) {
				t.Errorf("chain begins with %v", first)
			}
			told.has(t, "command  InstallProfile  refused")
			s := show(t, p)
			for _, a := range s.Accounts {
				if a.Profile != "" {
					t.Errorf("left on the phone: %+v", a)
				}
			}
			if len(s.Profiles) != 1 || len(s.Certificates) != 2 {
				t.Errorf("left on the phone: %d profiles, %d certificates", len(s.Profiles), len(s.Certificates))
			}
		})
	}
}

func TestOtherCommands(t *testing.T) {
	f := newFakeServer(t)
	p, _ := enrolled(t, f)

	f.order("DeviceInformation", m{"Queries": []string{"EASDeviceIdentifier", "OSVersion", "NoSuchThing"}})
	connect(t, p)
	answers := f.lastResult()["QueryResponses"].(m)
	if len(answers) != 2 || answers["EASDeviceIdentifier"] != show(t, p).EASDeviceID {
		t.Errorf("DeviceInformation: %v", answers)
	}

	f.order("SecurityInfo", nil)
	connect(t, p)
	if s := f.lastResult()["SecurityInfo"].(m); s["PasscodePresent"] != true || s["HardwareEncryptionCaps"] != uint64(3) {
		t.Errorf("SecurityInfo: %v", s)
	}

	f.order("SelfDestruct", nil)
	connect(t, p)
	if domain, code := rootCause(t, f); domain != domainMDM || code != 12021 {
		t.Errorf("unknown command: %s %d", domain, code)
	}

	f.order("RemoveProfile", m{"Identifier": "nobody"})
	connect(t, p)
	if domain, code := rootCause(t, f); domain != domainMDM || code != 12013 {
		t.Errorf("unknown profile: %s %d", domain, code)
	}

	f.order("InstallProfile", m{"Payload": "text"})
	connect(t, p)
	if r := f.lastResult(); r["Status"] != statusFormatError {
		t.Errorf("malformed command: %v", r)
	}

	f.order("RemoveProfile", m{"Identifier": "test.example.enrol"})
	connect(t, p)
	if s := show(t, p); s.State != StageNone || f.checkedIn[len(f.checkedIn)-1] != "CheckOut" {
		t.Errorf("after the enrolment profile was removed: %s, %v", s.State, f.checkedIn)
	}
}

// Without a passcode a phone complies until a profile asks for one.
func TestPasscode(t *testing.T) {
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	if err := p.Set("passcode=off"); err != nil {
		t.Fatal(err)
	}
	ask := func() m {
		f.order("SecurityInfo", nil)
		connect(t, p)
		return f.lastResult()["SecurityInfo"].(m)
	}
	if s := ask(); s["PasscodePresent"] != false || s["PasscodeCompliant"] != true {
		t.Errorf("no policy: %v", s)
	}
	install(f, f.ca.signed(t, f.encode(profileOf("test.example.passcode", "AAAAAAAA-AAAA-5AAA-8AAA-AAAAAAAAAAAA",
		m{"PayloadType": typePasscode, "PayloadVersion": 1, "PayloadIdentifier": "test.example.passcode.1", "PayloadUUID": "BBBBBBBB-BBBB-5BBB-8BBB-BBBBBBBBBBBB", "forcePIN": true}))))
	if s := ask(); s["PasscodeCompliant"] != false || s["PasscodeCompliantWithProfiles"] != false {
		t.Errorf("with a policy: %v", s)
	}
}

func TestLockedPhone(t *testing.T) {
	f := newFakeServer(t)
	p, told := enrolled(t, f)
	if err := p.Set("locked=on"); err != nil {
		t.Fatal(err)
	}
	install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
	f.order("DeviceInformation", m{"Queries": []string{"OSVersion"}})
	connect(t, p)
	if f.results[0]["Status"] != statusNotNow || f.results[1]["Status"] != statusAcknowledged {
		t.Errorf("statuses %v and %v", f.results[0]["Status"], f.results[1]["Status"])
	}
	told.has(t, "done  1 command waits until the phone is unlocked")
}

func TestRightsAreKept(t *testing.T) {
	f := newFakeServer(t)
	f.rights("17")
	f.order("SecurityInfo", nil)
	enrolled(t, f)
	if domain, code := rootCause(t, f); domain != domainMDM || code != 12007 {
		t.Errorf("got %s %d", domain, code)
	}
}

func TestEndlessCommands(t *testing.T) {
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	for range maxCommands + 1 {
		f.order("SecurityInfo", nil)
	}
	if err := p.Connect(context.Background()); !errors.Is(err, ErrProtocol) {
		t.Errorf("got %v", err)
	}
}

// Phones must not depend on the package variables of the libraries: with the
// defaults (DES, SHA-1) in place they still send AES and SHA-256.
func TestNoPackageVariables(t *testing.T) {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmDESCBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA1); err != nil {
		t.Fatal(err)
	}
	defer func() {
		pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
		_ = pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	}()
	ca := newFakeCA(t)
	key := mustRSA(t)
	csr, err := certificateRequest(scepPayload{challenge: "x", keyUsage: 5}, key)
	if err != nil {
		t.Fatal(err)
	}
	self, err := selfSigned(csr, key, ca.ra.NotBefore)
	if err != nil {
		t.Fatal(err)
	}
	var tr transaction
	if err := tr.seal(csr, requester{self, key, scep.PKCSReq}, ca.ra); err != nil {
		t.Fatal(err)
	}
	p7, err := pkcs7.Parse(tr.Message)
	if err != nil {
		t.Fatal(err)
	}
	if err := strongDigest(p7); err != nil {
		t.Error(err)
	}
	if err := aesOnly(p7.Content); err != nil {
		t.Error(err)
	}
	// And a service that falls back to them is not accepted.
	closed, err := pkcs7.Encrypt([]byte("hello"), []*x509.Certificate{ca.ra})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decrypt(closed, ca.ra, ca.raKey); err == nil {
		t.Error("DES was accepted")
	}
}

// Bad padding makes the library panic; a phone answers.
func TestDecryptNeverPanics(t *testing.T) {
	ca := newFakeCA(t)
	closed, err := encrypt([]byte("hello"), ca.ra)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := decrypt(closed, ca.ra, ca.raKey); err != nil || string(plain) != "hello" {
		t.Fatalf("round trip: %q, %v", plain, err)
	}
	for i := range 64 {
		bad := append([]byte(nil), closed...)
		bad[len(bad)-1-i%16] ^= byte(1 + i)
		if plain, err := decrypt(bad, ca.ra, ca.raKey); err == nil && string(plain) == "hello" {
			t.Errorf("%d: changed bytes went unnoticed", i)
		}
	}
}

func TestRequestCarriesNames(t *testing.T) {
	key := mustRSA(t)
	subject, err := parseSubject([]any{[]any{[]any{"O", "Example"}}, []any{[]any{"CN", "phone"}}, []any{[]any{"1.2.840.113549.1.9.1", "a@b"}}})
	if err != nil {
		t.Fatal(err)
	}
	csr, err := certificateRequest(scepPayload{
		subject: subject, challenge: base64.StdEncoding.EncodeToString([]byte("secret")), keyUsage: 5,
		names: altNames{upn: []string{"älice@example.test"}, mail: []string{"alice@example.test"}, dns: []string{"phone.example.test"}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	if csr.CheckSignature() != nil || csr.Subject.CommonName != "phone" || csr.EmailAddresses[0] != "alice@example.test" || csr.DNSNames[0] != "phone.example.test" {
		t.Errorf("request: %+v", csr)
	}
	for _, bad := range []any{"CN", []any{"CN"}, []any{[]any{"CN", "x", "y"}}, []any{[]any{"XX", "x"}}, []any{[]any{"CN", ""}}} {
		if _, err := parseSubject([]any{bad}); err == nil {
			t.Errorf("subject %v was accepted", bad)
		}
	}
}
