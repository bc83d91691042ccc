package server

import (
	"context"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// accessFake is access.Service with one of each thing.
type accessFake struct{ w *world }

var (
	accessNote    = access.Note{By: "admin", At: noon, Reason: "because"}
	accessRule    = access.Rule{ID: "r1", Effect: access.Block, Family: "WindowsMail", Note: accessNote, CreatedAt: noon}
	accessPolicy  = access.Policy{Name: "standard", Number: 1, Source: "name: standard\n", CreatedAt: noon, CreatedBy: "admin", Spec: access.Spec{Name: "standard", Assign: directory.Audience{Everyone: true}, BreakGlass: []string{"admin@example.test"}, Platforms: []mdm.Platform{mdm.Apple}, StartsAt: noon, Mode: access.Enforce, Require: []access.Requirement{access.RequireEnrolled}, BlockText: "No."}}
	accessWhy     = []access.Reason{{Rule: "passcode", Fact: "no passcode is set", Since: noon, Fix: "Set one."}}
	accessShift   = access.Shift{DeviceID: "d1", User: alice.UPN, EASDevice: "ABC", DeviceType: "iPhone", Before: access.Allow, After: access.Block, Step: access.StepRuleBlock, Reasons: accessWhy}
	accessImpact  = access.Impact{Devices: 3, Matched: 2, ShutOut: 1, Sample: []access.Shift{accessShift}}
	accessWarning = []*refusal.Error{refusal.New(access.ErrInvalid, "break_glass", "is empty", "name one")}
	accessDevice  = access.DeviceRow{UPN: alice.UPN, Compliance: "compliant", Device: access.Device{ID: "d1", UserID: "u1", Key: "abc", Spellings: []string{"ABC"}, Type: "iPhone", FirstAt: noon, LastAt: noon,
		Bound: "e1", Proof: access.ProofProbable, Effect: access.Quarantine, Step: access.StepDefault, SinceAt: noon}}
	accessDetail = access.Detail{DeviceRow: accessDevice,
		Phones:   []access.Phone{{EnrollmentID: "e1", State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Proof: access.ProofProbable, Verdict: compliance.Verdict{EnrollmentID: "e1", State: compliance.Compliant, Since: noon, At: noon, ValidUntil: noon}}},
		Personal: []access.Personal{{UserID: "u1", Key: "abc", Kind: access.PersonalExempt, Note: accessNote, ExpiresAt: noon}},
		Decision: access.Decision{Effect: access.Quarantine, Step: access.StepDefault, Reasons: accessWhy, ValidUntil: noon},
		Trace:    []access.TraceLine{{Step: access.StepDefault, Outcome: access.OutcomeApplies, Fact: "the default says quarantine"}}}
)

func (f accessFake) World(context.Context) (access.World, error) {
	return access.World{Default: access.Quarantine, Rules: []access.Rule{accessRule}, Policies: []access.Policy{accessPolicy}}, f.w.did(false)
}

func (f accessFake) AddRule(_ context.Context, n access.NewRule) (access.Rule, access.Effect, error) {
	if err := n.Rule.Validate(); err != nil {
		return access.Rule{}, "", err
	}
	return accessRule, access.Quarantine, f.w.did(true)
}

func (f accessFake) PlanRule(context.Context, access.NewRule) (access.Impact, access.Effect, error) {
	return accessImpact, access.Quarantine, f.w.did(false)
}

func (f accessFake) RuleLike(_ context.Context, _ access.DeviceID, by string, e access.Effect) (access.Rule, error) {
	return access.Rule{Effect: e, Family: "like " + by}, f.w.did(false)
}

func (f accessFake) RemoveRule(_ context.Context, id access.RuleID, _ string) error {
	if id != accessRule.ID {
		return access.ErrNotFound
	}
	return f.w.did(true)
}

func (f accessFake) PlanRemoval(context.Context, access.RuleID) (access.Impact, error) {
	return accessImpact, f.w.did(false)
}

func (f accessFake) SetDefault(context.Context, access.Effect, string) error { return f.w.did(true) }

func (f accessFake) PlanDefault(context.Context, access.Effect) (access.Impact, error) {
	return accessImpact, f.w.did(false)
}

func (f accessFake) Policy(_ context.Context, name string) (access.Policy, error) {
	if name != accessPolicy.Name {
		return access.Policy{}, access.ErrNotFound
	}
	return accessPolicy, f.w.did(false)
}

func (f accessFake) ApplyPolicy(context.Context, []byte) (access.Policy, bool, []*refusal.Error, error) {
	return accessPolicy, true, accessWarning, f.w.did(true)
}

func (f accessFake) PlanPolicy(context.Context, []byte) (access.Impact, []*refusal.Error, error) {
	return accessImpact, nil, f.w.did(false)
}

func (f accessFake) WouldShutOut(context.Context, string, directory.UserID, int) ([]access.Shift, directory.UserID, error) {
	return []access.Shift{accessShift}, "u1", f.w.did(false)
}

func (f accessFake) List(context.Context, access.DeviceFilter) ([]access.DeviceRow, error) {
	return []access.DeviceRow{accessDevice}, f.w.did(false)
}

func (f accessFake) ListOf(ctx context.Context, upn string, filter access.DeviceFilter) ([]access.DeviceRow, error) {
	if upn != alice.UPN {
		return nil, directory.ErrNotFound
	}
	return f.List(ctx, filter)
}

func (f accessFake) Show(_ context.Context, id access.DeviceID) (access.Detail, error) {
	if id != accessDevice.ID {
		return access.Detail{}, access.ErrNotFound
	}
	return accessDetail, f.w.did(false)
}

func (f accessFake) Bind(context.Context, access.DeviceID, mdm.EnrollmentID, string) (mdm.EnrollmentID, error) {
	return "e1", f.w.did(true)
}

func (f accessFake) Unbind(context.Context, access.DeviceID, string) error { return f.w.did(true) }

func (f accessFake) PlanWord(context.Context, access.Word) ([]access.Shift, error) {
	return []access.Shift{accessShift}, f.w.did(false)
}

func (f accessFake) Say(context.Context, access.Word) ([]access.Shift, error) {
	return []access.Shift{accessShift}, f.w.did(true)
}

func (f accessFake) PlanTakeBack(context.Context, access.Word) ([]access.Shift, error) {
	return []access.Shift{accessShift}, f.w.did(false)
}

func (f accessFake) TakeBack(context.Context, access.Word) error { return f.w.did(true) }

func (f accessFake) Remove(context.Context, access.DeviceID, string) error { return f.w.did(true) }

func (f accessFake) PlanRemove(_ context.Context, id access.DeviceID) (access.DeviceRow, error) {
	return access.DeviceRow{Device: access.Device{ID: id, Spellings: []string{}}}, f.w.did(false)
}

func (f accessFake) SaidOf(context.Context, string) (access.Said, error) {
	return access.Said{MailOff: &access.Note{By: "admin", At: noon, Reason: "leave"},
		Personal: []access.Personal{{UserID: alice.ID, Key: "lost", Kind: access.PersonalBlock, Note: access.Note{By: "admin", At: noon, Reason: "lost"}}}}, f.w.did(false)
}

func (f accessFake) SetMail(_ context.Context, upn string, _ bool, _ string) error {
	if upn != alice.UPN {
		return directory.ErrNotFound
	}
	return f.w.did(true)
}
