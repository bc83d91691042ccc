package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// ListPolicies answers GET /api/v1/compliance/policies.
func (a *API) ListPolicies(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Compliance.Policies(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Policies{Policies: wire.List(list)})
}

// ApplyPolicy answers POST /api/v1/compliance/policies: with dry_run=true it says
// whom the policy would shut out, and applies nothing.
func (a *API) ApplyPolicy(w http.ResponseWriter, r *http.Request) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	source, err := wire.ReadText(r, yamlTypes[:]...)
	if err != nil {
		return err
	}
	if dry {
		return a.planPolicy(w, r, source)
	}
	policy, changed, err := a.d.Compliance.Apply(r.Context(), source)
	if err != nil {
		return err
	}
	extend(w) // it looks at every user
	warnings, without, err := a.warnPolicy(r.Context(), policy.Spec)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, PolicyApplied{Policy: policy, Changed: changed, Warnings: warnings, Unmailed: without})
}

func (a *API) planPolicy(w http.ResponseWriter, r *http.Request, source []byte) error {
	spec, err := compliance.ParsePolicy(source)
	if err != nil {
		return err
	}
	extend(w) // it looks at every phone
	impact, err := a.d.Compliance.Plan(r.Context(), spec)
	if err != nil {
		return err
	}
	warnings, without, err := a.warnPolicy(r.Context(), spec)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, PolicyPlan{Impact: impact, Warnings: warnings, Unmailed: without})
}

// warnPolicy says whom a policy names in vain, and who cannot comply.
func (a *API) warnPolicy(ctx context.Context, spec compliance.Spec) ([]*refusal.Error, Unmailed, error) {
	warnings, err := a.d.Viewer.Unreached(ctx, spec.Assign, directory.Audience{})
	if err != nil {
		return nil, Unmailed{}, err
	}
	users, total, err := a.d.Compliance.Unmailed(ctx, spec)
	return wire.List(append(warnings, unmailed(users, total)...)), Unmailed{Total: total, Users: wire.List(users)}, err
}

// unmailedShown is how many users a warning names; the answer has more.
const unmailedShown = 20

func unmailed(users []string, total int) []*refusal.Error {
	if total == 0 {
		return nil
	}
	shown := users[:min(len(users), unmailedShown)]
	reason := fmt.Sprintf("users without a mail template, whose phones cannot comply: %s", strings.Join(shown, ", "))
	if more := total - len(shown); more > 0 {
		reason += fmt.Sprintf(" and %d more", more)
	}
	return []*refusal.Error{refusal.New(compliance.ErrInvalid, "rules.mail_profile", reason, "assign a mail template to them, or assign the policy to others")}
}

// GetComplianceProgress answers GET /api/v1/compliance/progress.
func (a *API) GetComplianceProgress(w http.ResponseWriter, r *http.Request) error {
	run, err := a.d.Compliance.Progress(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, ComplianceProgress{Running: run.Open(), Run: run})
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
		return noSuch(problem.ErrNotFound, "name", "compliance policy", r.PathValue("name"))
	}
	return wire.WriteJSON(w, http.StatusOK, list[i])
}
