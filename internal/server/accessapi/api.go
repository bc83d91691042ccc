package accessapi

import (
	"context"
	"net/http"

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
	// DecideMany answers in the order of the clients, or refuses all of them.
	DecideMany(ctx context.Context, clients []access.Client) ([]access.Decision, error)
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
	Explains Explainer
	Feed     Feed
	Tokens   Tokens
	Webhooks WebhookService
}

// API holds the handlers. Who may call them is in the server's route table.
type API struct {
	d       Deps
	streams chan struct{} // a place for each that is open
}

// New makes the handlers.
func New(d Deps) *API { return &API{d: d, streams: make(chan struct{}, MaxStreams)} }

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
