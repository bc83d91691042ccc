package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/internal/server/adminapi"
)

type caCmd struct {
	Show      caShowCmd      `cmd:"" help:"Show roots and issuing certificates: which signs, which are trusted, what depends on each."`
	Export    caExportCmd    `cmd:"" help:"Write our certificates in PEM form: the root, the chain, all, or one."`
	List      caListCmd      `cmd:"" help:"List certificates that were issued."`
	Revoke    caRevokeCmd    `cmd:"" help:"Revoke one that was issued: refused from the next request on."`
	Rollover  caRolloverCmd  `cmd:"" help:"Make a new issuing certificate beside the old, where the root's key is on the server."`
	CSR       caCSRCmd       `cmd:"" name:"csr" help:"Make a key on the server and a request to be signed by an offline root or your own CA."`
	Sign      caSignCmd      `cmd:"" help:"Sign such a request with an offline root; without a server."`
	Import    caImportCmd    `cmd:"" help:"Take an issuing certificate that was signed elsewhere; it is staged."`
	Activate  caActivateCmd  `cmd:"" help:"Let a staged issuing certificate sign from now on."`
	Retire    caRetireCmd    `cmd:"" help:"End the trust in an old one."`
	Init      caInitCmd      `cmd:"" help:"Before the first start: make the authority, with its root in a file of its own."`
	RotateKEK caRotateKEKCmd `cmd:"" name:"rotate-kek" help:"Seal every secret anew under another key-encryption key; with no server running."`
}

type caShowCmd struct{ Output }

func (c *caShowCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	all, err := p.authorities(api)
	if err != nil {
		return err
	}
	if c.json() {
		return list(p, c.Output, all, "", nil)
	}
	return printAuthorities(p, all, terminalWidth(p.stdout))
}

const authorityHeader = "ROLE STATE FINGERPRINT KEY UNTIL ISSUED"

// printAuthorities has two lines or more for each: names and addresses are as long
// as they are, and have their own. Where there is no room, width, names are cut.
func printAuthorities(p *program, all []adminapi.AuthorityCertificate, width int) error {
	var table strings.Builder
	err := list(&program{stdout: &table}, Output{}, all, authorityHeader, func(a adminapi.AuthorityCertificate) []string {
		issued := ""
		if a.Role == "issuing" {
			issued = strconv.Itoa(a.Valid)
		}
		return []string{a.Role, string(a.State), short(a.Fingerprint), keyFact(a), dateOf(a.NotAfter), issued}
	})
	if err != nil {
		return err
	}
	for i, line := range strings.Split(strings.TrimSuffix(table.String(), "\n"), "\n") {
		fmt.Fprintln(p.stdout, line)
		if i > 0 {
			printAuthority(p, all[i-1], width)
		}
	}
	return nil
}

// printAuthority has what stands under the line of one.
func printAuthority(p *program, a adminapi.AuthorityCertificate, width int) {
	subject := cell(a.Subject)
	if width > 0 {
		subject = cut(subject, max(width-2, 40))
	}
	fmt.Fprintf(p.stdout, "  %s\n", subject)
	if a.CRL != "" {
		fmt.Fprintf(p.stdout, "  CRL %s\n", cell(a.CRL))
	}
	if a.Untold > 0 {
		fmt.Fprintf(p.stdout, "  active phones that do not know its root yet: %d\n", a.Untold)
	}
}

// dateOf is a date where the time of the day is not worth its width.
func dateOf(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// keyFact says what kind of key it is, and where.
func keyFact(a adminapi.AuthorityCertificate) string {
	if a.KeyHere {
		return string(a.Kind)
	}
	return string(a.Kind) + ", elsewhere"
}

func (p *program) authorities(api *client) ([]adminapi.AuthorityCertificate, error) {
	var answer adminapi.Authorities
	err := api.get(p.ctx, "/api/v1/ca/authorities", nil, &answer)
	return answer.Authorities, err
}

// shortHash is as much of a fingerprint as a table shows: nobody meets two that
// begin alike, and commands take it.
const shortHash = 16

func short(fingerprint string) string { return fingerprint[:min(shortHash, len(fingerprint))] }
