package agent

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
)

// The libraries fall back to DES and SHA-1 unless their package variables are
// set. The fake server uses them; the phone must not depend on them, and a test
// below runs it with the bad defaults in place.
func TestMain(m *testing.M) {
	pkcs7.ContentEncryptionAlgorithm = pkcs7.EncryptionAlgorithmAES256CBC
	if err := pkcs7.SetDefaultDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// fakeCA is a CA made with the standard library alone.
type fakeCA struct {
	root       *x509.Certificate
	rootKey    crypto.Signer
	ra         *x509.Certificate
	raKey      *rsa.PrivateKey
	signer     *x509.Certificate
	signerKey  crypto.Signer
	tls        tls.Certificate
	nextSerial int64
}

func newFakeCA(t testing.TB) *fakeCA {
	t.Helper()
	ca := &fakeCA{nextSerial: 100}
	ca.rootKey = ecKey(t)
	ca.root = ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example Root", Organization: []string{"Example"}}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, ca.rootKey.Public())
	ca.raKey = raKey()
	ca.ra = ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "Example RA"}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}, ca.raKey.Public())
	ca.signerKey = ecKey(t)
	ca.signer = ca.make(t, &x509.Certificate{Subject: pkix.Name{CommonName: "Example Profiles"}, KeyUsage: x509.KeyUsageDigitalSignature}, ca.signerKey.Public())
	serverKey := ecKey(t)
	server := ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, serverKey.Public())
	ca.tls = tls.Certificate{Certificate: [][]byte{server.Raw}, PrivateKey: serverKey}
	return ca
}

// raKey is shared by all fakes: an RSA key costs 60 ms of CPU.
var raKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func ecKey(t testing.TB) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// make issues from the root; the root itself when there is none yet.
func (ca *fakeCA) make(t testing.TB, template *x509.Certificate, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	ca.nextSerial++
	template.SerialNumber = big.NewInt(ca.nextSerial)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	}
	parent := ca.root
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, ca.rootKey)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// identity issues a phone's certificate with a user principal name.
func (ca *fakeCA) identity(t testing.TB, cn, upn string, public crypto.PublicKey) *x509.Certificate {
	t.Helper()
	id, _ := asn1.Marshal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3})
	text, _ := asn1.MarshalWithParams(upn, "utf8,explicit,tag:0")
	san, err := asn1.Marshal([]asn1.RawValue{{Class: 2, Tag: 0, IsCompound: true, Bytes: append(id, text...)}})
	if err != nil {
		t.Fatal(err)
	}
	return ca.make(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: cn}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:     []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 17}, Value: san}},
	}, public)
}

// sign makes CMS with attached content, as a profile is signed.
func (ca *fakeCA) sign(t testing.TB, content []byte, cert *x509.Certificate, key crypto.Signer) []byte {
	t.Helper()
	sd, err := pkcs7.NewSignedData(content)
	if err != nil {
		t.Fatal(err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	der, err := sd.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (ca *fakeCA) signed(t testing.TB, content []byte) []byte {
	return ca.sign(t, content, ca.signer, ca.signerKey)
}

// tampered changes one byte of the signed content.
func tampered(der []byte, old, new string) []byte {
	return bytes.Replace(der, []byte(old), []byte(new), 1)
}
