package main

import (
	"maps"
	"net/url"
	"slices"
	"time"

	"sallyport/internal/server/adminapi"
)

type caListCmd struct {
	User       string `help:"Only those of this user." placeholder:"UPN"`
	Enrollment string `help:"Only those of this enrolment." placeholder:"ID"`
	Rule       string `help:"Only those of this rule: mdm-identity, mail-identity, smime-signing, smime-encryption." placeholder:"RULE"`
	Issuer     string `help:"Only those that this issuing certificate signed: its fingerprint or key identifier, or how it begins (see ca show)." placeholder:"HEX"`
	Within     span   `help:"Only those that are valid and end within so long: 30d, 12h." placeholder:"DURATION"`
	Output
}

func (c *caListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	filter := url.Values{}
	for name, value := range map[string]string{"user": c.User, "enrollment": c.Enrollment, "rule": c.Rule} {
		if value != "" {
			filter.Set(name, value)
		}
	}
	if c.Within > 0 {
		filter.Set("expiring_before", p.now().Add(time.Duration(c.Within)).UTC().Format(time.RFC3339))
	}
	all, err := p.certificates(api, filter)
	if err != nil {
		return err
	}
	if c.Issuer != "" {
		key, err := p.issuerKey(api, c.Issuer)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(all, func(x adminapi.Certificate) bool { return x.Issuer != key })
	}
	header, row := certificateTable(all, terminalWidth(p.stdout))
	return list(p, c.Output, all, header, row)
}

func (p *program) certificates(api *client, filter url.Values) ([]adminapi.Certificate, error) {
	var all []adminapi.Certificate
	err := pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		for name, values := range filter {
			q[name] = values
		}
		var page adminapi.Certificates
		err := api.get(p.ctx, "/api/v1/certificates", q, &page)
		all = append(all, page.Certificates...)
		return page.Next, err
	})
	return all, err
}

// Help is the detail under the usage line.
func (*caListCmd) Help() string {
	return `On a terminal that is too narrow for all columns, times, hashes and names are shortened, and issuer, serial number and reason left away: -o json has all of it.`
}

// certificateTable has all that one looks for, or what fits into width (0: any).
func certificateTable(all []adminapi.Certificate, width int) (header string, row func(adminapi.Certificate) []string) {
	header = "SHA256 RULE USER STATE UNTIL ISSUER ENROLMENT SERIAL"
	row = func(x adminapi.Certificate) []string {
		return []string{short(x.SHA256), x.Rule, x.User, stateFact(x), stamp(x.NotAfter), short(x.Issuer), x.EnrollmentID, x.Serial}
	}
	if width <= 0 || total(widths(header, all, row)) <= width {
		return header, row
	}
	const narrow, user = "SHA256 RULE USER STATE UNTIL ENROLMENT", 2
	return narrow, fitted(narrow, all, func(x adminapi.Certificate) []string {
		return []string{x.SHA256[:min(narrowHash, len(x.SHA256))], x.Rule, x.User, x.State, dateOf(x.NotAfter), x.EnrollmentID}
	}, width, user)
}

// narrowHash is enough of a hash for commands, where there is no room for more.
const narrowHash = 10

// issuerKey is the key identifier of the issuing certificate whose fingerprint, or
// whose key identifier, begins so.
func (p *program) issuerKey(api *client, begin string) (string, error) {
	all, err := p.authorities(api)
	if err != nil {
		return "", err
	}
	names := map[string]string{} // to key identifiers
	for _, a := range all {
		if a.Role == "issuing" {
			names[a.Fingerprint], names[a.SubjectKeyID] = a.SubjectKeyID, a.SubjectKeyID
		}
	}
	name, err := theOne(slices.Sorted(maps.Keys(names)), hexOf(begin), "issuing certificate", "sallyport ca show")
	return names[name], err
}

func stateFact(c adminapi.Certificate) string {
	if c.State == "revoked" {
		return "revoked, " + c.Reason
	}
	return c.State
}
