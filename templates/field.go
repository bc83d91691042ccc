package templates

import (
	"net/url"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/profiles"
)

// field is a string of a template that may hold variables.
type field struct {
	path   string
	value  *string
	escape func(string) string // for values, never for the template's own text; nil: as they are
}

// fields lists every string of an account that may hold variables. The others
// are words of a fixed form (Validate knows them), in which no percent sign
// passes: nothing with an unexpanded variable can leave.
func fields(a *profiles.ExchangeAccount) []field {
	return []field{
		{"name", &a.Name, nil},
		{"host", &a.Host, nil},
		{"user_name", &a.UserName, nil},
		{"domain", &a.Domain, nil},
		{"email", &a.Email, nil},
		{"oauth.sign_in_url", &a.OAuth.SignInURL, inURL},
		{"oauth.token_url", &a.OAuth.TokenURL, inURL},
	}
}

// expand puts the values in place; of a field that is refused nothing changes.
func (f field) expand(prefix string, v values) *refusal.Error {
	parsed, refused := parseExpression(prefix+f.path, *f.value)
	if refused != nil {
		return refused
	}
	expanded, refused := parsed.expand(prefix+f.path, v, f.escape)
	if refused != nil {
		return refused
	}
	*f.value = expanded
	return nil
}

// secretField is where an account names a secret, and the kind it must be of.
type secretField struct {
	path string
	name string // empty: none
	kind SecretKind
}

func secretFields(a profiles.ExchangeAccount) []secretField {
	list := []secretField{
		{"pkcs12", a.PKCS12, SecretPKCS12},
		{"smime.sign.pkcs12", a.SMIME.Sign.PKCS12, SecretPKCS12},
		{"smime.encrypt.pkcs12", a.SMIME.Encrypt.PKCS12, SecretPKCS12},
	}
	if a.Password != nil {
		list = append(list, secretField{"password.secret", a.Password.Secret, SecretPassword})
	}
	return list
}

// inURL makes a value part of a URL that it cannot add a part to.
func inURL(value string) string { return strings.ReplaceAll(url.QueryEscape(value), "+", "%20") }
