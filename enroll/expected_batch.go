package enroll

import (
	"context"
	"fmt"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

// Fact is what the expectation of one enrolment rests on, with how it was judged.
type Fact struct {
	// Have is without acts, of the commands it has those of InstallProfile alone, and
	// of the report what compliance looks at.
	Have        Have
	Certificate certs.Certificate  // SHA256, Issuer, NotAfter, RevokedAt of the pinned one; zero when it is not on record
	Verdict     compliance.Verdict // zero At: none yet
	Kept        string             // as in compliance.Subject
	Watched     compliance.Watched
}

// FactStore reads the facts of many enrolments at once. internal/store implements it.
type FactStore interface {
	// Facts returns those of up to limit active enrolments after the cursor, in the
	// order of their ID, all at one moment.
	Facts(ctx context.Context, after mdm.EnrollmentID, limit int) ([]Fact, error)
}

// Subjects implements compliance.Expecter.
func (s *Service) Subjects(ctx context.Context, after mdm.EnrollmentID, limit int) ([]compliance.Subject, error) {
	facts, err := s.Facts.Facts(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read facts of enrolments: %w", err)
	}
	subjects := make([]compliance.Subject, len(facts))
	for i := range facts {
		f := &facts[i]
		expected, err := s.expected(ctx, f.Have, s.expectedIdentity(f.Have.Enrollment.CertificateHash, f.Certificate))
		if err != nil {
			return nil, err
		}
		expected.Watched = f.Watched
		subjects[i] = compliance.Subject{Expected: expected, Report: f.Have.Report, Verdict: f.Verdict, Kept: f.Kept}
	}
	return subjects, nil
}

// Unmailed implements compliance.Expecter.
func (s *Service) Unmailed(ctx context.Context, a directory.Audience, limit int) (upns []string, total int, err error) {
	revisions, err := s.Templates.CurrentRevisions(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("read templates: %w", err)
	}
	for page := (directory.Page{Limit: 1000}); ; {
		users, err := s.Users.ListUsers(ctx, "", page)
		if err != nil {
			return nil, 0, fmt.Errorf("list users: %w", err)
		}
		for _, u := range users {
			if !a.Includes(u) || len(templates.ForUser(revisions, u)) > 0 {
				continue
			}
			if total++; len(upns) < limit {
				upns = append(upns, u.UPN)
			}
		}
		if len(users) < page.Limit {
			return upns, total, nil
		}
		page.After = users[len(users)-1].UPN
	}
}
