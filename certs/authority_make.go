package certs

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// errExpired says that what should sign has expired itself.
var errExpired = errors.New("the certificate that should sign it has expired")

// maker makes our own certificates.
type maker struct {
	organization string
	crlURL       string
	now          time.Time
}

// create makes a new member of role, signed by the one above it that is in use;
// it is in use itself from now on.
func (k maker) create(f family, role string, key KeyKind, n names) (member, error) {
	parent, err := f.parent(role)
	if err != nil {
		return member{}, err
	}
	return k.under(parent, role, key, n)
}

// under is create with a given parent; nil makes a root.
func (k maker) under(parent *member, role string, kind KeyKind, n names) (member, error) {
	if parent != nil && parent.key == nil {
		return member{}, fmt.Errorf("make %s certificate: the key of %s is not here", role, parent.cert.Subject)
	}
	key, err := kind.newKey()
	if err != nil {
		return member{}, fmt.Errorf("make %s key: %w", role, err)
	}
	cert, err := k.certify(parent, role, key.Public(), key, n)
	if err != nil {
		return member{}, fmt.Errorf("make %s certificate: %w", role, err)
	}
	m := member{role: role, cert: cert, key: key, created: k.now.UTC().Truncate(time.Microsecond)}
	m.activeAt = m.created
	if role == roleIssuing {
		m.crl = crlAddress(k.crlURL, cert)
	}
	return m, nil
}

func (k maker) certify(parent *member, role string, public crypto.PublicKey, own crypto.Signer, n names) (*x509.Certificate, error) {
	r := issuanceRules[kinds[role].rule]
	c := content{
		subject: pkix.Name{Organization: []string{k.organization}, CommonName: ownName(k.organization, kinds[role].name)},
		names:   n, serial: newSerial(), key: public,
	}
	switch role {
	case roleServer:
		c.subject.CommonName = commonName(n.hosts.cn())
	case roleRoot, roleIssuing:
		c.subject.CommonName = k.caName(role)
	}
	c.notBefore, c.notAfter = r.period(k.now)
	return sign(r, c, parent, own)
}

// caName says when it was made: two of a role may be in use, and a CRL and a
// person tell them apart by their names.
func (k maker) caName(role string) string {
	layout := "2006-01-02"
	if role == roleIssuing {
		layout = "2006-01-02 15:04:05"
	}
	return ownName(k.organization, kinds[role].name+" "+k.now.UTC().Format(layout))
}

// ownName is cut where it does no harm: at the organisation's end.
func ownName(organization, rest string) string {
	const limit = 64 // X.520, ub-common-name
	room := limit - len(rest) - 1
	if runes := []rune(organization); len(runes) > room {
		organization = string(runes[:room])
	}
	return organization + " " + rest
}

// sign makes the certificate. It never outlives its issuer.
func sign(r rule, c content, issuer *member, own crypto.Signer) (*x509.Certificate, error) {
	if issuer != nil && c.notAfter.After(issuer.cert.NotAfter) {
		c.notAfter = issuer.cert.NotAfter
	}
	if !c.notAfter.After(c.notBefore) {
		return nil, errExpired
	}
	if issuer != nil && r.listed && issuer.crl != "" {
		c.crl = []string{issuer.crl}
	}
	template, err := r.template(c)
	if err != nil {
		return nil, err
	}
	if issuer != nil && r.byChallenge {
		if raw, ok, err := leaf(template, c.key, issuer); ok || err != nil {
			return parsed(raw, err)
		}
	}
	parent, key := template, own
	if issuer != nil {
		parent, key = issuer.cert, issuer.key
	}
	return parsed(x509.CreateCertificate(rand.Reader, template, parent, c.key, key))
}

func parsed(raw []byte, err error) (*x509.Certificate, error) {
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(raw)
}

// crlAddress is where the CRL of an issuing certificate is served: by the
// identifier of its key, which is what every certificate under it names.
func crlAddress(base string, issuing *x509.Certificate) string {
	if base == "" {
		return ""
	}
	return base + "/crl/" + hex.EncodeToString(issuing.SubjectKeyId) + ".crl"
}
