package agent

import (
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/smallstep/pkcs7"
	"software.sslmate.com/src/go-pkcs12"
)

const (
	signUUID    = "88888888-8888-5888-8888-888888888881"
	encryptUUID = "88888888-8888-5888-8888-888888888882"
	historyUUID = "88888888-8888-5888-8888-888888888883"
)

// mailKey is a user's key with a certificate for mail.
type mailKey struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
}

func (ca *fakeCA) mailKey(t testing.TB, usage x509.KeyUsage) mailKey {
	t.Helper()
	_, key, err := manyKeys.take(2048)
	if err != nil {
		t.Fatal(err)
	}
	return mailKey{ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "alice@example.test"}, KeyUsage: usage, EmailAddresses: []string{"alice@example.test"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	}, key.Public()), key}
}

func (k mailKey) fingerprint() string {
	sum := sha256.Sum256(k.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func (k mailKey) payload(t testing.TB, uuid string, encoder *pkcs12.Encoder) m {
	t.Helper()
	file, err := encoder.Encode(k.key, k.cert, nil, "one-time")
	if err != nil {
		t.Fatal(err)
	}
	return m{"PayloadType": typePKCS12, "PayloadVersion": 1, "PayloadIdentifier": "test.example.smime." + uuid, "PayloadUUID": uuid,
		"PayloadContent": file, "Password": "one-time"}
}

// smimeProfile is a mail profile with those identities: to sign with, to decrypt
// with, and earlier ones.
func (f *fakeServer) smimeProfile(t testing.TB, encoder *pkcs12.Encoder, sign, encrypt mailKey, history ...mailKey) m {
	p := f.mailProfile(easUUID, "mail.example.test")
	content := p["PayloadContent"].([]any)
	account := content[len(content)-1].(m)
	account["SMIMESigningEnabled"], account["SMIMESigningCertificateUUID"], account["SMIMEEncryptionCertificateUUID"] = true, signUUID, encryptUUID
	content = append(content, sign.payload(t, signUUID, encoder), encrypt.payload(t, encryptUUID, encoder))
	for i, k := range history {
		content = append(content, k.payload(t, historyUUID[:len(historyUUID)-1]+fmt.Sprint(i+3), encoder))
	}
	p["PayloadContent"] = content
	return p
}

// TestMailKeys: the phone signs and reads mail with what a profile brought, old
// mail too; the next profile takes their place, and none stays behind.
func TestMailKeys(t *testing.T) {
	t.Parallel()
	for name, encoder := range map[string]*pkcs12.Encoder{"modern": pkcs12.Modern2023, "legacy": pkcs12.LegacyDES, "older": pkcs12.LegacyRC2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			p, _ := enrolled(t, f, ownKeys)
			sign, first := f.ca.mailKey(t, x509.KeyUsageDigitalSignature), f.ca.mailKey(t, x509.KeyUsageKeyEncipherment)
			install(f, f.encrypted(f.smimeProfile(t, encoder, sign, first)))
			connect(t, p)
			account := show(t, p).Accounts[0]
			if account.Signs != sign.fingerprint() || !slices.Equal(account.Decrypts, []string{first.fingerprint()}) {
				t.Fatalf("got %+v", account)
			}
			second := f.ca.mailKey(t, x509.KeyUsageKeyEncipherment)
			install(f, f.encrypted(f.smimeProfile(t, encoder, sign, second, first)))
			connect(t, p)
			account = show(t, p).Accounts[0]
			if !slices.Equal(account.Decrypts, []string{second.fingerprint(), first.fingerprint()}) || account.Updates != 1 {
				t.Fatalf("after a renewal: got %+v", account)
			}
			for _, k := range []mailKey{first, second} {
				message, err := encrypt([]byte("a letter"), k.cert)
				if err != nil {
					t.Fatal(err)
				}
				if plain, err := p.ReadMail(message); err != nil || string(plain) != "a letter" {
					t.Errorf("got %q, %v", plain, err)
				}
			}
			signature, err := p.SignMail("Alice@example.test", []byte("a letter"))
			if err != nil {
				t.Fatal(err)
			}
			p7, err := pkcs7.Parse(signature)
			if err != nil {
				t.Fatal(err)
			}
			if p7.Content = []byte("a letter"); p7.Verify() != nil || !p7.GetOnlySigner().Equal(sign.cert) {
				t.Error("the signature does not hold")
			}

			b, err := p.Backup()
			if err != nil {
				t.Fatal(err)
			}
			if err := p.Restore(b); err != nil || len(show(t, p).Accounts[0].Decrypts) != 2 {
				t.Errorf("a backup brings no keys for mail: %v", err)
			}
			connect(t, p)
			f.order("RemoveProfile", m{"Identifier": "test.example.mail"})
			connect(t, p)
			message, _ := encrypt([]byte("a letter"), first.cert)
			if _, err := p.ReadMail(message); !errors.Is(err, ErrInvalid) {
				t.Errorf("after the profile was removed: got %v", err)
			}
			if _, err := p.SignMail("alice@example.test", nil); !errors.Is(err, ErrInvalid) {
				t.Errorf("after the profile was removed: got %v", err)
			}
		})
	}
}

// TestMailKeysAreForTheirUse: a certificate to sign with opens no mail, and one
// that is not for mail signs none.
func TestMailKeysAreForTheirUse(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	sign, other := f.ca.mailKey(t, x509.KeyUsageDigitalSignature), f.ca.mailKey(t, x509.KeyUsageKeyEncipherment)
	install(f, f.encrypted(f.smimeProfile(t, pkcs12.Modern2023, other, sign))) // the wrong way round
	connect(t, p)
	if account := show(t, p).Accounts[0]; account.Signs != "" || len(account.Decrypts) != 0 {
		t.Errorf("got %+v", account)
	}
}

// TestOldPhoneOpensOldFiles: iOS before 15 knows no AES in PKCS#12.
func TestOldPhoneOpensOldFiles(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	if err := p.Set("os=14.8"); err != nil {
		t.Fatal(err)
	}
	k := f.ca.mailKey(t, x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment)
	install(f, f.encrypted(f.smimeProfile(t, pkcs12.Modern2023, k, k)))
	connect(t, p)
	if domain, code := rootCause(t, f); domain != domainCertificate || code != codeCertificatePassword {
		t.Errorf("modern ciphers: got %s %d", domain, code)
	}
	install(f, f.encrypted(f.smimeProfile(t, pkcs12.LegacyDES, k, k)))
	connect(t, p)
	if account := show(t, p).Accounts[0]; account.Signs == "" || len(account.Decrypts) == 0 {
		t.Errorf("legacy ciphers: got %+v", account)
	}
}
