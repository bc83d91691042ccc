package main

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"

	"sallyport/internal/server/adminapi"
)

// Successor names an issuing certificate.
type Successor struct {
	Fingerprint string `arg:"" help:"Its SHA-256, or how that begins: see ca show."`
	Force       bool   `help:"Do it in spite of what stands in the way."`
	DryRun      bool   `help:"Say what stands in the way, and do nothing."`
	Output
}

type caActivateCmd struct{ Successor }

// Help is the detail under the usage line.
func (*caActivateCmd) Help() string {
	return `From then on it signs identities; where it leads to another root, also our own server certificate, profiles and SCEP. Phones that do not know that root would refuse them, so it waits for the last of them unless forced. A dry run names them: the first 20, with -o json all. See docs/ca.md for when it is safe.`
}

// activation is an activation for scripts: it names the phones that it counts.
type activation struct {
	adminapi.AuthorityStep
	Phones []adminapi.UntoldPhone `json:"untold_phones"`
}

func (c *caActivateCmd) Run(p *program) error {
	api, step, err := c.step(p, "activate")
	if err != nil {
		return err
	}
	out := activation{step, []adminapi.UntoldPhone{}}
	if step.Untold > 0 {
		if out.Phones, err = p.untold(api, step.Authority.Fingerprint, c.json()); err != nil {
			return err
		}
	}
	if c.json() {
		err = printJSON(p.stdout, out)
	} else {
		c.print(p, step, fmt.Sprintf("active phones that do not know its root: %d", step.Untold), "signs from now on", func() {
			err = printUntold(p, out.Phones, step.Untold)
		})
		c.others(p)
	}
	if err != nil {
		return err
	}
	return c.result(step)
}

// others names those whom nobody tells of a root but the administrator.
func (c *caActivateCmd) others(p *program) {
	if c.DryRun {
		fmt.Fprintln(p.stderr, "Before you activate it: mail servers and VPN gateways, and whoever else checks certificates of ours, must trust it and its root, beside the old ones: sallyport ca export --all -O FILE")
		return
	}
	fmt.Fprintln(p.stderr, "Next: see that mail servers and VPN gateways, and whoever else checks certificates of ours, trust it and its root, beside the old ones: sallyport ca export --all -O FILE")
	fmt.Fprintln(p.stderr, "Where it leads to another root, DATA/ca.pem is another root from now on: hand it to whoever calls the API with --ca FILE.")
}

// shownPhones is how many a table names.
const shownPhones = 20

// untold are the phones that do not know the root of an issuing certificate: all,
// or as many as a table names.
func (p *program) untold(api *client, fingerprint string, all bool) ([]adminapi.UntoldPhone, error) {
	phones := []adminapi.UntoldPhone{}
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		if !all {
			q.Set("limit", strconv.Itoa(shownPhones))
		}
		var page adminapi.UntoldPhones
		err := api.get(p.ctx, issuingPath(fingerprint)+"/untold", q, &page)
		phones = append(phones, page.Phones...)
		if !all {
			page.Next = ""
		}
		return page.Next, err
	})
	return phones, err
}

func printUntold(p *program, phones []adminapi.UntoldPhone, total int) error {
	if len(phones) == 0 {
		return nil
	}
	const header, name = "USER NAME LAST-SEEN DEVICE", 1
	err := list(p, Output{}, phones, header, fitted(header, phones, func(d adminapi.UntoldPhone) []string {
		return []string{d.User, cmp.Or(d.Label, d.Name, d.Serial), stamp(d.LastSeenAt), d.DeviceID}
	}, terminalWidth(p.stdout), name))
	if more := total - len(phones); err == nil && more > 0 {
		fmt.Fprintf(p.stdout, "and %d more: -o json names all\n", more)
	}
	return err
}

type caRetireCmd struct{ Successor }

func (c *caRetireCmd) Run(p *program) error {
	_, step, err := c.step(p, "retire")
	if err != nil {
		return err
	}
	if c.json() {
		err = printJSON(p.stdout, step)
	} else {
		c.print(p, step, fmt.Sprintf("valid certificates under it: %d", step.Valid), "is not trusted any more", func() { c.invite(p, step.Phones) })
	}
	if err != nil {
		return err
	}
	return c.result(step)
}

// invite says what is left to do for phones whose identity is worth nothing now.
func (c *caRetireCmd) invite(p *program, phones int) {
	switch {
	case phones == 0:
	case c.DryRun:
		fmt.Fprintf(p.stderr, "Active phones that would be refused, and have to be invited and set up again: %d\n", phones)
	default:
		fmt.Fprintf(p.stderr, "Active phones that are refused from now on, and have to be invited and set up again: %d\n", phones)
		fmt.Fprintln(p.stderr, "Next: sallyport device list --state not_compliant names them with their users within minutes (--state in_grace where your policy leaves them time); then for each user: sallyport invite --user UPN")
	}
}

func issuingPath(fingerprint string) string {
	return "/api/v1/ca/issuing/" + url.PathEscape(fingerprint)
}

// step asks the server to do it, or what would stand in the way.
func (c Successor) step(p *program, verb string) (*client, adminapi.AuthorityStep, error) {
	var out adminapi.AuthorityStep
	api, err := p.client()
	if err != nil {
		return nil, out, err
	}
	all, err := p.authorities(api)
	if err != nil {
		return nil, out, err
	}
	hash, err := authorityOf(all, c.Fingerprint)
	if err != nil {
		return nil, out, err
	}
	in := adminapi.StepRequest{Force: c.Force, DryRun: c.DryRun}
	err = api.post(p.ctx, issuingPath(hash)+"/"+verb, in, &out)
	return api, out, err
}

// print tells what became of it, and between that and the end what detail does.
func (c Successor) print(p *program, out adminapi.AuthorityStep, count, done string, detail func()) {
	if !c.DryRun {
		fmt.Fprintf(p.stdout, "%s %s (%s)\n", cell(out.Authority.Subject), done, count)
		detail()
		return
	}
	fmt.Fprintf(p.stdout, "%s: %s\n", cell(out.Authority.Subject), count)
	for _, r := range out.Refused {
		fmt.Fprintf(p.stdout, "  in the way: %s\n", cell(r.Error()))
	}
	detail()
	fmt.Fprintln(p.stdout, "Dry run: nothing was done.")
}

// result is not success where a dry run found something in the way.
func (c Successor) result(out adminapi.AuthorityStep) error {
	if c.DryRun && len(out.Refused) > 0 && !c.Force {
		return errQuiet
	}
	return nil
}
