package templates

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// Directory is the part of directory.Store that this room reads.
type Directory interface {
	// UserByID and UserByUPN return directory.ErrNotFound for unknown users.
	UserByID(ctx context.Context, id directory.UserID) (directory.User, error)
	UserByUPN(ctx context.Context, upn string) (directory.User, error)
	// ListUsers returns users in the order of their UPN; the cursor is the last UPN.
	ListUsers(ctx context.Context, group string, page directory.Page) ([]directory.User, error)
}

var _ Directory = directory.Store(nil)

// Service is the templates as the API and the CLI use them. Secrets and
// Security are needed by the methods that name them only, Users by those and by
// whatever saves who gets a template.
type Service struct {
	Store    Store
	Secrets  SecretStore
	Security SecurityStore
	Users    Directory
	Now      func() time.Time
}

// Apply saves a template: its first revision, or the next one of the template
// of that name. When the newest revision has the same source nothing is written
// and changed is false. ErrInvalid lists every field that was refused.
func (s *Service) Apply(ctx context.Context, source []byte) (r Revision, changed bool, err error) {
	return s.ApplyExpecting(ctx, source, AnyRevision)
}

// ApplyExpecting is Apply for a caller who has seen the newest revision: it is
// ErrConflict unless that still has the expected number, 0 for none at all.
func (s *Service) ApplyExpecting(ctx context.Context, source []byte, expected int) (r Revision, changed bool, err error) {
	spec, err := Parse(source)
	if err != nil {
		return Revision{}, false, err
	}
	if err := s.targets(ctx, spec.Assign); err != nil {
		return Revision{}, false, err
	}
	return s.save(ctx, spec, string(source), expected, "template.apply")
}

// targets refuses shared mailboxes among the users that somebody names. In
// groups they are passed over; a UPN that is not on record may come later.
func (s *Service) targets(ctx context.Context, assign directory.Audience) error {
	var list refusal.List
	for i, upn := range assign.Users {
		u, err := s.Users.UserByUPN(ctx, upn)
		if errors.Is(err, directory.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up user %s: %w", upn, err)
		}
		list.Add(RefuseShared(u, ErrInvalid, fmt.Sprintf("assign.users[%d]", i)))
	}
	return list.OrNil()
}

// Rollback makes an old revision the newest one again, as a revision of its own.
// changed is false when the newest says the same already.
func (s *Service) Rollback(ctx context.Context, name string, number int) (r Revision, changed bool, err error) {
	return s.RollbackExpecting(ctx, name, number, AnyRevision)
}

// RollbackExpecting is Rollback under the condition of ApplyExpecting.
func (s *Service) RollbackExpecting(ctx context.Context, name string, number, expected int) (r Revision, changed bool, err error) {
	old, err := s.Revision(ctx, name, number)
	if err != nil {
		return Revision{}, false, err
	}
	// Read anew: what was accepted once may be refused today.
	spec, err := Parse([]byte(old.Source))
	if err != nil {
		return Revision{}, false, err
	}
	return s.save(ctx, spec, old.Source, expected, "template.rollback", "to", strconv.Itoa(number))
}

func (s *Service) save(ctx context.Context, spec Spec, source string, expected int, action string, detail ...string) (Revision, bool, error) {
	now := s.now()
	r := Revision{Name: spec.Name, Spec: spec, Source: source, CreatedAt: now, CreatedBy: audit.Actor(ctx)}
	r, changed, err := s.Store.SaveRevision(ctx, r, expected, audit.New(ctx, now, action, spec.Name, audit.Done, detail...))
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

// Revisions returns every revision of one template, newest first, or ErrNotFound.
func (s *Service) Revisions(ctx context.Context, name string) ([]Revision, error) {
	return s.Store.Revisions(ctx, name)
}

// Revision returns one revision, or ErrNotFound.
func (s *Service) Revision(ctx context.Context, name string, number int) (Revision, error) {
	return s.Store.Revision(ctx, name, number)
}

// ConflictOf is the refusal of a write that came too late. The stores use it,
// so that every one says the same.
func ConflictOf(name string, newest, expected int) error {
	if newest == 0 {
		return refusal.New(ErrConflict, "", fmt.Sprintf("there is no %s, and revision %d was expected", name, expected), "apply it without naming a revision")
	}
	return refusal.New(ErrConflict, "", fmt.Sprintf("the newest revision of %s is %d, and %d was expected", name, newest, expected),
		"look at what was changed, and apply your change to that; the first line of a file that show printed names the revision it follows")
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
