package adminapi

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/refusal"
)

// pair is a root, an issuing certificate under it, and that one's key.
type pair struct {
	root, issuing *x509.Certificate
	key           *ecdsa.PrivateKey
}

func newPair(t testing.TB) pair {
	t.Helper()
	sign := func(name string, serial int64, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) *x509.Certificate {
		template := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0), KeyUsage: x509.KeyUsageCertSign}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
		if err != nil {
			t.Fatal(err)
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	above, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var p pair
	if p.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	p.root = sign("Root", 1, nil, above.Public(), above)
	p.issuing = sign("Issuing", 2, p.root, p.key.Public(), above)
	return p
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (p pair) chain() string {
	return block("CERTIFICATE", p.issuing.Raw) + block("CERTIFICATE", p.root.Raw)
}

func der(t testing.TB, encode func() ([]byte, error)) []byte {
	t.Helper()
	out, err := encode()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImportForms(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	sec1 := der(t, func() ([]byte, error) { return x509.MarshalECPrivateKey(p.key) })
	pkcs8 := der(t, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) })
	file := der(t, func() ([]byte, error) {
		return pkcs12.Modern.Encode(p.key, p.issuing, []*x509.Certificate{p.root}, "pass")
	})
	for name, in := range map[string]IssuingImport{
		"PKCS#8":                {Chain: p.chain(), Key: block("PRIVATE KEY", pkcs8)},
		"SEC 1":                 {Chain: p.chain(), Key: block("EC PARAMETERS", []byte{6, 0}) + block("EC PRIVATE KEY", sec1)},
		"PKCS#12":               {PKCS12: file, Passphrase: "pass"},
		"text before and after": {Chain: "subject=Issuing\n" + p.chain() + "\n\n", Key: block("PRIVATE KEY", pkcs8)},
	} {
		out, err := in.parse()
		if err != nil || len(out.Chain) != 2 || !out.Chain[0].Equal(p.issuing) || !out.Chain[1].Equal(p.root) || out.Key == nil || !p.key.PublicKey.Equal(out.Key.Public()) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
	if out, err := (IssuingImport{Chain: p.chain(), DryRun: true}).parse(); err != nil || out.Key != nil || !out.DryRun {
		t.Errorf("without a key: %+v, %v", out, err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	out, err := (IssuingImport{Chain: p.chain(), Key: block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(old))}).parse()
	if err != nil || !old.PublicKey.Equal(out.Key.Public()) {
		t.Errorf("PKCS#1: %v", err)
	}
}

func TestImportRefusals(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	pkcs8 := der(t, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) })
	file := der(t, func() ([]byte, error) { return pkcs12.Modern.Encode(p.key, p.issuing, nil, "pass") })
	for name, tt := range map[string]struct {
		in    IssuingImport
		field string
	}{
		"nothing":                   {IssuingImport{}, "chain"},
		"no PEM":                    {IssuingImport{Chain: "hello"}, "chain"},
		"no PEM after a PEM":        {IssuingImport{Chain: p.chain() + "hello"}, "chain"},
		"a key in the chain":        {IssuingImport{Chain: p.chain() + block("PRIVATE KEY", pkcs8)}, "chain"},
		"not a certificate":         {IssuingImport{Chain: block("CERTIFICATE", []byte("x"))}, "chain"},
		"too many":                  {IssuingImport{Chain: strings.Repeat(p.chain(), 6)}, "chain"},
		"too long":                  {IssuingImport{Chain: strings.Repeat("x", maxPEM+1)}, "chain"},
		"key is a certificate":      {IssuingImport{Chain: p.chain(), Key: p.chain()}, "key"},
		"key is no PEM":             {IssuingImport{Chain: p.chain(), Key: "hello"}, "key"},
		"key is too long":           {IssuingImport{Chain: p.chain(), Key: strings.Repeat("x", maxPEM+1)}, "key"},
		"key is encrypted":          {IssuingImport{Chain: p.chain(), Key: block("ENCRYPTED PRIVATE KEY", pkcs8)}, "key"},
		"key is encrypted as ever":  {IssuingImport{Chain: p.chain(), Key: "-----BEGIN RSA PRIVATE KEY-----\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n"}, "key"},
		"key is garbage":            {IssuingImport{Chain: p.chain(), Key: block("EC PRIVATE KEY", []byte("canary"))}, "key"},
		"PKCS#12 and a chain":       {IssuingImport{Chain: p.chain(), PKCS12: file}, "pkcs12"},
		"PKCS#12, wrong passphrase": {IssuingImport{PKCS12: file, Passphrase: "canary"}, "passphrase"},
		"PKCS#12 that is none":      {IssuingImport{PKCS12: []byte("x")}, "pkcs12"},
	} {
		_, err := tt.in.parse()
		all := refusal.All(err)
		if !errors.Is(err, certs.ErrAuthorityInvalid) || len(all) != 1 || all[0].Field != tt.field || all[0].Remedy == "" {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%s tells what was sent: %v", name, err)
		}
	}
}

// What is given in place of certificates is a slip that has a way out.
func TestImportSaysWhatToDoInstead(t *testing.T) {
	t.Parallel()
	for kind, want := range map[string]string{
		"PKCS7": "openssl pkcs7 -print_certs", "CMS": "openssl pkcs7 -print_certs", "CERTIFICATE REQUEST": "sallyport ca sign", "NEW CERTIFICATE REQUEST": "sallyport ca sign",
		"EC PRIVATE KEY": "--key FILE", "PRIVATE KEY": "--key FILE", "X509 CRL": "certificates alone",
	} {
		_, err := IssuingImport{Chain: block(kind, []byte("x"))}.parse()
		if all := refusal.All(err); len(all) != 1 || !strings.Contains(all[0].Remedy, want) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// What is taken is whole; what is refused says why; nothing panics.
func FuzzImport(f *testing.F) {
	p := newPair(f)
	pkcs8 := der(f, func() ([]byte, error) { return x509.MarshalPKCS8PrivateKey(p.key) })
	file := der(f, func() ([]byte, error) { return pkcs12.Modern.Encode(p.key, p.issuing, nil, "pass") })
	f.Add(p.chain(), block("PRIVATE KEY", pkcs8), []byte(nil))
	f.Add(block("CERTIFICATE", []byte{0x30, 0x81}), block("EC PARAMETERS", nil), []byte(nil))
	f.Add("", "", file)
	f.Fuzz(func(t *testing.T, chain, key string, file []byte) {
		out, err := (IssuingImport{Chain: chain, Key: key, PKCS12: file, Passphrase: "pass"}).parse()
		switch {
		case err != nil && len(refusal.All(err)) == 0:
			t.Fatalf("an error that is no refusal: %v", err)
		case err == nil && (len(out.Chain) == 0 || len(out.Chain) > maxImported || out.Chain[0] == nil):
			t.Fatalf("taken: %+v", out)
		case err == nil && len(file) == 0 && (key != "") != (out.Key != nil):
			t.Fatal("the key was lost")
		case err == nil && !bytes.Contains([]byte(chain), []byte("CERTIFICATE")) && len(file) == 0:
			t.Fatal("a chain out of nothing")
		}
	})
}
