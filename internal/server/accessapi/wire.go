package accessapi

import (
	"cmp"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// Device is one phone with its newest enrolment.
type Device struct {
	ID          string     `json:"id"`
	Platform    string     `json:"platform"`
	UDID        string     `json:"udid"`
	Serial      string     `json:"serial,omitempty"`
	Product     string     `json:"product,omitempty"`
	Model       string     `json:"model,omitempty"`
	Name        string     `json:"name,omitempty"`  // what its owner calls it
	Label       string     `json:"label,omitempty"` // what an admin calls it
	OSVersion   string     `json:"os_version,omitempty"`
	EASDeviceID string     `json:"eas_device_id,omitempty"` // as the phone reported it
	User        string     `json:"user,omitempty"`          // UPN; empty when the user was removed
	Compliance  string     `json:"compliance"`              // state of the verdict; not_evaluated when there is none yet
	Enrollment  Enrollment `json:"enrollment"`
	ChangedAt   time.Time  `json:"changed_at"`
}

// Enrollment is where a phone stands.
type Enrollment struct {
	ID         string    `json:"id"`
	State      string    `json:"state"`
	Ownership  string    `json:"ownership"`
	PollOnly   bool      `json:"poll_only"`          // push can never reach it
	Withheld   string    `json:"withheld,omitempty"` // kept from the phone by an admin: policies, everything
	CreatedAt  time.Time `json:"created_at"`
	EnrolledAt time.Time `json:"enrolled_at,omitzero"`
	LastSeenAt time.Time `json:"last_seen_at,omitzero"`
	EndedAt    time.Time `json:"ended_at,omitzero"`
}

// Devices answers GET /api/v1/devices. Next is the value of the parameter
// after for the next page, empty on the last one.
type Devices struct {
	Devices []Device `json:"devices"`
	Next    string   `json:"next,omitempty"`
}

// DeviceDetail answers GET /api/v1/devices/{id}.
type DeviceDetail struct {
	Device
	Report       mdm.Report       `json:"report"`
	Capabilities []mdm.Capability `json:"capabilities"` // what each act would do to it
}

// deviceOf puts a row into the form of the wire.
func deviceOf(row enroll.DeviceRow) Device {
	d := Device{
		ID:         string(row.Device.ID),
		Platform:   string(row.Device.Platform),
		UDID:       row.Device.UDID,
		Serial:     row.Device.Serial,
		Product:    row.Device.Product,
		Model:      row.Device.Model,
		Name:       row.Device.Name,
		Label:      row.Device.Label,
		User:       row.UPN,
		Compliance: row.Verdict,
		ChangedAt:  row.ChangedAt,
		Enrollment: Enrollment{
			ID:         string(row.Enrollment.ID),
			State:      string(row.Enrollment.State),
			Ownership:  string(row.Enrollment.Ownership),
			PollOnly:   row.Enrollment.PollOnly,
			Withheld:   string(row.Enrollment.Withheld),
			CreatedAt:  row.Enrollment.CreatedAt,
			EnrolledAt: row.Enrollment.EnrolledAt,
			LastSeenAt: row.Enrollment.LastSeenAt,
			EndedAt:    row.Enrollment.EndedAt,
		},
	}
	if d.Compliance == "" {
		d.Compliance = "not_evaluated"
	}
	if facts := row.Report.Device; facts != nil {
		d.OSVersion, d.EASDeviceID = facts.OSVersion, facts.EASDeviceID
		d.Name = cmp.Or(facts.Name, d.Name) // its owner may change it
	}
	return d
}
