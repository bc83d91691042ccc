package agent

import (
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
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	"howett.net/plist"

	"sallyport/internal/bounded"
)

// Files of a push authority, and of the stand-in that uses it.
const (
	authorityFile = "ca.pem"     // no secret: the server's apns_ca
	authorityKey  = "ca-key.pem" // 0600
	topicFile     = "topic"      // of the one entry in the portal
)

// PushAuthority stands where identity.apple.com and Apple's CA would: it issues
// push certificates, and the certificate of the stand-in push service. Nobody
// but that service and a server that was told so trusts it.
type PushAuthority struct {
	dir  string // empty: in memory
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	now  func() time.Time

	topic string // when dir is empty
}

// OpenPushAuthority takes the authority that is kept in dir, or makes one there;
// with an empty dir it lives in memory. now may be nil.
func OpenPushAuthority(dir string, now func() time.Time) (*PushAuthority, error) {
	if now == nil {
		now = time.Now
	}
	a := &PushAuthority{dir: dir, now: now}
	if dir == "" {
		return a, a.make()
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("push authority: %w", err)
	}
	if err := a.load(); !errors.Is(err, fs.ErrNotExist) {
		return a, err
	}
	if err := a.make(); err != nil {
		return nil, err
	}
	return a, a.save()
}

func (a *PushAuthority) load() error {
	key, err := os.ReadFile(filepath.Join(a.dir, authorityKey))
	if err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	cert, err := os.ReadFile(filepath.Join(a.dir, authorityFile))
	if err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	keyBlock, _ := pem.Decode(key)
	certBlock, _ := pem.Decode(cert)
	if keyBlock == nil || certBlock == nil {
		return fmt.Errorf("push authority %s: %w: not PEM", a.dir, ErrInvalid)
	}
	if a.key, err = x509.ParseECPrivateKey(keyBlock.Bytes); err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	if a.cert, err = x509.ParseCertificate(certBlock.Bytes); err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	return nil
}

func (a *PushAuthority) make() (err error) {
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serialNumber(), Subject: pkix.Name{CommonName: "Stand-in push CA (not Apple)"},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = template
	a.cert, err = a.issue(template, &a.key.PublicKey)
	return err
}

func (a *PushAuthority) save() error {
	der, err := x509.MarshalECPrivateKey(a.key)
	if err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	// The key goes last: it is what says that there is an authority.
	if err := writeAtomic(filepath.Join(a.dir, authorityFile), a.PEM()); err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	if err := writeAtomic(filepath.Join(a.dir, authorityKey), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})); err != nil {
		return fmt.Errorf("push authority: %w", err)
	}
	return nil
}

// PEM is the authority's own certificate.
func (a *PushAuthority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Pool trusts the authority alone.
func (a *PushAuthority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

func (a *PushAuthority) issue(template *x509.Certificate, key crypto.PublicKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key, a.key)
	if err != nil {
		return nil, fmt.Errorf("push authority: %w", err)
	}
	return x509.ParseCertificate(der)
}

func serialNumber() *big.Int {
	n := make([]byte, 16)
	_, _ = rand.Read(n) // never fails (crypto/rand)
	n[0] &= 0x7f
	return new(big.Int).SetBytes(n)
}

// server is the certificate of a push service on this machine.
func (a *PushAuthority) server() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("push authority: %w", err)
	}
	cert, err := a.issue(&x509.Certificate{
		SerialNumber: serialNumber(), Subject: pkix.Name{CommonName: "Stand-in push service"},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(1, 0, 0),
		DNSNames: []string{"localhost"}, IPAddresses: loopback(), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, &key.PublicKey)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// Sign answers a push certificate request as the portal does: the plain PKCS#10
// request, or the one that an MDM vendor signed, which is then checked. There
// is one entry: signing again renews it, with the same topic; another is made
// on demand, as "Create" in the portal would.
func (a *PushAuthority) Sign(request []byte, another bool) (certificate []byte, topic string, err error) {
	csr, err := parsePushRequest(request)
	if err != nil {
		return nil, "", err
	}
	if topic, err = a.entry(another); err != nil {
		return nil, "", err
	}
	cert, err := a.issue(&x509.Certificate{
		SerialNumber: serialNumber(),
		Subject: pkix.Name{Country: []string{"US"}, ExtraNames: []pkix.AttributeTypeAndValue{
			{Type: oidUserID, Value: topic},
			{Type: asn1.ObjectIdentifier{2, 5, 4, 3}, Value: "APSP:" + strings.TrimPrefix(topic, topicPrefix)},
		}},
		NotBefore: a.now().Add(-time.Hour), NotAfter: a.now().AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, csr.PublicKey)
	if err != nil {
		return nil, "", err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), topic, nil
}

const topicPrefix = "com.apple.mgmt.External."

// oidUserID is the attribute that holds a topic (RFC 4519, section 2.39).
var oidUserID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// entry returns the topic of the portal's entry.
func (a *PushAuthority) entry(another bool) (string, error) {
	path := filepath.Join(a.dir, topicFile)
	kept := a.topic
	if a.dir != "" {
		text, err := os.ReadFile(path)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("push authority: %w", err)
		}
		kept = strings.TrimSpace(string(text))
	}
	if kept != "" && !another {
		return kept, nil
	}
	a.topic = topicPrefix + uuid.NewString()
	if a.dir == "" {
		return a.topic, nil
	}
	if err := writeAtomic(path, []byte(a.topic+"\n")); err != nil {
		return "", fmt.Errorf("push authority: %w", err)
	}
	return a.topic, nil
}

// parsePushRequest reads either form of a request
// (https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers).
func parsePushRequest(file []byte) (*x509.CertificateRequest, error) {
	der := file
	if block, _ := pem.Decode(file); block != nil {
		der = block.Bytes
	} else if text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(file))); err == nil {
		if der, err = openVendorRequest(text); err != nil {
			return nil, err
		}
	}
	if err := bounded.DER(der, bounded.MaxCMS, bounded.MaxDepth); err != nil {
		return nil, fmt.Errorf("%w: no certificate request: %w", ErrInvalid, err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil || csr.CheckSignature() != nil {
		return nil, fmt.Errorf("%w: no certificate request, or not signed with its own key", ErrInvalid)
	}
	if key, ok := csr.PublicKey.(*rsa.PublicKey); !ok || key.N.BitLen() < 2048 {
		return nil, fmt.Errorf("%w: the key of the request is not RSA of at least 2048 bits", ErrInvalid)
	}
	return csr, nil
}

// openVendorRequest checks the vendor's signature and returns the request.
func openVendorRequest(body []byte) ([]byte, error) {
	if err := bounded.Plist(body, bounded.MaxPlist, bounded.MaxDepth); err != nil {
		return nil, fmt.Errorf("%w: vendor request: %w", ErrInvalid, err)
	}
	var in struct {
		CSR       string `plist:"PushCertRequestCSR"`
		Chain     string `plist:"PushCertCertificateChain"`
		Signature string `plist:"PushCertSignature"`
	}
	if _, err := plist.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("%w: vendor request: %w", ErrInvalid, err)
	}
	csr, err := base64.StdEncoding.DecodeString(in.CSR)
	if err != nil {
		return nil, fmt.Errorf("%w: PushCertRequestCSR is not base64", ErrInvalid)
	}
	signature, err := base64.StdEncoding.DecodeString(in.Signature)
	if err != nil {
		return nil, fmt.Errorf("%w: PushCertSignature is not base64", ErrInvalid)
	}
	block, _ := pem.Decode([]byte(in.Chain))
	if block == nil {
		return nil, fmt.Errorf("%w: PushCertCertificateChain is not PEM", ErrInvalid)
	}
	vendor, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%w: vendor certificate: %w", ErrInvalid, err)
	}
	key, ok := vendor.PublicKey.(*rsa.PublicKey)
	sum := sha256.Sum256(csr)
	if !ok || rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) != nil {
		return nil, fmt.Errorf("%w: PushCertSignature is not the vendor's over the request", ErrInvalid)
	}
	return csr, nil
}
