package agent

import (
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/smallstep/pkcs7"

	"sallyport/internal/bounded"
)

// A profile may be larger than what a server accepts from a phone.
const maxProfile = 1 << 20

// parseCMS checks size and depth before the parser runs, which is recursive,
// and turns its panics into errors.
func parseCMS(der []byte) (p7 *pkcs7.PKCS7, err error) {
	if err := bounded.DER(der, maxProfile, bounded.MaxDepth); err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil {
			p7, err = nil, errors.New("not a CMS message")
		}
	}()
	return pkcs7.Parse(der)
}

// openSigned verifies CMS SignedData with attached content (RFC 5652, section
// 5): exactly one signer, SHA-256 or better, and a chain to roots at now. It
// returns the content, the signer and the other certificates that came along.
func openSigned(der []byte, roots *x509.CertPool, now time.Time) (content []byte, signers []*x509.Certificate, err error) {
	p7, err := parseCMS(der)
	if err != nil {
		return nil, nil, err
	}
	if len(p7.Signers) != 1 {
		return nil, nil, fmt.Errorf("%d signers instead of one", len(p7.Signers))
	}
	if err := strongDigest(p7); err != nil {
		return nil, nil, err
	}
	if len(p7.Content) == 0 {
		return nil, nil, errors.New("signature without content")
	}
	if err := verifyBytes(p7); err != nil {
		return nil, nil, err
	}
	signer := p7.GetOnlySigner()
	if signer == nil {
		return nil, nil, errors.New("signer's certificate is missing")
	}
	// The library would judge the chain at the time that the signer claims.
	intermediates := x509.NewCertPool()
	signers = []*x509.Certificate{signer}
	for _, c := range p7.Certificates {
		if !c.Equal(signer) {
			intermediates.AddCert(c)
			signers = append(signers, c)
		}
	}
	_, err = signer.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("signer %q: %w", signer.Subject.CommonName, err)
	}
	if signer.KeyUsage != 0 && signer.KeyUsage&(x509.KeyUsageDigitalSignature|x509.KeyUsageContentCommitment) == 0 {
		return nil, nil, fmt.Errorf("certificate of signer %q is not made for signing", signer.Subject.CommonName)
	}
	return p7.Content, signers, nil
}

func verifyBytes(p7 *pkcs7.PKCS7) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("signature cannot be checked")
		}
	}()
	return p7.Verify()
}

func strongDigest(p7 *pkcs7.PKCS7) error {
	for _, s := range p7.Signers {
		d := s.DigestAlgorithm.Algorithm
		if !d.Equal(pkcs7.OIDDigestAlgorithmSHA256) && !d.Equal(pkcs7.OIDDigestAlgorithmSHA384) && !d.Equal(pkcs7.OIDDigestAlgorithmSHA512) {
			return fmt.Errorf("digest algorithm %v is too weak", d)
		}
	}
	return nil
}

// signDetached makes the CMS of an Mdm-Signature header: SHA-256, the signer's
// certificate alone, no content.
func signDetached(body []byte, cert *x509.Certificate, key crypto.Signer) ([]byte, error) {
	sd, err := pkcs7.NewSignedData(body)
	if err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	sd.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(cert, key, pkcs7.SignerInfoConfig{}); err != nil {
		return nil, fmt.Errorf("sign message: %w", err)
	}
	sd.Detach()
	return sd.Finish()
}

// decrypt opens CMS EnvelopedData. Only AES is accepted: DES is what the
// libraries fall back to, and must not pass unnoticed.
func decrypt(der []byte, cert *x509.Certificate, key *rsa.PrivateKey) (content []byte, err error) {
	p7, err := parseCMS(der)
	if err != nil {
		return nil, err
	}
	if err := aesOnly(der); err != nil {
		return nil, err
	}
	defer func() {
		if recover() != nil { // bad padding
			content, err = nil, errors.New("cannot be decrypted")
		}
	}()
	return p7.Decrypt(cert, key)
}

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidRSA           = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
	oidAES128CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}
	oidAES192CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 22}
	oidAES256CBC     = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

// EnvelopedData as RFC 5652, section 6.1 lays it down, for RSA recipients. The
// library's own Encrypt takes its cipher from a package variable (DES unless
// somebody changed it), which phones in one process would have to share.
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0"`
}

type envelopedData struct {
	Version    int
	Recipients []recipientInfo `asn1:"set"`
	Content    encryptedContent
}

type recipientInfo struct {
	Version   int
	Recipient issuerAndSerial
	Algorithm pkix.AlgorithmIdentifier
	Key       []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type encryptedContent struct {
	Type      asn1.ObjectIdentifier
	Algorithm pkix.AlgorithmIdentifier
	Data      asn1.RawValue `asn1:"optional,tag:0"`
}

// encrypt closes content to one RSA certificate with AES-256-CBC.
func encrypt(content []byte, to *x509.Certificate) ([]byte, error) {
	public, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, errors.New("recipient's key is not RSA")
	}
	key, iv := make([]byte, 32), make([]byte, aes.BlockSize)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	_, _ = rand.Read(iv)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	pad := aes.BlockSize - len(content)%aes.BlockSize
	data := make([]byte, len(content)+pad)
	copy(data, content)
	for i := len(content); i < len(data); i++ {
		data[i] = byte(pad)
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(data, data)
	//lint:ignore SA1019 SCEP knows no other key transport that every CA understands (RFC 8894, section 3.1)
	wrapped, err := rsa.EncryptPKCS1v15(rand.Reader, public, key)
	if err != nil {
		return nil, err
	}
	ivDER, err := asn1.Marshal(iv)
	if err != nil {
		return nil, err
	}
	inner, err := asn1.Marshal(envelopedData{
		Recipients: []recipientInfo{{
			Recipient: issuerAndSerial{Issuer: asn1.RawValue{FullBytes: to.RawIssuer}, Serial: to.SerialNumber},
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidRSA, Parameters: asn1.NullRawValue},
			Key:       wrapped,
		}},
		Content: encryptedContent{
			Type:      oidData,
			Algorithm: pkix.AlgorithmIdentifier{Algorithm: oidAES256CBC, Parameters: asn1.RawValue{FullBytes: ivDER}},
			Data:      asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: data},
		},
	})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(contentInfo{
		Type:    oidEnvelopedData,
		Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner},
	})
}

func aesOnly(der []byte) error {
	var outer contentInfo
	if _, err := asn1.Unmarshal(der, &outer); err != nil {
		return fmt.Errorf("enveloped data: %w", err)
	}
	if !outer.Type.Equal(oidEnvelopedData) {
		return fmt.Errorf("content type %v instead of enveloped data", outer.Type)
	}
	var inner envelopedData
	if _, err := asn1.Unmarshal(outer.Content.Bytes, &inner); err != nil {
		return fmt.Errorf("enveloped data: %w", err)
	}
	a := inner.Content.Algorithm.Algorithm
	if !a.Equal(oidAES128CBC) && !a.Equal(oidAES192CBC) && !a.Equal(oidAES256CBC) {
		return fmt.Errorf("content cipher %v is not AES", a)
	}
	return nil
}
