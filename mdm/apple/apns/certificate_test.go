package apns_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"howett.net/plist"

	"sallyport/internal/refusal"
	"sallyport/mdm/apple/apns"
)

var uid = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// world has an issuer that stands where Apple would.
type world struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
}

func newWorld(t testing.TB) *world {
	t.Helper()
	key := quickKey(t)
	plain := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Root"}, NotBefore: noon.AddDate(-1, 0, 0), NotAfter: noon.AddDate(5, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	w := &world{key: key, root: plain}
	w.root = w.issue(t, plain, &key.PublicKey)
	return w
}

func newKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func quickKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (w *world) issue(t testing.TB, template *x509.Certificate, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, w.root, key, w.key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// like is a push certificate for a topic, valid at noon.
func like(topics ...string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	c := &x509.Certificate{SerialNumber: serial, NotBefore: noon.AddDate(0, -1, 0), NotAfter: noon.AddDate(0, 11, 0)}
	for _, topic := range topics {
		c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: uid, Value: topic})
	}
	c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "APSP:1"})
	return c
}

func (w *world) pair(t testing.TB, topic string) tls.Certificate {
	t.Helper()
	key := quickKey(t)
	return tls.Certificate{Certificate: [][]byte{w.issue(t, like(topic), &key.PublicKey).Raw}, PrivateKey: key}
}

func inPEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func TestImportChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, request, err := apns.NewRequest("Example")
	if err != nil {
		t.Fatal(err)
	}
	good := w.issue(t, like(topic), &key.PublicKey)
	expired := like(topic)
	expired.NotAfter = noon.Add(-time.Second)
	early := like(topic)
	early.NotBefore = noon.Add(time.Hour)
	self := like(topic)
	selfSigned, err := x509.CreateCertificate(rand.Reader, self, self, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		file []byte
		says string // empty: accepted
	}{
		{"PEM", inPEM("CERTIFICATE", good.Raw), ""},
		{"DER", good.Raw, ""},
		{"with its chain and words between", append(append([]byte("Bag Attributes\n"), inPEM("CERTIFICATE", good.Raw)...), inPEM("CERTIFICATE", w.root.Raw)...), ""},
		{"nothing", nil, "no certificate"},
		{"a page", []byte("<html>Sign in</html>"), "no certificate"},
		{"too long", bytes.Repeat([]byte("a"), apns.MaxCertificate+1), "bytes long"},
		{"a key beside it", append(inPEM("CERTIFICATE", good.Raw), inPEM("RSA PRIVATE KEY", []byte{1})...), "private key"},
		{"the request", inPEM("CERTIFICATE REQUEST", request), "is the request"},
		{"cut short", inPEM("CERTIFICATE", good.Raw[:len(good.Raw)-3]), "damaged"},
		{"no certificate inside", inPEM("CERTIFICATE", request), "cannot be read"},
		{"for an app", inPEM("CERTIFICATE", w.issue(t, like("com.example.app"), &key.PublicKey).Raw), "does not begin with"},
		{"without a topic", inPEM("CERTIFICATE", w.issue(t, like(), &key.PublicKey).Raw), "no UID"},
		{"with two topics", inPEM("CERTIFICATE", w.issue(t, like(topic, topic), &key.PublicKey).Raw), "no UID"},
		{"with a topic of spaces", inPEM("CERTIFICATE", w.issue(t, like(apns.TopicPrefix+"a b"), &key.PublicKey).Raw), "does not begin with"},
		{"expired", inPEM("CERTIFICATE", w.issue(t, expired, &key.PublicKey).Raw), "expired on 2026-11-22"},
		{"not valid yet", inPEM("CERTIFICATE", w.issue(t, early, &key.PublicKey).Raw), "not valid before"},
		{"self-signed", inPEM("CERTIFICATE", selfSigned), "signed by itself"},
		{"for another key", inPEM("CERTIFICATE", w.issue(t, like(topic), &w.key.PublicKey).Raw), "no key of this server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := apns.Parse(tt.file)
			var fits crypto.Signer
			if err == nil {
				fits, err = c.Fits([]crypto.Signer{w.key, key}, noon)
			}
			if tt.says == "" {
				if err != nil || c.Topic != topic || fits != crypto.Signer(key) {
					t.Errorf("got %v, %q, want it accepted", err, c.Topic)
				}
				return
			}
			said := refusal.All(err)
			if !errors.Is(err, apns.ErrInvalid) || len(said) != 1 || !strings.Contains(said[0].Reason, tt.says) || said[0].Remedy == "" {
				t.Errorf("got %v, want a refusal that says %q and a remedy", err, tt.says)
			}
		})
	}
}

func TestVendorRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t)
	vendor := w.issue(t, like(), &key.PublicKey)
	chain := append(inPEM("CERTIFICATE", vendor.Raw), inPEM("CERTIFICATE", w.root.Raw)...)
	v, err := apns.ParseVendor(chain, inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), noon)
	if err != nil {
		t.Fatal(err)
	}
	_, request, err := apns.NewRequest(strings.Repeat("Ä", 80))
	if err != nil {
		t.Fatal(err)
	}
	text, err := v.Sign(inPEM("CERTIFICATE REQUEST", request))
	if err != nil {
		t.Fatal(err)
	}
	body, err := base64.StdEncoding.DecodeString(string(text))
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]string
	if _, err := plist.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if got["PushCertCertificateChain"] != string(chain) || got["PushCertRequestCSR"] != base64.StdEncoding.EncodeToString(request) || len(got) != 3 {
		t.Errorf("got %d keys, want chain and request as they are", len(got))
	}
	signature, err := base64.StdEncoding.DecodeString(got["PushCertSignature"])
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(request)
	if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, sum[:], signature); err != nil {
		t.Error(err)
	}
	if _, err := v.Sign([]byte("no request")); !errors.Is(err, apns.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestVendorIsChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key := newKey(t)
	vendor := inPEM("CERTIFICATE", w.issue(t, like(), &key.PublicKey).Raw)
	root := inPEM("CERTIFICATE", w.root.Raw)
	old := like()
	old.NotAfter = noon.Add(-time.Hour)
	rsaKey := inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, tt := range map[string]struct {
		certificates, key []byte
		field             string
	}{
		"none":              {nil, rsaKey, "vendor-cert"},
		"alone":             {vendor, rsaKey, "vendor-cert"},
		"upside down":       {join(root, vendor), rsaKey, "vendor-cert"},
		"of another issuer": {join(vendor, inPEM("CERTIFICATE", newWorld(t).root.Raw)), rsaKey, "vendor-cert"},
		"expired":           {join(inPEM("CERTIFICATE", w.issue(t, old, &key.PublicKey).Raw), root), rsaKey, "vendor-cert"},
		"damaged":           {join(inPEM("CERTIFICATE", []byte{0x30, 0x80}), root), rsaKey, "vendor-cert"},
		"no key":            {join(vendor, root), nil, "vendor-key"},
		"another key":       {join(vendor, root), inPEM("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(newKey(t))), "vendor-key"},
		"an encrypted key":  {join(vendor, root), inPEM("ENCRYPTED PRIVATE KEY", []byte{0x30, 0}), "vendor-key"},
		"endless":           {bytes.Repeat(vendor, 60), rsaKey, "vendor-cert"},
	} {
		_, err := apns.ParseVendor(tt.certificates, tt.key, noon)
		said := refusal.All(err)
		if !errors.Is(err, apns.ErrInvalid) || len(said) != 1 || said[0].Field != tt.field {
			t.Errorf("%s: got %v, want a refusal of %s", name, err, tt.field)
		}
	}
}
