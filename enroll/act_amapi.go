package enroll

import (
	"context"
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// android reports whether the act is upon an Android phone.
func (o *ordering) android() bool { return o.row.Enrollment.Platform == mdm.Android }

// androidQuery refuses what cannot be asked: an Android phone tells the rest by itself.
func androidQuery(query string) *refusal.Error {
	if query == string(android.RequestDeviceInfo) {
		return nil
	}
	return refusal.New(ErrInvalid, "query", "is no query of Android", "ask "+string(android.RequestDeviceInfo)+"; the rest an Android phone tells by itself")
}

// androidParticular adds what depends on an Android phone's own facts.
func (o *ordering) androidParticular(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
	e, kind := o.row.Enrollment, o.request.Kind
	switch kind {
	case mdm.ActionRename: // its own name stays
		return nil, nil
	case mdm.ActionResend:
		return o.androidResend(ctx, plan)
	case mdm.ActionSelectiveWipe, mdm.ActionRemovePolicies:
		plan.Commands = append(plan.Commands, PlannedCommand{androidPatch, policyID(e.ID)})
		return nil, nil
	}
	if o.request.Force {
		plan.Effects = append(plan.Effects, "By force: the enrolment ends now, whether the phone comes or not. Its policy is taken back: mail and security policies go when it comes again, and what Google manages of it stays.")
		return nil, nil
	}
	act := mdm.Action{Kind: kind, Parameters: o.request.Parameters}
	plan.Commands = []PlannedCommand{{androidRequest(act, e, e.Target(o.row.Report).Supervised), ""}}
	return nil, nil
}

// androidPatch stands for a change of a phone's policy among its commands.
const androidPatch = "PATCH_POLICY"

func (o *ordering) androidResend(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
	if refused, err := o.lift(ctx); refused != nil || err != nil {
		return refusal.List{refused}, err
	}
	have, err := o.s.Plans.LoadPlan(ctx, o.row.Enrollment.ID)
	if err != nil {
		return nil, fmt.Errorf("load plan of enrolment %s: %w", o.row.Enrollment.ID, err)
	}
	var profiles []WantedProfile
	if have.User.ID != "" {
		if profiles, err = o.s.androidProfiles(ctx, have); err != nil {
			return nil, err
		}
	}
	for _, p := range profiles {
		if p.renders() {
			plan.Commands = append(plan.Commands, PlannedCommand{androidPatch, p.Identifier})
		}
	}
	if len(plan.Commands) == 0 {
		return refusal.List{refusal.New(ErrAction, "kind", "there is no mail account to send: no template is assigned to the user, or none can be made",
			"see: sallyport device show "+string(o.row.Device.ID)+" --mail")}, nil
	}
	return nil, nil
}
