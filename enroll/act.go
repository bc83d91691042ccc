package enroll

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// ErrAction says that an act cannot be done to this device, or not now.
var ErrAction = errors.New("act refused for this device")

// OrderRequest asks for an act upon a device.
type OrderRequest struct {
	DeviceID   mdm.DeviceID
	Kind       mdm.ActionKind
	Parameters mdm.ActionParameters
	Confirm    string    // the device's name, for acts that cannot be undone; not asked in a dry run
	Force      bool      // retire: end the enrolment now, whether the phone comes or not
	DryRun     bool      // say what would happen; nothing is written
	Role       auth.Role // of the caller
}

// ActionPlan is what an act would do, in words for whoever orders it.
type ActionPlan struct {
	Device        string           // the device's name, which Confirm must repeat
	NeedsConfirm  bool             // the act cannot be undone
	NeedsApproval bool             // a second owner has to agree
	Commands      []PlannedCommand // what the phone would be told, in this order, as far as it is known now
	Effects       []string         // what happens
	Loses         []string         // what the phone loses
	Refused       []*refusal.Error // why it cannot be done; empty when it can
}

// PlannedCommand is a command that an act would lead to.
type PlannedCommand struct {
	RequestType string
	Subject     string // profile identifier; empty where there is none
}

// Acts expire: what destroys is worth waiting for longer than a message on a
// lock screen.
const (
	lastingAct = 30 * 24 * time.Hour
	shortAct   = 7 * 24 * time.Hour
)

func expiry(k mdm.ActionKind) time.Duration {
	switch k {
	case mdm.ActionWipe, mdm.ActionRetire, mdm.ActionSelectiveWipe:
		return lastingAct
	}
	return shortAct
}

// Order notes an act upon a device, which takes it at its next contact, and says
// what it leads to. In a dry run a refusal stands in the plan; otherwise it is
// the error: ErrInvalid for what the request says, ErrAction for what the device
// is, ErrConflict when such an act is under way, auth.ErrForbidden for the role.
//
// A rename gives our label at once. Where the device's own name stays (it is not
// supervised) there is no act: the answer's ID is empty then. So it is where an
// enrolment is retired by force that never became active.
func (s *Service) Order(ctx context.Context, r OrderRequest) (mdm.Action, ActionPlan, error) {
	row, err := s.Device(ctx, r.DeviceID)
	if err != nil {
		return mdm.Action{}, ActionPlan{}, err
	}
	o := &ordering{s: s, request: r, row: row}
	plan, err := o.plan(ctx)
	if err != nil {
		return mdm.Action{}, ActionPlan{}, err
	}
	now := s.now()
	act := mdm.Action{
		ID:           mdm.ActionID(newID()),
		EnrollmentID: row.Enrollment.ID,
		Kind:         r.Kind,
		Parameters:   r.Parameters,
		State:        mdm.ActionPending,
		RequestedBy:  audit.Actor(ctx),
		RequestedAt:  now,
		ExpiresAt:    now.Add(expiry(r.Kind)),
	}
	if plan.NeedsApproval {
		act.State = mdm.ActionUnapproved
	}
	if r.DryRun {
		return act, plan, nil
	}
	refused := refusal.List(plan.Refused)
	refused.Add(o.confirm(plan))
	if err := refused.OrNil(); err != nil {
		return mdm.Action{}, plan, s.refused(ctx, "action.order", string(r.DeviceID), err)
	}
	act, err = o.carryOut(ctx, act, plan)
	return act, plan, s.refused(ctx, "action.order", string(r.DeviceID), err)
}

// ordering is one order on its way.
type ordering struct {
	s       *Service
	request OrderRequest
	row     DeviceRow
}

// deviceName is what people call the device; never empty.
func deviceName(row DeviceRow) string {
	reported := ""
	if row.Report.Device != nil {
		reported = row.Report.Device.Name
	}
	for _, name := range []string{row.Device.Label, reported, row.Device.Name, row.Device.Serial} {
		if name = strings.TrimSpace(name); name != "" {
			return name
		}
	}
	return row.Device.UDID
}

// confirm refuses an act that cannot be undone unless the device's name was
// typed: a wrong identifier in a script or a wrong row in a table stops here.
func (o *ordering) confirm(plan ActionPlan) *refusal.Error {
	if !plan.NeedsConfirm || strings.TrimSpace(o.request.Confirm) == plan.Device {
		return nil
	}
	return refusal.New(ErrInvalid, "confirm", "is not the name of this device", fmt.Sprintf("repeat its name exactly: %s", plan.Device))
}

// carryOut does what was ordered and not refused.
func (o *ordering) carryOut(ctx context.Context, act mdm.Action, plan ActionPlan) (mdm.Action, error) {
	switch {
	case act.Kind == mdm.ActionRename:
		return o.rename(ctx, act, plan)
	case act.Kind == mdm.ActionRetire && o.request.Force:
		return o.retireNow(ctx, act)
	}
	return act, o.create(ctx, act)
}

func (o *ordering) create(ctx context.Context, act mdm.Action) error {
	entry := audit.New(ctx, act.RequestedAt, "action.order", string(act.ID), audit.Done,
		"kind", string(act.Kind), "device", string(o.row.Device.ID), "enrollment", string(act.EnrollmentID),
		"state", string(act.State), "query", act.Parameters.Query, "force", strconv.FormatBool(o.request.Force))
	err := o.s.Acts.CreateAction(ctx, act, entry)
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "id", "no such device", "see: sallyport device list")
	case errors.Is(err, ErrConflict):
		return refusal.New(ErrConflict, "kind", "the device is not enrolled any more, or such an act is under way already, or too many wait",
			"see: sallyport device show "+string(o.row.Device.ID))
	case err != nil:
		return fmt.Errorf("order %s of device %s: %w", act.Kind, o.row.Device.ID, err)
	}
	return nil
}

// rename gives the label, and where the phone lets its own name be changed it is
// told to do so. That comes first: an order that is refused changes nothing.
func (o *ordering) rename(ctx context.Context, act mdm.Action, plan ActionPlan) (mdm.Action, error) {
	name := strings.TrimSpace(act.Parameters.Name)
	act.Parameters.Name = name
	if len(plan.Commands) == 0 {
		act.ID, act.State, act.DoneAt = "", mdm.ActionAcknowledged, act.RequestedAt
	} else if err := o.create(ctx, act); err != nil {
		return act, err
	}
	entry := audit.New(ctx, act.RequestedAt, "device.rename", string(o.row.Device.ID), audit.Done, "label", name)
	err := o.s.Holds.SetLabel(ctx, o.row.Device.ID, name, entry)
	if errors.Is(err, ErrNotFound) {
		return act, refusal.New(ErrNotFound, "id", "no such device", "see: sallyport device list")
	}
	if err != nil {
		return act, fmt.Errorf("label device %s: %w", o.row.Device.ID, err)
	}
	return act, nil
}

// retireNow ends the enrolment without the phone: lost, broken or given away, it
// may never come again.
func (o *ordering) retireNow(ctx context.Context, act mdm.Action) (mdm.Action, error) {
	e, now := o.row.Enrollment, o.s.now()
	if !e.State.Active() { // it never came so far as to have acts
		entry := audit.New(ctx, now, "enrollment.retire", string(e.ID), audit.Done,
			"device", string(e.DeviceID), "user", string(e.UserID), "udid", e.UDID, "force", "true")
		if err := o.s.Enrollments.End(ctx, e.ID, mdm.Retired, now, entry); err != nil {
			return act, fmt.Errorf("retire enrolment %s: %w", e.ID, err)
		}
		act.ID, act.State, act.DoneAt = "", mdm.ActionAcknowledged, now
		return act, nil
	}
	open, err := o.s.openAct(ctx, e.ID, mdm.ActionRetire)
	if err != nil {
		return act, err
	}
	if o.s.SecondOwner && open.ApprovedBy == "" { // cancelled since the plan was made
		return act, notAgreed()
	}
	if open.ID != "" {
		act = open
	} else if err := o.create(ctx, act); err != nil {
		return act, err
	}
	if err := o.s.moveAct(ctx, e, act, mdm.ActionAcknowledged, "", "force", "true"); err != nil {
		return act, err
	}
	return o.s.reread(ctx, act.ID)
}
