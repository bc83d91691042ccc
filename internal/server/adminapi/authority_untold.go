package adminapi

import (
	"net/http"
	"time"

	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// UntoldPhone is an active phone that does not know the root of an issuing certificate.
type UntoldPhone struct {
	DeviceID     string    `json:"device_id"`
	EnrollmentID string    `json:"enrollment_id"`
	User         string    `json:"user,omitempty"`  // UPN; absent when the user was removed
	Name         string    `json:"name,omitempty"`  // what its owner calls it
	Label        string    `json:"label,omitempty"` // what an admin calls it
	Serial       string    `json:"serial,omitempty"`
	LastSeenAt   time.Time `json:"last_seen_at,omitzero"`
}

// UntoldPhones answers GET /api/v1/ca/issuing/{fingerprint}/untold. Next is the
// value of the parameter after for the next page, empty on the last one.
type UntoldPhones struct {
	Phones []UntoldPhone `json:"phones"`
	Next   string        `json:"next,omitempty"`
}

// ListUntold answers GET /api/v1/ca/issuing/{fingerprint}/untold.
func (a *API) ListUntold(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "after", "limit")
	if err != nil {
		return err
	}
	limit, err := wire.Limit(values["limit"])
	if err != nil {
		return err
	}
	extend(w) // those who were told are passed over one by one
	list, err := a.d.Rollover.Untold(r.Context(), r.PathValue("fingerprint"), mdm.EnrollmentID(values["after"]), limit)
	if err != nil {
		return err
	}
	out := UntoldPhones{Phones: []UntoldPhone{}}
	for _, p := range list {
		out.Phones = append(out.Phones, UntoldPhone{
			DeviceID: string(p.Device.ID), EnrollmentID: string(p.EnrollmentID), User: p.UPN,
			Name: p.Device.Name, Label: p.Device.Label, Serial: p.Device.Serial, LastSeenAt: p.LastSeenAt,
		})
	}
	out.Next = wire.Next(out.Phones, limit, func(p UntoldPhone) string { return p.EnrollmentID })
	return wire.WriteJSON(w, http.StatusOK, out)
}
