package apns

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"howett.net/plist"

	"sallyport/internal/bounded"
)

// Vendor signs the requests of customers: the certificate that Apple gave an
// MDM vendor, the certificates above it up to Apple's root, and the key.
type Vendor struct {
	Chain []*x509.Certificate // the vendor's own first
	Key   *rsa.PrivateKey
}

// ParseVendor reads a vendor's certificates and key from PEM, and refuses what
// Apple would refuse later: a key of another certificate, a chain that does not
// hold together or does not reach a root, an end that has come.
func ParseVendor(certificates, key []byte, now time.Time) (Vendor, error) {
	var v Vendor
	if len(certificates) > MaxCertificate || len(key) > MaxCertificate {
		return v, refuse("vendor-cert", fmt.Sprintf("is more than %d bytes long", MaxCertificate), "give the vendor certificate and those above it alone")
	}
	for rest := certificates; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		if err := bounded.DER(block.Bytes, MaxCertificate, bounded.MaxDepth); err != nil {
			return v, refuse("vendor-cert", "holds a damaged certificate", "export it again")
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return v, refuse("vendor-cert", "holds a certificate that cannot be read", "export it again")
		}
		v.Chain = append(v.Chain, c)
	}
	if err := checkChain(v.Chain, now); err != nil {
		return v, err
	}
	signer, err := parseKey(key)
	if err != nil {
		return v, refuse("vendor-key", err.Error(), "give the unencrypted PEM file of the key that your vendor certificate was made with")
	}
	v.Key = signer
	if !signer.PublicKey.Equal(v.Chain[0].PublicKey) {
		return v, refuse("vendor-key", "does not belong to the first certificate of the vendor file", "put the vendor certificate first, then Apple's intermediate and root")
	}
	return v, nil
}

func checkChain(chain []*x509.Certificate, now time.Time) error {
	const field = "vendor-cert"
	if len(chain) == 0 {
		return refuse(field, "holds no certificate in PEM form", "convert it: openssl x509 -inform DER -in mdm.cer -out vendor.pem")
	}
	if now.After(chain[0].NotAfter) {
		return refuse(field, "expired on "+chain[0].NotAfter.UTC().Format(time.DateOnly), "renew it in the Apple Developer account")
	}
	for i, c := range chain[:len(chain)-1] {
		if c.CheckSignatureFrom(chain[i+1]) != nil {
			return refuse(field, fmt.Sprintf("certificate %d is not signed by the one after it", i+1), "order: the vendor's own, Apple's intermediate (WWDR), Apple's root")
		}
	}
	top := chain[len(chain)-1]
	if len(chain) < 2 || top.CheckSignatureFrom(top) != nil {
		return refuse(field, "does not reach a root: Apple asks for the whole chain", "add Apple's intermediate (WWDR) and root from apple.com/certificateauthority, in that order")
	}
	return nil
}

func parseKey(file []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(file)
	if block == nil {
		return nil, errors.New("holds no key in PEM form")
	}
	if err := bounded.DER(block.Bytes, MaxCertificate, bounded.MaxDepth); err != nil {
		return nil, errors.New("holds a damaged or an encrypted key")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("holds no private key that can be read without a password")
	}
	key, ok := parsed.(*rsa.PrivateKey)
	if !ok {
		return nil, errors.New("holds a key that is not RSA")
	}
	return key, nil
}

// Sign makes what identity.apple.com takes: the customer's request, signed by
// the vendor
// (https://developer.apple.com/documentation/devicemanagement/setting-up-push-notifications-for-your-mdm-customers).
func (v Vendor) Sign(request []byte) ([]byte, error) {
	r, err := ParseRequest(request)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(r.Raw)
	signature, err := rsa.SignPKCS1v15(rand.Reader, v.Key, crypto.SHA256, sum[:])
	if err != nil {
		return nil, fmt.Errorf("sign push certificate request: %w", err)
	}
	var chain strings.Builder
	for _, c := range v.Chain {
		if err := pem.Encode(&chain, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}); err != nil {
			return nil, fmt.Errorf("write vendor chain: %w", err)
		}
	}
	body, err := plist.Marshal(map[string]string{
		"PushCertRequestCSR":       base64.StdEncoding.EncodeToString(r.Raw),
		"PushCertCertificateChain": chain.String(),
		"PushCertSignature":        base64.StdEncoding.EncodeToString(signature),
	}, plist.XMLFormat)
	if err != nil {
		return nil, fmt.Errorf("write push certificate request: %w", err)
	}
	return []byte(base64.StdEncoding.EncodeToString(body)), nil
}

// ParseRequest reads a certificate request in PEM or DER and checks that it is
// signed with its own key.
func ParseRequest(file []byte) (*x509.CertificateRequest, error) {
	const field, remedy = "csr", "make one with: sallyport push csr"
	der := file
	if block, _ := pem.Decode(file); block != nil {
		der = block.Bytes
	}
	if err := bounded.DER(der, MaxCertificate, bounded.MaxDepth); err != nil {
		return nil, refuse(field, "is no certificate request", remedy)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil || r.CheckSignature() != nil {
		return nil, refuse(field, "is no certificate request, or not signed with its own key", remedy)
	}
	return r, nil
}
