package certs

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"

	"sallyport/internal/refusal"
)

// InitOptions of Init.
type InitOptions struct {
	Kind KeyKind // of root and issuing CA; empty means KeyP256

	// RootOut is given the root and its key before anything is saved; when it
	// fails, nothing is. The root's key is not on record then: nobody who has the
	// server can make another issuing CA. Nil keeps it on record.
	RootOut func(root *x509.Certificate, key crypto.Signer) error
}

// Init makes the authority of a key store that has none, as Open does at the
// first start, with the choices of o. Where there is one, it refuses with ErrAuthorityState.
func Init(ctx context.Context, keys KeyStore, o Options, i InitOptions) error {
	kind, err := i.Kind.orDefault()
	if err != nil {
		return err
	}
	k := o.withDefaults().maker()
	records, err := keys.Keys(ctx)
	if err != nil {
		return fmt.Errorf("make CA: load keys: %w", err)
	}
	f, err := parseFamily(records, k.crlURL)
	if err != nil {
		return fmt.Errorf("make CA: load keys: %w", err)
	}
	if len(f) > 0 {
		return refusal.New(ErrAuthorityState, "", "there is an authority already",
			"add an issuing certificate to it: sallyport ca csr, ca sign, ca import, ca activate; or begin with an empty data directory")
	}
	added, err := k.first(kind)
	if err != nil {
		return fmt.Errorf("make CA: %w", err)
	}
	if i.RootOut != nil {
		if err := i.RootOut(added[0].cert, added[0].key); err != nil {
			return fmt.Errorf("make CA: hand out the root: %w", err)
		}
		added[0].key = nil
	}
	if err := saveMembers(ctx, keys, k.now, "authority.init", hash(added[1].cert.Raw), added); err != nil {
		return fmt.Errorf("make CA: %w", err)
	}
	return nil
}

// first makes a whole family, the root first, the issuing CA second.
func (k maker) first(kind KeyKind) ([]member, error) {
	f := family{}
	var added []member
	for _, role := range []string{roleRoot, roleIssuing} {
		m, err := k.create(f, role, kind, names{})
		if err != nil {
			return nil, err
		}
		f, added = f.with(m), append(added, m)
	}
	rest, err := k.missing(f)
	if err != nil {
		return nil, err
	}
	return append(added, rest...), nil
}
