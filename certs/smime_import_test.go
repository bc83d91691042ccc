package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/secret"
)

const filePassword = "file-canary-4711"

var importNoon = newClock().Now()

// mailCert is what a test's certificate says.
type mailCert struct {
	mails  []string
	usage  x509.KeyUsage
	ext    []x509.ExtKeyUsage
	ends   time.Duration // from noon on; zero: a year
	begins time.Duration
	ca     bool
	bits   int // of RSA; 0: P-256
}

func (m mailCert) certificate(t testing.TB) (crypto.Signer, *x509.Certificate) {
	t.Helper()
	var key crypto.Signer = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	if m.bits != 0 {
		key = must(rsa.GenerateKey(rand.Reader, m.bits))
	}
	if m.ends == 0 {
		m.ends = 365 * 24 * time.Hour
	}
	if m.begins == 0 {
		m.begins = -3 * 365 * 24 * time.Hour
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "Alice"}, EmailAddresses: m.mails,
		NotBefore: importNoon.Add(m.begins), NotAfter: importNoon.Add(m.ends), KeyUsage: m.usage, ExtKeyUsage: m.ext, IsCA: m.ca, BasicConstraintsValid: m.ca,
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return key, must(x509.ParseCertificate(der))
}

func (m mailCert) file(t testing.TB, encoder *pkcs12.Encoder) []byte {
	t.Helper()
	key, cert := m.certificate(t)
	return must(encoder.Encode(key, cert, nil, filePassword))
}

const (
	signs    = x509.KeyUsageDigitalSignature
	encrypts = x509.KeyUsageKeyEncipherment
)

func TestImport(t *testing.T) {
	t.Parallel()
	alice, mail := []string{aliceMail}, []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection}
	good := mailCert{mails: alice, usage: signs | encrypts, ext: mail}
	over := -time.Hour
	key, _ := good.certificate(t)
	_, foreign := good.certificate(t)
	mixed := must(pkcs12.Modern2023.Encode(key, foreign, nil, filePassword))
	trust := must(pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{foreign}, filePassword))
	both := good.file(t, pkcs12.Modern2023)
	p12 := func(m mailCert) []byte { return m.file(t, pkcs12.Modern2023) }
	tests := []struct {
		name, mail string
		data       []byte
		password   string
		field      string // of the refusal; empty: taken
		says       string // in the refusal, or the usages
	}{
		{"both usages", aliceMail, both, "", "", "signing encryption"},
		{"the same again", aliceMail, both, "", "", ""},
		{"found by the UPN", "ALICE@corp.test", p12(good), "", "", "signing encryption"},
		{"signing", aliceMail, p12(mailCert{mails: alice, usage: x509.KeyUsageContentCommitment, ext: mail}), "", "", "signing"},
		{"encryption", aliceMail, p12(mailCert{mails: alice, usage: x509.KeyUsageKeyAgreement}), "", "", "encryption"},
		{"no usage at all", aliceMail, p12(mailCert{mails: alice}), "", "", "signing encryption"},
		{"expired encryption", aliceMail, p12(mailCert{mails: alice, usage: encrypts, ends: over}), "", "", "encryption"},
		{"expired for both", aliceMail, p12(mailCert{mails: alice, usage: signs | encrypts, ends: over}), "", "", "encryption"},
		{"expired and weak", aliceMail, p12(mailCert{mails: alice, usage: encrypts, ends: over, bits: 1024}), "", "", "encryption"},
		{"PBMAC1", aliceMail, good.file(t, pkcs12.Modern2026), "", "", "signing encryption"},
		{"triple DES", aliceMail, good.file(t, pkcs12.LegacyDES), "", "", "signing encryption"},

		{"expired signing", aliceMail, p12(mailCert{mails: alice, usage: signs, ends: over}), "", "file", "expired on 2026-11-21"},
		{"weak", aliceMail, p12(mailCert{mails: alice, usage: signs, bits: 1024}), "", "file", "too weak"},
		{"not yet", aliceMail, p12(mailCert{mails: alice, usage: signs, begins: time.Hour}), "", "file", "not valid before"},
		{"for TLS", aliceMail, p12(mailCert{mails: alice, usage: signs, ext: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), "", "file", "not for mail"},
		{"an authority", aliceMail, p12(mailCert{mails: alice, usage: signs, ca: true}), "", "file", "authority"},
		{"somebody else's", aliceMail, p12(mailCert{mails: []string{"mallory@example.test"}, usage: signs}), "", "file", "for mallory@example.test"},
		{"nobody's", aliceMail, p12(mailCert{usage: signs}), "", "file", "no mail address, but CN=Alice"},
		{"a login is no address", "alice", both, "", "mail", "neither the address nor the UPN"},
		{"unknown", "nobody@example.test", both, "", "mail", "neither"},
		{"no address", "", both, "", "mail", ""},
		{"control characters", "a\x1b@b", both, "", "mail", "control character"},
		{"wrong password", aliceMail, both, "wrong-canary-4711", "password", "is not the password"},
		{"no password", aliceMail, both, "-", "password", "is missing"},
		{"no file", aliceMail, nil, "", "file", "is not a PKCS#12 file"},
		{"no key", aliceMail, trust, "", "file", "one private key"},
		{"another's key", aliceMail, mixed, "", "file", "does not belong"},
		{"truncated", aliceMail, both[:len(both)/2], "", "file", "is not a PKCS#12 file"},
		{"nested", aliceMail, []byte(strings.Repeat("\x30\x80", 30_000)), "", "file", "is not a PKCS#12 file"},
		{"a bomb of iterations", aliceMail, good.file(t, costly{}.encoder()), "", "file", "key derivation"},
	}
	s, d, _ := mailFixture(t)
	var files []certs.SMIMEFile
	for i, test := range tests {
		password := filePassword
		switch test.password {
		case "":
		case "-":
			password = ""
		default:
			password = test.password
		}
		data := test.data
		if test.name == "a bomb of iterations" {
			data = costly{}.change(t, data)
		}
		files = append(files, certs.SMIMEFile{Line: i + 2, Mail: test.mail, Name: test.name, Data: data, Password: secret.New(password)})
	}
	dry := must(s.Import(t.Context(), files, true))
	if len(d.keys) != 0 || len(d.entries) != 0 {
		t.Fatal("a dry run wrote")
	}
	results := must(s.Import(t.Context(), files, false))
	for i, test := range tests {
		r := results[i]
		var usages []string
		for _, k := range r.Keys {
			usages = append(usages, string(k.Usage))
			if k.Key != nil {
				t.Errorf("%s: the answer holds a key", test.name)
			}
		}
		if r.Line != i+2 || r.File != test.name || dry[i].Outcome != r.Outcome {
			t.Errorf("%s: got %+v, dry %s", test.name, r, dry[i].Outcome)
		}
		if test.field != "" {
			if r.Outcome != certs.SMIMERefused || r.Refused == nil || r.Refused.Field != test.field || !strings.Contains(r.Refused.Reason, test.says) ||
				r.Refused.Remedy == "" && test.says != "" || strings.Contains(r.Refused.Error(), "canary") {
				t.Errorf("%s: got %s, %v", test.name, r.Outcome, r.Refused)
			}
			continue
		}
		if got := strings.Join(usages, " "); got != test.says || r.Refused != nil || (got == "") != (r.Outcome == certs.SMIMEKnown) {
			t.Errorf("%s: got %s %q, %v", test.name, r.Outcome, got, r.Refused)
		}
	}
	before := len(d.keys)
	for _, r := range must(s.Import(t.Context(), files, false)) {
		if r.Outcome == certs.SMIMEAdded {
			t.Errorf("%s: added twice", r.File)
		}
	}
	if len(d.keys) != before {
		t.Error("an import that is repeated adds keys")
	}
	if strings.Contains(fmt.Sprintf("%v %+v", files, results), "canary") {
		t.Error("a file prints its password")
	}
}

// costly is a file whose MAC asks for more iterations than it was made with.
type costly struct{}

const madeWith = 70_000 // three bytes, as what it is changed to

func (costly) encoder() *pkcs12.Encoder { return pkcs12.Modern2023.WithIterations(madeWith) }

func (costly) change(t *testing.T, data []byte) []byte {
	t.Helper()
	const count = bounded.MaxDerivations + 1
	changed := strings.ReplaceAll(string(data), string([]byte{2, 3, 0x01, 0x11, 0x70}), string([]byte{2, 3, byte(count >> 16), byte(count >> 8 & 0xff), byte(count & 0xff)}))
	if changed == string(data) {
		t.Fatal("found no count to change")
	}
	return []byte(changed)
}

// TestImportIsBounded: one request costs some seconds of a processor at most.
func TestImportIsBounded(t *testing.T) {
	t.Parallel()
	s, _, _ := mailFixture(t)
	for _, n := range []int{0, certs.MaxSMIMEFiles + 1} {
		if _, err := s.Import(t.Context(), make([]certs.SMIMEFile, n), false); !errors.Is(err, certs.ErrSMIME) {
			t.Errorf("%d files: %v", n, err)
		}
	}
	m := mailCert{mails: []string{aliceMail}, usage: signs}
	file := m.file(t, pkcs12.Modern2023.WithIterations(300_000))
	files := make([]certs.SMIMEFile, certs.MaxSMIMEDerivations/900_000+2)
	for i := range files {
		files[i] = certs.SMIMEFile{Mail: "nobody@example.test", Data: file, Password: secret.New(filePassword)}
	}
	results := must(s.Import(t.Context(), files, true))
	if last := results[len(results)-1]; last.Refused.Field != "file" || !strings.Contains(last.Refused.Reason, "left for one request") {
		t.Errorf("got %v", last.Refused)
	}
	if results[0].Refused.Field != "mail" {
		t.Errorf("got %v", results[0].Refused)
	}
}

// FuzzImport: whatever the bytes are, there is an answer, and it tells no password.
func FuzzImport(f *testing.F) {
	m := mailCert{mails: []string{aliceMail}, usage: signs}
	for _, encoder := range []*pkcs12.Encoder{pkcs12.Modern2023, pkcs12.LegacyRC2, pkcs12.Modern2026} {
		f.Add(m.file(f, encoder.WithIterations(1)))
	}
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		if bounded.DER(data, certs.MaxPKCS12, bounded.MaxDepth) == nil {
			if n := bounded.Derivations(data); n > 100 && n <= bounded.MaxDerivations {
				return // takes its time, as it may
			}
		}
		opened, refused := certs.OpenPKCS12(data, secret.New(filePassword), certs.PKCS12Fields{Err: certs.ErrSMIME, File: "file", Password: "password"})
		if refused != nil {
			if refused.Remedy == "" || strings.Contains(refused.Error(), filePassword) {
				t.Errorf("got %v", refused)
			}
			return
		}
		if opened.Key == nil || opened.Certificate == nil || len(opened.Chain) > 8 {
			t.Errorf("got %+v", opened)
		}
	})
}
