package adminapi

import (
	"net/http"
	"time"

	"sallyport/enroll"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// Invite answers POST /api/v1/invitations.
func (a *API) Invite(w http.ResponseWriter, r *http.Request) error {
	var in InvitationRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	ttl, err := wire.Duration("ttl", in.TTL, 0) // 0: the room's own default
	if err != nil {
		return err
	}
	invited, err := a.d.Invitations.InviteAll(r.Context(), enroll.InviteRequest{
		UPN: in.User, Group: in.Group, All: in.All, Ownership: mdm.Ownership(in.Ownership), PIN: in.PIN, TTL: ttl,
	})
	if err != nil {
		return missing(err, enroll.ErrNotFound, "user", "user", in.User)
	}
	now := a.d.Now()
	out := IssuedInvitations{Invitations: make([]IssuedInvitation, len(invited.Issued))}
	for i, one := range invited.Issued {
		out.Invitations[i] = IssuedInvitation{
			Invitation:  invitationOf(one.Invitation, now),
			Email:       one.User.Email,
			DisplayName: one.User.DisplayName,
			URL:         one.URL.Reveal(),
			PIN:         one.PIN.Reveal(),
		}
		out.Invitations[i].User = one.User.UPN
	}
	for _, one := range invited.Skipped {
		out.Skipped = append(out.Skipped, SkippedUser{User: one.User.UPN, Reason: one.Reason.Reason, Remedy: one.Reason.Remedy})
	}
	return wire.WriteJSON(w, http.StatusCreated, out)
}

// ListInvitations answers GET /api/v1/invitations.
func (a *API) ListInvitations(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user", "after", "limit")
	if err != nil {
		return err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return err
	}
	list, err := a.d.Invitations.ListInvitations(r.Context(), values["user"], page)
	if err != nil {
		return missing(err, enroll.ErrNotFound, "user", "user", values["user"])
	}
	now := a.d.Now()
	out := Invitations{
		Invitations: make([]Invitation, len(list)),
		Next:        wire.Next(list, page.Limit, func(i enroll.Invitation) string { return string(i.ID) }),
	}
	for i, one := range list {
		out.Invitations[i] = invitationOf(one, now)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// RevokeInvitation answers DELETE /api/v1/invitations/{id}.
func (a *API) RevokeInvitation(w http.ResponseWriter, r *http.Request) error {
	if err := a.d.Invitations.RevokeInvitation(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func invitationOf(i enroll.Invitation, now time.Time) Invitation {
	return Invitation{
		ID:          string(i.ID),
		User:        i.UPN,
		Ownership:   string(i.Ownership),
		PINRequired: len(i.PINHash) > 0,
		State:       string(i.StateAt(now)),
		CreatedAt:   i.CreatedAt,
		CreatedBy:   i.CreatedBy,
		ExpiresAt:   i.ExpiresAt,
		UsedAt:      i.UsedAt,
	}
}
