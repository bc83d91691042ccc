package templates

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
)

var (
	// ErrNotFound says that no such template, revision, secret or security policy is on record.
	ErrNotFound = errors.New("no such template")
	// ErrInvalid says that a template cannot be accepted; the refusals name the fields.
	ErrInvalid = errors.New("invalid template")
	// ErrRender says that a template cannot be rendered for this user; the
	// refusals name variable, field and what to do.
	ErrRender = errors.New("template cannot be rendered for this user")
	// ErrConflict says that the newest revision is not the one that the caller
	// saw: somebody else was first, and nothing was written.
	ErrConflict = errors.New("template was changed meanwhile")
)

// AnyRevision is for callers who replace whatever is newest.
const AnyRevision = -1

// Revision is one immutable state of a template. Source is the YAML that an
// admin applied; Spec is what it says.
type Revision struct {
	TemplateID string    `json:"template_id"` // UUIDv7, stable across revisions and renames of the display name
	Name       string    `json:"name"`        // unique, lower case letters, digits and dashes
	Number     int       `json:"revision"`    // 1, 2, 3 ...
	Spec       Spec      `json:"spec"`
	Source     string    `json:"source"`
	CreatedAt  time.Time `json:"created_at"`
	CreatedBy  string    `json:"created_by"`
}

// Store keeps revisions. internal/store implements it.
type Store interface {
	// SaveRevision appends the next revision of the template called r.Name (the
	// first one makes the template) with the entry and an EventTemplateChange.
	// It returns the revision as stored, with TemplateID and Number. When the
	// newest revision has the same Source that one is returned, changed is false
	// and nothing is written. Otherwise ErrConflict unless expected is the
	// newest revision's number (0: there is none yet) or AnyRevision.
	SaveRevision(ctx context.Context, r Revision, expected int, entry audit.Entry) (stored Revision, changed bool, err error)
	// CurrentRevisions returns the newest revision of every template by name.
	CurrentRevisions(ctx context.Context) ([]Revision, error)
	// CurrentRevision returns the newest revision of one; ErrNotFound when unknown.
	CurrentRevision(ctx context.Context, name string) (Revision, error)
	// Revisions returns every revision of one template, newest first; ErrNotFound when unknown.
	Revisions(ctx context.Context, name string) ([]Revision, error)
	// Revision returns one of them; ErrNotFound when unknown.
	Revision(ctx context.Context, name string, number int) (Revision, error)
}
