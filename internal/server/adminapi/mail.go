package adminapi

import (
	"net/http"
	"time"

	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// MailSettings answers GET /api/v1/devices/{id}/mail: what the phone's Settings
// should show of the mail that we install.
type MailSettings struct {
	DeviceID string        `json:"device_id"`
	Device   string        `json:"device"`             // its name
	User     string        `json:"user,omitempty"`     // UPN; empty when the user was removed
	Withheld string        `json:"withheld,omitempty"` // kept from the phone by an admin: policies, everything
	Profiles []MailProfile `json:"profiles"`
	// Templates that are assigned to the user, and not on the phone.
	LeftOut  []LeftTemplate `json:"left_out"`
	Warnings []string       `json:"warnings"`          // what explains that the phone shows something else
	Android  *AndroidGiven  `json:"android,omitempty"` // of an Android phone
}

// LeftTemplate is a mail template that does not reach a phone, as another one has
// its place.
type LeftTemplate struct {
	Template string `json:"template"`
	App      string `json:"app,omitempty"`     // the mail app that it would set up on Android
	Package  string `json:"package,omitempty"` // of that app
	Winner   string `json:"winner"`            // the template that has its place
	Reason   string `json:"reason"`            // why that one has it
	Remedy   string `json:"remedy"`            // what to do should it be this one
}

// AndroidGiven is how far an Android phone has the policy that it should have.
type AndroidGiven struct {
	Policy         string    `json:"policy,omitempty"` // that Google was given for it; absent: none yet
	Version        int64     `json:"version"`
	Applied        string    `json:"applied,omitempty"` // that the phone has
	AppliedVersion int64     `json:"applied_version"`
	ReportedAt     time.Time `json:"reported_at,omitzero"` // absent: it never told
	Trouble        string    `json:"trouble,omitempty"`    // why Google has not what the phone should have
}

// MailProfile is one mail profile as the phone should show it.
type MailProfile struct {
	Template    string           `json:"template"`
	Identifier  string           `json:"identifier"`
	UUID        string           `json:"uuid,omitempty"`         // of the current revision; empty when it cannot be made
	DisplayName string           `json:"display_name,omitempty"` // in Settings > General > VPN & Device Management; on Android the mail app
	Package     string           `json:"package,omitempty"`      // of the mail app on Android
	State       string           `json:"state"`                  // installed, outdated, missing, refused, waiting, unmade, unknown
	Reason      string           `json:"reason,omitempty"`       // why the phone refused it
	Fix         string           `json:"fix,omitempty"`          // what the user should do about it
	Faults      []*refusal.Error `json:"faults,omitempty"`       // why it cannot be made
	Accounts    []MailAccount    `json:"accounts"`
}

// MailAccount is one account as Settings should show it.
type MailAccount struct {
	Name string    `json:"name"`
	Rows []MailRow `json:"rows"`
}

// MailRow is one line of Settings.
type MailRow struct {
	Label string `json:"label"` // as iOS names it in English; on Android the key of the app's managed configuration
	Value string `json:"value"`
	Fixed bool   `json:"fixed"` // the user cannot change it
}

// MailSettings answers GET /api/v1/devices/{id}/mail.
func (a *API) MailSettings(w http.ResponseWriter, r *http.Request) error {
	settings, err := a.d.Devices.MailSettings(r.Context(), mdm.DeviceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, mailSettingsOf(settings))
}

func mailSettingsOf(s enroll.MailSettings) MailSettings {
	out := MailSettings{
		DeviceID: string(s.DeviceID), Device: s.Device, User: s.UPN, Withheld: string(s.Withheld),
		Profiles: make([]MailProfile, len(s.Profiles)), LeftOut: make([]LeftTemplate, len(s.LeftOut)), Warnings: wire.List(s.Warnings),
	}
	for i, l := range s.LeftOut {
		out.LeftOut[i] = LeftTemplate(l)
	}
	if s.Android != nil {
		given := AndroidGiven(*s.Android)
		out.Android = &given
	}
	for i, p := range s.Profiles {
		accounts := make([]MailAccount, len(p.Accounts))
		for k, account := range p.Accounts {
			accounts[k] = MailAccount{Name: account.Name, Rows: make([]MailRow, len(account.Rows))}
			for n, row := range account.Rows {
				accounts[k].Rows[n] = MailRow(row)
			}
		}
		out.Profiles[i] = MailProfile{
			Template: p.Template, Identifier: p.Identifier, UUID: p.UUID, DisplayName: p.DisplayName, Package: p.Package, State: string(p.State),
			Reason: p.Reason, Fix: p.Fix, Faults: p.Faults, Accounts: accounts,
		}
	}
	return out
}
