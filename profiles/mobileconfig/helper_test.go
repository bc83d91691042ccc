package mobileconfig

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"sync"
	"testing"
	"time"

	"sallyport/internal/secret"
	"sallyport/profiles"
)

const challenge = "canary-challenge-4711"

func issue(t testing.TB, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// sharedKey is made once: an RSA key takes a second under the race detector.
var sharedKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func identity(t testing.TB) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := sharedKey()
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, key), key
}

// otherIdentity has a key of its own.
func otherIdentity(t testing.TB) (*x509.Certificate, *rsa.PrivateKey) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return issue(t, key), key
}

func common(slot string) Common {
	return Common{Identifier: "test.profile." + slot, UUID: UUID("test", slot), DisplayName: slot, Description: "A " + slot, Organization: "Example"}
}

// enrolment is the profile that a phone gets from the enrolment page.
func enrolment(root []byte) Profile {
	return Profile{
		Identifier: "test.profile", DisplayName: "Enrolment", Description: "Puts this phone under management", Organization: "Example",
		Payloads: []Payload{
			Certificate{Common: common("root"), FileName: "root.cer", DER: root, Root: true},
			SCEP{
				Common: common("identity"), URL: "https://mdm.example.test/scep", Name: "sallyport", CommonName: "alice@example.test",
				Mail: "alice@example.test", NTPrincipalName: "alice@example.test", Challenge: secret.New(challenge), CAFingerprint: []byte{1, 2, 3},
			},
			MDM{
				Common: common("mdm"), IdentityUUID: UUID("test", "identity"), Topic: "com.apple.mgmt.External.test",
				ServerURL: "https://mdm.example.test/mdm", AccessRights: 7991,
			},
		},
	}
}

// mail is a mail profile with an account whose display name is name.
func mail(name string) Profile {
	account := profiles.ExchangeAccount{Name: name, Host: "mail.example.test:8443", UserName: "alice", Domain: "EXAMPLE", Email: "alice@example.test"}.WithDefaults()
	return Profile{
		Identifier: "test.mail", DisplayName: name, Organization: name,
		Payloads: []Payload{
			SCEP{Common: common("identity"), URL: "https://mdm.example.test/scep", CommonName: "alice@example.test", Challenge: secret.New(challenge)},
			NewEAS(account, common("account.0"), Refs{Identity: UUID("test", "identity")}),
		},
	}
}

func encoded(t testing.TB, p Profile) []byte {
	t.Helper()
	data, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func decoded(t testing.TB, data []byte) map[string]any {
	t.Helper()
	profile, err := Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	return profile
}
