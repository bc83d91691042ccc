package apns

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

const (
	// TopicPrefix begins the topic of every MDM push certificate.
	TopicPrefix = "com.apple.mgmt."

	// MaxCertificate bounds what may be imported.
	MaxCertificate = 64 << 10
	maxTopic       = 128
	keyBits        = 2048 // what Apple's portal asks for
)

// oidUID is the attribute that holds the topic (RFC 4519, section 2.39).
var oidUID = asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}

// NewRequest makes a key and a certificate request (PKCS#10, DER) for it. Apple
// takes nothing from the request but the key; the name is for the person who
// sees it in the portal.
func NewRequest(organization string) (key *rsa.PrivateKey, request []byte, err error) {
	if key, err = rsa.GenerateKey(rand.Reader, keyBits); err != nil {
		return nil, nil, fmt.Errorf("make push key: %w", err)
	}
	request, err = x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:            pkix.Name{CommonName: commonName(organization + " MDM push")},
		SignatureAlgorithm: x509.SHA256WithRSA,
	}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make push certificate request: %w", err)
	}
	return key, request, nil
}

// commonName keeps to ub-common-name (RFC 5280, appendix A.1).
func commonName(s string) string {
	const longest = 64
	if runes := []rune(s); len(runes) > longest {
		return string(runes[:longest])
	}
	return s
}

// ErrInvalid says that a push certificate, its request, or a vendor's
// certificate cannot be used; the refusal says why.
var ErrInvalid = errors.New("invalid push certificate")

func refuse(field, reason, remedy string) error {
	return refusal.New(ErrInvalid, field, reason, remedy)
}

// Certificate is an MDM push certificate.
type Certificate struct {
	*x509.Certificate
	Topic string
}

// Parse reads a push certificate in PEM or DER, whoever's it is. It refuses what
// is not one.
func Parse(file []byte) (Certificate, error) {
	der, err := onlyCertificate(file)
	if err != nil {
		return Certificate{}, err
	}
	if err := bounded.DER(der, MaxCertificate, bounded.MaxDepth); err != nil {
		return Certificate{}, refuse("certificate", "is no certificate: it is cut short or damaged", "download it again from identity.apple.com")
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return Certificate{}, refuse("certificate", "cannot be read as a certificate", "download it again from identity.apple.com")
	}
	topic, err := Topic(c)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{c, topic}, nil
}

// onlyCertificate finds the one certificate in a file. Keys have no business in
// it: ours never leaves the server, and another would not fit.
func onlyCertificate(file []byte) ([]byte, error) {
	const field = "certificate"
	if len(file) > MaxCertificate {
		return nil, refuse(field, fmt.Sprintf("is %d bytes long", len(file)), "send the file from identity.apple.com alone")
	}
	if !bytes.Contains(file, []byte("-----BEGIN ")) {
		if len(file) > 0 && file[0] == 0x30 {
			return file, nil // DER
		}
		return nil, refuse(field, "holds no certificate in PEM form", "give the file MDM_…_Certificate.pem as identity.apple.com gave it to you")
	}
	var found []byte
	for rest := file; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		switch {
		case strings.Contains(block.Type, "PRIVATE KEY"):
			return nil, refuse(field, "holds a private key", "give the certificate alone: the key that it belongs to is on the server already. Treat a key that was sent around as lost")
		case block.Type == "CERTIFICATE REQUEST" || block.Type == "NEW CERTIFICATE REQUEST":
			return nil, refuse(field, "is the request, not the certificate", "upload the request to identity.apple.com and import what you download there")
		case block.Type != "CERTIFICATE":
			continue
		case found == nil:
			found = block.Bytes // the first one is the leaf; a chain may follow
		}
	}
	if found == nil {
		return nil, refuse(field, "holds no certificate in PEM form", "give the file MDM_…_Certificate.pem as identity.apple.com gave it to you")
	}
	return found, nil
}

// Topic is the UID in a push certificate's subject. A certificate for an app has
// another kind of UID: it is refused.
func Topic(c *x509.Certificate) (string, error) {
	var topics []string
	for _, name := range c.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidUID) {
			topics = append(topics, text)
		}
	}
	const remedy = "in identity.apple.com, the entry says Mobile Device Management"
	if len(topics) != 1 {
		return "", refuse("certificate", "is no MDM push certificate: its subject has no UID", remedy)
	}
	if !SoundTopic(topics[0]) {
		return "", refuse("certificate", "is no MDM push certificate: the UID in its subject does not begin with "+TopicPrefix, remedy)
	}
	return topics[0], nil
}

// SoundTopic reports whether s can be the topic of an MDM push certificate.
func SoundTopic(s string) bool {
	rest, ok := strings.CutPrefix(s, TopicPrefix)
	return ok && rest != "" && len(s) <= maxTopic && !strings.ContainsFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.'
	})
}

// Fits refuses a certificate that cannot be used with any of the keys, or not
// now. It returns the key that it belongs to.
func (c Certificate) Fits(keys []crypto.Signer, now time.Time) (crypto.Signer, error) {
	const field = "certificate"
	if now.After(c.NotAfter) {
		return nil, refuse(field, "expired on "+c.NotAfter.UTC().Format(time.DateOnly), "renew the entry in identity.apple.com with the same account, and import the new file")
	}
	if now.Before(c.NotBefore) {
		return nil, refuse(field, "is not valid before "+c.NotBefore.UTC().Format(time.RFC3339), "look at this machine's clock")
	}
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil, refuse(field, "is signed by itself, not by Apple", "give the file that identity.apple.com gave you")
	}
	for _, key := range keys {
		if public, ok := key.Public().(*rsa.PublicKey); ok && public.Equal(c.PublicKey) {
			return key, nil
		}
	}
	return nil, refuse(field, "belongs to no key of this server: it was made from another request",
		"sallyport push csr, upload that request (Renew, not Create, where phones are enrolled), and import what comes back")
}
