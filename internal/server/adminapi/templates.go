package adminapi

import (
	"net/http"
	"slices"

	"sallyport/compliance"
	"sallyport/internal/server/wire"
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

// ApplyTemplate answers POST /api/v1/templates.
func (a *API) ApplyTemplate(w http.ResponseWriter, r *http.Request) error {
	source, err := wire.ReadText(r, yamlTypes[:]...)
	if err != nil {
		return err
	}
	revision, changed, err := a.d.Templates.Apply(r.Context(), source)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, TemplateApplied{Template: revision, Changed: changed})
}

// GetTemplate answers GET /api/v1/templates/{name}.
func (a *API) GetTemplate(w http.ResponseWriter, r *http.Request) error {
	revision, err := a.d.Templates.Get(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, revision)
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
