package mobileconfig

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

func TestInspect(t *testing.T) {
	cert, key := identity(t)
	p := secretive()
	plain := written(t, p)
	sealed, err := Encrypt(p, cert)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(content []byte) []byte {
		signed, err := cms.Sign(content, cms.Identity{Certificate: cert, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	tests := []struct {
		name              string
		data              []byte
		signed, encrypted bool
	}{
		{"plain", plain, false, false},
		{"byte order mark", append([]byte("\xef\xbb\xbf"), plain...), false, false},
		{"signed", sign(plain), true, false},
		{"encrypted", sealed, false, true},
		{"signed and encrypted", sign(sealed), true, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := Inspect(test.data, cert, key)
			if err != nil {
				t.Fatal(err)
			}
			if got.Signed != test.signed || (got.Signer != nil) != test.signed || got.Encrypted != test.encrypted || got.Opened != test.encrypted {
				t.Errorf("got %+v", got)
			}
			if diff := cmp.Diff(decoded(t, plain), got.Dict); diff != "" {
				t.Error(diff)
			}
			closed, err := Inspect(test.data, nil, nil)
			if err != nil || closed.Opened || closed.Encrypted != test.encrypted || (closed.Dict["PayloadContent"] == nil) != test.encrypted {
				t.Errorf("without a key: got %+v, %v", closed, err)
			}
		})
	}
}

func TestInspectRefuses(t *testing.T) {
	cert, key := identity(t)
	other, otherKey := otherIdentity(t)
	sealed, err := Encrypt(mail("Mail"), cert)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := cms.Sign(encoded(t, mail("Mail")), cms.Identity{Certificate: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Inspect(sealed, other, otherKey); err == nil {
		t.Error("opened with the key of another")
	}
	forged := bytes.Replace(signed, []byte("mail.example.test"), []byte("evil.example.test"), 1)
	if _, err := Inspect(forged, nil, nil); !errors.Is(err, cms.ErrSignature) {
		t.Errorf("changed content: got %v, want cms.ErrSignature", err)
	}
	notPayloads, err := cms.Encrypt([]byte("<plist><dict/></plist>"), cert)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := encode(map[string]any{"IsEncrypted": true, "EncryptedPayloadContent": notPayloads})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"nothing":            {nil, ErrNotProfile},
		"text":               {[]byte("hello"), ErrNotProfile},
		"half a signature":   {[]byte{0x30, 0x82}, cms.ErrMalformed},
		"binary list":        {[]byte("bplist00x"), bounded.ErrForbidden},
		"HTML":               {[]byte("<html></html>"), bounded.ErrMalformed},
		"too large":          {bytes.Repeat([]byte("<"), bounded.MaxPlist+1), bounded.ErrTooLarge},
		"too large, signed":  {bytes.Repeat([]byte{0x30}, MaxProfile+1), bounded.ErrTooLarge},
		"not an array":       {outer, bounded.ErrMalformed},
		"array":              {[]byte("<plist><array/></plist>"), bounded.ErrMalformed},
		"entity declaration": {[]byte("<!DOCTYPE plist [<!ENTITY a \"b\">]><plist><dict/></plist>"), bounded.ErrForbidden},
	} {
		if _, err := Inspect(test.data, cert, key); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

// FuzzInspect has no key: what it would decrypt with one is fuzzed as an envelope
// in internal/cms and as a property list in internal/bounded.
func FuzzInspect(f *testing.F) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // RSA takes a second in each worker
	if err != nil {
		f.Fatal(err)
	}
	cert := issue(f, key)
	signed, err := cms.Sign(encoded(f, mail("Mail")), cms.Identity{Certificate: cert, Key: key})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signed)
	f.Add([]byte("\xef\xbb\xbf<plist><dict><key>EncryptedPayloadContent</key><data>MAA=</data></dict></plist>"))
	f.Add([]byte("<plist><dict><key>Password</key><string>x</string><key>a</key><array><dict/></array></dict></plist>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		i, err := Inspect(data, nil, nil)
		if err != nil {
			return
		}
		if i.Dict == nil || i.Opened || i.Signed != (i.Signer != nil) {
			t.Errorf("got %+v", i)
		}
		_ = Outline(i.Dict)
	})
}

// TestLargeEncryptedProfile: several certificates make an envelope larger than
// what may come from the network.
func TestLargeEncryptedProfile(t *testing.T) {
	cert, key := identity(t)
	p := secretive()
	file := append([]byte{0x04, 0x82, 0x80, 0x00}, make([]byte, 0x8000)...) // an OCTET STRING of 32 KB
	for _, slot := range []string{"a", "b", "c"} {
		f := p.Payloads[0].(PKCS12)
		p.Payloads = append(p.Payloads, NewPKCS12(common(slot), "x.p12", file, f.Password, "rev-1"))
	}
	sealed, err := Encrypt(p, cert)
	if err != nil {
		t.Fatal(err)
	}
	i, err := Inspect(sealed, cert, key)
	if err != nil || !i.Opened || len(sealed) < 2*bounded.MaxCMS {
		t.Errorf("%d bytes: got %v", len(sealed), err)
	}
}
