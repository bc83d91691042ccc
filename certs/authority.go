package certs

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/lapse"
	"sallyport/internal/refusal"
)

var (
	// ErrAuthorityInvalid says that a certificate, key, request or file that was
	// given cannot become a part of the authority.
	ErrAuthorityInvalid = errors.New("not usable as an authority")
	// ErrAuthorityState says that the authority is not in a state that allows an act.
	ErrAuthorityState = errors.New("not possible in this state of the authority")
)

// KeyKind is what kind of key an issuing certificate has.
type KeyKind string

const (
	KeyP256    KeyKind = "p256" // the default: signs 20 times as fast as RSA
	KeyP384    KeyKind = "p384"
	KeyRSA2048 KeyKind = "rsa2048"
	KeyRSA3072 KeyKind = "rsa3072"
	KeyRSA4096 KeyKind = "rsa4096"
)

// KeyKinds are all that we make.
func KeyKinds() []KeyKind {
	return []KeyKind{KeyP256, KeyP384, KeyRSA2048, KeyRSA3072, KeyRSA4096}
}

// Valid reports whether we make keys of that kind.
func (k KeyKind) Valid() bool { return slices.Contains(KeyKinds(), k) }

// orDefault refuses an unknown kind; none means KeyP256.
func (k KeyKind) orDefault() (KeyKind, error) {
	if k == "" {
		return KeyP256, nil
	}
	if !k.Valid() {
		words := make([]string, 0, len(KeyKinds()))
		for _, known := range KeyKinds() {
			words = append(words, string(known))
		}
		return "", refusal.New(ErrAuthorityInvalid, "kind", "is not a kind of key that we make", "use one of "+strings.Join(words, ", "))
	}
	return k, nil
}

func (k KeyKind) newKey() (crypto.Signer, error) {
	switch k {
	case KeyP384:
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case KeyRSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case KeyRSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case KeyRSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	default:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
}

// kindOf names any key, also such as we do not make.
func kindOf(key crypto.PublicKey) KeyKind {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return KeyKind(fmt.Sprintf("rsa%d", k.N.BitLen()))
	case *ecdsa.PublicKey:
		return KeyKind(strings.ToLower(strings.ReplaceAll(k.Params().Name, "-", "")))
	default:
		return KeyKind(strings.ToLower(fmt.Sprintf("%T", key)))
	}
}

// AuthorityState is where in its life a certificate of the authority is.
type AuthorityState string

const (
	StateStaged  AuthorityState = "staged"  // trusted, and signs nothing yet
	StateActive  AuthorityState = "active"  // signs, or is above what signs
	StateOld     AuthorityState = "old"     // trusted, for what it signed before
	StateRetired AuthorityState = "retired" // neither trusted nor used
)

// AuthorityInfo is one certificate of the authority, without its key.
type AuthorityInfo struct {
	Role         string         `json:"role"` // root, intermediate, issuing
	State        AuthorityState `json:"state"`
	Fingerprint  string         `json:"fingerprint"` // lower-case hex of the SHA-256
	Subject      string         `json:"subject"`
	Issuer       string         `json:"issuer"`
	PEM          string         `json:"pem"`            // the certificate itself
	CRL          string         `json:"crl,omitempty"`  // of an issuing one: address that is told in what it issues now
	SubjectKeyID string         `json:"subject_key_id"` // lower-case hex; its CRL is /crl/<this>.crl
	Kind         KeyKind        `json:"kind"`
	NotBefore    time.Time      `json:"not_before"`
	NotAfter     time.Time      `json:"not_after"`
	KeyHere      bool           `json:"key_here"` // false of an offline root and of a corporate CA
	CreatedAt    time.Time      `json:"created_at"`
	ActiveAt     time.Time      `json:"active_at,omitzero"`
	RetiredAt    time.Time      `json:"retired_at,omitzero"`
	Warnings     []string       `json:"warnings,omitempty"` // of Import: what is taken and still worth a thought
	Advice       string         `json:"advice,omitempty"`   // of Expiring: what to do
}

// List returns the certificates of the authority: roots, intermediates, issuing
// certificates; within each newest first.
func (a *Authority) List() []AuthorityInfo {
	f := a.members()
	var list []AuthorityInfo
	for _, role := range []string{roleRoot, roleIntermediate, roleIssuing} {
		for _, m := range f[role] {
			list = append(list, f.info(m))
		}
	}
	return list
}

func (f family) info(m member) AuthorityInfo {
	return AuthorityInfo{
		Role: m.role, State: f.state(m), Fingerprint: hash(m.cert.Raw),
		Subject: m.cert.Subject.String(), Issuer: m.cert.Issuer.String(), SubjectKeyID: hex.EncodeToString(m.cert.SubjectKeyId),
		Kind: kindOf(m.cert.PublicKey), NotBefore: m.cert.NotBefore.UTC(), NotAfter: m.cert.NotAfter.UTC(), KeyHere: m.key != nil, CRL: m.crl,
		CreatedAt: m.created, ActiveAt: m.activeAt, RetiredAt: m.retiredAt,
		PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.cert.Raw})),
	}
}

// state of an issuing certificate is its own; that of one above follows from
// those below it.
func (f family) state(m member) AuthorityState {
	active, _ := f.active()
	switch {
	case !m.retiredAt.IsZero():
		return StateRetired
	case m.is(active):
		return StateActive
	case m.role == roleIssuing && m.activeAt.IsZero():
		return StateStaged
	case m.role == roleIssuing:
		return StateOld
	}
	states := []AuthorityState{StateOld}
	for _, issuing := range f.trusted(roleIssuing) {
		if slices.ContainsFunc(f.above(issuing.cert), m.is) {
			states = append(states, f.state(issuing))
		}
	}
	if slices.Contains(states, StateActive) {
		return StateActive
	}
	// Old, unless all that there is below it waits to be used.
	if len(states) > 1 && !slices.Contains(states[1:], StateOld) {
		return StateStaged
	}
	return StateOld
}

// Expiring returns those certificates of the authority on which what is issued
// now depends, or will, and that at now have less than a third of their life left
// or less than lapse.Days60, the one that ends first before the others, with
// advice. Maintain deals with what it can itself: so each of these needs a person.
func (a *Authority) Expiring(now time.Time) []AuthorityInfo {
	f := a.members()
	var list []AuthorityInfo
	for _, role := range []string{roleRoot, roleIntermediate, roleIssuing} {
		for _, m := range f.trusted(role) {
			info := f.info(m)
			if info.State == StateOld || !m.due(now) && lapse.At(m.cert.NotAfter, now) == lapse.Fine {
				continue
			}
			info.Advice = f.advice(m)
			list = append(list, info)
		}
	}
	slices.SortStableFunc(list, func(a, b AuthorityInfo) int { return cmp.Compare(a.NotAfter.Unix(), b.NotAfter.Unix()) })
	return list
}

func (f family) advice(m member) string {
	root, ok := f.rootOf(m.cert)
	switch {
	case m.role == roleRoot && m.key != nil:
		return "make a new root and an issuing certificate under it elsewhere (sallyport ca init --root-out, ca sign), and import the issuing certificate"
	case m.role != roleIssuing:
		return "have a new issuing certificate signed under a newer one (sallyport ca csr), and import it"
	case ok && root.key != nil && f.signs(m.cert, root):
		return "its root ends as well: make a new root and an issuing certificate under it elsewhere (sallyport ca init --root-out, ca sign), and import the issuing certificate"
	default:
		return "have a new one signed: sallyport ca csr, ca sign (or your own CA), ca import, ca activate"
	}
}

// Anchors are the roots that whoever trusts us trusts: that of what is issued now
// first, then the others that are neither retired nor expired, newest first.
func (a *Authority) Anchors() []*x509.Certificate {
	f, now := a.members(), a.now()
	first, _ := f.newest(roleRoot)
	list := []*x509.Certificate{first.cert}
	for _, m := range f.trusted(roleRoot) {
		if !m.is(first) && !now.After(m.cert.NotAfter) {
			list = append(list, m.cert)
		}
	}
	return list
}

// NewestAnchor is when the newest of Anchors came on record: a phone whose
// enrolment profile is older does not have it.
func (a *Authority) NewestAnchor() time.Time {
	var newest time.Time
	now := a.now()
	for _, m := range a.members().trusted(roleRoot) {
		if m.created.After(newest) && !now.After(m.cert.NotAfter) {
			newest = m.created
		}
	}
	return newest
}

// FirstRoot is the root that was on record before all others, retired or not: in
// what phones are given it keeps the place that it had from the beginning.
func (a *Authority) FirstRoot() *x509.Certificate { return a.members().firstRoot() }

func (f family) firstRoot() *x509.Certificate {
	var first member
	for _, m := range f[roleRoot] {
		if first.cert == nil || m.created.Before(first.created) {
			first = m
		}
	}
	return first.cert
}
