package main

import (
	"fmt"
	"net/url"
	"strings"

	"sallyport/internal/server/adminapi"
)

type caRevokeCmd struct {
	Certificate string `arg:"" help:"Its SHA-256 in hex, or how that begins: see ca list."`
	Reason      string `enum:"unspecified,keyCompromise,affiliationChanged,superseded,cessationOfOperation" default:"unspecified" help:"Why: unspecified, keyCompromise, affiliationChanged, superseded or cessationOfOperation."`
	DryRun      bool   `help:"Say what it would mean, and do nothing."`
	Output
}

func (c *caRevokeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	hash, err := p.issued(api, c.Certificate)
	if err != nil {
		return err
	}
	var out adminapi.Revoked
	in := adminapi.RevokeRequest{Reason: c.Reason, DryRun: c.DryRun}
	if err := api.post(p.ctx, "/api/v1/certificates/"+url.PathEscape(hash)+"/revoke", in, &out); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, out)
	}
	x := out.Certificate
	done := "is " + stateFact(x)
	if c.DryRun {
		done = "would be revoked"
	}
	fmt.Fprintf(p.stdout, "%s (%s of %s) %s\n", short(x.SHA256), x.Rule, cell(x.User), cell(done))
	for _, effect := range out.Effects {
		fmt.Fprintf(p.stdout, "  %s\n", cell(effect))
	}
	if c.DryRun {
		fmt.Fprintln(p.stdout, "Dry run: nothing was done.")
	}
	return nil
}

// issued finds the certificate whose SHA-256 begins so. The list is in the order
// of that: what comes first after the beginning is it, or nothing is.
func (p *program) issued(api *client, begin string) (string, error) {
	begin = hexOf(begin)
	if len(begin) == 64 {
		return begin, nil
	}
	var page adminapi.Certificates
	q := url.Values{"after": {begin}, "limit": {"2"}}
	if err := api.get(p.ctx, "/api/v1/certificates", q, &page); err != nil {
		return "", err
	}
	var hashes []string
	for _, c := range page.Certificates {
		hashes = append(hashes, c.SHA256)
	}
	return theOne(hashes, begin, "certificate", "sallyport ca list")
}

// theOne is the only one of hashes that begins so.
func theOne(hashes []string, begin, what, where string) (string, error) {
	var found []string
	for _, h := range hashes {
		if strings.HasPrefix(h, begin) {
			found = append(found, h)
		}
	}
	switch {
	case len(begin) < 8:
		return "", usageError{fmt.Sprintf("give at least 8 digits of its SHA-256: see %s", where)}
	case len(found) == 0:
		return "", fmt.Errorf("there is no %s whose SHA-256 begins with %.64q (see: %s)", what, begin, where)
	case len(found) > 1:
		return "", fmt.Errorf("%d %ss begin with %.64q: give more of it", len(found), what, begin)
	}
	return found[0], nil
}

// hexOf takes fingerprints as other programs print them too: AA:BB:CC.
func hexOf(fingerprint string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(fingerprint), ":", ""))
}
