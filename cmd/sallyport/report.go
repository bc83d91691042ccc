package main

import (
	"io"
	"net/http"
	"strconv"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/internal/server/adminapi"
)

const reportsPath = "/api/v1/reports/"

type reportCmd struct {
	Devices    reportDevicesCmd    `cmd:"" help:"Mail clients and phones with access, last sync, compliance and owner."`
	Deployment reportDeploymentCmd `cmd:"" help:"How far the newest revision of each mail template has got."`
	Mailboxes  reportMailboxesCmd  `cmd:"" help:"Mailboxes that have, or will soon have, as many devices as their mail server takes."`
}

// ReportOutput is the -o flag of a report.
type ReportOutput struct {
	Output string `short:"o" help:"Form of the answer: table, json or csv." enum:"table,json,csv" default:"table"`
}

// sheet copies a report in CSV as the server writes it.
func sheet(p *program, api *client, name string) error {
	answer, err := api.send(p.ctx, http.MethodGet, reportsPath+name+"?format=csv", "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(p.stdout, answer.Body)
	return err
}

type reportDevicesCmd struct{ ReportOutput }

func (c *reportDevicesCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if c.Output == "csv" {
		return sheet(p, api, "devices")
	}
	var all []access.ReportLine
	err = pages(func(cursor string) (string, error) {
		var page adminapi.DeviceLines
		err := api.get(p.ctx, reportsPath+"devices", pageQuery(cursor), &page)
		all = append(all, page.Devices...)
		return page.Next, err
	})
	if err != nil {
		return err
	}
	const header = "USER DEVICE MODEL ACCESS COMPLIANCE LAST-SYNC OWNERSHIP"
	return list(p, Output(c.ReportOutput), all, header, fitted(header, all, func(l access.ReportLine) []string {
		return []string{l.User, l.DeviceID, l.Model, l.Access, l.Compliance, l.SyncAt, l.Ownership}
	}, terminalWidth(p.stdout), 2))
}

type reportDeploymentCmd struct{ ReportOutput }

func (c *reportDeploymentCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if c.Output == "csv" {
		return sheet(p, api, "deployment")
	}
	var all adminapi.Deployments
	if err := api.get(p.ctx, reportsPath+"deployment", nil, &all); err != nil {
		return err
	}
	const header = "TEMPLATE REVISION PHONES INSTALLED OLDER PENDING WAITING REFUSED UNMADE"
	return list(p, Output(c.ReportOutput), all.Templates, header, func(d enroll.Deployment) []string {
		row := []string{d.Template}
		for _, n := range []int{d.Revision, d.Phones, d.Installed, d.Older, d.Pending, d.Waiting, d.Refused, d.Unmade} {
			row = append(row, strconv.Itoa(n))
		}
		return row
	})
}
