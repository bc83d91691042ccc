package enroll

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/mdm"
)

// androidExpected adds what an Android phone should have: the policy that Google
// was given for it, and the mail accounts that should be in it.
func (s *Service) androidExpected(ctx context.Context, have Have, expected compliance.Expected) (compliance.Expected, error) {
	// A companion app that is told of a new certificate shuts nobody's mail meanwhile.
	expected.Policy = compliance.ExpectedPolicy{Name: have.Sent.Name, Version: cmp.Or(have.Sent.Since, have.Sent.Version)}
	all, err := s.catalog(ctx, have.Catalog)
	if err != nil {
		return compliance.Expected{}, err
	}
	accounts, err := s.androidMail(ctx, all.templates, have)
	if err != nil {
		return compliance.Expected{}, err
	}
	expected.Policy.Companion = have.Companion
	given := make([]AndroidMail, len(accounts))
	for i, a := range accounts {
		m := have.Sent.given(a.AndroidMail)
		given[i] = m
		expected.Mail = append(expected.Mail, compliance.ExpectedProfile{Name: m.Name, Identifier: m.Identifier, UUID: m.UUID, Package: m.Package})
	}
	if expected.Identity, err = s.expectedKey(ctx, have, given); err != nil {
		return compliance.Expected{}, err
	}
	return expected, s.sayWaits(ctx, have, expected.Mail)
}

// expectedKey describes the certificate that a phone's mail apps sign in with; of
// several the one that is worst off, since all of them have to be there.
func (s *Service) expectedKey(ctx context.Context, have Have, accounts []AndroidMail) (worst compliance.ExpectedIdentity, err error) {
	now, first := s.now(), true
	for _, m := range accounts {
		if m.Alias == "" {
			continue
		}
		known := have.Report.Key(m.Alias)
		if known.Profile != m.Identifier {
			known = mdm.KeyOnFile{}
		}
		var cert certs.Certificate
		if known.SHA256 != "" {
			if cert, err = s.Certificates.Lookup(ctx, known.SHA256); err != nil && !errors.Is(err, certs.ErrNotFound) {
				return worst, fmt.Errorf("look up certificate of key %s: %w", m.Alias, err)
			}
		}
		id := s.expectedIdentity(known.SHA256, cert)
		id.Failure = known.Failure
		if first || worst.Good(now) && (!id.Good(now) || id.NotAfter.Before(worst.NotAfter)) {
			worst, first = id, false
		}
	}
	return worst, nil
}

// given is an account as Google was given it last. No phone can have a newer one,
// and none is shut out because Google does not answer.
func (p AndroidPolicy) given(m AndroidMail) AndroidMail {
	if i := slices.IndexFunc(p.Mail, func(old AndroidMail) bool { return old.Identifier == m.Identifier }); i >= 0 && m.UUID != "" {
		return p.Mail[i]
	}
	return m
}
