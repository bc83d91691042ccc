package cms

import (
	"bytes"
	"crypto/x509"
	"errors"
	"testing"

	smallstep "github.com/smallstep/pkcs7"
	mozilla "go.mozilla.org/pkcs7"
)

func TestEncryptDecrypt(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	for _, n := range []int{0, 1, 15, 16, 17, 4096, 60 << 10} {
		content := bytes.Repeat([]byte("p"), n)
		original := bytes.Clone(content)
		der, err := Encrypt(content, id.Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(content, original) {
			t.Fatal("Encrypt changed its input")
		}
		got, err := Decrypt(der, id.Certificate, rsaKey())
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d bytes: %v", n, err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"smallstep": func() ([]byte, error) { return must(smallstep.Parse(der)).Decrypt(id.Certificate, rsaKey()) },
			"mozilla":   func() ([]byte, error) { return must(mozilla.Parse(der)).Decrypt(id.Certificate, rsaKey()) },
		} {
			if got, err := open(); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s cannot read %d bytes: %v", name, n, err)
			}
		}
	}
}

func TestEncryptInEachCipher(t *testing.T) {
	t.Parallel()
	id := newPKI(t).identity(t, rsaKey())
	for _, c := range ciphers {
		der, err := envelope([]byte("content"), id.Certificate, c.name)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEnvelope(der)
		if err != nil || e.Cipher != c.name || !e.For(id.Certificate) {
			t.Errorf("%s: ParseEnvelope = %+v, %v", c.name, e, err)
		}
		got, err := Decrypt(der, id.Certificate, rsaKey())
		if c.name == DES {
			if !errors.Is(err, ErrUnsupported) {
				t.Errorf("DES: got %v, want ErrUnsupported", err)
			}
		} else if err != nil || string(got) != "content" {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	if _, err := envelope(nil, id.Certificate, "RC4"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("unknown cipher: %v", err)
	}
}

func TestEncryptToEllipticCurve(t *testing.T) {
	t.Parallel()
	id := newPKI(t).identity(t, ecKey())
	if _, err := Encrypt([]byte("x"), id.Certificate); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

// TestDecryptSaysNothing alters every byte of an envelope in turn: past the
// parser there is one answer, without a panic.
func TestDecryptSaysNothing(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	der := must(Encrypt([]byte("a secret of some length"), id.Certificate))
	content := bytes.LastIndex(der, []byte{0x80, 0x20}) // [0] of 32 bytes
	if content < 0 {
		t.Fatal("no ciphertext found")
	}
	texts := map[string]bool{}
	for i := content + 2; i < len(der); i++ {
		for _, bit := range []byte{1, 0x80} {
			altered := bytes.Clone(der)
			altered[i] ^= bit
			if _, err := Decrypt(altered, id.Certificate, rsaKey()); err != nil {
				if !errors.Is(err, ErrDecrypt) {
					t.Fatalf("byte %d: got %v, want ErrDecrypt", i, err)
				}
				texts[err.Error()] = true
			}
		}
	}
	encryptedKey := content - 100 // somewhere in the encrypted key
	altered := bytes.Clone(der)
	altered[encryptedKey-100] ^= 1
	// A key that does not open is replaced by a random one, and one in 256 of these
	// leaves what looks like padding: garbage then, and never the secret.
	plain, err := Decrypt(altered, id.Certificate, rsaKey())
	if bytes.Contains(plain, []byte("secret")) || err != nil && !errors.Is(err, ErrDecrypt) && !errors.Is(err, ErrMalformed) {
		t.Errorf("altered key: %q, %v", plain, err)
	}
	stranger := p.identity(t, rsaKey())
	if _, err := Decrypt(der, stranger.Certificate, rsaKey()); !errors.Is(err, ErrDecrypt) {
		t.Errorf("another recipient: got %v, want ErrDecrypt", err)
	}
	if len(texts) != 1 {
		t.Errorf("several answers: %v", texts)
	}
	if _, err := Decrypt(der, id.Certificate, "no key"); !errors.Is(err, ErrUnsupported) {
		t.Errorf("no key: %v", err)
	}
}

// TestParseEnvelopeIndefinite reads the form that Bouncy Castle writes.
func TestParseEnvelopeIndefinite(t *testing.T) {
	t.Parallel()
	id := newPKI(t).identity(t, rsaKey())
	der := must(Encrypt([]byte("content"), id.Certificate))
	outer, _, err := next(der)
	if err != nil {
		t.Fatal(err)
	}
	parts := must(outer.children())
	inner := must(parts[1].children())[0]
	ber := append([]byte{0x30, 0x80}, parts[0].raw...)
	ber = append(ber, 0xa0, 0x80, 0x30, 0x80)
	ber = append(ber, inner.body...)
	ber = append(ber, 0, 0, 0, 0, 0, 0)
	e, err := ParseEnvelope(ber)
	if err != nil || e.Cipher != AES256 || !e.For(id.Certificate) {
		t.Fatalf("ParseEnvelope = %+v, %v", e, err)
	}
	if got, err := Decrypt(ber, id.Certificate, rsaKey()); err != nil || string(got) != "content" {
		t.Errorf("Decrypt = %q, %v", got, err)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	t := &testing.T{}
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	f.Add(must(Encrypt([]byte("content"), id.Certificate)))
	for _, bomb := range bombs() {
		if len(bomb) < 1000 {
			f.Add(bomb)
		}
	}
	f.Fuzz(func(t *testing.T, der []byte) {
		e, err := ParseEnvelope(der)
		if err != nil {
			return
		}
		e.For(id.Certificate)
		_, _ = Decrypt(der, id.Certificate, rsaKey())
	})
}

func FuzzVerify(f *testing.F) {
	p := newPKI(&testing.T{})
	id := p.identity(&testing.T{}, ecKey(), x509.ExtKeyUsageClientAuth)
	good := must(Sign([]byte("content"), id))
	f.Add(good)
	f.Add(must(SignDetached([]byte("content"), id)))
	f.Add(Degenerate(id.Certificate))
	f.Fuzz(func(t *testing.T, der []byte) {
		if content, _, err := Verify(der, p.trust()); err == nil && string(content) != "content" {
			t.Fatalf("verified what was never signed: %q", content)
		}
		_, _ = VerifyDetached(der, []byte("content"), p.trust())
		_, _ = ParseSCEP(der)
	})
}
