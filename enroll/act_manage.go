package enroll

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// expireBatch is how many acts one step ends.
const expireBatch = 100

// Approve has a second owner agree to an act. Who ordered it cannot.
func (s *Service) Approve(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	act, e, err := s.actByID(ctx, id)
	if err != nil {
		return mdm.Action{}, err
	}
	by := audit.Actor(ctx)
	switch {
	case act.State != mdm.ActionUnapproved:
		err = refusal.New(ErrConflict, "action", "does not wait for anybody's consent: it is "+string(act.State), "")
	case act.Kind == mdm.ActionWipe && !e.MayErase():
		err = refusal.New(ErrAction, "action", notErased, "cancel it")
	}
	if err == nil {
		err = s.twoHands(ctx, act.RequestedBy, by)
	}
	if err != nil {
		return act, s.refused(ctx, "action.approve", string(id), err)
	}
	move := ActionMove{From: []mdm.ActionState{mdm.ActionUnapproved}, To: mdm.ActionPending, By: by, At: s.now()}
	entry := s.actEntry(ctx, "action.approve", e, act, move.At, "requested_by", act.RequestedBy)
	if err := s.Acts.MoveAction(ctx, id, move, entry); err != nil {
		return act, moved(err, act, "does not wait for consent any more")
	}
	return s.reread(ctx, id)
}

// twoHands refuses who may be the one who ordered: the same owner, or one whose
// tokens the other made, or a third made both.
func (s *Service) twoHands(ctx context.Context, requester, approver string) error {
	same, err := s.Hands.SameHand(ctx, requester, approver)
	switch {
	case err != nil:
		return fmt.Errorf("tell %s from %s: %w", approver, requester, err)
	case same && strings.EqualFold(strings.TrimSpace(approver), strings.TrimSpace(requester)):
		return refusal.New(ErrAction, "action", "who orders an act cannot approve it", "use an admin token of another owner than "+requester)
	case same:
		return refusal.New(ErrAction, "action", fmt.Sprintf("the tokens of %s and %s may be in one hand: one of them made the other's, or a third made both", requester, approver),
			"use an admin token that somebody else made: one with the server's own token (admin-token in its data directory), for an owner that had none before")
	}
	return nil
}

// Cancel takes an act back as long as the device has not taken it; one that
// Google has for the device, if Google takes it back. What it kept from the device
// is given back, unless another act keeps it too.
func (s *Service) Cancel(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	act, e, err := s.actByID(ctx, id)
	if err != nil {
		return mdm.Action{}, err
	}
	if e.Platform == mdm.Android && act.State == mdm.ActionSent {
		return s.recall(ctx, e, act)
	}
	move := ActionMove{
		From: []mdm.ActionState{mdm.ActionUnapproved, mdm.ActionPending}, To: mdm.ActionCancelled, By: audit.Actor(ctx), At: s.now(),
	}
	entry := s.actEntry(ctx, "action.cancel", e, act, move.At)
	if err := s.Acts.MoveAction(ctx, id, move, entry); err != nil {
		return act, moved(err, act, "the device has taken it, or it is over")
	}
	return s.reread(ctx, id)
}

func (s *Service) actByID(ctx context.Context, id mdm.ActionID) (mdm.Action, mdm.Enrollment, error) {
	act, err := s.reread(ctx, id)
	if err != nil {
		return mdm.Action{}, mdm.Enrollment{}, err
	}
	e, err := s.Enrollments.EnrollmentByID(ctx, act.EnrollmentID)
	if err != nil {
		return mdm.Action{}, mdm.Enrollment{}, fmt.Errorf("look up enrolment of act %s: %w", id, err)
	}
	return act, e, nil
}

func (s *Service) reread(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	act, err := s.Acts.ActionByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return mdm.Action{}, refusal.New(ErrNotFound, "action", "no such act", "see: sallyport device show")
	}
	if err != nil {
		return mdm.Action{}, fmt.Errorf("look up act %s: %w", id, err)
	}
	return act, nil
}

func moved(err error, act mdm.Action, why string) error {
	switch {
	case errors.Is(err, ErrConflict):
		return refusal.New(ErrConflict, "action", why, "see its state with: sallyport device show")
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "action", "no such act", "see: sallyport device show")
	}
	return fmt.Errorf("change act %s: %w", act.ID, err)
}

// Action returns one act; ErrNotFound when unknown.
func (s *Service) Action(ctx context.Context, id mdm.ActionID) (mdm.Action, error) {
	return s.reread(ctx, id)
}

// Actions returns the acts upon a device, of all its enrolments, newest first.
func (s *Service) Actions(ctx context.Context, id mdm.DeviceID, page directory.Page) ([]mdm.Action, error) {
	if _, err := s.Device(ctx, id); err != nil {
		return nil, err
	}
	page, err := whole(page)
	if err != nil {
		return nil, err
	}
	list, err := s.Acts.ListActions(ctx, id, page)
	if err != nil {
		return nil, fmt.Errorf("list acts of device %s: %w", id, err)
	}
	return list, nil
}

// Commands returns what was handed to a device, under all its enrolments, newest
// first; the cursor is the last ID of the page before. ErrNotFound when the
// device is unknown.
func (s *Service) Commands(ctx context.Context, id mdm.DeviceID, page directory.Page) ([]mdm.Command, error) {
	if _, err := s.Device(ctx, id); err != nil {
		return nil, err
	}
	page, err := whole(page)
	if err != nil {
		return nil, err
	}
	list, err := s.History.ListCommands(ctx, id, page)
	if err != nil {
		return nil, fmt.Errorf("list commands of device %s: %w", id, err)
	}
	return list, nil
}

// whole fills in a page's limit, and refuses one out of bounds.
func whole(page directory.Page) (directory.Page, error) {
	if page.Limit < 0 || page.Limit > 1000 {
		return page, refusal.New(ErrInvalid, "limit", "is not between 1 and 1000", "leave it out for 100")
	}
	if page.Limit == 0 {
		page.Limit = 100
	}
	return page, nil
}

// SetOwnership says whose phone it is. A corporate device becomes personal right
// now: it is never erased from this moment on, a wipe under way fails, and the
// phone itself refuses one as soon as its enrolment profile was sent again. The
// other way round only a new enrolment leads: a person granted fewer rights.
func (s *Service) SetOwnership(ctx context.Context, id mdm.DeviceID, o mdm.Ownership) error {
	const action = "device.ownership"
	if !o.Valid() {
		return refusal.New(ErrInvalid, "ownership", "is neither corporate nor personal", "say corporate or personal")
	}
	row, err := s.Device(ctx, id)
	if err != nil {
		return err
	}
	e := row.Enrollment
	toCorporate := refusal.New(ErrAction, "ownership", "a personal device does not become corporate by a word",
		"invite its user with ownership corporate and have the phone enrol again: it must grant the rights itself")
	if e.Ownership == mdm.Personal && o == mdm.Corporate {
		return s.refused(ctx, action, string(id), toCorporate)
	}
	entry := audit.New(ctx, s.now(), action, string(id), audit.Done, "enrollment", string(e.ID), "from", string(e.Ownership), "to", string(o))
	err = s.Holds.SetOwnership(ctx, e.ID, o, entry)
	switch {
	case errors.Is(err, ErrConflict) && o == mdm.Personal:
		return s.refused(ctx, action, string(id), refusal.New(ErrAction, "ownership", "a wipe was handed to Google, which may reach the device at any moment",
			"take it back with sallyport device cancel, or wait until it was carried out or has expired"))
	case errors.Is(err, ErrConflict):
		return s.refused(ctx, action, string(id), toCorporate)
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "id", "no such device", "see: sallyport device list")
	case err != nil:
		return fmt.Errorf("set ownership of enrolment %s: %w", e.ID, err)
	case o != mdm.Personal:
		return nil
	}
	if err := s.dropRights(ctx, e); err != nil {
		return err
	}
	wipe, err := s.openAct(ctx, e.ID, mdm.ActionWipe)
	if err != nil || wipe.ID == "" {
		return err
	}
	return s.moveAct(ctx, e, wipe, mdm.ActionFailed, notErased)
}

// ExpireActions ends the acts whose time has passed, and says whether there are
// more. A step for internal/work.
func (s *Service) ExpireActions(ctx context.Context) (more bool, err error) {
	n, err := s.Acts.ExpireActions(ctx, s.now(), expireBatch)
	if err != nil {
		return false, fmt.Errorf("expire acts: %w", err)
	}
	if n > 0 {
		s.log().InfoContext(ctx, "acts expired", "count", n, logkey.Component, "enroll")
	}
	return n == expireBatch, nil
}
