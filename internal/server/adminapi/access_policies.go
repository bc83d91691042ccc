package adminapi

import (
	"net/http"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/wire"
)

// AccessPolicyList answers GET /api/v1/access/policies. One travels as access.Policy.
type AccessPolicyList struct {
	Policies []access.Policy `json:"policies"`
}

// AccessPolicyApplied answers POST /api/v1/access/policies.
type AccessPolicyApplied struct {
	Policy   access.Policy    `json:"policy"`
	Changed  bool             `json:"changed"`
	Warnings []*refusal.Error `json:"warnings"`
}

// AccessPolicyPlan answers the dry run of the same.
type AccessPolicyPlan struct {
	Impact   access.Impact    `json:"impact"`
	Warnings []*refusal.Error `json:"warnings"`
}

// ListAccessPolicies answers GET /api/v1/access/policies.
func (a *API) ListAccessPolicies(w http.ResponseWriter, r *http.Request) error {
	world, err := a.d.Access.World(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessPolicyList{Policies: wire.List(world.Policies)})
}

// GetAccessPolicy answers GET /api/v1/access/policies/{name}.
func (a *API) GetAccessPolicy(w http.ResponseWriter, r *http.Request) error {
	p, err := a.d.Access.Policy(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, p)
}

// ApplyAccessPolicy answers POST /api/v1/access/policies: with dry_run=true it
// says whom the policy would touch, and changes nothing.
func (a *API) ApplyAccessPolicy(w http.ResponseWriter, r *http.Request) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	source, err := wire.ReadText(r, yamlTypes[:]...)
	if err != nil {
		return err
	}
	if dry {
		extend(w)
		impact, warnings, err := a.d.Access.PlanPolicy(r.Context(), source)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, http.StatusOK, AccessPolicyPlan{Impact: impact, Warnings: wire.List(warnings)})
	}
	p, changed, warnings, err := a.d.Access.ApplyPolicy(r.Context(), source)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessPolicyApplied{Policy: p, Changed: changed, Warnings: wire.List(warnings)})
}

// ShutOutByPolicy answers GET /api/v1/access/policies/{name}/shut-out.
func (a *API) ShutOutByPolicy(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	extend(w)
	list, next, err := a.d.Access.WouldShutOut(r.Context(), r.PathValue("name"), directory.UserID(page.After), page.Limit)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessShifts{Devices: wire.List(list), Next: string(next)})
}
