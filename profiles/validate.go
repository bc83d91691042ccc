package profiles

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
)

// Limits in bytes: a host name has 253 (RFC 1035) and a port, an address 254
// (RFC 5321), a login name is DOMAIN\user or a UPN.
const (
	maxHost    = 253 + len(":65535")
	maxAddress = 254
	maxLogin   = 256
	maxDomain  = 253
	maxLabel   = 256
)

// hostName is a DNS name: labels of letters, digits and inner dashes.
var hostName = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*\.?$`)

// Validate refuses, by field, an expanded account that a phone could not use.
// The names of the fields are those of a template.
func (a ExchangeAccount) Validate() error {
	var list refusal.List
	list.Add(
		label(a.Name),
		oneOf("host_type", string(a.HostType), string(OnPremises), string(Office365)),
		host(a),
		userName(a.UserName),
		domain(a),
		email(a.Email),
		ssl(a),
		password(a),
	)
	list.Add(signInIdentity(a.Identity, a.PKCS12)...)
	list.Add(oauth(a)...)
	list.Add(audioCallApp(a.AudioCallApp))
	list.Add(smime(a.SMIME)...)
	list.Add(services(a.Sync), days(a))
	return list.OrNil()
}

func label(name string) *refusal.Error {
	if strings.TrimSpace(name) == "" {
		return missing("name", `the phone shows it as the account's name, for example "Company mail"`)
	}
	return refusal.Line(ErrInvalid, "name", name, maxLabel)
}

func oneOf(field, value string, allowed ...string) *refusal.Error {
	for _, a := range allowed {
		if value == a {
			return nil
		}
	}
	return refusal.New(ErrInvalid, field, "is not one of the known words", "use "+strings.Join(allowed, " or "))
}

func host(a ExchangeAccount) *refusal.Error {
	const field = "host"
	if a.Host == "" && a.OAuth.SignInURL != "" {
		return missing(field, "with oauth.sign_in_url the phone no longer looks for the server itself; for example mail.example.test")
	}
	if a.Host == "" {
		return missing(field, "the name of the mail server, for example mail.example.test")
	}
	if strings.Contains(a.Host, "://") {
		return refusal.New(ErrInvalid, field, "is a URL", "give the host name alone, without https:// and path")
	}
	if strings.ContainsAny(a.Host, "/?#") {
		return refusal.New(ErrInvalid, field, "holds a path", "give the host name alone; phones add the path of ActiveSync themselves")
	}
	if e := refusal.Identifier(ErrInvalid, field, a.Host, maxHost); e != nil {
		return e
	}
	name, port, hasPort := splitPort(a.Host)
	if hasPort {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return refusal.New(ErrInvalid, field, "has a port that is not 1 to 65535", "for example mail.example.test:8443, or leave the port away")
		}
	}
	if !isHost(name) {
		return refusal.New(ErrInvalid, field, "is not a host name or an address",
			"for example mail.example.test; an IPv6 address stands in brackets, an internationalised name in its xn-- form")
	}
	return nil
}

// splitPort takes the port off; of an address in brackets it takes them too.
func splitPort(hostport string) (name, port string, hasPort bool) {
	if rest, ok := strings.CutPrefix(hostport, "["); ok {
		name, after, closed := strings.Cut(rest, "]")
		if !closed || !strings.Contains(name, ":") {
			return "", "", false
		}
		port, hasPort = strings.CutPrefix(after, ":")
		if !hasPort && after != "" {
			return "", "", false
		}
		return name, port, hasPort
	}
	return strings.Cut(hostport, ":")
}

func isHost(name string) bool {
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Zone() == ""
	}
	if len(name) > 253 || !hostName.MatchString(name) {
		return false
	}
	// Four numbers that are no address are a typing error, not a name.
	last := name[strings.LastIndexByte(strings.TrimSuffix(name, "."), '.')+1:]
	return strings.Trim(last, "0123456789.") != ""
}

func userName(value string) *refusal.Error {
	const field = "user_name"
	if value == "" {
		return missing(field, "phones that are managed cannot ask for it; the usual value is %upn%")
	}
	if strings.Contains(value, `\`) {
		return refusal.New(ErrInvalid, field, "holds a backslash", "give the user name alone here, and the Windows domain as domain")
	}
	return refusal.Identifier(ErrInvalid, field, value, maxLogin)
}

func domain(a ExchangeAccount) *refusal.Error {
	const field = "domain"
	if a.Domain != "" && a.HostType == Office365 {
		return refusal.New(ErrInvalid, field, "is set for Exchange Online, which has no Windows domains", "remove it, or set host_type to on_premises")
	}
	if strings.ContainsAny(a.Domain, `\/@:`) {
		return refusal.New(ErrInvalid, field, "is not the name of a Windows domain", "for example EXAMPLE or %domainname%, without backslash")
	}
	return refusal.Identifier(ErrInvalid, field, a.Domain, maxDomain)
}

func email(value string) *refusal.Error {
	const field = "email"
	if value == "" {
		return missing(field, "phones that are managed cannot ask for it; the usual value is %email%")
	}
	if e := refusal.Identifier(ErrInvalid, field, value, maxAddress); e != nil {
		return e
	}
	if local, domain, ok := strings.Cut(value, "@"); !ok || local == "" || domain == "" || strings.Contains(domain, "@") {
		return refusal.New(ErrInvalid, field, "is not a mail address", "for example alice@example.test, or %email%")
	}
	return nil
}

func ssl(a ExchangeAccount) *refusal.Error {
	if a.HostType == Office365 && !a.UsesSSL() {
		return refusal.New(ErrInvalid, "ssl", "is switched off for Exchange Online, which answers on TLS only", "remove it")
	}
	return nil
}

func missing(field, remedy string) *refusal.Error {
	return refusal.New(ErrInvalid, field, "is missing", remedy)
}
