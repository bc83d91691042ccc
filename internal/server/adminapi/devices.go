package adminapi

import (
	"context"
	"net/http"
	"slices"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// DeviceService knows what a device was told and should have. *enroll.Service is one.
type DeviceService interface {
	Commands(ctx context.Context, id mdm.DeviceID, page directory.Page) ([]mdm.Command, error)
	SetOwnership(ctx context.Context, id mdm.DeviceID, o mdm.Ownership) error
	MailSettings(ctx context.Context, id mdm.DeviceID) (enroll.MailSettings, error)
}

// Command is the record of one command that was handed to a device.
type Command struct {
	ID           string          `json:"id"`
	EnrollmentID string          `json:"enrollment_id"`
	RequestType  string          `json:"request_type"`
	Subject      string          `json:"subject,omitempty"`  // identifier of the profile that it is about
	Revision     string          `json:"revision,omitempty"` // PayloadUUID of the profile
	State        string          `json:"state"`
	Error        string          `json:"error,omitempty"`  // the root cause
	Errors       []mdm.ErrorItem `json:"errors,omitempty"` // the phone's whole ErrorChain
	ActionID     string          `json:"action_id,omitempty"`
	SentAt       time.Time       `json:"sent_at"`
	DoneAt       time.Time       `json:"done_at,omitzero"`
}

// Commands answers GET /api/v1/devices/{id}/commands, newest first.
type Commands struct {
	Commands []Command `json:"commands"`
	Next     string    `json:"next,omitempty"`
}

// OwnershipRequest says whose phone it is.
type OwnershipRequest struct {
	Ownership string `json:"ownership"`
}

// ListCommands answers GET /api/v1/devices/{id}/commands.
func (a *API) ListCommands(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	list, err := a.d.Devices.Commands(r.Context(), mdm.DeviceID(r.PathValue("id")), page)
	if err != nil {
		return err
	}
	out := Commands{
		Commands: make([]Command, len(list)),
		Next:     wire.Next(list, page.Limit, func(c mdm.Command) string { return string(c.ID) }),
	}
	for i, c := range list {
		out.Commands[i] = Command{
			ID: string(c.ID), EnrollmentID: string(c.EnrollmentID), RequestType: c.RequestType, Subject: c.Subject, Revision: c.Revision,
			State: string(c.State), Error: c.Error, Errors: c.Chain, ActionID: string(c.ActionID), SentAt: c.SentAt, DoneAt: c.DoneAt,
		}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// SetOwnership answers PUT /api/v1/devices/{id}/ownership.
func (a *API) SetOwnership(w http.ResponseWriter, r *http.Request) error {
	var in OwnershipRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if err := a.d.Devices.SetOwnership(r.Context(), mdm.DeviceID(r.PathValue("id")), mdm.Ownership(in.Ownership)); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// pageOf reads a list's page where it has no other parameters.
func pageOf(r *http.Request) (directory.Page, error) {
	values, err := wire.Query(r, "after", "limit")
	if err != nil {
		return directory.Page{}, err
	}
	return wire.PageOf(values)
}

// roleOf is the caller's; empty where nobody was authenticated, which may do nothing.
func roleOf(r *http.Request) auth.Role {
	p, _ := auth.PrincipalFrom(r.Context())
	return p.Role
}

func known(kind mdm.ActionKind) bool { return slices.Contains(mdm.ActionKinds(), kind) }

func now(a *API) time.Time { return a.d.Now().UTC().Truncate(time.Microsecond) }
