package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// installProfile installs or replaces a profile, all of it or nothing
// (https://developer.apple.com/documentation/devicemanagement/install_a_profile).
func (p *Phone) installProfile(ctx context.Context, c command, o *outcome) error {
	der := c.args.data("Payload", true)
	if c.args.err != nil {
		return c.args.err
	}
	prof, err := p.openProfile(der)
	if err != nil {
		return err
	}
	management, err := p.mayInstall(prof)
	if err != nil {
		return err
	}
	parts, err := p.readParts(prof)
	if err != nil {
		return err
	}
	// Everything that can be refused has been: now, and only now, the one-time
	// challenges are spent.
	next := p.s.clone()
	next.Enrolment = management
	if err := next.placeAccounts(prof.Identifier, parts.accounts); err != nil {
		return err
	}
	identities, err := p.runSCEP(ctx, prof, parts)
	if err != nil {
		return err
	}
	identities = append(identities, parts.identities...)
	next = next.withoutProfile(prof.Identifier)
	next.Identities = append(next.Identities, identities...)
	next.Authorities = append(next.Authorities, parts.authorities...)
	record := prof.record(p.now(), prof.Identifier != management.Identifier)
	record.ForcePIN, record.Restrictions = parts.forcePIN, parts.restrictions
	next.Profiles = append(next.Profiles, record)
	p.s = next
	if len(parts.authorities) > 0 {
		p.dropConnections()
	}
	for _, a := range parts.accounts {
		o.events = append(o.events, fmt.Sprintf("%s on %s", a.Email, a.Host))
	}
	o.told = prof.Identifier
	return nil
}

// mayInstall refuses profiles that would touch the management itself, and returns
// it as it will be.
func (p *Phone) mayInstall(prof *profile) (*enrolment, error) {
	switch {
	case prof.Identifier == p.s.Enrolment.Identifier:
		return p.renewed(prof)
	case len(prof.of(typeMDM)) > 0:
		return nil, refuse(ErrProfile, domainMDM, codeMDMTwice, "The phone has a management already.")
	}
	return p.s.Enrolment, nil
}

// parts are what a profile will put on the phone.
type parts struct {
	scep        []scepPayload
	identities  []identity // of PKCS#12 files
	accounts    []account
	authorities []authority
	forcePIN    bool

	restrictions map[string]bool
}

func (p *Phone) readParts(prof *profile) (parts, error) {
	var out parts
	for _, one := range prof.of(typeSCEP) {
		q, err := parseSCEP(one)
		if err != nil {
			return out, err
		}
		out.scep = append(out.scep, q)
	}
	for _, one := range prof.of(typePKCS12) {
		id, err := p.openPKCS12(prof, one)
		if err != nil {
			return out, err
		}
		out.identities = append(out.identities, id)
	}
	for _, one := range prof.of(typeEAS) {
		a, err := parseEAS(prof, one)
		if err != nil {
			return out, err
		}
		out.accounts = append(out.accounts, a)
	}
	for _, one := range prof.of(typePasscode) {
		r := &reader{d: one.keys}
		out.forcePIN = r.boolean("forcePIN", false) || out.forcePIN
		if err := payloadField(one.Type, r.err); err != nil {
			return out, err
		}
	}
	for _, one := range prof.of(typeRestrictions) {
		out.restrictions = parseRestrictions(one, p.s.Facts.Supervised)
	}
	var err error
	out.authorities, err = prof.authorities()
	return out, err
}

// runSCEP asks for every identity of a profile anew, even when the profile is
// byte for byte the one on the phone: that is what iOS does.
func (p *Phone) runSCEP(ctx context.Context, prof *profile, parts parts) ([]identity, error) {
	roots := p.pool()
	for _, a := range parts.authorities {
		addCert(roots, a.Certificate)
	}
	var out []identity
	for _, q := range parts.scep {
		if len(prof.of(typeMDM)) > 0 {
			q.keyUsage |= keyUsageSign // it will sign messages, whatever the profile says
		}
		id, err := p.obtain(ctx, q, prof.Identifier, roots)
		if err != nil {
			return nil, overNetwork(err)
		}
		out = append(out, id)
	}
	return out, nil
}

// overNetwork gives trouble below SCEP itself iOS's number for it.
func overNetwork(err error) error {
	var no *refusal
	if !errors.As(err, &no) && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrUntrusted) || errors.Is(err, ErrProtocol)) {
		return refuse(ErrUnreachable, domainSCEP, codeSCEPNetwork, "The certificate service cannot be reached.").because(err)
	}
	return err
}

// removeProfile removes a profile that came by MDM with all that it brought;
// for the enrolment profile that is the whole management
// (https://developer.apple.com/documentation/devicemanagement/remove_a_profile).
func (p *Phone) removeProfile(c command, o *outcome) error {
	name := c.args.need("Identifier")
	if c.args.err != nil {
		return c.args.err
	}
	o.told = name
	if name == p.s.Enrolment.Identifier {
		p.s.Ending = endLeft
		return nil
	}
	if !slices.ContainsFunc(p.s.Profiles, func(i installed) bool { return i.Identifier == name && i.Managed }) {
		return refuse(ErrProfile, domainMDM, codeMDMNotManaged, "The profile %q is not managed on this phone.", name)
	}
	p.s = p.s.without(name)
	return nil
}

func (p *profile) record(now time.Time, managed bool) installed {
	i := installed{
		Identifier: p.Identifier, UUID: p.UUID, DisplayName: p.DisplayName, Description: p.Description, Organization: p.Organization,
		NoRemoval: p.noRemoval, Encrypted: p.encrypted, Managed: managed, At: now.UTC().Truncate(time.Second),
	}
	for _, c := range p.signers {
		i.Signers = append(i.Signers, c.Raw)
	}
	for _, one := range p.payloads {
		i.Payloads = append(i.Payloads, one.payloadRef)
	}
	return i
}

func (s *state) clone() *state {
	c := *s
	return &c
}

// withoutProfile returns a state without the profile, its identities and its
// authorities; its accounts stay.
func (s *state) withoutProfile(name string) *state {
	c := s.clone()
	c.Profiles = keep(s.Profiles, func(i installed) bool { return i.Identifier != name })
	c.Identities = keep(s.Identities, func(i identity) bool { return i.Profile != name })
	c.Authorities = keep(s.Authorities, func(a authority) bool { return a.Profile != name })
	return c
}

// without removes the accounts as well, and their mail.
func (s *state) without(name string) *state {
	c := s.withoutProfile(name)
	c.Accounts = keep(s.Accounts, func(a account) bool { return a.Profile == "" || a.Profile != name })
	return c
}

func keep[T any](list []T, want func(T) bool) []T {
	var out []T
	for _, item := range list {
		if want(item) {
			out = append(out, item)
		}
	}
	return out
}
