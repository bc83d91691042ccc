package mobileconfig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"howett.net/plist"

	"sallyport/internal/appleschema"
	"sallyport/internal/cms"
)

func TestEncrypt(t *testing.T) {
	cert, key := identity(t)
	p := mail("Mail")
	data, err := Encrypt(p, cert)
	if err != nil {
		t.Fatal(err)
	}
	for _, leak := range []string{challenge, "mail.example.test", "com.apple.eas.account"} {
		if bytes.Contains(data, []byte(leak)) {
			t.Errorf("the encrypted profile shows %q", leak)
		}
	}
	profile := decoded(t, data)
	if _, ok := profile["PayloadContent"]; ok || profile["IsEncrypted"] != true || profile["PayloadUUID"] != p.TopUUID() {
		t.Errorf("got top level %v, want it encrypted under the same PayloadUUID", profile)
	}
	content, err := cms.Decrypt(profile["EncryptedPayloadContent"].([]byte), cert, key)
	if err != nil {
		t.Fatal(err)
	}
	var payloads []any
	if _, err := plist.Unmarshal(content, &payloads); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decoded(t, encoded(t, p))["PayloadContent"], any(payloads)); diff != "" {
		t.Error(diff)
	}
}

func TestEncryptedProfileSatisfiesApplesSchema(t *testing.T) {
	schema := appleschema.Open(t)
	cert, _ := identity(t)
	data, err := Encrypt(mail("Mail"), cert)
	if err != nil {
		t.Fatal(err)
	}
	schema.CheckProfile(t, decoded(t, data))
}

func TestEncryptRefuses(t *testing.T) {
	cert, key := identity(t)
	if _, err := Encrypt(Profile{}, cert); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, ec.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	recipient, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Encrypt(mail("Mail"), recipient); !errors.Is(err, cms.ErrUnsupported) {
		t.Errorf("elliptic curve: got %v, want cms.ErrUnsupported", err)
	}
}

func TestDecodeSigned(t *testing.T) {
	cert, key := identity(t)
	signed, err := cms.Sign(encoded(t, mail("Mail")), cms.Identity{Certificate: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	trust := cms.Trust{Roots: roots, Now: time.Now(), Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
	profile, signer, err := DecodeSigned(signed, trust)
	if err != nil || profile["PayloadIdentifier"] != "test.mail" || !signer.Equal(cert) {
		t.Errorf("got %v signed by %v, %v", profile["PayloadIdentifier"], signer, err)
	}
	trust.Roots = x509.NewCertPool()
	if _, _, err := DecodeSigned(signed, trust); !errors.Is(err, cms.ErrUntrusted) {
		t.Errorf("foreign signer: got %v, want cms.ErrUntrusted", err)
	}
	signed[len(signed)/2] ^= 1
	if _, _, err := DecodeSigned(signed, trust); err == nil {
		t.Error("a changed byte was accepted")
	}
}
