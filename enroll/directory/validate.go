package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/refusal"
)

// Limits of the fields in bytes. Mail systems stop earlier: an address has at
// most 254 (RFC 5321, section 4.5.3.1.3), a sAMAccountName 256, a DNS name 253.
const (
	maxAddress = 254
	maxLogin   = 256
	maxDomain  = 253
	maxName    = 256
	maxGroup   = 128
	maxGroups  = 256
)

// normal trims what a person does not see when typing, and fills the defaults:
// the login name is the UPN's local part, the display name the UPN.
func normal(u User) User {
	for _, field := range []*string{&u.UPN, &u.Email, &u.Username, &u.DomainName, &u.DisplayName, &u.FirstName, &u.MiddleName, &u.LastName} {
		*field = strings.Trim(*field, " ")
	}
	if u.Username == "" {
		u.Username = localPart(u.UPN)
	}
	u.DisplayName = cmp.Or(u.DisplayName, u.UPN)
	u.Groups = normalGroups(u.Groups)
	return u
}

func localPart(upn string) string {
	local, _, _ := strings.Cut(upn, "@")
	return local
}

// normalGroups returns the groups sorted, without empty ones and without doubles
// (groups compare without regard to case; the first spelling stays).
func normalGroups(groups []string) []string {
	var kept []string
	for _, g := range groups {
		g = strings.Trim(g, " ")
		if g != "" && !slices.ContainsFunc(kept, func(k string) bool { return Same(k, g) }) {
			kept = append(kept, g)
		}
	}
	slices.Sort(kept)
	return kept
}

// Validate refuses, by field, what a user's data must not hold. It expects the
// defaults to be filled.
func (u User) Validate() error { return u.refusals("").OrNil() }

// refusals names the fields below prefix ("users[3]." or "line 4, ").
func (u User) refusals(prefix string) refusal.List {
	var list refusal.List
	upn := address(prefix+"upn", u.UPN, "alice@example.test, as the user signs in")
	list.Add(upn, mailAddress(prefix+"email", u.Email))
	// A fault of the UPN is told once, not again for what was taken from it.
	if upn == nil || u.Username != localPart(u.UPN) {
		list.Add(login(prefix+"username", u.Username))
	}
	if upn == nil || u.DisplayName != u.UPN {
		list.Add(refusal.Line(ErrInvalid, prefix+"display_name", u.DisplayName, maxName))
	}
	list.Add(
		domain(prefix+"domain_name", u.DomainName),
		refusal.Line(ErrInvalid, prefix+"first_name", u.FirstName, maxName),
		refusal.Line(ErrInvalid, prefix+"middle_name", u.MiddleName, maxName),
		refusal.Line(ErrInvalid, prefix+"last_name", u.LastName, maxName),
	)
	if len(u.Groups) > maxGroups {
		list.Add(refusal.New(ErrInvalid, prefix+"groups", fmt.Sprintf("are %d groups", len(u.Groups)), fmt.Sprintf("use at most %d", maxGroups)))
		return list
	}
	for _, g := range u.Groups {
		list.Add(group(prefix+"groups", g))
	}
	return list
}

func address(field, value, example string) *refusal.Error {
	if value == "" {
		return refusal.New(ErrInvalid, field, "is missing", "for example "+example)
	}
	if e := refusal.Identifier(ErrInvalid, field, value, maxAddress); e != nil {
		return e
	}
	local, host, ok := strings.Cut(value, "@")
	if !ok || local == "" || host == "" || strings.Contains(host, "@") {
		return refusal.New(ErrInvalid, field, "is not of the form name@domain", "for example "+example)
	}
	return nil
}

// mailAddress is stricter than a UPN: the certificate carries it as rfc822Name,
// an IA5String (RFC 5280, section 4.2.1.6).
func mailAddress(field, value string) *refusal.Error {
	if e := address(field, value, "alice@example.test"); e != nil {
		return e
	}
	if strings.IndexFunc(value, func(r rune) bool { return r > '~' }) >= 0 {
		return refusal.New(ErrInvalid, field, "holds letters outside ASCII, which a certificate's mail address cannot carry",
			"use the mailbox's ASCII address, with an internationalised domain in its xn-- form")
	}
	return nil
}

func login(field, value string) *refusal.Error {
	if e := refusal.Line(ErrInvalid, field, value, maxLogin); e != nil {
		return e
	}
	if strings.ContainsAny(value, `\/`) {
		return refusal.New(ErrInvalid, field, `holds a slash or a backslash`, "give the login name alone here, and the Windows domain as domain_name")
	}
	return refusal.Identifier(ErrInvalid, field, value, maxLogin)
}

// domain is a NetBIOS or DNS name of a Windows domain.
func domain(field, value string) *refusal.Error {
	if e := refusal.Identifier(ErrInvalid, field, value, maxDomain); e != nil {
		return e
	}
	if strings.ContainsAny(value, `\/@:*?"<>|`) {
		return refusal.New(ErrInvalid, field, "is not the name of a Windows domain", "for example EXAMPLE or corp.example.test, without backslash")
	}
	return nil
}

// group refuses what would be taken for two groups: a semicolon separates them
// in a CSV file, and whoever writes a comma means that it does.
func group(field, value string) *refusal.Error {
	if strings.ContainsRune(value, ';') {
		return refusal.New(ErrInvalid, field, "holds a semicolon, which separates groups in a CSV file", "name each group by itself; a group's own name can hold none")
	}
	if strings.ContainsRune(value, ',') {
		return refusal.New(ErrInvalid, field, "holds a comma", "name each group by itself, in a CSV file with semicolons between them; a group's own name can hold none")
	}
	return refusal.Line(ErrInvalid, field, value, maxGroup)
}
