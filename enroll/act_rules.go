package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// actRule is what an act asks for and what it does, in words.
type actRule struct {
	rights  int  // of the enrolment, all of them
	confirm bool // cannot be undone: the device's name must be typed
	owners  bool // needs a second owner where the setting says so
	admin   bool // no operator may
	effects []string
	loses   []string
}

// actRules are the acts. A kind that is not in it is none.
func actRules() map[mdm.ActionKind]actRule {
	const shut = "The mailbox is shut at once, before the phone answers."
	return map[mdm.ActionKind]actRule{
		mdm.ActionWipe: {rights: mdm.RightErase, confirm: true, owners: true,
			effects: []string{shut, "The phone erases itself at its next contact, and the enrolment ends."},
			loses:   []string{"everything on the phone, private data too"}},
		mdm.ActionSelectiveWipe: {rights: mdm.RightInspectProfiles | mdm.RightInstallProfiles, confirm: true,
			effects: []string{shut, "The phone stays enrolled and reports. A resend gives the mail back."},
			loses:   []string{"the mail account with its mail, contacts and calendars", "every other profile that this server installed"}},
		mdm.ActionRemovePolicies: {rights: mdm.RightInspectProfiles | mdm.RightInstallProfiles,
			effects: []string{"The mail stays. A resend gives the policies back."},
			loses:   []string{"the passcode rules that this server installed"}},
		mdm.ActionLock: {rights: mdm.RightLock,
			effects: []string{"The phone locks its screen. Message and number show only where a passcode is set."}},
		mdm.ActionClearPasscode: {rights: mdm.RightLock, admin: true,
			effects: []string{"Who holds the phone can open it until a new passcode is set."},
			loses:   []string{"the passcode"}},
		mdm.ActionRename: {},
		mdm.ActionRetire: {rights: mdm.RightInstallProfiles, confirm: true, owners: true,
			effects: []string{shut, "The enrolment ends and its certificates are revoked. To come back, the phone must enrol again."},
			loses:   []string{"the management profile and everything that this server installed: mail, contacts, calendars, policies"}},
		mdm.ActionResend: {rights: mdm.RightInstallProfiles,
			effects: []string{"Each mail profile is installed again, and what an act kept from the phone is given back."}},
		mdm.ActionQuery: {},
		mdm.ActionCommand: {admin: true,
			effects: []string{"The command is sent in your words: what it does is for you to know."}},
	}
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
	plan.Effects, plan.Loses = slices.Clone(rule.effects), slices.Clone(rule.loses)
	var refused refusal.List
	if rule.admin && o.request.Role != auth.Admin {
		refused.Add(refusal.New(auth.ErrForbidden, "kind", fmt.Sprintf("%s is for administrators", o.request.Kind), "use a token with the role admin"))
	}
	refused = append(refused, o.parameters()...)
	refused.Add(o.fit(rule))
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
func (o *ordering) fit(rule actRule) *refusal.Error {
	e := o.row.Enrollment
	switch kind := o.request.Kind; {
	case kind == mdm.ActionRename:
		return nil // our label at least
	case e.Platform != mdm.Apple:
		return refusal.New(ErrAction, "kind", fmt.Sprintf("%s is not possible on %s", kind, e.Platform), "")
	case kind == mdm.ActionRetire && o.request.Force && !e.State.Ended():
		return nil
	case !e.State.Active():
		return refusal.New(ErrAction, "id", fmt.Sprintf("the device is not enrolled (%s)", strings.ReplaceAll(string(e.State), "_", " ")), "it can be told nothing until it enrols again")
	case kind == mdm.ActionWipe && e.Ownership != mdm.Corporate:
		return refusal.New(ErrAction, "kind", "a personal device is never erased", "selective_wipe removes mail and everything that came from here; retire ends the enrolment too")
	case rule.rights&^e.AccessRights != 0:
		return refusal.New(ErrAction, "kind", "the phone did not grant the right to "+string(kind)+" when it enrolled", enrolAgain)
	}
	return nil
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
	return refusal.New(ErrAction, "force", "a second owner has to agree first", "order retire without force, have it approved, then repeat this"), nil
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
		if _, ok := queryRights()[p.Query]; !ok {
			list.Add(refusal.New(ErrInvalid, "query", "is no query", "ask one of "+strings.Join(queries(), ", ")))
		}
	case mdm.ActionCommand:
		_, refused := o.s.parseRaw(p.Raw)
		list = append(list, refused...)
	}
	return list
}

// particular adds what depends on the phone's own facts.
func (o *ordering) particular(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
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
			plan.Effects = append(plan.Effects, "The phone is told nothing: what it holds stays on it until somebody removes it.")
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

func (o *ordering) renameCommands(plan *ActionPlan) {
	plan.Effects = append(plan.Effects, "Our label changes at once.")
	e, device := o.row.Enrollment, o.row.Report.Device
	switch {
	case !e.State.Active():
	case device == nil || device.Supervised == nil || !*device.Supervised:
		plan.Effects = append(plan.Effects, "The phone keeps its own name: it is not supervised.")
	case e.AccessRights&mdm.RightSettings == 0:
		plan.Effects = append(plan.Effects, "The phone keeps its own name: it did not grant the right to settings.")
	default:
		plan.Effects = append(plan.Effects, "The phone takes the name too.")
		plan.Commands = o.s.single(mdm.Action{Kind: mdm.ActionRename})
	}
}

func (o *ordering) resendCommands(ctx context.Context, plan *ActionPlan) (refusal.List, error) {
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
	return nil, nil
}

func (o *ordering) queryCommands(plan *ActionPlan) refusal.List {
	query := o.request.Parameters.Query
	if queryRights()[query]&^o.row.Enrollment.AccessRights != 0 {
		return refusal.List{refusal.New(ErrAction, "query", "the phone did not grant the right to ask for "+query+" when it enrolled", enrolAgain)}
	}
	plan.Effects = append(plan.Effects, "The answer stands with the act once the phone has given it.")
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
