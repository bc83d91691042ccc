package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"sallyport/mdm/agent"
)

type fleetCmd struct {
	Server      string        `required:"" placeholder:"URL" env:"SALLYPORT_AGENT_SERVER" help:"Server that all invitations must lead to: a wrong file enrols nobody elsewhere."`
	Phones      int           `required:"" placeholder:"N" help:"Phones that enrol and poll until the end."`
	Rows        int           `placeholder:"M" help:"Further phones that enrol and are never heard of again: rows in the server's database."`
	Invitations string        `default:"-" placeholder:"FILE" help:"CSV as sallyport invite --all prints it; - for standard input."`
	CA          string        `name:"ca" placeholder:"FILE" help:"PEM file with roots to trust instead of the system's."`
	Rate        float64       `default:"10" placeholder:"R" help:"Enrolments begun in a second, at most."`
	Every       time.Duration `default:"30s" help:"Pause of a phone between two polls, a quarter more or less."`
	Duration    time.Duration `default:"1m" help:"How long they go on polling after the last has enrolled."`
	Forwarded   bool          `help:"Give each phone an address of its own in X-Forwarded-For (198.18.0.0/15). Where this machine is in the server's trusted_proxies, its limits then hold for each phone and not for all together."`
	Wait        time.Duration `default:"60s" help:"How long a phone keeps asking a server that does not answer."`
	Output      string        `short:"o" default:"text" enum:"text,json" help:"text or json."`
}

func (c *fleetCmd) Run(ctx context.Context) error {
	o := agent.FleetOptions{
		Phones: c.Phones, Rows: c.Rows, Server: c.Server, Rate: c.Rate, Every: c.Every, Duration: c.Duration, Forwarded: c.Forwarded,
		Retry:    agent.Retry{Total: c.Wait},
		Progress: func(r agent.FleetReport) { fmt.Fprintln(os.Stderr, progressLine(r)) },
	}
	var err error
	if o.Invitations, err = c.read(); err != nil {
		return err
	}
	if c.CA != "" {
		if o.CA, err = readRoots(c.CA); err != nil {
			return err
		}
	}
	report, err := agent.RunFleet(ctx, o)
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	if c.Output == "json" {
		if err := printJSON(os.Stdout, report); err != nil {
			return err
		}
	} else if err := printFleet(os.Stdout, report); err != nil {
		return err
	}
	if report.Enrolled < report.Phones || report.Silent < report.Rows {
		return fmt.Errorf("%d of %d phones and %d of %d rows enrolled", report.Enrolled, report.Phones, report.Silent, report.Rows)
	}
	return nil
}

func (c *fleetCmd) read() ([]agent.Invitation, error) {
	if c.Invitations == "-" {
		return agent.ReadInvitations(os.Stdin)
	}
	f, err := os.Open(c.Invitations)
	if err != nil {
		return nil, fmt.Errorf("--invitations: %w", err)
	}
	defer f.Close()
	return agent.ReadInvitations(f)
}

func progressLine(r agent.FleetReport) string {
	failed := 0
	for _, n := range r.Errors {
		failed += n
	}
	poll := r.Requests["poll"]
	return fmt.Sprintf("%4.0fs  enrolled %d/%d  rows %d/%d  configured %d  polls %d  commands %d  errors %d  poll p50 %.1f ms p95 %.1f ms  %.0f MB",
		r.Seconds, r.Enrolled, r.Phones, r.Silent, r.Rows, r.Configured, r.Polls, r.Commands, failed, poll.P50, poll.P95, r.MemoryMB)
}

// printFleet writes the summary: what became of the phones, then the requests.
func printFleet(out io.Writer, r agent.FleetReport) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "phones enrolled\t%d of %d\n", r.Enrolled, r.Phones)
	fmt.Fprintf(w, "phones configured\t%d\n", r.Configured)
	fmt.Fprintf(w, "silent rows\t%d of %d\n", r.Silent, r.Rows)
	fmt.Fprintf(w, "polls\t%d\n", r.Polls)
	fmt.Fprintf(w, "commands\t%d, %d refused, %d carried out twice\n", r.Commands, r.Refused, r.Twice)
	for _, kind := range slices.Sorted(maps.Keys(r.Errors)) {
		fmt.Fprintf(w, "errors\t%d  %s\n", r.Errors[kind], kind)
	}
	fmt.Fprintf(w, "took\t%.1f s, %.0f MB here\n\n", r.Seconds, r.MemoryMB)
	fmt.Fprintln(w, "REQUESTS\tCOUNT\tFAILED\tLIMITED\tP50 ms\tP95 ms\tMAX ms")
	for _, kind := range slices.Sorted(maps.Keys(r.Requests)) {
		t := r.Requests[kind]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%.1f\n", kind, t.Requests, t.Failed, t.Limited, t.P50, t.P95, t.Max)
	}
	return w.Flush()
}
