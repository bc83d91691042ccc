package certs_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"strings"
	"sync"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/cms/openssltest"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const rootPhrase = "schöne grüne Äpfel pflücken"

func readRequest(t *testing.T, csr []byte) *x509.CertificateRequest {
	t.Helper()
	block, rest := pem.Decode(csr)
	if block == nil || block.Type != "CERTIFICATE REQUEST" || len(rest) != 0 {
		t.Fatalf("not a request in PEM: %q", csr)
	}
	return must(x509.ParseCertificateRequest(block.Bytes))
}

// keptRoot is a root and its file: deriving its key takes a second or two.
var keptRoot = sync.OnceValues(func() (certs.RootFile, []byte) {
	corp := newCorporate(newClock().Now(), nil)
	root := certs.RootFile{Certificate: corp.issuing.cert, Key: corp.issuing.key}
	return root, must(certs.EncodeRoot(root, secret.New(rootPhrase)))
})

func TestRootFile(t *testing.T) {
	t.Parallel()
	root, data := keptRoot()
	again := must(certs.DecodeRoot(data, secret.New(rootPhrase)))
	if !again.Certificate.Equal(root.Certificate) || !again.Key.(*ecdsa.PrivateKey).Equal(root.Key) {
		t.Error("what was read is not what was written")
	}
	if n := bounded.Derivations(data); n < 3*600_000 || n > bounded.MaxDerivations {
		t.Errorf("%d iterations", n)
	}
	data = must(pkcs12.Modern2023.Encode(root.Key, root.Certificate, nil, rootPhrase)) // of few iterations
	for name, tt := range map[string]struct {
		data         []byte
		phrase, says string
	}{
		"wrong passphrase": {data, rootPhrase + "x", "is not the password"},
		"no passphrase":    {data, "", "passphrase: is missing"},
		"nothing":          {nil, rootPhrase, "not a PKCS#12 file"},
		"cut":              {data[:len(data)-1], rootPhrase, "not a PKCS#12 file"},
		"damaged":          {append([]byte{0x30, 0x81}, data[2:]...), rootPhrase, "not a PKCS#12 file"},
		"too large":        {make([]byte, 1<<20), rootPhrase, "64 KB"},
		"no key":           {must(pkcs12.Modern2023.EncodeTrustStore([]*x509.Certificate{root.Certificate}, rootPhrase)), rootPhrase, "one private key"},
	} {
		_, err := certs.DecodeRoot(tt.data, secret.New(tt.phrase))
		refused(t, name, err, certs.ErrAuthorityInvalid, tt.says)
		if strings.Contains(err.Error(), rootPhrase) {
			t.Errorf("%s: %v tells the passphrase", name, err)
		}
	}
	for name, phrase := range map[string]string{
		"short": "elevenchars", "empty": "", "two lines": "correct horse\nbattery", "beyond PKCS#12": "correct horse 🐎 battery",
		"long": strings.Repeat("x", 1025),
	} {
		_, err := certs.EncodeRoot(root, secret.New(phrase))
		refused(t, name, err, certs.ErrAuthorityInvalid, "passphrase")
	}
}

// TestOpenSSLReadsTheRootFile: in ten years another program may have to.
func TestOpenSSLReadsTheRootFile(t *testing.T) {
	t.Parallel()
	box := openssltest.Open(t)
	_, data := keptRoot()
	out, err := box.Command("pkcs12", "-in", box.File("root.p12", data), "-passin", "pass:"+rootPhrase, "-nodes", "-info").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PRIVATE KEY") || !strings.Contains(string(out), "AES-256-CBC") || strings.Contains(string(out), "3DES") {
		t.Errorf("openssl: %v: %s", err, strings.Split(string(out), "-----BEGIN")[0])
	}
}

func TestSignRequestRefuses(t *testing.T) {
	t.Parallel()
	f, root := offline(t, "")
	csr := must(f.authority.Request(t.Context(), ""))
	der := readRequest(t, csr).Raw
	stranger := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	request := func(template x509.CertificateRequest, key any) []byte {
		return must(x509.CreateCertificateRequest(rand.Reader, &template, key))
	}
	foreign := request(x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "Another Root", Country: []string{"XX"}}, DNSNames: []string{"bank.test"},
	}, stranger)
	signed := must(certs.SignRequest(root, foreign, certs.Options{Organization: "Other"}, f.clock.Now()))
	if !strings.HasPrefix(signed.Subject.String(), "CN=Other Issuing CA ") || len(signed.DNSNames) != 0 {
		t.Errorf("a foreign request gave %s for %v", signed.Subject, signed.DNSNames)
	}
	broken := append([]byte(nil), der...)
	broken[len(broken)-1] ^= 1
	corp := newCorporate(f.clock.Now(), changes{"between": func(c *x509.Certificate) { c.MaxPathLenZero = true }})
	for name, tt := range map[string]struct {
		root certs.RootFile
		csr  []byte
		says string
	}{
		"nothing":             {root, nil, "is not a certificate request"},
		"PEM of another kind": {root, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate.Raw}), "in PEM"},
		"certificate":         {root, root.Certificate.Raw, "is not a certificate request"},
		"too large":           {root, make([]byte, 17<<10), "larger"},
		"trailing bytes":      {root, append(append([]byte(nil), der...), 0), "is not a certificate request"},
		"broken signature":    {root, broken, "is not signed by its own key"},
		"weak key":            {root, request(x509.CertificateRequest{}, must(ecdsa.GenerateKey(elliptic.P224(), rand.Reader))), "P-256"},
		"root's own key":      {root, request(x509.CertificateRequest{}, root.Key), "root's own key"},
		"no root":             {certs.RootFile{}, der, "root: is missing"},
		"another's key":       {certs.RootFile{Certificate: root.Certificate, Key: stranger}, der, "not that of its certificate"},
		"no CA":               {certs.RootFile{Certificate: leafOf(corp.issuing, f.clock.Now()), Key: stranger}, der, "not that of its certificate"},
		"path length 0":       {certs.RootFile{Certificate: corp.between.cert, Key: corp.between.key}, der, "path length is 0"},
	} {
		_, err := certs.SignRequest(tt.root, tt.csr, certs.Options{}, f.clock.Now())
		refused(t, name, err, certs.ErrAuthorityInvalid, tt.says)
	}
	for name, at := range map[string]int{"expired": 3651, "not valid before": -1} {
		_, err := certs.SignRequest(root, csr, certs.Options{}, f.clock.Now().AddDate(0, 0, at))
		refused(t, name, err, certs.ErrAuthorityInvalid, name)
	}
}

func FuzzDecodeRoot(f *testing.F) {
	corp := newCorporate(newClock().Now(), nil)
	f.Add(must(pkcs12.Modern2023.WithIterations(1).Encode(corp.root.key, corp.root.cert, nil, rootPhrase)))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, data []byte) {
		if n := bounded.Derivations(data); n > 10_000 && n <= bounded.MaxDerivations {
			return // takes its time, as it may
		}
		if _, err := certs.DecodeRoot(data, secret.New(rootPhrase)); err != nil &&
			(!errors.Is(err, certs.ErrAuthorityInvalid) || len(refusal.All(err)) == 0 || strings.Contains(err.Error(), rootPhrase)) {
			t.Errorf("got %v", err)
		}
	})
}

func FuzzSignRequest(f *testing.F) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	corp := newCorporate(newClock().Now(), nil)
	root := certs.RootFile{Certificate: corp.root.cert, Key: corp.root.key}
	f.Add(must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)))
	f.Add([]byte("-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n"))
	f.Fuzz(func(t *testing.T, csr []byte) {
		cert, err := certs.SignRequest(root, csr, certs.Options{Organization: "Example"}, newClock().Now())
		switch {
		case err != nil && !errors.Is(err, certs.ErrAuthorityInvalid):
			t.Errorf("got %v", err)
		case err == nil && !strings.HasPrefix(cert.Subject.CommonName, "Example Issuing CA "):
			t.Errorf("got %s", cert.Subject)
		}
	})
}
