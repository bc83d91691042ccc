package adminapi

import (
	"errors"
	"fmt"
	"net/http"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// ListRevisions answers GET /api/v1/templates/{name}/revisions.
func (a *API) ListRevisions(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	list, err := a.d.Revisions.Revisions(r.Context(), name)
	if err != nil {
		return missingTemplate(err, name)
	}
	return wire.WriteJSON(w, http.StatusOK, TemplateRevisions{Revisions: wire.List(list)})
}

// GetRevision answers GET /api/v1/templates/{name}/revisions/{revision}.
func (a *API) GetRevision(w http.ResponseWriter, r *http.Request) error {
	number, err := wire.Number("revision", r.PathValue("revision"))
	if err != nil {
		return err
	}
	revision, err := a.revision(r, "revision", number)
	if err != nil {
		return err
	}
	wire.ETag(w, revision.Number)
	return wire.WriteJSON(w, http.StatusOK, revision)
}

// DiffTemplate answers GET /api/v1/templates/{name}/diff. Without to it goes up
// to the newest revision, without from it begins with the one before.
func (a *API) DiffTemplate(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "from", "to")
	if err != nil {
		return err
	}
	to, err := a.revisionOr(r, "to", values["to"], 0)
	if err != nil {
		return err
	}
	from, err := a.revisionOr(r, "from", values["from"], to.Number-1)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, TemplateDiff{
		Name: to.Name, From: from.Number, To: to.Number, Changes: wire.List(templates.Diff(from.Spec, to.Spec)),
	})
}

// revisionOr is the revision of that number; where the text is empty, that of
// the number otherwise; where that is 0, the newest.
func (a *API) revisionOr(r *http.Request, field, text string, otherwise int) (templates.Revision, error) {
	number, err := wire.Number(field, text)
	if err != nil {
		return templates.Revision{}, err
	}
	switch {
	case number > 0:
		return a.revision(r, field, number)
	case otherwise > 0:
		return a.revision(r, field, otherwise)
	}
	name := r.PathValue("name")
	newest, err := a.d.Templates.Get(r.Context(), name)
	return newest, missingTemplate(err, name)
}

// revision is one of the template that the path names. Where there is none of
// that number, it says whether there is such a template.
func (a *API) revision(r *http.Request, field string, number int) (templates.Revision, error) {
	name := r.PathValue("name")
	revision, err := a.d.Revisions.Revision(r.Context(), name, number)
	if !errors.Is(err, templates.ErrNotFound) {
		return revision, err
	}
	newest, err := a.d.Templates.Get(r.Context(), name)
	if err != nil {
		return templates.Revision{}, missingTemplate(err, name)
	}
	return templates.Revision{}, refusal.New(templates.ErrNotFound, field,
		fmt.Sprintf("template %s has no revision %d: its newest one is %d", name, number, newest.Number), "list its revisions to see the numbers")
}

// RollbackTemplate answers POST /api/v1/templates/{name}/rollback.
func (a *API) RollbackTemplate(w http.ResponseWriter, r *http.Request) error {
	condition, err := wire.ConditionOf(r)
	if err != nil {
		return err
	}
	var in RollbackRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Revision < 1 {
		return refusal.New(problem.ErrMalformed, "revision", "is not the number of a revision", "list the revisions to see the numbers")
	}
	old, err := a.revision(r, "revision", in.Revision)
	if err != nil {
		return err
	}
	return a.saveTemplate(w, r, condition, old.Spec, func(expected int) (templates.Revision, bool, error) {
		return a.d.Revisions.RollbackExpecting(r.Context(), old.Name, in.Revision, expected)
	})
}
