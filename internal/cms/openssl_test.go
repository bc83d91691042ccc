package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"testing"

	"sallyport/internal/cms/openssltest"
)

func TestOpenSSLVerifiesOurs(t *testing.T) {
	t.Parallel()
	o := openssltest.Open(t)
	p := newPKI(t)
	content := []byte("<plist/>\n")
	root := o.Certs("root", p.root)
	for name, key := range map[string]crypto.Signer{"rsa": rsaKey(), "p256": ecKey(), "rsa signer": onlySigner{rsaKey()}, "p256 signer": onlySigner{ecKey()}} {
		id := p.identity(t, key, x509.ExtKeyUsageEmailProtection)
		got := o.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.File("signed", must(Sign(content, id))), "-CAfile", root)
		if !bytes.Equal(got, content) {
			t.Errorf("%s: openssl read %q", name, got)
		}
		o.Run("cms", "-verify", "-binary", "-inform", "DER", "-in", o.File("signature", must(SignDetached(content, id))),
			"-content", o.File("content", content), "-CAfile", root)
	}
}

func TestWeVerifyOpenSSLs(t *testing.T) {
	t.Parallel()
	o := openssltest.Open(t)
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	content := []byte("content\n")
	sign := func(more ...string) []byte {
		return o.Run(append([]string{"cms", "-sign", "-binary", "-in", o.File("content", content), "-outform", "DER",
			"-signer", o.Certs("signer", id.Certificate), "-inkey", o.Key("key", rsaKey())}, more...)...)
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
	o := openssltest.Open(t)
	id := newPKI(t).identity(t, rsaKey())
	content := bytes.Repeat([]byte("content\n"), 500)
	cert, key := o.Certs("cert", id.Certificate), o.Key("key", rsaKey())
	for _, c := range []Cipher{AES256, AES128, TripleDES} {
		der := must(envelope(content, id.Certificate, c))
		if got := o.Run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", o.File("envelope", der), "-inkey", key, "-recip", cert); !bytes.Equal(got, content) {
			t.Errorf("%s: openssl reads something else", c)
		}
	}
	for flag, c := range map[string]Cipher{"-aes-256-cbc": AES256, "-aes-128-cbc": AES128, "-des3": TripleDES} {
		for _, form := range [][]string{nil, {"-stream"}, {"-keyopt", "rsa_padding_mode:oaep"}} {
			args := []string{"cms", "-encrypt", "-binary", flag, "-in", o.File("content", content), "-outform", "DER", "-recip", cert}
			der := o.Run(append(args, form...)...)
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
