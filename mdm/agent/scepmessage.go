package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"math/big"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

// Attributes of a SCEP message (RFC 8894, section 3.2).
var (
	oidMessageType   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidSenderNonce   = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidTransactionID = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
)

// requester is who signs a request and opens its reply: a self-signed certificate
// over the new key (PKCSReq), or the one that is to be renewed (RenewalReq).
type requester struct {
	cert *x509.Certificate
	key  *rsa.PrivateKey
	kind scep.MessageType
}

// seal makes the message: the request closed to ra, signed by its requester
// (RFC 8894, sections 2.3 and 3.3.1), SHA-256 throughout. The library's own
// NewCSRRequest takes cipher and digest from package variables.
func (t *transaction) seal(csr *x509.CertificateRequest, by requester, ra *x509.Certificate) error {
	enveloped, err := encrypt(csr.Raw, ra)
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	hash := sha256.Sum256(csr.RawSubjectPublicKeyInfo)
	t.ID = hex.EncodeToString(hash[:])
	t.Nonce = make([]byte, 16)
	_, _ = rand.Read(t.Nonce) // never fails (crypto/rand)
	t.Signer = by.cert.Raw
	sd, err := pkcs7.NewSignedData(enveloped)
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	err = sd.AddSigner(by.cert, by.key, pkcs7.SignerInfoConfig{ExtraSignedAttributes: []pkcs7.Attribute{
		{Type: oidTransactionID, Value: t.ID},
		{Type: oidMessageType, Value: string(by.kind)},
		{Type: oidSenderNonce, Value: t.Nonce},
	}})
	if err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	if t.Message, err = sd.Finish(); err != nil {
		return fmt.Errorf("certificate request: %w", err)
	}
	return nil
}

// selfSigned is good by the phone's clock and by the machine's: the CMS library
// notes the latter as the time of signing, and a reader holds it against this.
func selfSigned(csr *x509.CertificateRequest, key *rsa.PrivateKey, now time.Time) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	first, last := now, time.Now()
	if last.Before(first) {
		first, last = last, first
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		RawSubject:   csr.RawSubject,
		NotBefore:    first.Add(-time.Hour),
		NotAfter:     last.Add(7 * 24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	}
	if len(csr.RawSubject) <= 2 { // an issuer's name must not be empty
		template.RawSubject = nil
		template.Subject.CommonName = "SCEP client"
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
