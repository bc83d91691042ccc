package enroll

import (
	"context"
	"fmt"

	"sallyport/templates"
)

// Catalog tells one state of the templates and security policies from every
// other: how many revisions there are of each. Revisions are only ever added.
// The zero value is no state at all.
type Catalog struct{ Templates, Policies int }

// catalog is the newest revision of every template and security policy.
type catalog struct {
	at        Catalog
	templates []templates.Revision
	policies  []templates.SecurityRevision
}

// catalog returns the templates and policies as they were at that state, or
// later. They are read and parsed once for each state: a poll reads which one it
// is in the same statement as all else, so that it sees a change at once,
// whichever server on the same database has made it. Nobody may change what it
// returns.
func (s *Service) catalog(ctx context.Context, at Catalog) (*catalog, error) {
	if known := s.known.Load(); known != nil && known.at == at && at != (Catalog{}) {
		return known, nil
	}
	c := &catalog{at: at}
	var err error
	if c.templates, err = s.Templates.CurrentRevisions(ctx); err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	if c.policies, err = s.Security.CurrentSecurityPolicies(ctx); err != nil {
		return nil, fmt.Errorf("read security policies: %w", err)
	}
	// What was read may be newer than at says; whoever finds the newer state on
	// record reads once more.
	if at != (Catalog{}) {
		s.known.Store(c)
	}
	return c, nil
}
