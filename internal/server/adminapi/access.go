package adminapi

import (
	"context"
	"net/http"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// AccessService is what admins say of mail clients. *access.Service is one.
type AccessService interface {
	AccessRules
	AccessPolicies
	AccessPlans
	AccessDevices
	AccessWords
	AccessTakeBacks
}

// AccessRules keeps the rules for kinds of devices, and the default.
type AccessRules interface {
	World(ctx context.Context) (access.World, error)
	AddRule(ctx context.Context, n access.NewRule) (access.Rule, access.Effect, error)
	RuleLike(ctx context.Context, id access.DeviceID, by string, e access.Effect) (access.Rule, error)
	RemoveRule(ctx context.Context, id access.RuleID, reason string) error
	SetDefault(ctx context.Context, e access.Effect, reason string) error
}

// AccessPolicies keeps the conditional-access policies.
type AccessPolicies interface {
	Policy(ctx context.Context, name string) (access.Policy, error)
	ApplyPolicy(ctx context.Context, source []byte) (access.Policy, bool, []*refusal.Error, error)
	WouldShutOut(ctx context.Context, name string, after directory.UserID, limit int) ([]access.Shift, directory.UserID, error)
}

// AccessPlans say whom an act would touch, and do nothing.
type AccessPlans interface {
	PlanRule(ctx context.Context, n access.NewRule) (access.Impact, access.Effect, error)
	PlanRemoval(ctx context.Context, id access.RuleID) (access.Impact, error)
	PlanDefault(ctx context.Context, e access.Effect) (access.Impact, error)
	PlanPolicy(ctx context.Context, source []byte) (access.Impact, []*refusal.Error, error)
	PlanWord(ctx context.Context, w access.Word) ([]access.Shift, error)
	PlanRemove(ctx context.Context, id access.DeviceID) (access.DeviceRow, error)
}

// AccessDevices shows mail clients and the phones that they are on.
type AccessDevices interface {
	List(ctx context.Context, f access.DeviceFilter) ([]access.DeviceRow, error)
	ListOf(ctx context.Context, upn string, f access.DeviceFilter) ([]access.DeviceRow, error)
	Show(ctx context.Context, id access.DeviceID) (access.Detail, error)
	Bind(ctx context.Context, id access.DeviceID, to mdm.EnrollmentID, reason string) (mdm.EnrollmentID, error)
	Unbind(ctx context.Context, id access.DeviceID, reason string) error
}

// AccessWords keeps what is said of single mail clients and users.
type AccessWords interface {
	Say(ctx context.Context, w access.Word) ([]access.Shift, error)
	Remove(ctx context.Context, id access.DeviceID, reason string) error
	SetMail(ctx context.Context, upn string, on bool, reason string) error
	SaidOf(ctx context.Context, upn string) (access.Said, error)
}

// AccessTakeBacks ends what was said, or says what that would do.
type AccessTakeBacks interface {
	PlanTakeBack(ctx context.Context, w access.Word) ([]access.Shift, error)
	TakeBack(ctx context.Context, w access.Word) error
}

// AccessRuleList answers GET /api/v1/access/rules. One rule travels as access.Rule.
type AccessRuleList struct {
	Default  access.Effect    `json:"default"`
	Strategy access.Strategy  `json:"strategy"` // the default by its other name
	Rules    []access.Rule    `json:"rules"`
	Hints    []*refusal.Error `json:"hints"` // what is odd about them together
}

// AccessRuleInput makes a rule: of criteria, or by "family" or "model" like that
// of a device on record. Default is set along with it, empty leaves it.
type AccessRuleInput struct {
	Effect    string `json:"effect"`
	Family    string `json:"family,omitempty"`
	Model     string `json:"model,omitempty"`
	OS        string `json:"os,omitempty"`
	UserAgent string `json:"user_agent,omitempty"`
	Protocol  string `json:"protocol_version,omitempty"`
	Group     string `json:"group,omitempty"`
	Ownership string `json:"ownership,omitempty"`
	Network   string `json:"network,omitempty"`
	DeviceID  string `json:"device_id,omitempty"` // of a device whose kind is meant
	By        string `json:"by,omitempty"`        // family or model, beside DeviceID
	Default   string `json:"default,omitempty"`
	Reason    string `json:"reason"`
}

// AccessRuleAnswer answers POST /api/v1/access/rules. Offer is the default that
// would make the rule mean something; empty where it does already.
type AccessRuleAnswer struct {
	Rule   access.Rule    `json:"rule"`
	Offer  access.Effect  `json:"offer,omitempty"`
	Impact *access.Impact `json:"impact,omitempty"` // of a dry run

	Warnings []*refusal.Error `json:"warnings"`
}

// AccessDefaultInput sets the default, by either of its names.
type AccessDefaultInput struct {
	Default  string `json:"default,omitempty"`
	Strategy string `json:"strategy,omitempty"`
	Reason   string `json:"reason"`
}

// AccessDefault answers PUT /api/v1/access/default.
type AccessDefault struct {
	Default  access.Effect    `json:"default"`
	Strategy access.Strategy  `json:"strategy"`
	Hints    []*refusal.Error `json:"hints"`
	Impact   *access.Impact   `json:"impact,omitempty"` // of a dry run
}

// ListAccessRules answers GET /api/v1/access/rules.
func (a *API) ListAccessRules(w http.ResponseWriter, r *http.Request) error {
	world, err := a.d.Access.World(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessRuleList{
		Default: world.Default, Strategy: access.StrategyOf(world.Default), Rules: wire.List(world.Rules), Hints: wire.List(world.Hints()),
	})
}

// AddAccessRule answers POST /api/v1/access/rules: with dry_run=true it says whom
// the rule would touch, and adds nothing.
func (a *API) AddAccessRule(w http.ResponseWriter, r *http.Request) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in AccessRuleInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	n, err := a.newRule(r.Context(), in)
	if err != nil {
		return err
	}
	if dry {
		extend(w)
		impact, offer, err := a.d.Access.PlanRule(r.Context(), n)
		if err != nil {
			return err
		}
		return wire.WriteJSON(w, http.StatusOK, AccessRuleAnswer{Rule: n.Rule, Offer: offer, Impact: &impact, Warnings: wire.List(n.Rule.Warnings())})
	}
	rule, offer, err := a.d.Access.AddRule(r.Context(), n)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessRuleAnswer{Rule: rule, Offer: offer, Warnings: wire.List(rule.Warnings())})
}

func (a *API) newRule(ctx context.Context, in AccessRuleInput) (access.NewRule, error) {
	rule := access.Rule{Effect: access.Effect(in.Effect), Family: in.Family, Model: in.Model, OS: in.OS, UserAgent: in.UserAgent,
		Protocol: in.Protocol, Group: in.Group, Ownership: in.Ownership, Network: in.Network}
	if in.DeviceID != "" {
		if rule != (access.Rule{Effect: rule.Effect}) {
			return access.NewRule{}, refusal.New(problem.ErrMalformed, "device_id", "goes with no other criterion", "give the device and by, or the criteria themselves")
		}
		like, err := a.d.Access.RuleLike(ctx, access.DeviceID(in.DeviceID), in.By, rule.Effect)
		if err != nil {
			return access.NewRule{}, err
		}
		rule = like
	}
	rule.Reason = in.Reason
	return access.NewRule{Rule: rule, Default: access.Effect(in.Default)}, nil
}

// RemoveAccessRule answers DELETE /api/v1/access/rules/{id}?reason=….
func (a *API) RemoveAccessRule(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "reason", "dry_run")
	if err != nil {
		return err
	}
	dry, err := isDry(values["dry_run"])
	if err != nil {
		return err
	}
	id := access.RuleID(r.PathValue("id"))
	if !dry {
		return decided(w, a.d.Access.RemoveRule(r.Context(), id, values["reason"]))
	}
	extend(w)
	impact, err := a.d.Access.PlanRemoval(r.Context(), id)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, impact)
}

// SetAccessDefault answers PUT /api/v1/access/default.
func (a *API) SetAccessDefault(w http.ResponseWriter, r *http.Request) error {
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	var in AccessDefaultInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	e := access.Effect(in.Default)
	if (in.Default == "") == (in.Strategy == "") {
		return refusal.New(problem.ErrMalformed, "default", "give either a default or a strategy", "for example default: quarantine, or strategy: allow-list")
	}
	if in.Strategy != "" {
		if e, err = access.Strategy(in.Strategy).Default(); err != nil {
			return err
		}
	}
	var out AccessDefault
	if dry {
		extend(w)
		impact, err := a.d.Access.PlanDefault(r.Context(), e)
		if err != nil {
			return err
		}
		out.Impact = &impact
	} else if err := a.d.Access.SetDefault(r.Context(), e, in.Reason); err != nil {
		return err
	}
	world, err := a.d.Access.World(r.Context())
	if err != nil {
		return err
	}
	world.Default = e
	out.Default, out.Strategy, out.Hints = e, access.StrategyOf(e), wire.List(world.Hints())
	return wire.WriteJSON(w, http.StatusOK, out)
}

// dryRun reads the parameter of that name, where there is no other.
func dryRun(r *http.Request) (bool, error) {
	values, err := wire.Query(r, "dry_run")
	if err != nil {
		return false, err
	}
	return isDry(values["dry_run"])
}

func isDry(text string) (bool, error) {
	if text != "" && text != "true" && text != "false" {
		return false, refusal.New(problem.ErrMalformed, "dry_run", "is neither true nor false", "use dry_run=true")
	}
	return text == "true", nil
}

// AccessWord says something of devices: of some on record, or of a user's.
type AccessWord struct {
	Kind      string    `json:"kind"` // allow, block, exempt
	Devices   []string  `json:"devices,omitempty"`
	User      string    `json:"user,omitempty"`          // UPN
	EASDevice string    `json:"eas_device_id,omitempty"` // beside User; every device of theirs when absent
	Reason    string    `json:"reason"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// AccessVerdictInput approves or denies devices that wait.
type AccessVerdictInput struct {
	Devices []string `json:"devices"`
	Reason  string   `json:"reason"`
}

// AccessShifts says how devices were answered before, and are from now on.
type AccessShifts struct {
	Devices []access.Shift `json:"devices"`
	Next    string         `json:"next,omitempty"` // of a report in pages
}
