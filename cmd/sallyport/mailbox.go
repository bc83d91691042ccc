package main

import (
	"context"
	"fmt"
	"strconv"

	"sallyport/internal/server/adminapi"
)

type reportMailboxesCmd struct{ ReportOutput }

func (c *reportMailboxesCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if c.Output == "csv" {
		return sheet(p, api, "mailboxes")
	}
	all, err := crowdedMailboxes(p.ctx, api)
	if err != nil {
		return err
	}
	const header = "USER DEVICES STATE REMOVE-FIRST LAST-SEEN"
	return list(p, Output(c.ReportOutput), all, header, fitted(header, all, func(m adminapi.Mailbox) []string {
		row := []string{m.User, devicesOf(m), m.State, "", ""}
		if d := m.Spare; d != nil {
			row[3], row[4] = d.DeviceID, stamp(d.LastSeenAt)
		}
		return row
	}, terminalWidth(p.stdout), 3))
}

// crowdedMailboxes are those that are near their limit.
func crowdedMailboxes(ctx context.Context, api *client) ([]adminapi.Mailbox, error) {
	var all []adminapi.Mailbox
	err := pages(func(cursor string) (string, error) {
		var page adminapi.Mailboxes
		err := api.get(ctx, reportsPath+"mailboxes", pageQuery(cursor), &page)
		all = append(all, page.Mailboxes...)
		return page.Next, err
	})
	return all, err
}

// devicesOf is how many devices share a mailbox: "8 of 10".
func devicesOf(m adminapi.Mailbox) string {
	if m.Limit == 0 {
		return strconv.Itoa(m.Used)
	}
	return fmt.Sprintf("%d of %d", m.Used, m.Limit)
}

// mailboxChecks are the doctor's look at how many devices share mailboxes.
func mailboxChecks(ctx context.Context, api *client) []check {
	const name = "mailboxes"
	all, err := crowdedMailboxes(ctx, api)
	if err != nil {
		return []check{{name, broken, err.Error(), "look at the server's log"}}
	}
	full := 0
	for _, m := range all {
		if m.State == "full" {
			full++
		}
	}
	if len(all) == 0 {
		return []check{{name, good, "none has as many devices as its mail server takes, or soon will have", ""}}
	}
	return []check{{name, warn, fmt.Sprintf("%d have, or will soon have, as many devices as their mail server takes; in %d of them a new phone's mail profile waits", len(all), full),
		"see which devices to remove: sallyport report mailboxes"}}
}
