package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cms"
)

// Options of Open.
type Options struct {
	Organization string           // in the names of our own certificates; empty means "Sallyport"
	Now          func() time.Time // nil means time.Now
}

// Authority holds our own keys: a root, the issuing CA under it, and the
// certificates that we use ourselves. It is safe for concurrent use.
type Authority struct {
	keys         KeyStore
	organization string
	now          func() time.Time

	making sync.Mutex // one at a time adds members
	mu     sync.RWMutex
	family family
}

// Open loads the authority from its key store. At the first start it makes
// the root (10 years), the issuing CA (5 years), the RSA key that speaks SCEP
// and the one that signs profiles, and saves them in one step.
func Open(ctx context.Context, keys KeyStore, o Options) (*Authority, error) {
	a := &Authority{keys: keys, organization: o.Organization, now: o.Now}
	if a.organization == "" {
		a.organization = "Sallyport"
	}
	if a.now == nil {
		a.now = time.Now
	}
	records, err := keys.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load CA keys: %w", err)
	}
	if a.family, err = parseFamily(records); err != nil {
		return nil, fmt.Errorf("load CA keys: %w", err)
	}
	if _, ok := a.family.newest(roleRoot); !ok && len(a.family) > 0 {
		return nil, errors.New("load CA keys: there are keys but no root: restore the data directory from a backup")
	}
	if root, ok := a.family.newest(roleRoot); ok && a.now().After(root.cert.NotAfter) {
		return nil, fmt.Errorf("load CA keys: the root certificate expired on %s: phones trust nothing under it any more", root.cert.NotAfter.Format(time.DateOnly))
	}
	if err := a.Maintain(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Maintain replaces those of our own certificates, except the root and the
// server's, that have less than a third of their life left. Old ones stay for
// whoever still relies on them. First it takes up what another process with the
// same key store has made meanwhile. Call it at least once a month, and where
// there are other processes, often, and one at a time.
func (a *Authority) Maintain(ctx context.Context) error {
	a.making.Lock()
	defer a.making.Unlock()
	if err := a.reload(ctx); err != nil {
		return fmt.Errorf("maintain CA: %w", err)
	}
	now := a.now()
	next := a.members()
	var added []member
	for _, role := range []string{roleRoot, roleIssuing, roleRA, roleSigner} {
		m, ok := next.newest(role)
		if ok && (role == roleRoot || !m.due(now)) {
			continue
		}
		m, err := next.create(role, a.organization, names{}, now)
		if err != nil {
			return fmt.Errorf("maintain CA: %w", err)
		}
		next = next.with(m)
		added = append(added, m)
	}
	if err := a.save(ctx, now, added...); err != nil {
		return fmt.Errorf("maintain CA: %w", err)
	}
	return nil
}

// reload takes up every member on record, but for server certificates: each
// process has its own. The caller holds a.making.
func (a *Authority) reload(ctx context.Context) error {
	records, err := a.keys.Keys(ctx)
	if err != nil {
		return fmt.Errorf("load CA keys: %w", err)
	}
	stored, err := parseFamily(records)
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
func (a *Authority) save(ctx context.Context, now time.Time, added ...member) error {
	if len(added) == 0 {
		return nil
	}
	records := make([]KeyRecord, 0, len(added))
	var detail []string
	for _, m := range added {
		r, err := m.record()
		if err != nil {
			return err
		}
		records = append(records, r)
		detail = append(detail, m.role, hash(m.cert.Raw))
	}
	entry := audit.New(ctx, now, "key.create", "authority", audit.Done, detail...)
	if err := a.keys.SaveKeys(ctx, records, entry); err != nil {
		return fmt.Errorf("save CA keys: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, m := range added {
		a.family = a.family.with(m)
	}
	return nil
}

func (a *Authority) members() family {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.family
}

// newest is a member that Open has made sure of.
func (a *Authority) newest(role string) member {
	m, _ := a.members().newest(role)
	return m
}

// Root is the certificate that phones and administrators trust.
func (a *Authority) Root() *x509.Certificate { return a.newest(roleRoot).cert }

// Issuing is the certificate that signs what is issued now.
func (a *Authority) Issuing() *x509.Certificate { return a.newest(roleIssuing).cert }

// Chain is Issuing and Root.
func (a *Authority) Chain() []*x509.Certificate {
	return []*x509.Certificate{a.Issuing(), a.Root()}
}

// Roots is a pool of Root alone.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.Root())
	return pool
}

// Intermediates are all issuing certificates, newest first: identities that an
// older one signed still lead to the root through it.
func (a *Authority) Intermediates() []*x509.Certificate {
	var list []*x509.Certificate
	for _, m := range a.members()[roleIssuing] {
		list = append(list, m.cert)
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
	now := a.now()
	f := a.members()
	m, ok := f.newest(roleServer)
	if !ok || !h.are(m.cert) || m.due(now) {
		if m, err = f.create(roleServer, a.organization, names{hosts: h}, now); err != nil {
			return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
		}
		if err := a.save(ctx, now, m); err != nil {
			return tls.Certificate{}, fmt.Errorf("server certificate: %w", err)
		}
		f = a.members()
	}
	certificate := tls.Certificate{Certificate: [][]byte{m.cert.Raw}, PrivateKey: m.key, Leaf: m.cert}
	for _, above := range f.chain(m.cert) {
		if above != a.Root() { // whoever trusts the root has it
			certificate.Certificate = append(certificate.Certificate, above.Raw)
		}
	}
	return certificate, nil
}
