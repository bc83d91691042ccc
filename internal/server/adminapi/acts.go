package adminapi

import (
	"context"
	"net/http"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// ActionService carries out the acts of admins. *enroll.Service is one.
type ActionService interface {
	Order(ctx context.Context, r enroll.OrderRequest) (mdm.Action, enroll.ActionPlan, error)
	DeviceAction(ctx context.Context, device mdm.DeviceID, id mdm.ActionID) (mdm.Action, error)
	Actions(ctx context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Action, error)
	Approve(ctx context.Context, id mdm.ActionID) (mdm.Action, error)
	Cancel(ctx context.Context, id mdm.ActionID) (mdm.Action, error)
}

// OrderAction answers POST /api/v1/devices/{id}/actions.
func (a *API) OrderAction(w http.ResponseWriter, r *http.Request) error {
	var in ActionRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	kind := mdm.ActionKind(in.Kind)
	if err := a.reserved(r, kind, "action.order", r.PathValue("id")); err != nil {
		return err
	}
	act, plan, err := a.d.Actions.Order(r.Context(), enroll.OrderRequest{
		DeviceID: mdm.DeviceID(r.PathValue("id")), Kind: kind,
		Parameters: mdm.ActionParameters{Message: in.Message, PhoneNumber: in.PhoneNumber, Name: in.Name, Query: in.Query, Raw: []byte(in.Raw)},
		Confirm:    in.Confirm, Force: in.Force, DryRun: in.DryRun, Role: roleOf(r),
	})
	if err != nil {
		return err
	}
	out, status := ActionOrdered{Plan: planOf(plan)}, http.StatusOK
	if !in.DryRun && act.ID != "" {
		ordered := actionOf(act)
		out.Action, status = &ordered, http.StatusCreated
	}
	return wire.WriteJSON(w, status, out)
}

// ListActions answers GET /api/v1/devices/{id}/actions.
func (a *API) ListActions(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	list, err := a.d.Actions.Actions(r.Context(), mdm.DeviceID(r.PathValue("id")), page)
	if err != nil {
		return err
	}
	out := Actions{
		Actions: make([]Action, len(list)),
		Next:    wire.Next(list, page.Limit, func(a mdm.Action) string { return string(a.ID) }),
	}
	for i, act := range list {
		out.Actions[i] = actionOf(act)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// GetAction answers GET /api/v1/devices/{id}/actions/{action}.
func (a *API) GetAction(w http.ResponseWriter, r *http.Request) error {
	act, err := a.action(r)
	if err != nil {
		return err
	}
	out := ActionDetail{Action: actionOf(act)}
	if enroll.MayOrder(roleOf(r), act.Kind) == nil {
		out.Raw, out.Result = string(act.Parameters.Raw), act.Result.Reveal()
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// ApproveAction answers POST /api/v1/devices/{id}/actions/{action}/approve.
func (a *API) ApproveAction(w http.ResponseWriter, r *http.Request) error {
	act, err := a.action(r)
	if err != nil {
		return err
	}
	if act, err = a.d.Actions.Approve(r.Context(), act.ID); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, actionOf(act))
}

// CancelAction answers DELETE /api/v1/devices/{id}/actions/{action}. Who may not
// order an act may not take it back either.
func (a *API) CancelAction(w http.ResponseWriter, r *http.Request) error {
	act, err := a.action(r)
	if err != nil {
		return err
	}
	if err := a.reserved(r, act.Kind, "action.cancel", string(act.ID)); err != nil {
		return err
	}
	if act, err = a.d.Actions.Cancel(r.Context(), act.ID); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, actionOf(act))
}

// action is the act that the path names, of the device that it names.
func (a *API) action(r *http.Request) (mdm.Action, error) {
	return a.d.Actions.DeviceAction(r.Context(), mdm.DeviceID(r.PathValue("id")), mdm.ActionID(r.PathValue("action")))
}

// reserved refuses an act that the caller's role may not order, and leaves a row
// in the trail. A kind that is none is left to the room, which knows them all.
func (a *API) reserved(r *http.Request, kind mdm.ActionKind, action, target string) error {
	if !known(kind) {
		return nil
	}
	err := enroll.MayOrder(roleOf(r), kind)
	if err == nil {
		return nil
	}
	ctx := context.WithoutCancel(r.Context()) // who hangs up leaves the row all the same
	entry := audit.New(ctx, now(a), action, target, audit.Refused, "kind", string(kind), "role", string(roleOf(r)))
	if failure := a.d.Audit.Append(ctx, entry); failure != nil {
		return failure
	}
	return err
}
