package access

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/enroll/directory"
)

// NotReported stands in a report for a value that no source has told yet: it is
// neither empty nor fine.
const NotReported = "not reported"

// ReportLine is one mail client with the phone that it is on, or a phone whose mail
// client has not come yet. Whatever is not known reads NotReported.
type ReportLine struct {
	User       string `json:"user"` // UPN of the owner
	Ownership  string `json:"ownership"`
	Platform   string `json:"platform"`
	Model      string `json:"model"`
	OS         string `json:"os"`
	DeviceID   string `json:"device_id"` // EAS DeviceId, as first spelled
	DeviceType string `json:"device_type"`
	Enrollment string `json:"enrollment_id"`
	State      string `json:"enrollment_state"`
	Compliance string `json:"compliance"`
	Access     string `json:"access"` // as last published
	Step       string `json:"access_step"`
	Since      string `json:"access_since"`
	FirstAt    string `json:"first_contact"`
	LastAt     string `json:"last_contact"`
	SyncAt     string `json:"last_sync"`
	Connector  string `json:"connector"` // what the mail server says of the device; no connector tells it yet
}

// ReportColumns name what Cells returns.
var ReportColumns = []string{"user", "ownership", "platform", "model", "os", "device_id", "device_type", "enrollment_id",
	"enrollment_state", "compliance", "access", "access_step", "access_since", "first_contact", "last_contact", "last_sync", "connector"}

// Cells are the values in the order of ReportColumns.
func (l ReportLine) Cells() []string {
	return []string{l.User, l.Ownership, l.Platform, l.Model, l.OS, l.DeviceID, l.DeviceType, l.Enrollment,
		l.State, l.Compliance, l.Access, l.Step, l.Since, l.FirstAt, l.LastAt, l.SyncAt, l.Connector}
}

// ReportRow is what a ReportLine tells, before it is put into words: a mail client
// with the phone that it is on (the zero Phone where none is known), or a phone whose
// mail client has not come yet (a Device with nothing but a Key).
type ReportRow struct {
	Person Person
	Device Device
	Phone  Phone
}

// Reporter lists what is on record of people's devices.
type Reporter struct{ Source Source }

// Lines returns those of up to limit people after the cursor, in the order of their
// ID, and the cursor of the next page: empty after the last one.
func (r *Reporter) Lines(ctx context.Context, after directory.UserID, limit int) ([]ReportLine, directory.UserID, error) {
	rows, next, err := r.Rows(ctx, after, limit)
	lines := make([]ReportLine, len(rows))
	for i, row := range rows {
		lines[i] = line(row.Person, row.Device, row.Phone)
	}
	return lines, next, err
}

// Rows are Lines before they are put into words.
func (r *Reporter) Rows(ctx context.Context, after directory.UserID, limit int) ([]ReportRow, directory.UserID, error) {
	entries, err := r.Source.Entries(ctx, after, limit)
	if err != nil {
		return nil, "", fmt.Errorf("report devices: %w", err)
	}
	rows := rowsOf(entries)
	if len(entries) < limit {
		return rows, "", nil
	}
	return rows, entries[len(entries)-1].Person.ID, nil
}

// RowsOf are the rows of these people; of one who is not on record there is none.
func (r *Reporter) RowsOf(ctx context.Context, ids []directory.UserID) ([]ReportRow, error) {
	entries, err := r.Source.EntriesOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("report devices: %w", err)
	}
	return rowsOf(entries), nil
}

// rowsOf lists each mail client of each person, and then the phones that none of
// them is on. An enrolment that has ended is nobody's phone any more.
func rowsOf(entries []Entry) []ReportRow {
	var rows []ReportRow
	for _, e := range entries {
		for _, d := range e.Devices {
			var p Phone
			if i := slices.IndexFunc(e.Phones, func(p Phone) bool { return onPhone(d, p) }); i >= 0 {
				p = e.Phones[i]
			}
			rows = append(rows, ReportRow{e.Person, d, p})
		}
		for _, p := range e.Phones {
			if !p.State.Ended() && !slices.ContainsFunc(e.Devices, func(d Device) bool { return onPhone(d, p) }) {
				rows = append(rows, ReportRow{e.Person, Device{Key: p.EASKey}, p})
			}
		}
	}
	return rows
}

func onPhone(d Device, p Phone) bool {
	return p.EASKey == d.Key && p.EASKey != "" || p.EnrollmentID == d.Bound && d.Proof.Counts()
}

func line(who Person, d Device, p Phone) ReportLine {
	spelling := string(d.Key)
	if len(d.Spellings) > 0 {
		spelling = d.Spellings[0]
	}
	return ReportLine{
		User: who.UPN, Ownership: told(p.Ownership), Platform: told(p.Platform), Model: told(p.Product, d.Model), OS: told(p.OSVersion, d.OS),
		DeviceID: told(spelling), DeviceType: told(d.Type), Enrollment: told(p.EnrollmentID), State: told(p.State),
		Compliance: told(p.Verdict.State), Access: told(d.Effect), Step: told(d.Step), Since: when(d.SinceAt),
		FirstAt: when(d.FirstAt), LastAt: when(d.LastAt), SyncAt: when(d.SyncAt), Connector: NotReported,
	}
}

// told is the first of the values that somebody told.
func told[T ~string](values ...T) string {
	for _, v := range values {
		if v != "" {
			return string(v)
		}
	}
	return NotReported
}

func when(t time.Time) string {
	if t.IsZero() {
		return NotReported
	}
	return t.UTC().Format(time.RFC3339)
}
