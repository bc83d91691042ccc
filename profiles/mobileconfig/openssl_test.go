package mobileconfig

import (
	"bytes"
	"crypto/x509"
	"testing"

	"howett.net/plist"

	"sallyport/internal/cms"
	"sallyport/internal/cms/openssltest"
	"sallyport/internal/secret"
)

// phone is a key and certificate that OpenSSL can use too.
type phone struct {
	cert     *x509.Certificate
	key      cms.Identity
	certFile string
	keyFile  string
	identity []byte // key and certificate as PKCS#12, made by OpenSSL
	openssl  openssltest.Box
}

func newPhone(t *testing.T) phone {
	o := openssltest.Open(t)
	cert, key := identity(t)
	p := phone{
		cert: cert, key: cms.Identity{Certificate: cert, Key: key}, openssl: o,
		certFile: o.Certs("cert.pem", cert),
		keyFile:  o.Key("key.pem", key),
	}
	p.identity = o.Run("pkcs12", "-export", "-in", p.certFile, "-inkey", p.keyFile, "-passout", "pass:"+p12Canary)
	return p
}

// TestOpenSSLOpensOurs plays the phone with OpenSSL alone: signature, envelope,
// payloads, and the identity in them.
func TestOpenSSLOpensOurs(t *testing.T) {
	p := newPhone(t)
	profile := secretive()
	profile.Payloads[0] = NewPKCS12(common("p12"), "alice.p12", p.identity, secret.New(p12Canary), "rev-1")
	sealed, err := Encrypt(profile, p.cert)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(sealed, p.key)
	if err != nil {
		t.Fatal(err)
	}
	content := p.openssl.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", p.openssl.File("signed", signed), "-CAfile", p.certFile)
	if !bytes.Equal(content, sealed) {
		t.Fatal("openssl reads another content than was signed")
	}
	envelope := decoded(t, content)["EncryptedPayloadContent"].([]byte)
	clear := p.openssl.Run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", p.openssl.File("envelope", envelope), "-inkey", p.keyFile, "-recip", p.certFile)
	var payloads []map[string]any
	if _, err := plist.Unmarshal(clear, &payloads); err != nil {
		t.Fatal(err)
	}
	if got := payloads[2]["Password"]; got != passwordCanary {
		t.Errorf("got password %v", got)
	}
	file := payloads[0]["PayloadContent"].([]byte)
	key := p.openssl.Run("pkcs12", "-in", p.openssl.File("alice.p12", file), "-nodes", "-passin", "pass:"+payloads[0]["Password"].(string))
	if !bytes.Contains(key, []byte("PRIVATE KEY")) || !bytes.Contains(key, []byte("BEGIN CERTIFICATE")) {
		t.Error("the identity in the profile does not open")
	}
}

// TestWeOpenOpenSSLs: Inspect opens what OpenSSL encrypted and signed.
func TestWeOpenOpenSSLs(t *testing.T) {
	p := newPhone(t)
	profile := mail("Mail")
	content, err := encode(profile.content(sent))
	if err != nil {
		t.Fatal(err)
	}
	envelope := p.openssl.Run("cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", "-in", p.openssl.File("content", content), "-recip", p.certFile)
	head := profile.head(profile.TopUUID(), sent)
	head["IsEncrypted"], head["EncryptedPayloadContent"] = true, envelope
	outer, err := encode(head)
	if err != nil {
		t.Fatal(err)
	}
	signed := p.openssl.Run("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER", "-in", p.openssl.File("outer", outer), "-signer", p.certFile, "-inkey", p.keyFile)
	i, err := Inspect(signed, p.cert, p.key.Key)
	if err != nil || !i.Signed || !i.Opened || !i.Signer.Equal(p.cert) {
		t.Fatalf("got %+v, %v", i, err)
	}
	if got, want := Outline(i.Dict), Outline(decoded(t, encoded(t, profile))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
