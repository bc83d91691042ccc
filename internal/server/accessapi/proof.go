package accessapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"net/url"
	"strings"

	"sallyport/access/eas"
	"sallyport/internal/refusal"
)

// maxLogin is access.Client's limit of a user's name.
const maxLogin = 320

// signedIn returns who signs in by HTTP Basic (RFC 7617). What follows the name is
// wiped unread. A bearer token names nobody to us, and the user in the query alone
// is whoever the client likes, so it is refused.
func signedIn(authorization string) (string, error) {
	no := func(reason, remedy string) (string, error) {
		return "", refusal.New(eas.ErrQuery, "Authorization", reason, remedy)
	}
	scheme, credentials, found := strings.Cut(authorization, " ")
	switch {
	case strings.EqualFold(scheme, "bearer"):
		return no("is a bearer token, which does not say whose it is", "let phones sign in with a password, or gate OAuth clients at the identity provider")
	case !found || !strings.EqualFold(scheme, "basic"):
		return no("is not HTTP Basic", "let phones sign in with user name and password")
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(credentials)
	if err != nil || strings.ContainsAny(credentials, "\r\n") {
		return no("is not user name and password in base64", "see RFC 7617, section 2")
	}
	defer clear(raw)
	name, _, found := bytes.Cut(raw, []byte(":"))
	switch {
	case !found:
		return no("has no colon after the user name", "see RFC 7617, section 2")
	case len(name) == 0:
		return no("names no user", "send one")
	}
	if e := refusal.Identifier(eas.ErrQuery, "Authorization", string(name), maxLogin); e != nil {
		return "", e
	}
	return string(name), nil
}

// fingerprint is the lower-case hex SHA-256 of a certificate as nginx writes it
// ($ssl_client_escaped_cert). Who signed it does not matter here: the decision
// compares it with those that we gave to the phone.
func fingerprint(escaped string) (string, error) {
	text, err := url.PathUnescape(escaped)
	if err == nil {
		block, rest := pem.Decode([]byte(text))
		if block != nil && block.Type == "CERTIFICATE" && len(bytes.TrimSpace(rest)) == 0 {
			sum := sha256.Sum256(block.Bytes)
			return hex.EncodeToString(sum[:]), nil
		}
	}
	return "", refusal.New(eas.ErrQuery, headerCertificate, "is not one certificate in PEM, escaped for URLs", "set it to $ssl_client_escaped_cert")
}
