package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/server/adminapi"
	"sallyport/templates"
)

type templateCheckCmd struct {
	Name   string `arg:"" optional:"" help:"Only this template; all of them when left away."`
	File   string `short:"f" help:"YAML of a template that is not applied yet, checked beside the others." placeholder:"FILE"`
	Output string `short:"o" help:"Form of the answer: table, json, or csv with the failures alone." enum:"table,json,csv" default:"table"`
}

// Help is the detail under the usage line.
func (*templateCheckCmd) Help() string {
	return `The exit code is 1 when a template cannot be rendered for somebody. Templates that lose their mailbox to another one, and those that wait for a phone's report, are counted and no failure.`
}

// checkPage is how many users one request asks for; progressAfter is when a
// person begins to wonder.
const (
	checkPage     = 1000
	progressAfter = 2 * time.Second
)

func (c *templateCheckCmd) Run(p *program) error {
	if c.Name != "" && c.File != "" {
		return usageError{"name a template, or give the YAML of one with --file FILE, not both"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.CheckRequest{Name: c.Name, Limit: checkPage}
	if in.Source, err = p.source(c.File); err != nil {
		return err
	}
	report, err := p.check(api, in)
	if err != nil {
		return err
	}
	switch c.Output {
	case "json":
		err = printJSON(p.stdout, report)
	case "csv":
		err = p.failuresCSV(report.Failures)
	default:
		err = p.checkReport(report)
	}
	if err == nil && report.Refused > 0 {
		return errQuiet
	}
	return err
}

// check adds up the pages, and says on standard error how far it is.
func (p *program) check(api *client, in adminapi.CheckRequest) (templates.CheckReport, error) {
	total := templates.CheckReport{Failures: []templates.Failure{}}
	next := p.now().Add(progressAfter)
	err := pages(func(cursor string) (string, error) {
		in.After = cursor
		body, err := json.Marshal(in)
		if err != nil {
			return "", fmt.Errorf("encode request: %w", err)
		}
		var page templates.CheckReport
		if err := api.callLong(p.ctx, http.MethodPost, "/api/v1/templates/check", contentJSON, bytes.NewReader(body), &page); err != nil {
			return "", err
		}
		total.Add(page)
		if now := p.now(); page.Next != "" && now.After(next) {
			fmt.Fprintf(p.stderr, "checked %d users\n", total.Users)
			next = now.Add(progressAfter)
		}
		return page.Next, nil
	})
	return total, err
}

func (p *program) checkReport(r templates.CheckReport) error {
	fmt.Fprintf(p.stdout, "%d users: %d profiles rendered, %d refused, %d lost to another template, %d for shared mailboxes, %d waiting for a phone; %d users without a template, %d warnings\n",
		r.Users, r.Rendered, r.Refused, r.Lost, r.SharedMailbox, r.Waiting, r.Unassigned, r.Warnings)
	if len(r.Failures) == 0 {
		return nil
	}
	return list(p, Output{}, r.Failures, strings.ToUpper(strings.Join(failureColumns[:], " ")), failureCells)
}

var failureColumns = [...]string{"user", "template", "kind", "field", "reason", "remedy"}

func failureCells(f templates.Failure) []string {
	return []string{f.User, f.Template, string(f.Kind), f.Field, f.Reason, f.Remedy}
}

func (p *program) failuresCSV(failures []templates.Failure) error {
	w := csv.NewWriter(p.stdout)
	rows := [][]string{failureColumns[:]}
	for _, f := range failures {
		cells := failureCells(f)
		for i := range cells {
			cells[i] = spreadsheet(cells[i])
		}
		rows = append(rows, cells)
	}
	return w.WriteAll(rows)
}

// spreadsheet keeps a cell from being a formula: what stands in it may come from
// a directory that others fill.
func spreadsheet(s string) string {
	if s != "" && strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return "'" + s
	}
	return s
}
