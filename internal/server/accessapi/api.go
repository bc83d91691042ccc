package accessapi

import (
	"context"
	"fmt"
	"net/http"
	"unicode/utf8"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// Engine decides. *access.Engine is one.
type Engine interface {
	Decide(ctx context.Context, c access.Client) (access.Decision, error)
}

// DeviceService knows the phones on record. *enroll.Service is one.
type DeviceService interface {
	ListDevices(ctx context.Context, f enroll.DeviceFilter) ([]enroll.DeviceRow, error)
	Device(ctx context.Context, id mdm.DeviceID) (enroll.DeviceRow, error)
	Capabilities(ctx context.Context, row enroll.DeviceRow) ([]mdm.Capability, error)
}

// VerdictService knows the current verdicts. *compliance.Service is one.
type VerdictService interface {
	Current(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error)
}

// Deps is what the handlers work with; all of it is needed.
type Deps struct {
	Engine   Engine
	Logins   Logins
	Devices  DeviceService
	Verdicts VerdictService
}

// API holds the handlers. Who may call them is in the server's route table.
type API struct{ d Deps }

// New makes the handlers.
func New(d Deps) *API { return &API{d: d} }

// Limits of a client's own words; DeviceId and DeviceType as in MS-ASHTTP
// (at most 32 there), with room for clients that send more.
const (
	maxUser      = 320
	maxDevice    = 128
	maxUserAgent = 1024
)

// Decide answers POST /api/v1/access/decisions.
func (a *API) Decide(w http.ResponseWriter, r *http.Request) error {
	var client access.Client
	if err := wire.ReadJSON(r, &client); err != nil {
		return err
	}
	if err := check(client); err != nil {
		return err
	}
	decision, err := a.d.Engine.Decide(r.Context(), client)
	if err != nil {
		return err
	}
	decision.Reasons = wire.List(decision.Reasons)
	return wire.WriteJSON(w, http.StatusOK, decision)
}

func check(c access.Client) error {
	var faults refusal.List
	field := func(name, value string, least, most int) {
		switch {
		case len(value) < least:
			faults = append(faults, refusal.New(problem.ErrMalformed, name, "is empty", "send what the mail client sent"))
		case len(value) > most:
			faults = append(faults, refusal.New(problem.ErrMalformed, name, "is too long", fmt.Sprintf("at most %d bytes", most)))
		case !utf8.ValidString(value):
			faults = append(faults, refusal.New(problem.ErrMalformed, name, "is not UTF-8", "send it as UTF-8"))
		}
	}
	field("user", c.User, 1, maxUser)
	field("device_id", c.DeviceID, 1, maxDevice)
	field("device_type", c.DeviceType, 0, maxDevice)
	field("user_agent", c.UserAgent, 0, maxUserAgent)
	return faults.OrNil()
}

// ListDevices answers GET /api/v1/devices.
func (a *API) ListDevices(w http.ResponseWriter, r *http.Request) error {
	filter, err := filterOf(r)
	if err != nil {
		return err
	}
	rows, err := a.d.Devices.ListDevices(r.Context(), filter)
	if err != nil {
		return err
	}
	out := Devices{
		Devices: make([]Device, len(rows)),
		Next:    wire.Next(rows, filter.Limit, func(row enroll.DeviceRow) string { return string(row.Device.ID) }),
	}
	for i, row := range rows {
		out.Devices[i] = deviceOf(row)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func filterOf(r *http.Request) (enroll.DeviceFilter, error) {
	values, err := wire.Query(r, "user", "eas_device_id", "state", "changed_since", "after", "limit")
	if err != nil {
		return enroll.DeviceFilter{}, err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return enroll.DeviceFilter{}, err
	}
	since, err := wire.Time("changed_since", values["changed_since"])
	if err != nil {
		return enroll.DeviceFilter{}, err
	}
	switch state := compliance.State(values["state"]); state {
	case "", compliance.Compliant, compliance.InGrace, compliance.NotCompliant, compliance.NotEvaluated, compliance.Unknown:
	default:
		return enroll.DeviceFilter{}, refusal.New(problem.ErrMalformed, "state", "no such compliance state",
			"use compliant, in_grace, not_compliant, not_evaluated or unknown")
	}
	return enroll.DeviceFilter{
		UPN: values["user"], EASDeviceID: values["eas_device_id"], State: values["state"],
		ChangedSince: since, After: mdm.DeviceID(page.After), Limit: page.Limit,
	}, nil
}

// GetDevice answers GET /api/v1/devices/{id}.
func (a *API) GetDevice(w http.ResponseWriter, r *http.Request) error {
	row, err := a.d.Devices.Device(r.Context(), mdm.DeviceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	able, err := a.d.Devices.Capabilities(r.Context(), row)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, DeviceDetail{Device: deviceOf(row), Report: row.Report, Capabilities: able})
}

// GetCompliance answers GET /api/v1/devices/{id}/compliance.
func (a *API) GetCompliance(w http.ResponseWriter, r *http.Request) error {
	row, err := a.d.Devices.Device(r.Context(), mdm.DeviceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	verdict, err := a.d.Verdicts.Current(r.Context(), row.Enrollment.ID)
	if err != nil {
		return err
	}
	verdict.Findings = wire.List(verdict.Findings)
	return wire.WriteJSON(w, http.StatusOK, verdict)
}
