package agent

import (
	"context"
	"fmt"
	"net/url"
	"slices"
)

// knoxLevel is the API level of Android 14, from which on Samsung's plugin does SCEP,
// on phones that are managed as a whole.
const knoxLevel = 34

// knoxWants is the certificate that the policy has Samsung's plugin fetch.
func (s *state) knoxWants() (means object, wants bool) {
	a := s.Android
	if a.Managed == nil || a.Brand != "samsung" || !a.Managed.wholePhone() || apiLevel(s.Facts.OS) < knoxLevel {
		return nil, false
	}
	for _, app := range list(a.Managed.policy(), "applications") {
		plugin := knownApps()[str(app, "packageName")]
		if plugin == nil || str(app, "packageName") != knoxPackage || !slices.Contains(a.Managed.Installed, knoxPackage) {
			continue
		}
		means = object{}
		collect(plugin.Properties, inner(app, "managedConfiguration"), means, new([]keyState))
		return means, str(means, "protocol") == "1" && str(means, "alias") != ""
	}
	return nil, false
}

// runKnox has the plugin fetch its certificate, once for each challenge, as its
// settings are called: nobody here has seen the real one at it. Its trouble is its own.
func (p *Phone) runKnox(ctx context.Context) error {
	means, wants := p.s.knoxWants()
	challenge := str(means, "challenge")
	if !wants || challenge == p.s.Android.Knox {
		return nil
	}
	alias := str(means, "alias")
	service := &url.URL{Scheme: "https", Host: fmt.Sprintf("%s:%v", str(means, "host"), means["port"]), Path: str(means, "path")}
	subject, err := parseDN(str(means, "subject"))
	if err != nil {
		p.tell("knox service plugin", "%v", err)
		return nil
	}
	q := scepPayload{
		uuid: alias, url: service, challenge: challenge, subject: subject, keySize: smallestKey, keyUsage: keyUsageSign | keyUsageEncrypt, overTLS: true,
	}
	id, err := p.obtain(ctx, q, knoxPackage, p.pool())
	if err != nil {
		if ctx.Err() != nil || !serverTrouble(err) {
			return err
		}
		p.tell("knox service plugin", "%v", err)
		return p.saveAll()
	}
	p.s.dropKey(alias)
	p.s.Identities, p.s.Android.Knox = append(p.s.Identities, id), challenge
	p.tellIssued("knox service plugin", alias, id.Certificate)
	return p.saveAll()
}
