package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// actRule is what an act asks for, and what it means beside its effect on the
// device, which mdm.Matrix tells.
type actRule struct {
	confirm bool // cannot be undone: the device's name must be typed
	owners  bool // needs a second owner where the setting says so
	admin   bool // no operator may: it takes something from the phone or from its user
	effects []string
	loses   []string
}

// actRules are the acts. A kind that is not in it is none.
func actRules() map[mdm.ActionKind]actRule {
	const shut = "The mailbox is shut at once, before the phone answers."
	return map[mdm.ActionKind]actRule{
		mdm.ActionWipe: {admin: true, confirm: true, owners: true,
			effects: []string{shut, "The enrolment ends."},
			loses:   []string{"everything on the phone, private data too"}},
		mdm.ActionSelectiveWipe: {admin: true, confirm: true,
			effects: []string{shut, "The phone stays enrolled and reports. A resend gives the mail back."},
			loses:   []string{"the mail account with its mail, contacts and calendars", "every other profile that this server installed"}},
		mdm.ActionRemovePolicies: {admin: true,
			effects: []string{"A resend gives the policies back."},
			loses:   []string{"the passcode rules that this server installed"}},
		mdm.ActionLock: {},
		mdm.ActionClearPasscode: {admin: true,
			effects: []string{"Who holds the phone can open it until a new passcode is set."},
			loses:   []string{"the passcode"}},
		mdm.ActionRename: {},
		mdm.ActionRetire: {admin: true, confirm: true, owners: true,
			effects: []string{shut, "The enrolment ends. To come back, the phone must enrol again."},
			loses:   []string{"the management profile and everything that this server installed: mail, contacts, calendars, policies"}},
		mdm.ActionResend:  {effects: []string{"What an act kept from the phone is given back."}},
		mdm.ActionQuery:   {effects: []string{"The answer stands with the act once the phone has given it."}},
		mdm.ActionCommand: {admin: true},
	}
}

// MayOrder refuses, as auth.ErrForbidden, a role that may not order acts of that
// kind. Nor may it take one back, or read what such an act told. A resend may ask
// for more: Order says so.
func MayOrder(role auth.Role, kind mdm.ActionKind) error {
	p := auth.Principal{Role: role}
	var err error
	if rule, known := actRules()[kind]; known && !rule.admin {
		err = p.Allowed(auth.Admin, auth.Operator)
	} else {
		err = p.Allowed(auth.Admin)
	}
	for _, said := range refusal.All(err) {
		said.Field, said.Reason = "kind", string(kind)+": "+said.Reason
	}
	return err
}

// plan says what an order leads to and what stands against it.
func (o *ordering) plan(ctx context.Context) (ActionPlan, error) {
	plan := ActionPlan{Device: deviceName(o.row)}
	rule, known := actRules()[o.request.Kind]
	if !known {
		plan.Refused = []*refusal.Error{refusal.New(ErrInvalid, "kind", "is no act", "say wipe, selective_wipe, remove_policies, lock, clear_passcode, rename, retire, resend, query or command")}
		return plan, nil
	}
	plan.NeedsConfirm = rule.confirm
	plan.NeedsApproval = rule.owners && o.s.SecondOwner && !o.request.Force
	able := mdm.CapabilityOf(o.row.Enrollment.Target(o.row.Report), o.request.Kind)
	plan.Effects, plan.Loses = append([]string{sentence(able.Effect)}, rule.effects...), slices.Clone(rule.loses)
	var refused refusal.List
	refused = append(refused, refusal.All(MayOrder(o.request.Role, o.request.Kind))...)
	refused = append(refused, o.parameters()...)
	unfit, err := o.fit(ctx, able)
	if err != nil {
		return plan, err
	}
	refused.Add(unfit)
	force, err := o.force(ctx)
	if err != nil {
		return plan, err
	}
	refused.Add(force)
	more, err := o.particular(ctx, &plan)
	if err != nil {
		return plan, err
	}
	plan.Refused = append(refused, more...)
	if len(plan.Refused) > 0 {
		plan.Commands = nil
	}
	return plan, nil
}

// fit refuses an act that this enrolment does not bear.
func (o *ordering) fit(ctx context.Context, able mdm.Capability) (*refusal.Error, error) {
	e, kind := o.row.Enrollment, o.request.Kind
	switch {
	case kind == mdm.ActionRename:
		return nil, nil // our label at least
	case kind == mdm.ActionRetire && o.request.Force && !e.State.Ended():
		return nil, nil
	}
	if refused := o.unfit(able); refused != nil {
		return refused, nil
	}
	lost, err := o.s.unreachable(ctx, e)
	if lost == "" || err != nil {
		return nil, err
	}
	return refusal.New(ErrAction, "id", lost, "invite its user again, and have the phone set up anew; sallyport device retire --force ends this enrolment"), nil
}

func (o *ordering) unfit(able mdm.Capability) *refusal.Error {
	e, kind := o.row.Enrollment, o.request.Kind
	switch {
	case !e.State.Active():
		return refusal.New(ErrAction, "id", fmt.Sprintf("the device is not enrolled (%s)", strings.ReplaceAll(string(e.State), "_", " ")), "it can be told nothing until it enrols again")
	case !able.Possible:
		return refusal.New(ErrAction, "kind", able.Reason, "")
	case kind == mdm.ActionWipe && !e.MayErase(): // whatever the matrix says
		return refusal.New(ErrAction, "kind", notErased, "")
	}
	return nil
}

// sentence makes one of the matrix's words.
func sentence(effect string) string {
	if effect == "" {
		return "Nothing changes on the device."
	}
	return strings.ToUpper(effect[:1]) + effect[1:] + "."
}

// force refuses to end an enrolment without the phone where two owners have to
// agree and have not.
func (o *ordering) force(ctx context.Context) (*refusal.Error, error) {
	switch {
	case !o.request.Force:
		return nil, nil
	case o.request.Kind != mdm.ActionRetire:
		return refusal.New(ErrInvalid, "force", "goes with retire only", "leave it out"), nil
	case !o.s.SecondOwner:
		return nil, nil
	}
	open, err := o.s.openAct(ctx, o.row.Enrollment.ID, mdm.ActionRetire)
	if err != nil || open.ApprovedBy != "" {
		return nil, err
	}
	return notAgreed(), nil
}

func notAgreed() *refusal.Error {
	return refusal.New(ErrAction, "force", "a second owner has to agree first", "order retire without force, have it approved, then repeat this")
}

// parameters refuses what is wrong with the request alone.
func (o *ordering) parameters() refusal.List {
	p, kind := o.request.Parameters, o.request.Kind
	var list refusal.List
	for _, given := range []struct {
		field string
		there bool
		kind  mdm.ActionKind
	}{
		{"message", p.Message != "", mdm.ActionLock}, {"phone_number", p.PhoneNumber != "", mdm.ActionLock},
		{"name", p.Name != "", mdm.ActionRename}, {"query", p.Query != "", mdm.ActionQuery}, {"raw", len(p.Raw) > 0, mdm.ActionCommand},
	} {
		if given.there && given.kind != kind {
			list.Add(refusal.New(ErrInvalid, given.field, fmt.Sprintf("goes with %s only", given.kind), "leave it out"))
		}
	}
	switch kind {
	case mdm.ActionLock:
		list.Add(refusal.Line(ErrInvalid, "message", p.Message, 500), refusal.Line(ErrInvalid, "phone_number", p.PhoneNumber, 64))
	case mdm.ActionRename:
		if strings.TrimSpace(p.Name) == "" {
			list.Add(refusal.New(ErrInvalid, "name", "is missing", "say how the device should be called"))
		}
		list.Add(refusal.Line(ErrInvalid, "name", p.Name, 128))
	case mdm.ActionQuery:
		if o.android() {
			list.Add(androidQuery(p.Query))
		} else if _, ok := queryRights()[p.Query]; !ok {
			list.Add(refusal.New(ErrInvalid, "query", "is no query", "ask one of "+strings.Join(queries(), ", ")))
		}
	case mdm.ActionCommand:
		var refused refusal.List
		if o.android() {
			_, refused = parseAndroidRaw(p.Raw)
		} else {
			_, refused = o.s.parseRaw(p.Raw)
		}
		list = append(list, refused...)
	}
	return list
}

// particular adds what depends on the phone's own facts.
func (o *ordering) particular(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
	if o.android() {
		return o.androidParticular(ctx, plan)
	}
	switch o.request.Kind {
	case mdm.ActionClearPasscode:
		return o.clearPasscode(ctx, plan)
	case mdm.ActionRename:
		o.renameCommands(plan)
	case mdm.ActionResend:
		return o.resendCommands(ctx, plan)
	case mdm.ActionQuery:
		return o.queryCommands(plan), nil
	case mdm.ActionSelectiveWipe, mdm.ActionRemovePolicies:
		o.removals(plan)
	default:
		if o.request.Force {
			plan.Effects = append(plan.Effects, "By force: the enrolment ends now, whether the phone comes or not. One that comes again is told to leave (iOS 17 and later); until then it keeps what it holds.")
			return nil, nil
		}
		plan.Commands = o.s.single(mdm.Action{Kind: o.request.Kind, Parameters: o.request.Parameters})
	}
	return nil, nil
}

func (o *ordering) clearPasscode(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
	push, err := o.s.Pushes.Push(ctx, o.row.Enrollment.ID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, fmt.Errorf("read unlock token of enrolment %s: %w", o.row.Enrollment.ID, err)
	}
	if push.UnlockToken.IsZero() {
		return refusal.List{refusal.New(ErrAction, "kind", "the phone never sent the token that clears its passcode", enrolAgain)}, nil
	}
	plan.Commands = o.s.single(mdm.Action{Kind: o.request.Kind})
	return nil, nil
}

// renameCommands: the phone is told only where it would obey.
func (o *ordering) renameCommands(plan *ActionPlan) {
	target := o.row.Enrollment.Target(o.row.Report)
	if o.row.Enrollment.State.Active() && target.Supervised && target.Rights&mdm.RightSettings != 0 {
		plan.Commands = o.s.single(mdm.Action{Kind: mdm.ActionRename})
	}
}

func (o *ordering) resendCommands(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
	if refused, err := o.lift(ctx); refused != nil || err != nil {
		return refusal.List{refused}, err
	}
	want, err := o.s.wanted(ctx, o.row.Enrollment, o.row.Report)
	if err != nil {
		return nil, err
	}
	for _, p := range want.Profiles {
		if p.Mail && p.renders() {
			plan.Commands = append(plan.Commands, PlannedCommand{installProfile, p.Identifier})
		}
	}
	if len(plan.Commands) == 0 {
		return refusal.List{refusal.New(ErrAction, "kind", "there is no mail profile to send: no template is assigned to the user, or none can be made",
			"see: sallyport device show "+string(o.row.Device.ID)+" --mail")}, nil
	}
	if a := accountsLocked(o.row.Report); a != "" {
		plan.Effects = append(plan.Effects, a)
	}
	if o.row.Enrollment.Withheld == mdm.WithholdEverything {
		plan.Effects = append(plan.Effects, "Where an act that takes the mail from the phone is under way, that one is carried out first.")
	}
	return nil, nil
}

// lift refuses an operator's resend where it would give back what only an admin
// may take: it opens the mailbox again after whatever shut it has ended, also
// after an act that a second owner has yet to agree to.
func (o *ordering) lift(ctx context.Context) (*refusal.Error, error) {
	if o.request.Role == auth.Admin {
		return nil, nil
	}
	e := o.row.Enrollment
	shut := e.Withheld == mdm.WithholdEverything
	if !shut {
		acts, err := o.s.Acts.ListActions(ctx, e.DeviceID, directory.Page{Limit: 100})
		if err != nil {
			return nil, fmt.Errorf("list acts of device %s: %w", e.DeviceID, err)
		}
		shut = slices.ContainsFunc(acts, func(a mdm.Action) bool {
			return a.EnrollmentID == e.ID && a.State == mdm.ActionUnapproved && a.Kind.Withholds() == mdm.WithholdEverything
		})
	}
	if !shut {
		return nil, nil
	}
	return refusal.New(auth.ErrForbidden, "kind", "resend: an admin took the mail from this phone, or is about to, and only an admin gives it back",
		"use a token with the role admin"), nil
}

func (o *ordering) queryCommands(plan *ActionPlan) refusal.List {
	query := o.request.Parameters.Query
	if queryRights()[query]&^o.row.Enrollment.AccessRights != 0 {
		return refusal.List{refusal.New(ErrAction, "query", "the phone did not grant the right to ask for "+query+" when it enrolled", enrolAgain)}
	}
	plan.Commands = o.s.single(mdm.Action{Kind: mdm.ActionQuery, Parameters: o.request.Parameters})
	return nil
}

// removals lists what of ours the phone was last seen to hold.
func (o *ordering) removals(plan *ActionPlan) {
	withheld := o.request.Kind.Withholds()
	if list := o.row.Report.Profiles; list != nil {
		for _, item := range list.Items {
			if withholds(withheld, item.Identifier) {
				plan.Commands = append(plan.Commands, PlannedCommand{removeProfile, item.Identifier})
			}
		}
	}
	plan.Commands = append(plan.Commands, PlannedCommand{askProfiles, ""})
}

// queryRights are the queries that an admin may order, with the rights they need.
func queryRights() map[string]int {
	return map[string]int{
		askDevice: mdm.RightDeviceInformation, askSecurity: mdm.RightSecurity, askProfiles: mdm.RightInspectProfiles,
		askCertificates: mdm.RightInspectProfiles, askRestrictions: mdm.RightRestrictions,
		askApplications: mdm.RightInspectApps, askManaged: mdm.RightManageApps,
	}
}

func queries() []string {
	var names []string
	for name := range queryRights() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
