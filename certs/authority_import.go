package certs

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"sallyport/internal/refusal"
)

// Import is an issuing certificate from elsewhere: of our own offline root, or of
// a corporate CA.
type Import struct {
	// Chain is the issuing certificate, then whoever signed each, up to and with
	// the root. What is on record already may be left out at its end.
	Chain []*x509.Certificate
	// Key of the issuing certificate. Nil where it is on record: of a Request, or
	// of an issuing certificate that is renewed with its key.
	Key    crypto.Signer
	DryRun bool // only say what would be refused
}

// Import adds an issuing certificate, staged: it and its root are trusted from
// now on, and Activate puts it to use. ErrAuthorityInvalid and ErrAuthorityState
// refuse; all that is wrong is said at once.
func (a *Authority) Import(ctx context.Context, i Import) (AuthorityInfo, error) {
	a.making.Lock()
	defer a.making.Unlock()
	if err := a.reload(ctx); err != nil {
		return AuthorityInfo{}, fmt.Errorf("import CA: %w", err)
	}
	k, f := a.maker(), a.members()
	added, warnings, err := k.imported(f, i)
	if err != nil {
		return AuthorityInfo{}, fmt.Errorf("import CA: %w", err)
	}
	issuing := added[len(added)-1]
	if !i.DryRun {
		if err := a.save(ctx, k.now, "authority.import", hash(issuing.cert.Raw), added...); err != nil {
			return AuthorityInfo{}, fmt.Errorf("import CA: %w", err)
		}
	}
	info := f.with(issuing).info(issuing)
	info.Warnings = warnings
	return info, nil
}

// imported is what comes on record: a root and intermediates that are not there
// yet, or no longer, and the issuing certificate last.
func (k maker) imported(f family, i Import) ([]member, []string, error) {
	chain := f.complete(i.Chain)
	c := inspection{chain: chain, now: k.now}
	c.inspect()
	if err := c.refused.OrNil(); err != nil {
		return nil, nil, err
	}
	issuing := chain[0]
	if err := f.known(issuing); err != nil {
		return nil, nil, err
	}
	if err := f.twins(chain); err != nil {
		return nil, nil, err
	}
	key, err := f.importedKey(issuing, i.Key)
	if err != nil {
		return nil, nil, err
	}
	now := k.now.UTC().Truncate(time.Microsecond)
	m := member{role: roleIssuing, cert: issuing, key: key, created: now, crl: crlAddress(k.crlURL, issuing)}
	if err := k.trial(f, m, chain); err != nil {
		return nil, nil, err
	}
	var added []member
	for n, cert := range slices.Backward(chain[1:]) {
		role := roleIntermediate
		if n == len(chain)-2 {
			role = roleRoot
		}
		if on, ok := f.byFingerprint(hash(cert.Raw)); ok && on.retiredAt.IsZero() {
			continue
		}
		added = append(added, member{role: role, cert: cert, created: now})
	}
	return append(added, m), c.warnings, nil
}

// complete adds to the end of a chain what is on record.
func (f family) complete(chain []*x509.Certificate) []*x509.Certificate {
	if len(chain) == 0 || slices.Contains(chain, nil) {
		return nil
	}
	last := chain[len(chain)-1]
	if selfIssued(last) {
		return chain
	}
	return append(slices.Clone(chain), f.chain(last)...)
}

func selfIssued(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// known refuses what is on record already, and what would be mistaken for it.
func (f family) known(issuing *x509.Certificate) error {
	if m, ok := f.byFingerprint(hash(issuing.Raw)); ok {
		reason, remedy := "is on record already", "put it to use: sallyport ca activate "+hash(issuing.Raw)
		if !m.retiredAt.IsZero() {
			reason, remedy = "was on record, and was retired on "+m.retiredAt.UTC().Format(time.DateOnly), "have a new one signed: sallyport ca csr"
		}
		return refusal.New(ErrAuthorityState, "chain[0]", reason, remedy)
	}
	for _, m := range f[roleIssuing] {
		if bytes.Equal(m.cert.SubjectKeyId, issuing.SubjectKeyId) && !bytes.Equal(m.cert.RawSubject, issuing.RawSubject) {
			return refusal.New(ErrAuthorityInvalid, "chain[0]",
				"has the key identifier of "+m.cert.Subject.String()+", and another name: one CRL cannot be that of both",
				"have a new key signed (sallyport ca csr), or keep the name")
		}
	}
	return nil
}

// twins refuses what has the name of a certificate on record, no other key
// identifier, and another key: who signed whom is told by these two (issuerOf), and
// one would stand in the other's place.
func (f family) twins(chain []*x509.Certificate) error {
	var refused refusal.List
	for i, cert := range chain {
		for _, role := range []string{roleRoot, roleIntermediate, roleIssuing} {
			if slices.ContainsFunc(f[role], func(m member) bool { return twin(m.cert, cert) }) {
				refused.Add(refusal.New(ErrAuthorityInvalid, field(i), "has the name of a certificate on record, "+cert.Subject.String()+
					", and another key, which no key identifier tells from the other", "have it made under another name, or with a subject key identifier of its own"))
			}
		}
	}
	return refused.OrNil()
}

func twin(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && !samePublicKey(a.PublicKey, b.PublicKey) &&
		(len(a.SubjectKeyId) == 0 || len(b.SubjectKeyId) == 0 || bytes.Equal(a.SubjectKeyId, b.SubjectKeyId))
}

// importedKey finds the key, and refuses one that has another purpose.
func (f family) importedKey(issuing *x509.Certificate, given crypto.Signer) (crypto.Signer, error) {
	holder, held := f.holder(issuing.PublicKey)
	if held && holder.role != roleRequest && holder.role != roleIssuing {
		return nil, refusal.New(ErrAuthorityInvalid, "chain[0]", "has the key of our "+holder.role, "have a key of its own signed: sallyport ca csr")
	}
	switch {
	case given == nil && !held:
		return nil, refusal.New(ErrAuthorityInvalid, "key", "is missing, and none of our requests is for this certificate",
			"give the key, or the certificate that was signed for `sallyport ca csr`")
	case given == nil:
		return holder.key, nil
	case !samePublicKey(given.Public(), issuing.PublicKey):
		return nil, refusal.New(ErrAuthorityInvalid, "key", "is not that of the first certificate",
			"give the issuing certificate's own key, and its certificate first in the chain")
	}
	return given, nil
}
