package main

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
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
	err = list(p, c.Output, all, "ROLE STATE FINGERPRINT KEY UNTIL ISSUED SUBJECT", func(a adminapi.AuthorityCertificate) []string {
		issued := ""
		if a.Role == "issuing" {
			issued = strconv.Itoa(a.Valid)
		}
		return []string{a.Role, string(a.State), short(a.Fingerprint), keyFact(a), stamp(a.NotAfter), issued, a.Subject}
	})
	if err != nil || c.json() {
		return err
	}
	for _, a := range all {
		if a.Untold > 0 {
			fmt.Fprintf(p.stdout, "%s: active phones that do not know its root yet: %d (their next enrolment profile tells them)\n", short(a.Fingerprint), a.Untold)
		}
	}
	return nil
}

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
	var all []adminapi.Certificate
	err = pages(func(cursor string) (string, error) {
		q := pageQuery(cursor)
		for name, values := range filter {
			q[name] = values
		}
		var page adminapi.Certificates
		err := api.get(p.ctx, "/api/v1/certificates", q, &page)
		all = append(all, page.Certificates...)
		return page.Next, err
	})
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
	return list(p, c.Output, all, "SHA256 RULE USER STATE UNTIL ISSUER ENROLMENT SERIAL", func(x adminapi.Certificate) []string {
		return []string{short(x.SHA256), x.Rule, x.User, stateFact(x), stamp(x.NotAfter), short(x.Issuer), x.EnrollmentID, x.Serial}
	})
}

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
