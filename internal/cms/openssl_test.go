package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// opensslBox runs OpenSSL, the other implementation, in a directory of its own.
type opensslBox struct {
	t    *testing.T
	path string
	dir  string
}

func openssl(t *testing.T) opensslBox {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing")
		}
		t.Skip("SKIPPED: openssl is not on PATH (apt-get install openssl)")
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

func (o opensslBox) certs(name string, list ...*x509.Certificate) string {
	var out bytes.Buffer
	for _, c := range list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return o.file(name, out.Bytes())
}

func (o opensslBox) key(name string, key crypto.Signer) string {
	return o.file(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: must(x509.MarshalPKCS8PrivateKey(key))}))
}

// run returns what the command wrote to -out.
func (o opensslBox) run(args ...string) []byte {
	o.t.Helper()
	out := filepath.Join(o.dir, "out")
	if text, err := exec.CommandContext(o.t.Context(), o.path, append(args, "-out", out)...).CombinedOutput(); err != nil {
		o.t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
	return must(os.ReadFile(out))
}

func TestOpenSSLVerifiesOurs(t *testing.T) {
	t.Parallel()
	o := openssl(t)
	p := newPKI(t)
	content := []byte("<plist/>\n")
	root := o.certs("root", p.root)
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(), "p256": ecKey(), "rsa signer": onlySigner{rsaKey()}, "p256 signer": onlySigner{ecKey()}} {
		id := p.identity(t, key, x509.ExtKeyUsageEmailProtection)
		got := o.run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.file("signed", must(Sign(content, id))), "-CAfile", root)
		if !bytes.Equal(got, content) {
			t.Errorf("%s: openssl read %q", name, got)
		}
		o.run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.file("signature", must(SignDetached(content, id))),
			"-content", o.file("content", content), "-CAfile", root)
	}
}

func TestWeVerifyOpenSSLs(t *testing.T) {
	t.Parallel()
	o := openssl(t)
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	content := []byte("content\n")
	sign := func(more ...string) []byte {
		return o.run(append([]string{"cms", "-sign", "-binary", "-in", o.file("content", content), "-outform", "DER",
			"-signer", o.certs("signer", id.Certificate), "-inkey", o.key("key", rsaKey())}, more...)...)
	}
	for name, der := range map[string][]byte{
		"attached": sign("-nodetach"), "streamed": sign("-nodetach", "-stream"), "SHA-384": sign("-nodetach", "-md", "sha384"),
		"SHA-1": sign("-nodetach", "-md", "sha1"), "no attributes": sign("-nodetach", "-noattr"),
	} {
		got, signer, err := Verify(der, p.trust())
		if err != nil || !bytes.Equal(got, content) || !signer.Equal(id.Certificate) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if _, err := VerifyDetached(sign(), content, p.trust()); err != nil {
		t.Errorf("detached: %v", err)
	}
}

func TestEnvelopesWithOpenSSL(t *testing.T) {
	t.Parallel()
	o := openssl(t)
	id := newPKI(t).identity(t, rsaKey())
	content := bytes.Repeat([]byte("content\n"), 500)
	cert, key := o.certs("cert", id.Certificate), o.key("key", rsaKey())
	for _, c := range []Cipher{AES256, AES128, TripleDES} {
		der := must(envelope(content, id.Certificate, c))
		if got := o.run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", o.file("envelope", der), "-inkey", key, "-recip", cert); !bytes.Equal(got, content) {
			t.Errorf("%s: openssl reads something else", c)
		}
	}
	for flag, c := range map[string]Cipher{"-aes-256-cbc": AES256, "-aes-128-cbc": AES128, "-des3": TripleDES} {
		for _, form := range [][]string{nil, {"-stream"}} {
			args := append([]string{"cms", "-encrypt", "-binary", flag, "-in", o.file("content", content), "-outform", "DER"}, form...)
			der := o.run(append(args, "-recip", cert)...)
			e, err := ParseEnvelope(der)
			if err != nil || e.Cipher != c || !e.For(id.Certificate) {
				t.Errorf("%s %v: %+v, %v", flag, form, e, err)
			}
			if got, err := Decrypt(der, id.Certificate, rsaKey()); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s %v: %v", flag, form, err)
			}
		}
	}
}
