package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cms"
)

// Options of Open.
type Options struct {
	Organization string           // in the names of our own certificates; empty means that of the first root, or else "Sallyport"
	CRLURL       string           // "http://host" under which /crl/ is served, told in what is issued to others; empty tells nothing
	Now          func() time.Time // nil means time.Now
}

func (o Options) withDefaults() Options {
	if o.Organization == "" {
		o.Organization = "Sallyport"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.CRLURL = strings.TrimRight(o.CRLURL, "/")
	return o
}

func (o Options) maker() maker {
	return maker{organization: o.Organization, crlURL: o.CRLURL, now: o.Now()}
}

// Authority holds our own keys: roots, the issuing CAs under them, and the
// certificates that we use ourselves. It is safe for concurrent use.
//
// One issuing CA is active: it signs. Others may be staged or old: what they sign
// is trusted all the same, and so are their roots. So phones can be told of a new
// one before it signs anything, and nothing that an old one signed has to be
// replaced at once. The key of a root may be elsewhere.
type Authority struct {
	keys         KeyStore
	options      Options
	organization string
	now          func() time.Time

	making sync.Mutex // one at a time adds or moves members
	mu     sync.RWMutex
	family family
}

// Open loads the authority from its key store. At the first start it makes
// the root (10 years), the issuing CA (5 years), the RSA key that speaks SCEP
// and the one that signs profiles, and saves them in one step. Init before it
// makes an authority whose root is elsewhere.
func Open(ctx context.Context, keys KeyStore, o Options) (*Authority, error) {
	records, err := keys.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load CA keys: %w", err)
	}
	given := o.Organization
	o = o.withDefaults()
	f, err := parseFamily(records, o.CRLURL)
	if err != nil {
		return nil, fmt.Errorf("load CA keys: %w", err)
	}
	if made := f.organization(); given == "" && made != "" {
		o.Organization = made
	}
	a := &Authority{keys: keys, options: o, organization: o.Organization, now: o.Now, family: f}
	if err := a.family.whole(a.now()); err != nil {
		return nil, fmt.Errorf("load CA keys: %w", err)
	}
	if err := a.Maintain(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// whole refuses a family that cannot be used, and that nothing can be added to.
func (f family) whole(now time.Time) error {
	if len(f) == 0 {
		return nil
	}
	root, ok := f.newest(roleRoot)
	if active, issues := f.active(); issues && ok {
		_, ok = f.rootOf(active.cert)
	}
	switch {
	case !ok:
		return errors.New("there are keys but no root: restore the data directory from a backup")
	case now.After(root.cert.NotAfter):
		return fmt.Errorf("the root certificate expired on %s: phones trust nothing under it any more", root.cert.NotAfter.Format(time.DateOnly))
	}
	return nil
}

// Maintain replaces those of our own certificates, except the root and the
// server's, that have less than a third of their life left, or that an issuing CA
// signed which leads to another root than the active one. Old ones stay for
// whoever still relies on them. An issuing CA whose root is elsewhere is left as
// it is: Expiring tells. First it takes up what another process with the
// same key store has made meanwhile. Call it at least once a month, and where
// there are other processes, often, and one at a time.
func (a *Authority) Maintain(ctx context.Context) error {
	a.making.Lock()
	defer a.making.Unlock()
	return a.maintain(ctx)
}

func (a *Authority) maintain(ctx context.Context) error {
	if err := a.reload(ctx); err != nil {
		return fmt.Errorf("maintain CA: %w", err)
	}
	k := a.maker()
	added, err := k.missing(a.members())
	if err != nil {
		return fmt.Errorf("maintain CA: %w", err)
	}
	if err := a.save(ctx, k.now, "key.create", "authority", added...); err != nil {
		return fmt.Errorf("maintain CA: %w", err)
	}
	return nil
}

func (a *Authority) maker() maker { return a.options.maker() }

// missing makes what f lacks or what is to be replaced in it.
func (k maker) missing(f family) ([]member, error) {
	var added []member
	for _, role := range []string{roleRoot, roleIssuing, roleRA, roleSigner} {
		m, ok := f.newest(role)
		if ok && !f.replaceable(m, k.now) {
			continue
		}
		key := KeyP256
		switch {
		case role == roleRA:
			key = KeyRSA2048 // SCEP encrypts to it
		case role == roleIssuing && ok:
			key = kindOf(m.cert.PublicKey)
		}
		m, err := k.create(f, role, key, names{})
		if err != nil {
			return nil, err
		}
		f, added = f.with(m), append(added, m)
	}
	return added, nil
}

// replaceable reports whether m is to be replaced, and can be by something better.
func (f family) replaceable(m member, now time.Time) bool {
	if m.role == roleRoot {
		return false
	}
	parent, err := f.parent(m.role)
	if err != nil || parent.key == nil || !parent.cert.NotAfter.After(now) {
		return false
	}
	lasts := parent.cert.NotAfter.After(m.cert.NotAfter) // nothing outlives its issuer
	if m.role == roleIssuing {
		return m.due(now) && lasts && f.signs(m.cert, *parent)
	}
	return m.due(now) && lasts || !f.belongs(m)
}

// belongs reports whether one of our own certificates leads to the root of what
// is issued now, by way of an issuing certificate that is not retired.
func (f family) belongs(m member) bool {
	above := f.above(m.cert)
	root, ok := f.newest(roleRoot)
	return ok && len(above) > 0 && above[0].retiredAt.IsZero() && above[len(above)-1].is(root)
}

// reload takes up every member on record, but for server certificates: each
// process has its own. The caller holds a.making.
func (a *Authority) reload(ctx context.Context) error {
	records, err := a.keys.Keys(ctx)
	if err != nil {
		return fmt.Errorf("load CA keys: %w", err)
	}
	stored, err := parseFamily(records, a.options.CRLURL)
	if err != nil {
		return fmt.Errorf("load CA keys: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if own, ok := a.family[roleServer]; ok {
		stored[roleServer] = own
	}
	a.family = stored
	return nil
}

// save stores members and then puts them to use. The caller holds a.making.
func (a *Authority) save(ctx context.Context, now time.Time, action, target string, added ...member) error {
	if len(added) == 0 {
		return nil
	}
	if err := saveMembers(ctx, a.keys, now, action, target, added); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range added {
		a.family = a.family.with(m)
	}
	return nil
}

func saveMembers(ctx context.Context, keys KeyStore, now time.Time, action, target string, added []member) error {
	records := make([]KeyRecord, 0, len(added))
	var detail []string
	for i, m := range added {
		r, err := m.record()
		if err != nil {
			return err
		}
		records = append(records, r)
		name := m.role
		if slices.ContainsFunc(added[:i], func(other member) bool { return other.role == m.role }) {
			name += strconv.Itoa(i) // a detail has one value
		}
		detail = append(detail, name, hash(m.der()))
	}
	entry := audit.New(ctx, now, action, target, audit.Done, detail...)
	if err := keys.SaveKeys(ctx, records, entry); err != nil {
		return fmt.Errorf("save CA keys: %w", err)
	}
	return nil
}

func (a *Authority) members() family {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.family
}

// newest is the member of a role that is in use, which Open has made sure of.
func (a *Authority) newest(role string) member {
	m, _ := a.members().newest(role)
	return m
}

// Root is the certificate that phones and administrators trust: the root of what
// is issued now. There may be others meanwhile: Anchors has all.
func (a *Authority) Root() *x509.Certificate { return a.newest(roleRoot).cert }

// Issuing is the certificate that signs what is issued now.
func (a *Authority) Issuing() *x509.Certificate { return a.newest(roleIssuing).cert }

// Chain is Issuing, what stands between it and its root, and Root.
func (a *Authority) Chain() []*x509.Certificate {
	f := a.members()
	active, _ := f.active()
	return append([]*x509.Certificate{active.cert}, f.chain(active.cert)...)
}

// Roots is a pool of Anchors.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	for _, root := range a.Anchors() {
		pool.AddCert(root)
	}
	return pool
}

// Intermediates are all issuing certificates that are not retired, newest first,
// and then what stands between them and their roots: identities that any
// of them signed lead to a root through them.
func (a *Authority) Intermediates() []*x509.Certificate {
	f := a.members()
	var list []*x509.Certificate
	for _, role := range []string{roleIssuing, roleIntermediate} {
		for _, m := range f.trusted(role) {
			list = append(list, m.cert)
		}
	}
	return list
}

// ProfileSigner signs configuration profiles.
func (a *Authority) ProfileSigner() cms.Identity {
	return a.identity(a.newest(roleSigner))
}

// RA opens and signs SCEP messages.
func (a *Authority) RA() cms.Identity {
	return a.identity(a.newest(roleRA))
}

// RAs are all RA identities that have not expired, newest first: a client may
// have fetched the last but one just before it was replaced.
func (a *Authority) RAs() []cms.Identity {
	now := a.now()
	var list []cms.Identity
	for _, m := range a.members()[roleRA] {
		if !now.After(m.cert.NotAfter) {
			list = append(list, a.identity(m))
		}
	}
	return list
}

func (a *Authority) identity(m member) cms.Identity {
	return cms.Identity{Certificate: m.cert, Chain: a.members().chain(m.cert), Key: m.key}
}

// ServerCertificate is a TLS certificate for exactly these host names and
// addresses. The one on record is returned as long as it fits and at least a
// third of its life is left; so it is cheap to ask at every handshake.
func (a *Authority) ServerCertificate(ctx context.Context, hostList []string) (tls.Certificate, error) {
	h, err := parseHosts(hostList)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
	}
	a.making.Lock()
	defer a.making.Unlock()
	k, f := a.maker(), a.members()
	m, ok := f.newest(roleServer)
	if !ok || !h.are(m.cert) || f.replaceable(m, k.now) {
		if m, err = k.create(f, roleServer, KeyP256, names{hosts: h}); err != nil {
			return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
		}
		if err := a.save(ctx, k.now, "key.create", "authority", m); err != nil {
			return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
		}
		f = a.members()
	}
	certificate := tls.Certificate{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key, Leaf: m.cert}
	for _, above := range f.above(m.cert) {
		if above.role != roleRoot { // whoever trusts the root has it
			certificate.Certificate = append(certificate.Certificate, above.cert.Raw)
		}
	}
	return certificate, nil
}
