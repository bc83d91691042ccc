package enroll

import (
	"context"

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
		expected.Mail = append(expected.Mail, compliance.ExpectedProfile{Name: a.Name, Identifier: a.Identifier, UUID: a.UUID, Package: a.Package})
	}
	return expected, s.sayWaits(ctx, have, expected.Mail)
}
