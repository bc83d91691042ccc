package adminapi

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// DeviceReport lists what is on record of people's devices. *access.Reporter is one.
type DeviceReport interface {
	Lines(ctx context.Context, after directory.UserID, limit int) ([]access.ReportLine, directory.UserID, error)
}

// DeploymentReport counts where mail templates have got to. *enroll.Service is one.
type DeploymentReport interface {
	Deployments(ctx context.Context) ([]enroll.Deployment, error)
}

// DeviceLines answers GET /api/v1/reports/devices.
type DeviceLines struct {
	Devices []access.ReportLine `json:"devices"`
	Next    string              `json:"next,omitempty"`
}

// Deployments answers GET /api/v1/reports/deployment.
type Deployments struct {
	Templates []enroll.Deployment `json:"templates"`
}

// reportPage is how many people a report in CSV reads at a time.
const reportPage = 1000

// ReportDevices answers GET /api/v1/reports/devices: as JSON in pages of people, as
// CSV all at once. When CSV fails half-way the connection is cut, as with a backup.
func (a *API) ReportDevices(w http.ResponseWriter, r *http.Request) error {
	page, spreadsheet, err := pageOrCSV(r)
	if err != nil {
		return err
	}
	if spreadsheet {
		return a.deviceSheet(w, r)
	}
	lines, next, err := a.d.DeviceReport.Lines(r.Context(), directory.UserID(page.After), page.Limit)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, DeviceLines{Devices: wire.List(lines), Next: string(next)})
}

// pageOrCSV reads what a report is asked for: a page as JSON, or all of it as CSV.
func pageOrCSV(r *http.Request) (page directory.Page, spreadsheet bool, err error) {
	values, err := wire.Query(r, "format", "after", "limit")
	if err != nil {
		return page, false, err
	}
	if spreadsheet, err = asCSV(values["format"]); err != nil {
		return page, false, err
	}
	if page, err = wire.PageOf(values); err != nil {
		return page, false, err
	}
	if spreadsheet && (values["after"] != "" || values["limit"] != "") {
		return page, false, refusal.New(problem.ErrMalformed, "format", "csv comes whole, and goes with neither after nor limit", "leave them out, or ask for json")
	}
	return page, spreadsheet, nil
}

func (a *API) deviceSheet(w http.ResponseWriter, r *http.Request) error {
	extend(w)
	var sheet *wire.Spreadsheet
	for after := directory.UserID(""); ; {
		lines, next, err := a.d.DeviceReport.Lines(r.Context(), after, reportPage)
		if err == nil {
			var rows [][]string
			if sheet == nil {
				sheet = wire.NewSpreadsheet(w, "devices")
				rows = append(rows, access.ReportColumns)
			}
			for _, l := range lines {
				rows = append(rows, l.Cells())
			}
			err = sheet.Write(rows...)
		}
		if err != nil && sheet != nil && sheet.Began() {
			return fmt.Errorf("%w: %w", wire.ErrTorn, err)
		}
		if err != nil || next == "" {
			return err
		}
		after = next
	}
}

// ReportDeployment answers GET /api/v1/reports/deployment.
func (a *API) ReportDeployment(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "format")
	if err != nil {
		return err
	}
	spreadsheet, err := asCSV(values["format"])
	if err != nil {
		return err
	}
	extend(w) // it looks at every phone
	list, err := a.d.DeploymentReport.Deployments(r.Context())
	if err != nil {
		return err
	}
	if !spreadsheet {
		return wire.WriteJSON(w, http.StatusOK, Deployments{Templates: wire.List(list)})
	}
	rows := [][]string{{"template", "revision", "phones", "installed", "older", "pending", "waiting", "refused", "unmade"}}
	for _, d := range list {
		row := []string{d.Template}
		for _, n := range []int{d.Revision, d.Phones, d.Installed, d.Older, d.Pending, d.Waiting, d.Refused, d.Unmade} {
			row = append(row, strconv.Itoa(n))
		}
		rows = append(rows, row)
	}
	if err := wire.NewSpreadsheet(w, "deployment").Write(rows...); err != nil {
		return fmt.Errorf("%w: %w", wire.ErrTorn, err)
	}
	return nil
}

// asCSV reads the parameter format; json where it is left out.
func asCSV(format string) (bool, error) {
	switch format {
	case "", "json":
		return false, nil
	case "csv":
		return true, nil
	}
	return false, refusal.New(problem.ErrMalformed, "format", "is neither csv nor json", "use one of them")
}
