package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Roles in the key store that are not the authority's own: another room keeps
// its keys there because they are sealed there.
const (
	RolePush        = "push"         // Apple's push certificate and its key
	RolePushRequest = "push-request" // a certificate request (PKCS#10) and its key, until Apple answers
)

// Role names in KeyRecord.
const (
	roleRoot    = "root"
	roleIssuing = "issuing"
	roleRA      = "scep-ra"
	roleSigner  = "profile-signer"
	roleServer  = "server"
)

// member is one of our own certificates with its key.
type member struct {
	role    string
	cert    *x509.Certificate
	key     crypto.Signer
	created time.Time
}

// due reports whether less than a third of the certificate's life is left.
func (m member) due(now time.Time) bool {
	life := m.cert.NotAfter.Sub(m.cert.NotBefore)
	return m.cert.NotAfter.Sub(now) < life/3
}

func (m member) record() (KeyRecord, error) {
	key, err := x509.MarshalPKCS8PrivateKey(m.key)
	if err != nil {
		return KeyRecord{}, fmt.Errorf("encode %s key: %w", m.role, err)
	}
	return KeyRecord{Role: m.role, Certificate: m.cert.Raw, Key: key, CreatedAt: m.created}, nil
}

func parseMember(r KeyRecord) (member, error) {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return member{}, fmt.Errorf("read %s certificate: %w", r.Role, err)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return member{}, fmt.Errorf("read %s key: not PKCS#8", r.Role)
	}
	key, ok := parsed.(crypto.Signer)
	if !ok {
		return member{}, fmt.Errorf("read %s key: a %T does not sign", r.Role, parsed)
	}
	if !samePublicKey(key.Public(), cert.PublicKey) {
		return member{}, fmt.Errorf("read %s key: it is not that of its certificate", r.Role)
	}
	return member{role: r.Role, cert: cert, key: key, created: r.CreatedAt}, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}

// family is every member by role, newest first. It is not changed once made.
type family map[string][]member

func parseFamily(records []KeyRecord) (family, error) {
	f := family{}
	for _, r := range records {
		if _, ours := kinds[r.Role]; !ours {
			continue
		}
		m, err := parseMember(r)
		if err != nil {
			return nil, err
		}
		f[m.role] = append(f[m.role], m)
	}
	return f, nil
}

// with returns a copy in which m is the newest of its role.
func (f family) with(m member) family {
	next := family{}
	for role, members := range f {
		next[role] = members
	}
	next[m.role] = append([]member{m}, next[m.role]...)
	return next
}

func (f family) newest(role string) (member, bool) {
	if len(f[role]) == 0 {
		return member{}, false
	}
	return f[role][0], true
}

// chain is what stands above cert: the issuing CA that signed it, and the root.
func (f family) chain(cert *x509.Certificate) []*x509.Certificate {
	root, ok := f.newest(roleRoot)
	if !ok {
		return nil
	}
	for _, issuing := range f[roleIssuing] {
		if slices.Equal(issuing.cert.SubjectKeyId, cert.AuthorityKeyId) {
			return []*x509.Certificate{issuing.cert, root.cert}
		}
	}
	return []*x509.Certificate{root.cert}
}

// owns reports whether key is one of ours.
func (f family) owns(key crypto.PublicKey) bool {
	for _, members := range f {
		for _, m := range members {
			if samePublicKey(m.key.Public(), key) {
				return true
			}
		}
	}
	return false
}

// kind says how members of a role are made.
type kind struct {
	rule RuleName
	name string // of the certificate, after the organisation
	rsa  bool   // SCEP encrypts to the RA's key, so that must be RSA; ECDSA signs 20 times as fast
}

var kinds = map[string]kind{
	roleRoot:    {rule: ruleRoot, name: "Root CA"},
	roleIssuing: {rule: ruleIssuing, name: "Issuing CA"},
	roleRA:      {rule: RuleRA, name: "SCEP RA", rsa: true},
	roleSigner:  {rule: RuleProfileSigner, name: "Profile Signer"},
	roleServer:  {rule: RuleServer},
}

func (k kind) newKey() (crypto.Signer, error) {
	if k.rsa {
		return rsa.GenerateKey(rand.Reader, 2048)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// create makes a new member of role, signed by the newest one above it.
func (f family) create(role, organization string, n names, now time.Time) (member, error) {
	k := kinds[role]
	r := issuanceRules[k.rule]
	key, err := k.newKey()
	if err != nil {
		return member{}, fmt.Errorf("make %s key: %w", role, err)
	}
	c := content{
		subject: pkix.Name{Organization: []string{organization}, CommonName: commonName(organization + " " + k.name)},
		names:   n, serial: newSerial(), key: key.Public(),
	}
	if role == roleServer {
		c.subject.CommonName = commonName(n.hosts.cn())
	}
	if role == roleIssuing { // two of them may be in use: their names differ
		c.subject.CommonName = commonName(fmt.Sprintf("%s %s %s", organization, k.name, now.UTC().Format("2006-01-02")))
	}
	c.notBefore, c.notAfter = r.period(now)
	parent, err := f.parent(role)
	if err != nil {
		return member{}, err
	}
	cert, err := sign(r, c, parent, key)
	if err != nil {
		return member{}, fmt.Errorf("make %s certificate: %w", role, err)
	}
	return member{role: role, cert: cert, key: key, created: now.UTC().Truncate(time.Microsecond)}, nil
}

// parent is the newest CA above role, or nil for the root, which signs itself.
func (f family) parent(role string) (*member, error) {
	above := roleIssuing
	switch role {
	case roleRoot:
		return nil, nil
	case roleIssuing:
		above = roleRoot
	}
	m, ok := f.newest(above)
	if !ok {
		return nil, errors.New("the key store has no " + above + " key, which was made together with the others: restore it from a backup")
	}
	return &m, nil
}

// sign makes the certificate. It never outlives its issuer.
func sign(r rule, c content, issuer *member, own crypto.Signer) (*x509.Certificate, error) {
	if issuer != nil && c.notAfter.After(issuer.cert.NotAfter) {
		c.notAfter = issuer.cert.NotAfter
	}
	template, err := r.template(c)
	if err != nil {
		return nil, err
	}
	parent, key := template, own
	if issuer != nil {
		parent, key = issuer.cert, issuer.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, c.key, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
