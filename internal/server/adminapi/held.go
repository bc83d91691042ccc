package adminapi

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// HeldService decides about enrolments that wait for an admin. *enroll.Service is one.
type HeldService interface {
	Held(ctx context.Context, page directory.Page) ([]enroll.HeldRow, error)
	AdmitHeld(ctx context.Context, id mdm.EnrollmentID) error
	RefuseHeld(ctx context.Context, id mdm.EnrollmentID) error
}

// HeldEnrollment is a known device that came with the identity of another user,
// or back under an old invitation after an act that took its mail away.
type HeldEnrollment struct {
	ID        string    `json:"id"` // of the enrolment
	DeviceID  string    `json:"device_id"`
	Device    string    `json:"device"` // its name, or else what it is
	UDID      string    `json:"udid"`
	Serial    string    `json:"serial,omitempty"`
	User      string    `json:"user,omitempty"`   // who asks, by UPN; empty when that user was removed
	Holder    string    `json:"holder,omitempty"` // who has the device; empty when nobody has it any more
	Act       string    `json:"act,omitempty"`    // ID of the act that it would evade, upon another enrolment of the device
	Reason    string    `json:"reason"`           // why it is held, in words
	Ownership string    `json:"ownership"`        // as the new invitation says
	CreatedAt time.Time `json:"created_at"`
}

// HeldEnrollments answers GET /api/v1/held-enrollments, oldest first.
type HeldEnrollments struct {
	Held []HeldEnrollment `json:"held_enrollments"`
	Next string           `json:"next,omitempty"`
}

// ListHeld answers GET /api/v1/held-enrollments.
func (a *API) ListHeld(w http.ResponseWriter, r *http.Request) error {
	page, err := pageOf(r)
	if err != nil {
		return err
	}
	rows, err := a.d.Held.Held(r.Context(), page)
	if err != nil {
		return err
	}
	out := HeldEnrollments{
		Held: make([]HeldEnrollment, len(rows)),
		Next: wire.Next(rows, page.Limit, func(row enroll.HeldRow) string { return string(row.Enrollment.ID) }),
	}
	for i, row := range rows {
		out.Held[i] = HeldEnrollment{
			ID: string(row.Enrollment.ID), DeviceID: string(row.Device.ID), Device: deviceTitle(row.Device), UDID: row.Device.UDID, Serial: row.Device.Serial,
			User: row.UPN, Holder: row.HolderUPN, Act: string(row.Act.ID), Reason: row.Why(), Ownership: string(row.Enrollment.Ownership), CreatedAt: row.Enrollment.CreatedAt,
		}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// AdmitHeld answers POST /api/v1/held-enrollments/{id}/admit.
func (a *API) AdmitHeld(w http.ResponseWriter, r *http.Request) error {
	return decided(w, a.d.Held.AdmitHeld(r.Context(), mdm.EnrollmentID(r.PathValue("id"))))
}

// RefuseHeld answers POST /api/v1/held-enrollments/{id}/refuse.
func (a *API) RefuseHeld(w http.ResponseWriter, r *http.Request) error {
	return decided(w, a.d.Held.RefuseHeld(r.Context(), mdm.EnrollmentID(r.PathValue("id"))))
}

func decided(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}

// deviceTitle is what people call a device.
func deviceTitle(d mdm.Device) string { return cmp.Or(d.Label, d.Name, d.Product, d.Serial, d.UDID) }
