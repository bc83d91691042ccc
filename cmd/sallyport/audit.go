package main

import (
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/audit"
	"sallyport/internal/server/adminapi"
)

type auditCmd struct {
	List auditListCmd `cmd:"" help:"List the newest entries of the trail, oldest of them first."`
}

// newest is how many entries are listed when nobody says.
const newest = 50

type auditListCmd struct {
	Last    *int   `help:"So many of the newest entries that match; 0 for all (default 50, all with --after)." placeholder:"N"`
	Action  string `help:"Only this action, or all that begin with a prefix that ends in a dot: user." placeholder:"ACTION"`
	Actor   string `help:"Only acts of this actor."`
	Target  string `help:"Only acts on this target."`
	Outcome string `help:"Only acts that ended so: done, refused, or intent." enum:",done,refused,intent" default:"" placeholder:"OUTCOME"`
	Since   moment `help:"Only entries since then: 2026-11-21T08:00:00Z, 2026-11-21, or 24h or 7d for so long ago." placeholder:"TIME"`
	After   int64  `help:"Only entries after this number." placeholder:"N"`
	Output
}

func (c *auditListCmd) Run(p *program) error {
	last, err := c.last()
	if err != nil {
		return err
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	entries, err := c.collect(p, api, last)
	if err != nil {
		return err
	}
	if c.json() {
		return list(p, c.Output, entries, "", func(audit.Entry) []string { return nil })
	}
	width := terminalWidth(p.stdout)
	return list(p, c.Output, entries, auditHeader, narrow(entries, width))
}

// last is how many entries are wanted; 0 means all.
func (c *auditListCmd) last() (int, error) {
	switch {
	case c.Last == nil && c.After > 0:
		return 0, nil
	case c.Last == nil:
		return newest, nil
	case *c.Last < 0:
		return 0, usageError{"--last counts entries: 0 for all, or for example --last 50"}
	}
	return *c.Last, nil
}

// collect reads the trail from its beginning, for the API knows no other way,
// and keeps the last entries that match.
func (c *auditListCmd) collect(p *program, api *client, last int) ([]audit.Entry, error) {
	since := c.Since.when(p.now())
	var entries []audit.Entry
	first := true
	err := pages(func(cursor string) (string, error) {
		if first && c.After > 0 {
			cursor = strconv.FormatInt(c.After, 10)
		}
		first = false
		q := pageQuery(cursor)
		for key, value := range map[string]string{"action": c.Action, "actor": c.Actor, "target": c.Target} {
			if value != "" {
				q.Set(key, value)
			}
		}
		var page adminapi.AuditEntries
		err := api.get(p.ctx, "/api/v1/audit", q, &page)
		for _, e := range page.Entries {
			if !e.At.Before(since) && (c.Outcome == "" || string(e.Outcome) == c.Outcome) {
				entries = append(entries, e)
			}
		}
		if drop := len(entries) - last; last > 0 && drop > 0 {
			entries = slices.Delete(entries, 0, drop)
		}
		if page.Next == 0 {
			return "", err
		}
		return strconv.FormatInt(page.Next, 10), err
	})
	return entries, err
}

const auditHeader = "N AT ACTOR ACTION TARGET OUTCOME DETAIL"

// narrow makes the row of an entry so that its line fits into width.
func narrow(entries []audit.Entry, width int) func(audit.Entry) []string {
	return fitted(auditHeader, entries, func(e audit.Entry) []string {
		return []string{strconv.FormatInt(e.ID, 10), stamp(e.At), e.Actor, e.Action, e.Target, string(e.Outcome), detail(e.Detail)}
	}, width, 6)
}

func detail(m map[string]string) string {
	var parts []string
	for _, key := range sortedKeys(m) {
		parts = append(parts, key+"="+m[key])
	}
	return strings.Join(parts, " ")
}
