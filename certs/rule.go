package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/micromdm/scep/v2/cryptoutil"

	"sallyport/internal/secret"
)

const (
	day = 24 * time.Hour

	// backdate is how far in the past a certificate begins. Phones with a clock
	// that is a little slow would otherwise hold their new identity for not yet
	// valid; an hour is what public CAs use, and it grants nothing, since nobody
	// has the certificate before it is issued.
	backdate = time.Hour

	identityLifetime = 365 * day
	mailLifetime     = 730 * day // of S/MIME: a correspondent has to fetch each new one
)

const (
	ruleRoot    RuleName = "root"
	ruleIssuing RuleName = "issuing"
)

// rule is what certificates of one kind have in common. Nothing of it can be
// asked for by a request.
type rule struct {
	lifetime    time.Duration
	usage       x509.KeyUsage
	extUsage    []x509.ExtKeyUsage
	byChallenge bool // a grant may name it
	listed      bool // others look up whether it was revoked: it says where the CRL is
	rsa         bool // something is encrypted to it, which is done by RSA alone
	mail        bool // names a mail address and, as every recipient sees it, no login
	ca          bool
	pathLen     int // for a CA
}

// issuanceRules are all kinds of certificates that we issue.
var issuanceRules = map[RuleName]rule{
	ruleRoot:    {lifetime: 3650 * day, usage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ca: true, pathLen: 1},
	ruleIssuing: {lifetime: 1826 * day, usage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, ca: true, pathLen: 0},

	// A profile is encrypted to the phone's identity, and to nothing else of the phone:
	// hence the encipherment, and RSA (cms.Encrypt).
	RuleMDMIdentity: {
		lifetime: identityLifetime, byChallenge: true, listed: true, rsa: true,
		usage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	},
	RuleMailIdentity: {
		lifetime: identityLifetime, byChallenge: true, listed: true,
		usage:    x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	},
	// One key signs and another is encrypted to, as RFC 8551, section 4 advises: the
	// second is kept by us, and what signs for a person must not be.
	RuleSMIMESigning: {
		lifetime: mailLifetime, byChallenge: true, listed: true, mail: true,
		usage:    x509.KeyUsageDigitalSignature,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	},
	// Mail is encrypted to a key by RSA: not every mail program can agree on keys
	// by elliptic curves (RFC 8551, section 2.3).
	RuleSMIMEEncryption: {
		lifetime: mailLifetime, listed: true, rsa: true, mail: true,
		usage:    x509.KeyUsageKeyEncipherment,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	},
	// `openssl cms -verify` wants emailProtection or no extended usage at all.
	RuleProfileSigner: {
		lifetime: 730 * day, listed: true,
		usage:    x509.KeyUsageDigitalSignature,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
	},
	// Apple takes no server certificate beyond 398 days.
	RuleServer: {
		lifetime: 396 * day,
		usage:    x509.KeyUsageDigitalSignature,
		extUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	},
	// SCEP clients check the two key usages of an RA; an extended usage makes
	// those that are built on OpenSSL refuse its signature.
	RuleRA: {
		lifetime: 730 * day, rsa: true,
		usage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
	},
}

// period is the validity of a certificate that is issued at now.
func (r rule) period(now time.Time) (notBefore, notAfter time.Time) {
	now = now.UTC().Truncate(time.Second) // certificates count seconds
	return now.Add(-backdate), now.Add(r.lifetime - backdate)
}

// content is what differs between two certificates of one rule.
type content struct {
	subject   pkix.Name
	names     names
	serial    []byte
	notBefore time.Time
	notAfter  time.Time
	key       crypto.PublicKey
	crl       []string // where the CRL of its issuer is
}

// template is the certificate to be signed.
func (r rule) template(c content) (*x509.Certificate, error) {
	keyID, err := cryptoutil.GenerateSubjectKeyID(c.key)
	if err != nil {
		return nil, fmt.Errorf("identify key: %w", err)
	}
	if _, ok := c.key.(*rsa.PublicKey); r.rsa && !ok {
		return nil, fmt.Errorf("%w: it is one on an elliptic curve, and what is encrypted to this certificate is so by RSA: ask with an RSA key of 2048 to 4096 bits", ErrKeyRefused)
	}
	if r.mail && c.names.mail == "" {
		return nil, fmt.Errorf("%w: no mail address", ErrGrantInvalid)
	}
	if r.mail {
		c.names.upn = ""
	}
	usage := r.usage
	if _, elliptic := c.key.(*ecdsa.PublicKey); elliptic {
		usage &^= x509.KeyUsageKeyEncipherment // RFC 8813, section 3
	}
	t := &x509.Certificate{
		SerialNumber:          new(big.Int).SetBytes(c.serial),
		Subject:               c.subject,
		NotBefore:             c.notBefore,
		NotAfter:              c.notAfter,
		KeyUsage:              usage,
		ExtKeyUsage:           r.extUsage,
		BasicConstraintsValid: true,
		IsCA:                  r.ca,
		MaxPathLen:            -1,
		SubjectKeyId:          keyID,
		CRLDistributionPoints: c.crl,
	}
	if r.ca {
		t.MaxPathLen, t.MaxPathLenZero = r.pathLen, r.pathLen == 0
	}
	if err := c.names.apply(t); err != nil {
		return nil, err
	}
	return t, nil
}

// newSerial is 16 random bytes, positive and without leading zeros (126 of
// its bits are random; CAs must have 64), so that its hex form is one only.
func newSerial() []byte {
	serial := secret.Random(16)
	serial[0] = serial[0]&0x3f | 0x40
	return serial
}

// commonName is cut to what X.520 allows, and stands between no spaces (RFC 4518,
// section 2.6.1); the full names are in the SAN.
func commonName(s string) string {
	const limit = 64
	if runes := []rune(s); len(runes) > limit {
		s = string(runes[:limit])
	}
	return strings.TrimSpace(s)
}
