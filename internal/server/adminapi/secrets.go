package adminapi

import (
	"fmt"
	"net/http"
	"strconv"

	"sallyport/internal/refusal"
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
	values, err := wire.Query(r, "confirm_erase")
	if err != nil {
		return err
	}
	condition, source, err := documentOf(r)
	if err != nil {
		return err
	}
	spec, err := templates.ParseSecurity(source)
	if err != nil {
		return err
	}
	if err := mayErase(spec, values["confirm_erase"]); err != nil {
		return err
	}
	warnings, err := a.d.Viewer.Unreached(r.Context(), spec.Assign, spec.Exclude)
	if err != nil {
		return err
	}
	return guarded{
		name: spec.Name,
		write: func(expected int) (int, any, error) {
			policy, changed, err := a.d.Security.ApplySecurityExpecting(r.Context(), source, expected)
			return policy.Number, SecurityPolicyApplied{Policy: policy, Changed: changed, Warnings: wire.List(warnings)}, err
		},
		newest: func() (int, error) {
			policy, err := a.d.Security.GetSecurity(r.Context(), spec.Name)
			return policy.Number, err
		},
	}.answer(w, condition)
}

// mayErase refuses a policy that has Android erase phones by itself, unless its days
// were repeated by somebody who has read which phones those are.
func mayErase(spec templates.SecuritySpec, confirmed string) error {
	const field = "confirm_erase"
	e := spec.Android.Enforcement
	switch {
	case e == nil || e.WipeAfterDays == nil:
		if confirmed != "" {
			return refusal.New(templates.ErrInvalid, field, "goes with a policy that has android.enforcement", "leave it out")
		}
	case confirmed != strconv.Itoa(*e.WipeAfterDays):
		return refusal.New(templates.ErrInvalid, field, fmt.Sprintf("does not repeat that the policy has Android erase phones that stay out of line for %d days", *e.WipeAfterDays),
			fmt.Sprintf("read which with sallyport security-policy apply --dry-run, then repeat it with --confirm-erase %d", *e.WipeAfterDays))
	}
	return nil
}

// GetSecurity answers GET /api/v1/security-policies/{name}.
func (a *API) GetSecurity(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	policy, err := a.d.Security.GetSecurity(r.Context(), name)
	if err != nil {
		return missing(err, templates.ErrNotFound, "name", "security policy", name)
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
		return missingUser(err, "user", in.User)
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
	name := r.PathValue("name")
	if err := a.d.Secrets.RemoveSecret(r.Context(), name, values["user"]); err != nil {
		return missingUser(missingSecret(err, name, values["user"]), "user", values["user"])
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
