package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/google/uuid"
)

// Enroll takes the phone from an invitation's URL into management and runs the
// first polling round. Called again after an interruption, in this process or
// another, it continues at the step that was reached.
//
// An Android phone also takes a link of Google's and the text of a QR code.
func (p *Phone) Enroll(ctx context.Context, invitation string) error {
	kind, err := p.Kind()
	if err != nil {
		return err
	}
	if kind == Android {
		return p.enrolAndroid(ctx, invitation)
	}
	return p.enrol(ctx, invitation, p.poll)
}

// enrol does what comes next once the phone is managed.
func (p *Phone) enrol(ctx context.Context, invitation string, next func(context.Context) error) error {
	address, err := invitationURL(invitation)
	if err != nil {
		return err
	}
	end, err := p.begin()
	if err != nil {
		return err
	}
	defer end()
	if p.s.Stage == StageEnrolled {
		return ErrAlreadyEnrolled
	}
	resumed := p.s.Stage != StageNone && p.s.Enrolment.Source == source(address)
	if resumed {
		p.tell("continuing", "%s: %s", shown(address), p.s.Stage)
		err = p.finish(ctx)
	}
	// A profile that was kept too long has a challenge that expired: the owner
	// would download it again.
	if !resumed || (errors.Is(err, ErrRefused) && p.s.Stage == StageProfile) {
		if err = p.accept(ctx, address); err == nil {
			err = p.finish(ctx)
		}
	}
	if err != nil {
		return err
	}
	return next(ctx)
}

func invitationURL(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSpace(s))
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: an invitation is an address that begins with https://", ErrInvalid)
	}
	return u, nil
}

// source names an invitation in the state without holding its code.
func source(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return hex.EncodeToString(sum[:])
}

// accept downloads the enrolment profile, verifies it as Settings does before
// it offers "Install", and keeps it.
func (p *Phone) accept(ctx context.Context, address *url.URL) error {
	der, err := p.fetchProfile(ctx, address)
	if err != nil {
		return err
	}
	prof, m, err := p.openEnrolment(der)
	if err != nil {
		return fmt.Errorf("enrolment profile: %w", err)
	}
	p.tell("profile verified", "signed by CN=%s, %d payloads", prof.signers[0].Subject.CommonName, len(prof.payloads))
	if old := p.s.Enrolment; old != nil { // an earlier attempt that was not finished
		p.s = p.s.without(old.Identifier)
	}
	p.s.Enrolment = &enrolment{
		Source: source(address), Profile: der, Identifier: prof.Identifier,
		Topic: m.topic, ServerURL: m.serverURL, CheckInURL: m.checkInURL, Rights: m.rights, CheckOut: m.checkOut, IdentityRef: m.identityRef,
		PushToken: randomBytes(32), PushMagic: strings.ToUpper(uuid.NewString()),
	}
	if m.rights&rightLock != 0 {
		p.s.Enrolment.UnlockToken = randomBytes(64)
	}
	p.s.Pending = nil
	p.s.Stage = StageProfile
	return p.save()
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return b
}

// openEnrolment verifies and reads an enrolment profile: signed by somebody
// whom the phone trusts already, exactly one SCEP and one MDM payload, which
// belong together.
func (p *Phone) openEnrolment(der []byte) (*profile, mdmPayload, error) {
	prof, err := p.openProfile(der)
	if err != nil {
		return nil, mdmPayload{}, err
	}
	m, err := prof.enrolment()
	if err != nil {
		return nil, m, err
	}
	if _, err := parseSCEP(prof.of(typeSCEP)[0]); err != nil {
		return nil, m, err
	}
	if _, err := prof.authorities(); err != nil {
		return nil, m, err
	}
	return prof, m, nil
}

// enrolment reads the MDM payload of a profile that has one, and the identity
// that belongs to it.
func (p *profile) enrolment() (mdmPayload, error) {
	mdms, sceps := p.of(typeMDM), p.of(typeSCEP)
	if len(mdms) != 1 || len(sceps) != 1 {
		return mdmPayload{}, refuse(ErrProfile, domainMDM, codeMDMNoIdentity, "The profile has %d MDM and %d SCEP payloads instead of one each.", len(mdms), len(sceps))
	}
	m, err := parseMDM(mdms[0])
	if err == nil && !strings.EqualFold(m.identityRef, sceps[0].UUID) {
		err = refuse(ErrProfile, domainMDM, codeMDMNoIdentity, "The identity of the MDM payload is not in the profile.")
	}
	return m, err
}

// openProfile verifies a profile's signature against what the phone trusts and
// reads it.
func (p *Phone) openProfile(der []byte) (*profile, error) {
	content, signers, err := openSigned(der, p.pool(), p.now())
	if err != nil {
		return nil, refuse(ErrUntrusted, domainProfile, codeProfileBadSignature, "The profile's signature is not valid.").because(err)
	}
	prof, err := parseProfile(content, p.decryptWithAny)
	if err != nil {
		return nil, err
	}
	prof.signers = signers
	return prof, nil
}

// decryptWithAny tries every identity on the phone.
func (p *Phone) decryptWithAny(enveloped []byte) ([]byte, error) {
	err := errors.New("no identity on the phone")
	for _, id := range p.s.Identities {
		if id.Key == "" { // for mail
			continue
		}
		cert, e := x509.ParseCertificate(id.Certificate)
		if e != nil {
			return nil, e
		}
		key, e := p.disk.key(id.Key)
		if e != nil {
			return nil, e
		}
		var plain []byte
		if plain, err = decrypt(enveloped, cert, key); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// authorities reads the CA certificates that a profile brings.
func (p *profile) authorities() ([]authority, error) {
	var out []authority
	for _, one := range p.of(typeRoot, typePKCS1) {
		c, err := parseAuthority(one)
		if err != nil {
			return nil, err
		}
		if c.IsCA {
			out = append(out, authority{Profile: p.Identifier, UUID: one.UUID, Certificate: c.Raw})
		}
	}
	return out, nil
}

// finish goes from an accepted profile to a managed phone, one saved step
// after the other.
func (p *Phone) finish(ctx context.Context) error {
	for p.s.Stage != StageEnrolled {
		var err error
		switch p.s.Stage {
		case StageProfile:
			err = p.takeIdentity(ctx)
		case StageIdentity:
			err = p.authenticate(ctx)
		case StageAuthenticated:
			err = p.tokenUpdate(ctx)
		default:
			return ErrNotEnrolled
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// takeIdentity installs the enrolment profile: its CA becomes trusted, its
// SCEP payload becomes the phone's identity.
func (p *Phone) takeIdentity(ctx context.Context) error {
	prof, _, err := p.openEnrolment(p.s.Enrolment.Profile)
	if err != nil {
		return fmt.Errorf("enrolment profile: %w", err)
	}
	q, err := parseSCEP(prof.of(typeSCEP)[0])
	if err != nil {
		return err
	}
	q.keyUsage |= keyUsageSign // it will sign messages, whatever the profile says
	cas, err := prof.authorities()
	if err != nil {
		return err
	}
	id, err := p.obtain(ctx, q, prof.Identifier, p.rootsOf(cas))
	if err != nil {
		if saved := p.save(); saved != nil {
			return saved
		}
		return fmt.Errorf("identity: %w", err)
	}
	p.s = p.s.withoutProfile(prof.Identifier)
	p.s.Identities = append(p.s.Identities, id)
	p.s.Authorities = append(p.s.Authorities, cas...)
	p.s.Profiles = append(p.s.Profiles, prof.record(p.now(), false))
	p.s.Stage, p.s.Enrolment.Profile = StageIdentity, nil
	if err := p.save(); err != nil {
		return err
	}
	p.dropConnections() // the next one trusts the profile's root
	cert, err := x509.ParseCertificate(id.Certificate)
	if err != nil {
		return err
	}
	p.tell("certificate issued", "CN=%s, valid until %s", cert.Subject.CommonName, cert.NotAfter.UTC().Format("2006-01-02"))
	return p.disk.forget(p.s)
}

// rootsOf is what the identity of a profile must lead to: the profile's own
// roots where it brings any, otherwise what the phone trusts.
func (p *Phone) rootsOf(cas []authority) *x509.CertPool {
	if len(cas) == 0 {
		return p.pool()
	}
	pool := x509.NewCertPool()
	for _, a := range cas {
		addCert(pool, a.Certificate)
	}
	return pool
}
