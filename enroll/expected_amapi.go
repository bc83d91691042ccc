package enroll

import (
	"context"
	"slices"

	"sallyport/compliance"
)

// androidExpected adds what an Android phone should have: the policy that Google
// was given for it, and the mail accounts that should be in it.
func (s *Service) androidExpected(ctx context.Context, have Have, expected compliance.Expected) (compliance.Expected, error) {
	expected.Policy = compliance.ExpectedPolicy{Name: have.Sent.Name, Version: have.Sent.Version}
	all, err := s.catalog(ctx, have.Catalog)
	if err != nil {
		return compliance.Expected{}, err
	}
	accounts, err := s.androidMail(ctx, all.templates, have)
	if err != nil {
		return compliance.Expected{}, err
	}
	for _, a := range accounts {
		m := have.Sent.given(a.AndroidMail)
		expected.Mail = append(expected.Mail, compliance.ExpectedProfile{Name: m.Name, Identifier: m.Identifier, UUID: m.UUID, Package: m.Package})
	}
	return expected, s.sayWaits(ctx, have, expected.Mail)
}

// given is an account as Google was given it last. No phone can have a newer one,
// and none is shut out because Google does not answer.
func (p AndroidPolicy) given(m AndroidMail) AndroidMail {
	if i := slices.IndexFunc(p.Mail, func(old AndroidMail) bool { return old.Identifier == m.Identifier }); i >= 0 && m.UUID != "" {
		return p.Mail[i]
	}
	return m
}
