package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
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
	roleRoot         = "root"
	roleIntermediate = "intermediate"
	roleIssuing      = "issuing"
	roleRequest      = "issuing-request"
	roleRA           = "scep-ra"
	roleSigner       = "profile-signer"
	roleServer       = "server"
)

// member is one of our own certificates, mostly with its key.
type member struct {
	role      string
	cert      *x509.Certificate        // nil of a request
	request   *x509.CertificateRequest // nil of everything else
	key       crypto.Signer            // nil where it is not here: of a root or an intermediate
	created   time.Time
	activeAt  time.Time
	retiredAt time.Time
	crl       string // of an issuing certificate: where its CRL is; empty where none is served
}

// due reports whether less than a third of the certificate's life is left.
func (m member) due(now time.Time) bool {
	life := m.cert.NotAfter.Sub(m.cert.NotBefore)
	return m.cert.NotAfter.Sub(now) < life/3
}

func (m member) is(other member) bool {
	return m.cert != nil && other.cert != nil && m.cert.Equal(other.cert)
}

func (m member) der() []byte {
	if m.request != nil {
		return m.request.Raw
	}
	return m.cert.Raw
}

func (m member) record() (KeyRecord, error) {
	r := KeyRecord{Role: m.role, Certificate: m.der(), CreatedAt: m.created, ActiveAt: m.activeAt, RetiredAt: m.retiredAt}
	if m.key == nil {
		return r, nil
	}
	var err error
	if r.Key, err = x509.MarshalPKCS8PrivateKey(m.key); err != nil {
		return KeyRecord{}, fmt.Errorf("encode %s key: %w", m.role, err)
	}
	return r, nil
}

// parseMember reads one record; crlURL is that of Options.
func parseMember(r KeyRecord, crlURL string) (member, error) {
	m := member{role: r.Role, created: r.CreatedAt, activeAt: r.ActiveAt, retiredAt: r.RetiredAt}
	var public crypto.PublicKey
	var err error
	if r.Role == roleRequest {
		if m.request, err = x509.ParseCertificateRequest(r.Certificate); err != nil {
			return member{}, fmt.Errorf("read %s: %w", r.Role, err)
		}
		public = m.request.PublicKey
	} else {
		if m.cert, err = x509.ParseCertificate(r.Certificate); err != nil {
			return member{}, fmt.Errorf("read %s certificate: %w", r.Role, err)
		}
		public = m.cert.PublicKey
	}
	if r.Role == roleIssuing {
		m.crl = crlAddress(crlURL, m.cert)
	}
	if len(r.Key) == 0 && (r.Role == roleRoot || r.Role == roleIntermediate) {
		return m, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(r.Key)
	if err != nil {
		return member{}, fmt.Errorf("read %s key: not PKCS#8", r.Role)
	}
	var ok bool
	if m.key, ok = parsed.(crypto.Signer); !ok {
		return member{}, fmt.Errorf("read %s key: a %T does not sign", r.Role, parsed)
	}
	if !samePublicKey(m.key.Public(), public) {
		return member{}, fmt.Errorf("read %s key: it is not that of its certificate", r.Role)
	}
	return m, nil
}

func samePublicKey(a, b crypto.PublicKey) bool {
	comparable, ok := a.(interface{ Equal(crypto.PublicKey) bool })
	return ok && comparable.Equal(b)
}

// family is every member by role, newest first. It is not changed once made.
type family map[string][]member

func parseFamily(records []KeyRecord, crlURL string) (family, error) {
	f := family{}
	for _, r := range records {
		if _, ours := kinds[r.Role]; !ours {
			continue
		}
		m, err := parseMember(r, crlURL)
		if err != nil {
			return nil, err
		}
		f.merge(m)
	}
	return f, nil
}

// merge adds what is older than the rest of its role. A certificate that was
// retired and came back is on record twice: the newer record says how it stands.
func (f family) merge(m member) {
	for i, newer := range f[m.role] {
		if bytes.Equal(newer.der(), m.der()) {
			if newer.key == nil {
				f[m.role][i].key = m.key
			}
			return
		}
	}
	f[m.role] = append(f[m.role], m)
}

// with returns a copy in which m is the newest of its role, also where it was
// in the family before.
func (f family) with(m member) family {
	next := family{}
	for role, members := range f {
		next[role] = members
	}
	next[m.role] = []member{m}
	for _, older := range f[m.role] {
		next.merge(older)
	}
	return next
}

// newest is the member of role that is in use: of issuing certificates and roots
// the active one, of what we use ourselves the newest.
func (f family) newest(role string) (member, bool) {
	switch role {
	case roleIssuing:
		return f.active()
	case roleRoot:
		active, ok := f.active()
		if !ok {
			break
		}
		if root, ok := f.rootOf(active.cert); ok {
			return root, true
		}
	}
	if len(f[role]) == 0 {
		return member{}, false
	}
	return f[role][0], true
}

// active is the issuing certificate that signs: the one that was activated last.
// Where none was ever, an older program made them, for which the newest signed.
func (f family) active() (member, bool) {
	list := f.trusted(roleIssuing)
	if len(list) == 0 {
		return member{}, false
	}
	return slices.MaxFunc(list, func(a, b member) int { return a.activeAt.Compare(b.activeAt) }), true
}

// trusted are the members of a role that are not retired, newest first.
func (f family) trusted(role string) []member {
	var list []member
	for _, m := range f[role] {
		if m.retiredAt.IsZero() {
			list = append(list, m)
		}
	}
	return list
}

// maxAbove bounds how many certificates may stand above another.
const maxAbove = 8

// above is what stands above cert: the issuing certificate that signed it, then
// whatever is between that and the root, and the root. Of a root it is the root.
func (f family) above(cert *x509.Certificate) []member {
	var list []member
	for len(list) < maxAbove {
		m, ok := f.issuerOf(cert)
		if !ok {
			break
		}
		list = append(list, m)
		if m.role == roleRoot {
			break
		}
		cert = m.cert
	}
	return list
}

// issuerOf finds who signed cert by names and key identifiers: what is on record
// was verified before it came there. Of two certificates of one key the one that
// is not retired is meant, and a root before one that leads to another root.
func (f family) issuerOf(cert *x509.Certificate) (member, bool) {
	var found member
	for _, role := range []string{roleRoot, roleIntermediate, roleIssuing} {
		for _, m := range f[role] {
			if !f.signs(cert, m) {
				continue
			}
			if m.retiredAt.IsZero() {
				return m, true
			}
			if found.cert == nil {
				found = m
			}
		}
	}
	return found, found.cert != nil
}

// signs reports whether cert names m as its issuer.
func (f family) signs(cert *x509.Certificate, m member) bool {
	return bytes.Equal(m.cert.RawSubject, cert.RawIssuer) &&
		(len(cert.AuthorityKeyId) == 0 || len(m.cert.SubjectKeyId) == 0 || bytes.Equal(m.cert.SubjectKeyId, cert.AuthorityKeyId))
}

// rootOf is the root that cert leads to.
func (f family) rootOf(cert *x509.Certificate) (member, bool) {
	list := f.above(cert)
	if len(list) == 0 || list[len(list)-1].role != roleRoot {
		return member{}, false
	}
	return list[len(list)-1], true
}

// chain is above, as certificates.
func (f family) chain(cert *x509.Certificate) []*x509.Certificate {
	var list []*x509.Certificate
	for _, m := range f.above(cert) {
		list = append(list, m.cert)
	}
	return list
}

// byFingerprint finds a certificate of the authority.
func (f family) byFingerprint(fingerprint string) (member, bool) {
	for _, role := range []string{roleRoot, roleIntermediate, roleIssuing} {
		for _, m := range f[role] {
			if hash(m.cert.Raw) == fingerprint {
				return m, true
			}
		}
	}
	return member{}, false
}

// owns reports whether key is one of ours, or that of a certificate above ours.
func (f family) owns(key crypto.PublicKey) bool {
	_, ok := f.holder(key)
	return ok
}

func (f family) holder(key crypto.PublicKey) (member, bool) {
	for _, members := range f {
		for _, m := range members {
			if m.key != nil && samePublicKey(m.key.Public(), key) || m.cert != nil && samePublicKey(m.cert.PublicKey, key) {
				return m, true
			}
		}
	}
	return member{}, false
}

// kind says how members of a role are made.
type kind struct {
	rule RuleName
	name string // of the certificate, after the organisation
}

var kinds = map[string]kind{
	roleRoot:         {rule: ruleRoot, name: "Root CA"},
	roleIntermediate: {},
	roleIssuing:      {rule: ruleIssuing, name: "Issuing CA"},
	roleRequest:      {},
	roleRA:           {rule: RuleRA, name: "SCEP RA"},
	roleSigner:       {rule: RuleProfileSigner, name: "Profile Signer"},
	roleServer:       {rule: RuleServer},
}

// parent is the CA that signs members of role, or nil for the root, which signs itself.
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
