package adminapi

import (
	"net/http"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// yamlTypes are the types under which YAML comes (RFC 9512 and its forerunners).
var yamlTypes = [...]string{"application/yaml", "application/x-yaml", "text/yaml"}

// ListTemplates answers GET /api/v1/templates.
func (a *API) ListTemplates(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Templates.List(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Templates{Templates: wire.List(list)})
}

// ApplyTemplate answers POST /api/v1/templates: with dry_run=true it says what
// would happen, and nothing does.
func (a *API) ApplyTemplate(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "dry_run")
	if err != nil {
		return err
	}
	condition, source, err := documentOf(r)
	if err != nil {
		return err
	}
	switch values["dry_run"] {
	case "true":
		return a.planTemplate(w, r, source, condition)
	case "", "false":
	default:
		return refusal.New(problem.ErrMalformed, "dry_run", "is neither true nor false", "use dry_run=true")
	}
	spec, err := templates.Parse(source)
	if err != nil {
		return err
	}
	return a.saveTemplate(w, r, condition, spec, func(expected int) (templates.Revision, bool, error) {
		return a.d.Templates.ApplyExpecting(r.Context(), source, expected)
	})
}

// planTemplate answers the dry run, with the ETag of the revision that it
// compares with. A condition is that of the real one; without any it is answered
// too, as it writes over nothing.
func (a *API) planTemplate(w http.ResponseWriter, r *http.Request, source []byte, c wire.Condition) error {
	extend(w)
	plan, err := a.d.Viewer.Plan(r.Context(), source)
	if err != nil {
		return err
	}
	if plan.Revision > 0 {
		wire.ETag(w, plan.Revision)
	}
	if c.Given && plan.Changed && !c.Holds(plan.Revision) {
		return c.Failed(templates.ConflictOf(plan.Template, plan.Revision, c.Revision), plan.Template, plan.Revision)
	}
	return wire.WriteJSON(w, http.StatusOK, plan)
}

// saveTemplate answers what makes the next revision of a template. Of spec it
// reads the name, who is named, and what is to be warned of.
func (a *API) saveTemplate(w http.ResponseWriter, r *http.Request, c wire.Condition, spec templates.Spec, save func(expected int) (templates.Revision, bool, error)) error {
	warnings, err := a.d.Viewer.Unreached(r.Context(), spec.Assign, spec.Exclude)
	if err != nil {
		return err
	}
	warnings = append(warnings, spec.Warnings()...)
	return guarded{
		name: spec.Name,
		write: func(expected int) (int, any, error) {
			revision, changed, err := save(expected)
			return revision.Number, TemplateApplied{Template: revision, Changed: changed, Warnings: wire.List(warnings)}, missingTemplate(err, spec.Name)
		},
		newest: func() (int, error) {
			revision, err := a.d.Templates.Get(r.Context(), spec.Name)
			return revision.Number, err
		},
	}.answer(w, c)
}

// GetTemplate answers GET /api/v1/templates/{name}.
func (a *API) GetTemplate(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	revision, err := a.d.Templates.Get(r.Context(), name)
	if err != nil {
		return missingTemplate(err, name)
	}
	wire.ETag(w, revision.Number)
	return wire.WriteJSON(w, http.StatusOK, revision)
}

// AssignTemplate answers PUT /api/v1/templates/{name}/assign.
func (a *API) AssignTemplate(w http.ResponseWriter, r *http.Request) error {
	condition, err := wire.ConditionOf(r)
	if err != nil {
		return err
	}
	var in AssignRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.Assign == nil {
		return refusal.New(problem.ErrMalformed, "assign", "is missing", `say "everyone", or {"groups": [...], "users": [...]}`)
	}
	change := templates.Spec{Name: r.PathValue("name"), Assign: *in.Assign}
	if in.Exclude != nil {
		change.Exclude = *in.Exclude
	}
	return a.saveTemplate(w, r, condition, change, func(expected int) (templates.Revision, bool, error) {
		return a.d.Templates.Assign(r.Context(), change.Name, *in.Assign, in.Exclude, expected)
	})
}
