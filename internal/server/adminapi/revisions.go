package adminapi

import (
	"net/http"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// ListRevisions answers GET /api/v1/templates/{name}/revisions.
func (a *API) ListRevisions(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Revisions.Revisions(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, TemplateRevisions{Revisions: wire.List(list)})
}

// GetRevision answers GET /api/v1/templates/{name}/revisions/{revision}.
func (a *API) GetRevision(w http.ResponseWriter, r *http.Request) error {
	number, err := wire.Number("revision", r.PathValue("revision"))
	if err != nil {
		return err
	}
	revision, err := a.d.Revisions.Revision(r.Context(), r.PathValue("name"), number)
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
	name := r.PathValue("name")
	switch {
	case number > 0:
		return a.d.Revisions.Revision(r.Context(), name, number)
	case otherwise > 0:
		return a.d.Revisions.Revision(r.Context(), name, otherwise)
	}
	return a.d.Templates.Get(r.Context(), name)
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
	revision, changed, err := a.d.Revisions.RollbackExpecting(r.Context(), r.PathValue("name"), in.Revision, expected(condition))
	return applied(w, revision, changed, condition, err)
}
