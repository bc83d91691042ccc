package adminapi

import (
	"net/http"

	"sallyport/internal/secret"
	"sallyport/internal/server/wire"
	"sallyport/templates"
)

// ListSecurity answers GET /api/v1/security-policies.
func (a *API) ListSecurity(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Security.ListSecurity(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, SecurityPolicies{Policies: wire.List(list)})
}

// ApplySecurity answers POST /api/v1/security-policies.
func (a *API) ApplySecurity(w http.ResponseWriter, r *http.Request) error {
	condition, err := wire.ConditionOf(r)
	if err != nil {
		return err
	}
	source, err := wire.ReadText(r, yamlTypes[:]...)
	if err != nil {
		return err
	}
	policy, changed, err := a.d.Security.ApplySecurityExpecting(r.Context(), source, expected(condition))
	if err != nil {
		return condition.Failed(err, templates.ErrConflict)
	}
	wire.ETag(w, policy.Number)
	return wire.WriteJSON(w, http.StatusOK, SecurityPolicyApplied{Policy: policy, Changed: changed})
}

// GetSecurity answers GET /api/v1/security-policies/{name}.
func (a *API) GetSecurity(w http.ResponseWriter, r *http.Request) error {
	policy, err := a.d.Security.GetSecurity(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	wire.ETag(w, policy.Number)
	return wire.WriteJSON(w, http.StatusOK, policy)
}

// ListSecrets answers GET /api/v1/secrets: names and dates, never a value.
func (a *API) ListSecrets(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Secrets.ListSecrets(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Secrets{Secrets: wire.List(list)})
}

// SetSecret answers PUT /api/v1/secrets/{name}.
func (a *API) SetSecret(w http.ResponseWriter, r *http.Request) error {
	var in SecretInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	stored, err := a.d.Secrets.SetSecret(r.Context(), templates.SecretInput{
		Name: r.PathValue("name"), Kind: templates.SecretKind(in.Kind), UPN: in.User, Value: secret.New(in.Value), Data: in.Data,
	})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, stored)
}

// RemoveSecret answers DELETE /api/v1/secrets/{name}, of one user where the
// parameter user says so.
func (a *API) RemoveSecret(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user")
	if err != nil {
		return err
	}
	if err := a.d.Secrets.RemoveSecret(r.Context(), r.PathValue("name"), values["user"]); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
