package adminapi

import (
	"net/http"
	"slices"

	"sallyport/compliance"
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
	condition, err := wire.ConditionOf(r)
	if err != nil {
		return err
	}
	source, err := wire.ReadText(r, yamlTypes[:]...)
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
	revision, changed, err := a.d.Templates.ApplyExpecting(r.Context(), source, expected(condition))
	return applied(w, revision, changed, condition, err)
}

// planTemplate answers the dry run. Its condition is that of the real one.
func (a *API) planTemplate(w http.ResponseWriter, r *http.Request, source []byte, c wire.Condition) error {
	extend(w)
	plan, err := a.d.Viewer.Plan(r.Context(), source)
	if err != nil {
		return err
	}
	if c.Given && c.Revision != plan.Revision {
		return c.Failed(templates.ConflictOf(plan.Template, plan.Revision, c.Revision), templates.ErrConflict)
	}
	return wire.WriteJSON(w, http.StatusOK, plan)
}

// expected is a condition as the rooms know it.
func expected(c wire.Condition) int {
	if !c.Given {
		return templates.AnyRevision
	}
	return c.Revision
}

func applied(w http.ResponseWriter, revision templates.Revision, changed bool, c wire.Condition, err error) error {
	if err != nil {
		return c.Failed(err, templates.ErrConflict)
	}
	wire.ETag(w, revision.Number)
	return wire.WriteJSON(w, http.StatusOK, TemplateApplied{Template: revision, Changed: changed})
}

// GetTemplate answers GET /api/v1/templates/{name}.
func (a *API) GetTemplate(w http.ResponseWriter, r *http.Request) error {
	revision, err := a.d.Templates.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
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
	revision, changed, err := a.d.Templates.Assign(r.Context(), r.PathValue("name"), *in.Assign, in.Exclude, expected(condition))
	return applied(w, revision, changed, condition, err)
}

// ListPolicies answers GET /api/v1/compliance/policies.
func (a *API) ListPolicies(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Compliance.Policies(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Policies{Policies: wire.List(list)})
}

// ApplyPolicy answers POST /api/v1/compliance/policies.
func (a *API) ApplyPolicy(w http.ResponseWriter, r *http.Request) error {
	source, err := wire.ReadText(r, yamlTypes[:]...)
	if err != nil {
		return err
	}
	policy, changed, err := a.d.Compliance.Apply(r.Context(), source)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, PolicyApplied{Policy: policy, Changed: changed})
}

// GetPolicy answers GET /api/v1/compliance/policies/{name}. Policies are few,
// so it looks through the list.
func (a *API) GetPolicy(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Compliance.Policies(r.Context())
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(p compliance.Policy) bool { return p.Name == r.PathValue("name") })
	if i < 0 {
		return notFound("compliance policy")
	}
	return wire.WriteJSON(w, http.StatusOK, list[i])
}
