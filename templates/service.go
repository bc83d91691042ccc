package templates

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/audit"
)

// Service is the templates as the API and the CLI use them.
type Service struct {
	Store Store
	Now   func() time.Time
}

// Apply saves a template: its first revision, or the next one of the template
// of that name. When the newest revision has the same source nothing is written
// and changed is false. ErrInvalid lists every field that was refused.
func (s *Service) Apply(ctx context.Context, source []byte) (r Revision, changed bool, err error) {
	spec, err := Parse(source)
	if err != nil {
		return Revision{}, false, err
	}
	now := s.Now().UTC().Truncate(time.Microsecond)
	r = Revision{Name: spec.Name, Spec: spec, Source: string(source), CreatedAt: now, CreatedBy: audit.Actor(ctx)}
	r, changed, err = s.Store.SaveRevision(ctx, r, audit.New(ctx, now, "template.apply", spec.Name, audit.Done))
	if err != nil {
		return Revision{}, false, fmt.Errorf("save template %s: %w", spec.Name, err)
	}
	return r, changed, nil
}

// List returns the newest revision of every template by name.
func (s *Service) List(ctx context.Context) ([]Revision, error) {
	return s.Store.CurrentRevisions(ctx)
}

// Get returns the newest revision of one template, or ErrNotFound.
func (s *Service) Get(ctx context.Context, name string) (Revision, error) {
	return s.Store.CurrentRevision(ctx, name)
}
