package mobileconfig

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"howett.net/plist"

	"sallyport/internal/cms"
	"sallyport/internal/secret"
)

// opensslBox runs OpenSSL, the other implementation, in a directory of its own.
type opensslBox struct {
	t         *testing.T
	path, dir string
}

func openssl(t *testing.T) opensslBox {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing: .ci/install installs it")
		}
		t.Skip("SKIPPED: openssl is not on PATH (apt-get install openssl): no second opinion on our profiles")
	}
	return opensslBox{t, path, t.TempDir()}
}

func (o opensslBox) file(name string, data []byte) string {
	o.t.Helper()
	path := filepath.Join(o.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// run returns what the command wrote to -out.
func (o opensslBox) run(args ...string) []byte {
	o.t.Helper()
	out := filepath.Join(o.dir, "out")
	if text, err := exec.CommandContext(o.t.Context(), o.path, append(args, "-out", out)...).CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		o.t.Fatal(err)
	}
	return data
}

// phone is a key and certificate that OpenSSL can use too.
type phone struct {
	cert     *x509.Certificate
	key      cms.Identity
	certFile string
	keyFile  string
	identity []byte // key and certificate as PKCS#12, made by OpenSSL
	openssl  opensslBox
}

func newPhone(t *testing.T) phone {
	o := openssl(t)
	cert, key := identity(t)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p := phone{
		cert: cert, key: cms.Identity{Certificate: cert, Key: key}, openssl: o,
		certFile: o.file("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})),
		keyFile:  o.file("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	}
	p.identity = o.run("pkcs12", "-export", "-in", p.certFile, "-inkey", p.keyFile, "-passout", "pass:"+p12Canary)
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
	content := p.openssl.run("cms", "-verify", "-binary", "-inform", "DER", "-in", p.openssl.file("signed", signed), "-CAfile", p.certFile)
	if !bytes.Equal(content, sealed) {
		t.Fatal("openssl reads another content than was signed")
	}
	envelope := decoded(t, content)["EncryptedPayloadContent"].([]byte)
	clear := p.openssl.run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", p.openssl.file("envelope", envelope), "-inkey", p.keyFile, "-recip", p.certFile)
	var payloads []map[string]any
	if _, err := plist.Unmarshal(clear, &payloads); err != nil {
		t.Fatal(err)
	}
	if got := payloads[2]["Password"]; got != passwordCanary {
		t.Errorf("got password %v", got)
	}
	file := payloads[0]["PayloadContent"].([]byte)
	key := p.openssl.run("pkcs12", "-in", p.openssl.file("alice.p12", file), "-nodes", "-passin", "pass:"+payloads[0]["Password"].(string))
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
	envelope := p.openssl.run("cms", "-encrypt", "-binary", "-aes-256-cbc", "-outform", "DER", "-in", p.openssl.file("content", content), "-recip", p.certFile)
	head := profile.head(profile.TopUUID(), sent)
	head["IsEncrypted"], head["EncryptedPayloadContent"] = true, envelope
	outer, err := encode(head)
	if err != nil {
		t.Fatal(err)
	}
	signed := p.openssl.run("cms", "-sign", "-binary", "-nodetach", "-md", "sha256", "-outform", "DER", "-in", p.openssl.file("outer", outer), "-signer", p.certFile, "-inkey", p.keyFile)
	i, err := Inspect(signed, p.cert, p.key.Key)
	if err != nil || !i.Signed || !i.Opened || !i.Signer.Equal(p.cert) {
		t.Fatalf("got %+v, %v", i, err)
	}
	if got, want := Outline(i.Dict), Outline(decoded(t, encoded(t, profile))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
