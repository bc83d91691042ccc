package templates

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/yamldoc"
)

// Assign changes who gets a template, and nothing else of it, as a revision of
// its own. exclude nil leaves the exclusions as they are. It is ErrConflict
// unless the newest revision has the expected number (AnyRevision: whichever is
// newest when the call begins; what comes in between is never overwritten).
func (s *Service) Assign(ctx context.Context, name string, assign directory.Audience, exclude *directory.Audience, expected int) (Revision, bool, error) {
	newest, err := s.Get(ctx, name)
	if err != nil {
		return Revision{}, false, err
	}
	if expected != AnyRevision && expected != newest.Number {
		return Revision{}, false, ConflictOf(name, newest.Number, expected)
	}
	if err := s.targets(ctx, assign); err != nil {
		return Revision{}, false, err
	}
	spec, source, err := newest.Reassigned(assign, exclude)
	if err != nil {
		return Revision{}, false, err
	}
	return s.save(ctx, spec, source, newest.Number, "template.assign")
}

// Reassigned is what the revision says, and its source, with others who get it;
// exclude nil leaves the exclusions as they are. Whatever else the source holds,
// comments too, stays as it is.
func (r Revision) Reassigned(assign directory.Audience, exclude *directory.Audience) (Spec, string, error) {
	source, err := yamldoc.Set([]byte(r.Source), "assign", assign)
	if err == nil && exclude != nil {
		source, err = yamldoc.Set(source, "exclude", *exclude)
	}
	if err != nil {
		return Spec{}, "", fmt.Errorf("assign template %s: %w", r.Name, err)
	}
	spec, err := Parse(source)
	if err != nil {
		return Spec{}, "", err
	}
	if spec.Name != r.Name { // a source that the edit has turned into another document
		return Spec{}, "", refusal.New(ErrInvalid, "assign", "cannot be changed in this source", "edit the file and apply it")
	}
	return spec, string(source), nil
}
