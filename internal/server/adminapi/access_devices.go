package adminapi

import (
	"net/http"

	"sallyport/access"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// AccessDeviceList answers GET /api/v1/access/devices. One travels as access.Detail.
type AccessDeviceList struct {
	Devices []access.DeviceRow `json:"devices"`
	Next    string             `json:"next,omitempty"`
}

// AccessBindingInput binds a mail client to an enrolment; without one, to that
// which it probably is.
type AccessBindingInput struct {
	EnrollmentID string `json:"enrollment_id,omitempty"`
	Reason       string `json:"reason"`
}

// AccessBinding answers PUT /api/v1/access/devices/{id}/binding.
type AccessBinding struct {
	EnrollmentID mdm.EnrollmentID `json:"enrollment_id"`
}

// MailSwitch turns ActiveSync on or off for a user.
type MailSwitch struct {
	On     *bool  `json:"on"`
	Reason string `json:"reason"`
}

// ListAccessDevices answers GET /api/v1/access/devices.
func (a *API) ListAccessDevices(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user", "decision", "family", "model", "after", "limit")
	if err != nil {
		return err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return err
	}
	f := access.DeviceFilter{Effect: access.Effect(values["decision"]), Family: values["family"], Model: values["model"], After: access.DeviceID(page.After), Limit: page.Limit}
	if f.Effect != "" && f.Effect != access.Allow && f.Effect != access.Quarantine && f.Effect != access.Block {
		return refusal.New(problem.ErrMalformed, "decision", "is none of allow, quarantine and block", "use one of them")
	}
	var rows []access.DeviceRow
	if upn := values["user"]; upn != "" {
		rows, err = a.d.Access.ListOf(r.Context(), upn, f)
		err = missingUser(err, "user", upn)
	} else {
		rows, err = a.d.Access.List(r.Context(), f)
	}
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessDeviceList{
		Devices: wire.List(rows), Next: wire.Next(rows, page.Limit, func(row access.DeviceRow) string { return string(row.ID) }),
	})
}

// GetAccessDevice answers GET /api/v1/access/devices/{id}.
func (a *API) GetAccessDevice(w http.ResponseWriter, r *http.Request) error {
	d, err := a.d.Access.Show(r.Context(), access.DeviceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, d)
}

// RemoveAccessDevice answers DELETE /api/v1/access/devices/{id}?reason=….
func (a *API) RemoveAccessDevice(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "reason", "dry_run")
	if err != nil {
		return err
	}
	dry, err := isDry(values["dry_run"])
	if err != nil {
		return err
	}
	id := access.DeviceID(r.PathValue("id"))
	if !dry {
		return decided(w, a.d.Access.Remove(r.Context(), id, values["reason"]))
	}
	row, err := a.d.Access.PlanRemove(r.Context(), id)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, row)
}

// ApproveAccess answers POST /api/v1/access/devices/approve.
func (a *API) ApproveAccess(w http.ResponseWriter, r *http.Request) error {
	return a.sayOfMany(w, r, access.PersonalAllow)
}

// DenyAccess answers POST /api/v1/access/devices/deny.
func (a *API) DenyAccess(w http.ResponseWriter, r *http.Request) error {
	return a.sayOfMany(w, r, access.PersonalBlock)
}

func (a *API) sayOfMany(w http.ResponseWriter, r *http.Request, kind access.PersonalKind) error {
	var in AccessVerdictInput
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	return a.say(w, r, dry, AccessWord{Kind: string(kind), Devices: in.Devices, Reason: in.Reason})
}

// SayAccess answers POST /api/v1/access/words.
func (a *API) SayAccess(w http.ResponseWriter, r *http.Request) error {
	var in AccessWord
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	return a.say(w, r, dry, in)
}

func (a *API) say(w http.ResponseWriter, r *http.Request, dry bool, in AccessWord) error {
	act := a.d.Access.Say
	if dry {
		act = a.d.Access.PlanWord
	}
	list, err := act(r.Context(), in.word())
	if err != nil {
		return missingUser(err, "user", in.User)
	}
	return wire.WriteJSON(w, http.StatusOK, AccessShifts{Devices: wire.List(list)})
}

func (in AccessWord) word() access.Word {
	w := access.Word{Kind: access.PersonalKind(in.Kind), User: in.User, EASDevice: in.EASDevice, Reason: in.Reason, ExpiresAt: in.ExpiresAt.UTC()}
	for _, id := range in.Devices {
		w.Devices = append(w.Devices, access.DeviceID(id))
	}
	return w
}

// TakeBackAccess answers POST /api/v1/access/words/take-back.
func (a *API) TakeBackAccess(w http.ResponseWriter, r *http.Request) error {
	var in AccessWord
	dry, err := dryRun(r)
	if err != nil {
		return err
	}
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if !dry {
		return decided(w, missingUser(a.d.Access.TakeBack(r.Context(), in.word()), "user", in.User))
	}
	list, err := a.d.Access.PlanTakeBack(r.Context(), in.word())
	if err != nil {
		return missingUser(err, "user", in.User)
	}
	return wire.WriteJSON(w, http.StatusOK, AccessShifts{Devices: wire.List(list)})
}

// BindAccess answers PUT /api/v1/access/devices/{id}/binding.
func (a *API) BindAccess(w http.ResponseWriter, r *http.Request) error {
	var in AccessBindingInput
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	to, err := a.d.Access.Bind(r.Context(), access.DeviceID(r.PathValue("id")), mdm.EnrollmentID(in.EnrollmentID), in.Reason)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AccessBinding{EnrollmentID: to})
}

// UnbindAccess answers DELETE /api/v1/access/devices/{id}/binding?reason=….
func (a *API) UnbindAccess(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "reason")
	if err != nil {
		return err
	}
	return decided(w, a.d.Access.Unbind(r.Context(), access.DeviceID(r.PathValue("id")), values["reason"]))
}

// SwitchMail answers PUT /api/v1/users/{upn}/mail.
func (a *API) SwitchMail(w http.ResponseWriter, r *http.Request) error {
	var in MailSwitch
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.On == nil {
		return refusal.New(problem.ErrMalformed, "on", "is missing", "say true or false")
	}
	upn := r.PathValue("upn")
	return decided(w, missingUser(a.d.Access.SetMail(r.Context(), upn, *in.On, in.Reason), "upn", upn))
}
