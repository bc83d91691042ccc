package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// Met implements android.Admitter. Whose phone it is follows from the ticket, and
// from nothing that the phone says of itself; once it is on record a ticket
// moves it no more.
func (a *Androids) Met(ctx context.Context, p android.Phone) error {
	known, err := a.Phones.AndroidPhone(ctx, p.Name)
	if errors.Is(err, ErrNotFound) {
		if p.Deleted {
			return unknownPhone("management is gone from it")
		}
		return a.admit(ctx, p, time.Time{})
	}
	if err != nil {
		return fmt.Errorf("look up android phone: %w", err)
	}
	e, err := a.Service.Enrollments.EnrollmentByID(ctx, known.EnrollmentID)
	if err != nil {
		return fmt.Errorf("look up enrolment of android phone: %w", err)
	}
	switch {
	case p.Deleted:
		return a.ended(ctx, e)
	case !e.State.Ended():
		return a.reported(ctx, known, p)
	}
	return a.back(ctx, e, p)
}

// ended ends the enrolment of a phone from which management is gone, which may be
// told twice. detail goes into the audit trail.
func (a *Androids) ended(ctx context.Context, e mdm.Enrollment, detail ...string) error {
	if e.State.Ended() {
		return nil
	}
	now := a.now()
	entry := audit.New(ctx, now, "enrollment.check_out", string(e.ID), audit.Done, append([]string{"user", string(e.UserID), "udid", e.UDID}, detail...)...)
	if err := a.Service.Enrollments.End(ctx, e.ID, mdm.CheckedOut, now, entry); err != nil {
		return fmt.Errorf("end enrolment %s: %w", e.ID, err)
	}
	return nil
}

// back meets a phone under the name that it had in an enrolment which has ended.
// It comes back with a ticket that nobody used, or not at all.
func (a *Androids) back(ctx context.Context, before mdm.Enrollment, p android.Phone) error {
	t, err := a.Tickets.TicketByHash(ctx, secret.Hash(p.Ticket))
	if p.Ticket == "" || errors.Is(err, ErrNotFound) || err == nil && t.EnrollmentID == before.ID {
		return nil // it does not know yet that it was let go
	}
	if err != nil {
		return fmt.Errorf("look up ticket: %w", err)
	}
	return a.admit(ctx, p, before.CreatedAt)
}

// admit enrols a phone that came with a ticket. before is when it was let in last;
// zero: never.
func (a *Androids) admit(ctx context.Context, p android.Phone, before time.Time) error {
	if p.Ticket == "" {
		return unknownPhone("it came without a ticket of ours")
	}
	hash := secret.Hash(p.Ticket)
	t, err := a.Tickets.TicketByHash(ctx, hash)
	if errors.Is(err, ErrNotFound) {
		return unknownPhone("its ticket is none of ours")
	}
	if err != nil {
		return fmt.Errorf("look up ticket: %w", err)
	}
	i, err := a.Service.Invitations.InvitationByID(ctx, t.InvitationID)
	if errors.Is(err, ErrNotFound) {
		return a.refuse(ctx, p, t.InvitationID, before, "its user is no more")
	}
	if err != nil {
		return fmt.Errorf("look up invitation of ticket: %w", err)
	}
	admission := a.admission(ctx, p, t, i)
	_, err = a.Phones.AdmitAndroid(ctx, admission)
	switch {
	case errors.Is(err, ErrConflict):
		return a.refuse(ctx, p, i.ID, before, "its ticket was used by another phone, or its invitation was withdrawn")
	case errors.Is(err, ErrNotFound): // removed just now
		return a.refuse(ctx, p, i.ID, before, "its user is no more")
	case err != nil:
		return fmt.Errorf("admit android phone: %w", err)
	}
	a.Notify()
	return nil
}

func (a *Androids) admission(ctx context.Context, p android.Phone, t AndroidTicket, i Invitation) AndroidAdmission {
	now, d := a.now(), p.Device
	d.ID, d.Platform, d.CreatedAt = mdm.DeviceID(newID()), mdm.Android, now
	ownership := t.Ownership
	if p.Ownership != mdm.Corporate { // who is in doubt about whose it is takes nothing from it
		ownership = mdm.Personal
	}
	e := mdm.Enrollment{
		ID:           mdm.EnrollmentID(newID()),
		DeviceID:     d.ID,
		UserID:       i.UserID,
		InvitationID: string(i.ID),
		Platform:     mdm.Android,
		Ownership:    ownership,
		State:        mdm.Authenticated,
		UDID:         d.UDID,
		AccessRights: AccessRights(ownership),
		CreatedAt:    now,
		LastSeenAt:   now,
	}
	return AndroidAdmission{
		Ticket: t.Hash, Device: d, Enrollment: e, Previous: p.Previous, Report: p.Report,
		Phone: AndroidPhone{EnrollmentID: e.ID, Name: p.Name, Mode: p.Mode, ReportedAt: reportedAt(p.Report)},
		Entry: audit.New(ctx, now, enrollAction, string(e.ID), audit.Done,
			"user", string(i.UserID), "udid", d.UDID, "invitation", string(i.ID), "ownership", string(ownership), "mode", string(p.Mode)),
	}
}

// reported notes what a phone tells, and goes on with what waited for it.
func (a *Androids) reported(ctx context.Context, known AndroidPhone, p android.Phone) error {
	at := reportedAt(p.Report)
	if at.IsZero() || at.Before(known.ReportedAt) {
		return nil
	}
	if err := a.Phones.SaveAndroidReport(ctx, known.EnrollmentID, at, p.Report); err != nil {
		return fmt.Errorf("save report of android phone: %w", err)
	}
	return a.follow(ctx, known.EnrollmentID)
}

// follow does what a report leads to: the enrolment is configured once its mail
// is there, and acts that waited for the phone's word go on.
func (a *Androids) follow(ctx context.Context, id mdm.EnrollmentID) error {
	have, err := a.Service.Plans.LoadPlan(ctx, id)
	if err != nil {
		return fmt.Errorf("load plan of enrolment %s: %w", id, err)
	}
	if !have.Enrollment.State.Active() {
		return nil
	}
	due, err := a.confirm(ctx, have)
	if err != nil || !due && len(have.Actions) == 0 {
		return err
	}
	return a.request(ctx, []mdm.EnrollmentID{id})
}

// request makes phones due.
func (a *Androids) request(ctx context.Context, ids []mdm.EnrollmentID) error {
	_, err := a.requested(ctx, ids)
	return err
}

// requested does so, and says whether there are any.
func (a *Androids) requested(ctx context.Context, ids []mdm.EnrollmentID) (some bool, err error) {
	n, err := a.Policies.RequestPolicies(ctx, ids, a.now())
	if err != nil {
		return false, fmt.Errorf("request policies: %w", err)
	}
	if n > 0 {
		a.Notify()
	}
	return n > 0, nil
}

// reportedAt is when a phone made a report.
func reportedAt(r mdm.Report) (at time.Time) {
	if r.Device != nil {
		at = r.Device.At
	}
	if r.Policy != nil {
		at = later(at, r.Policy.At)
	}
	return at
}
