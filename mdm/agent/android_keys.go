package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// silentGrants is the API level of Android 11: from there on a rule without a URL
// gives its app the key, and the app need not ask (ChoosePrivateKeyRule).
const silentGrants = 30

// keyTrouble says why an app cannot use the key of that alias, or nothing.
func (s *state) keyTrouble(pkg, alias string) string {
	switch {
	case !slices.Contains(s.Android.Keys, alias) && s.keyPair(alias) == nil:
		return "there is no key pair by that name"
	case s.granted(pkg) != alias:
		return "the policy does not let the app use the key pair"
	}
	return ""
}

// keyPair is what a companion app installed by that alias.
func (s *state) keyPair(alias string) *identity {
	i := slices.IndexFunc(s.Identities, func(id identity) bool { return id.UUID == alias })
	if s.Android == nil || i < 0 {
		return nil
	}
	return &s.Identities[i]
}

// granted is the alias of the key that the policy gives an app: the last rule
// that fits is the one that counts. A rule for everybody is for apps that ask, as
// all had to before Android 11.
func (s *state) granted(pkg string) string {
	if s.Android.Managed == nil {
		return ""
	}
	alias := ""
	for _, rule := range list(s.Android.Managed.policy(), "choosePrivateKeyRules") {
		pattern, names := str(rule, "urlPattern"), texts(rule, "packageNames")
		everybody := len(names) == 0 && apiLevel(s.Facts.OS) < silentGrants
		if (pattern == "" || pattern == ".*") && (everybody || slices.Contains(names, pkg)) {
			alias = str(rule, "privateKeyAlias")
		}
	}
	return alias
}

// presents is the identity by which an account signs in to its mail server; nil:
// it has none, or cannot use it.
func (s *state) presents(a account) *identity {
	if a.IdentityRef == "" {
		return nil
	}
	if s.Android != nil {
		if s.keyTrouble(a.Profile, a.IdentityRef) != "" {
			return nil
		}
		return s.keyPair(a.IdentityRef)
	}
	i := slices.IndexFunc(s.Identities, func(id identity) bool { return strings.EqualFold(id.UUID, a.IdentityRef) && id.Profile == a.Profile })
	if i < 0 {
		return nil
	}
	return &s.Identities[i]
}

// clientCertificate is what an account presents in TLS; nil: nothing.
func (p *Phone) clientCertificate(a account) (*tls.Certificate, error) {
	if p.s.Android != nil && a.IdentityRef != "" {
		if trouble := p.s.keyTrouble(a.Profile, a.IdentityRef); trouble != "" {
			return nil, fmt.Errorf("%w: %s signs in by the key %q, and %s", ErrInvalid, a.App, a.IdentityRef, trouble)
		}
	}
	id := p.s.presents(a)
	if id == nil || id.Key == "" {
		return nil, nil
	}
	key, err := p.disk.key(id.Key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate on the phone: %w", err)
	}
	return &tls.Certificate{Certificate: append([][]byte{id.Certificate}, id.Chain...), PrivateKey: key, Leaf: cert}, nil
}
