package certs_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/secret"
)

func TestRenewalDue(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	to := from.Add(360 * day)
	for _, tt := range []struct {
		window, before time.Duration
	}{{0, 120 * day}, {-1, 120 * day}, {30 * day, 30 * day}, {400 * day, 120 * day}} {
		if got, want := certs.RenewalDue(from, to, tt.window, ""), to.Add(-tt.before); !got.Equal(want) {
			t.Errorf("window %v: %v, want %v", tt.window, got, want)
		}
	}
	const n = 1000
	early := 0
	for i := range n {
		key := fmt.Sprint(i)
		due := certs.RenewalDue(from, to, 0, key)
		if due.Before(to.Add(-120*day)) || due.After(to.Add(-60*day)) {
			t.Fatalf("%s: due %v", key, due)
		}
		if !due.Equal(certs.RenewalDue(from, to, 0, key)) {
			t.Fatal("a certificate is due at two times")
		}
		if due.Before(to.Add(-90 * day)) {
			early++
		}
	}
	if early < n*4/10 || early > n*6/10 {
		t.Errorf("%d of %d in the first half", early, n)
	}
}

func newKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// newRSA is a key that a management identity can have.
func newRSA() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func sum(c *x509.Certificate) string { return hexText(secret.Hash(string(c.Raw))) }

// mailIdentity is a certificate of the phone with that enrolment.
func (f *fixture) mailIdentity(t *testing.T, enrollmentID string, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	return must(f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, mailGrant(enrollmentID)), PublicKey: key, TransactionID: "first"}))
}

// mdmIdentity is the pinned certificate of the phone with that enrolment.
func (f *fixture) mdmIdentity(t *testing.T, enrollmentID string, key crypto.PublicKey) *x509.Certificate {
	t.Helper()
	cert := must(f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, grant()), PublicKey: key, TransactionID: "first"}))
	f.pin(enrollmentID, sum(cert))
	return cert
}

func TestRenew(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]struct {
		first func(*fixture, *testing.T, string, crypto.PublicKey) *x509.Certificate
		key   func() crypto.Signer
	}{
		"mail": {(*fixture).mailIdentity, func() crypto.Signer { return newKey() }},
		"mdm":  {(*fixture).mdmIdentity, func() crypto.Signer { return newRSA() }},
	} {
		for _, same := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, same key %v", name, same), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				key := kind.key()
				old := kind.first(f, t, "enrollment-1", key.Public())
				f.clock.advance(300 * day)
				if !same {
					key = kind.key()
				}
				r := certs.Request{PublicKey: key.Public(), TransactionID: "renewal"}
				renewed, err := f.issuer.Renew(t.Context(), old, r)
				if err != nil {
					t.Fatal(err)
				}
				before, after := must(f.issuer.Lookup(t.Context(), sum(old))), must(f.issuer.Lookup(t.Context(), sum(renewed)))
				if after.Rule != before.Rule || after.UserID != before.UserID || after.EnrollmentID != "enrollment-1" || after.Profile != before.Profile ||
					after.InvitationID != "" || after.Serial == before.Serial {
					t.Errorf("renewed %+v\nas %+v", before, after)
				}
				if line, err := f.issuer.Successors(t.Context(), strings.ToUpper(sum(old))); err != nil || len(line) != 1 || line[0].SHA256 != sum(renewed) {
					t.Errorf("successors %+v, %v", line, err)
				}
				if renewed.Subject.CommonName != "renamed@example.test" || !samePublic(renewed.PublicKey, key) || renewed.NotAfter.Sub(renewed.NotBefore) != 365*day {
					t.Errorf("%s, valid %v", renewed.Subject, renewed.NotAfter.Sub(renewed.NotBefore))
				}
				f.clock.advance(100 * day) // the old one has expired since
				again, err := f.issuer.Renew(t.Context(), old, r)
				if err != nil || !again.Equal(renewed) {
					t.Errorf("the same request again: %v", err)
				}
				r.TransactionID = "another"
				if _, err := f.issuer.Renew(t.Context(), old, r); !errors.Is(err, certs.ErrChallengeInvalid) {
					t.Errorf("a second successor: %v", err)
				}
			})
		}
	}
}

// TestRenewRefuses is the matrix of signers that get no successor.
func TestRenewRefuses(t *testing.T) {
	t.Parallel()
	key := newKey()
	tests := []struct {
		name string
		make func(*testing.T, *fixture) (*x509.Certificate, certs.Request)
		want error
	}{
		{"one day too early", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(242 * day)
			return cert, certs.Request{}
		}, certs.ErrNotDue},
		{"day 60, as issued", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(60 * day)
			return cert, certs.Request{}
		}, certs.ErrNotDue},
		{"expired", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(366 * day)
			return cert, certs.Request{}
		}, certs.ErrChallengeInvalid},
		{"day -60: expired long ago", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(425 * day)
			return cert, certs.Request{}
		}, certs.ErrChallengeInvalid},
		{"revoked", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(300 * day)
			must(f.issuer.Revoke(t.Context(), sum(cert), certs.ReasonKeyCompromise))
			return cert, certs.Request{PublicKey: newKey().Public()}
		}, certs.ErrChallengeInvalid},
		{"its key revoked as lost", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(300 * day)
			must(f.issuer.Revoke(t.Context(), sum(cert), certs.ReasonKeyCompromise))
			return cert, certs.Request{}
		}, certs.ErrChallengeInvalid},
		{"not the newest", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(day)
			f.mailIdentity(t, "e", newKey().Public())
			f.clock.advance(300 * day)
			return cert, certs.Request{}
		}, certs.ErrChallengeInvalid},
		{"not the pinned one", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mdmIdentity(t, "e", phoneKey().Public())
			f.clock.advance(300 * day)
			f.pin("e", "another")
			return cert, certs.Request{PublicKey: phoneKey().Public()}
		}, certs.ErrChallengeInvalid},
		{"signed by itself", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			return copied(t, f.mailIdentity(t, "e", key.Public()), nil, key), certs.Request{}
		}, certs.ErrNotFound},
		{"of a CA with our CA's name", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(300 * day)
			return copied(t, cert, f.authority.Issuing(), newKey()), certs.Request{}
		}, certs.ErrNotFound},
		{"our issuing CA", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			return f.authority.Issuing(), certs.Request{}
		}, certs.ErrNotFound},
		{"our RA", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			return f.authority.RA().Certificate, certs.Request{}
		}, certs.ErrNotFound},
		{"key of another device", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert, other := f.mailIdentity(t, "e", key.Public()), newKey()
			f.mailIdentity(t, "another", other.Public())
			f.clock.advance(300 * day)
			return cert, certs.Request{PublicKey: other.Public()}
		}, certs.ErrKeyRefused},
		{"key of the root", func(t *testing.T, f *fixture) (*x509.Certificate, certs.Request) {
			cert := f.mailIdentity(t, "e", key.Public())
			f.clock.advance(300 * day)
			return cert, certs.Request{PublicKey: f.authority.Root().PublicKey}
		}, certs.ErrKeyRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			signer, r := tt.make(t, f)
			r.TransactionID = "renewal"
			if r.PublicKey == nil {
				r.PublicKey = key.Public()
			}
			issued, open := len(f.store.issued()), len(f.store.challenges)
			if _, err := f.issuer.Renew(t.Context(), signer, r); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(f.store.issued()) != issued || len(f.store.challenges) != open {
				t.Error("something was used or issued")
			}
		})
	}
}

// copied has everything of c but the signature: that is key's.
func copied(t *testing.T, c, issuer *x509.Certificate, key crypto.Signer) *x509.Certificate {
	t.Helper()
	template := *c
	if issuer == nil {
		issuer = &template
	} else {
		copied := *issuer
		copied.PublicKey = key.Public()
		issuer = &copied
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, &template, issuer, c.PublicKey, key))))
}

// TestRenewTrustsNoStore gives it one that grants what it should not.
func TestRenewTrustsNoStore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fixture, *certs.Grant, string){
		"revoked": func(f *fixture, _ *certs.Grant, sha256 string) {
			must(f.issuer.Revoke(context.Background(), sha256, certs.ReasonSuperseded))
		},
		"expired":         func(f *fixture, _ *certs.Grant, _ string) { f.clock.advance(400 * day) },
		"another's grant": func(_ *fixture, g *certs.Grant, _ string) { g.UserID = "user-2" },
		"another rule":    func(_ *fixture, g *certs.Grant, _ string) { g.Rule = certs.RuleMDMIdentity },
	} {
		f := newFixture(t)
		cert := f.mailIdentity(t, "e", newKey().Public())
		f.clock.advance(300 * day)
		granted := mailGrant("e")
		change(f, &granted, sum(cert))
		f.issuer.Renewals = gullible{renewals{f.store}, granted}
		if _, err := f.issuer.Renew(t.Context(), cert, certs.Request{PublicKey: newKey().Public(), TransactionID: "t"}); !errors.Is(err, certs.ErrChallengeInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(f.store.issued()); n != 1 {
			t.Errorf("%s: %d certificates", name, n)
		}
	}
}

type gullible struct {
	renewals
	granted certs.Grant
}

func (g gullible) IssueRenewal(_ context.Context, _ string, _ certs.Claim, _ time.Time, sign certs.Signing) (certs.Certificate, error) {
	cert, _, err := sign(g.granted)
	return cert, err
}

func TestRenewInParallel(t *testing.T) {
	t.Parallel()
	const n = 64
	f := newFixture(t)
	cert := f.mailIdentity(t, "e", newKey().Public())
	f.clock.advance(300 * day)
	keys := make([]*ecdsa.PrivateKey, n)
	for i := range keys {
		keys[i] = newKey()
	}
	renewed := race(n, func(i int) (*x509.Certificate, error) {
		return f.issuer.Renew(t.Context(), cert, certs.Request{PublicKey: keys[i].Public(), TransactionID: fmt.Sprint(i)})
	})
	if len(renewed) != 1 || len(f.store.issued()) != 2 {
		t.Errorf("%d answers, %d certificates, want 1 and 2", len(renewed), len(f.store.issued()))
	}
}

// TestKeyOfAnotherDevice: each phone gets certificates for its own keys alone.
func TestKeyOfAnotherDevice(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	mine, lost := newRSA(), newRSA()
	f.mdmIdentity(t, "e", mine.Public())
	must(f.issuer.Revoke(t.Context(), sum(f.mdmIdentity(t, "e", lost.Public())), certs.ReasonKeyCompromise))
	mail := func(user, enrollment string) certs.Grant {
		g := grant()
		g.Rule, g.InvitationID, g.EnrollmentID, g.UserID = certs.RuleMailIdentity, "", enrollment, user
		return g
	}
	byHand := mail("user-1", "")
	byHand.RequestedBy = "ann"
	for _, tt := range []struct {
		name  string
		grant certs.Grant
		key   crypto.Signer
		want  error
	}{
		{"the same phone", mail("user-1", "e"), mine, nil},
		{"another phone of the same user", mail("user-1", "e-2"), mine, certs.ErrKeyRefused},
		{"another user", mail("user-2", "e"), mine, certs.ErrKeyRefused},
		{"by hand", byHand, mine, certs.ErrKeyRefused},
		{"a phone that enrols", grant(), mine, certs.ErrKeyRefused},
		{"a key that was lost", mail("user-1", "e"), lost, certs.ErrKeyRefused},
		{"by hand with a new key", byHand, newKey(), nil},
	} {
		challenge := f.mint(t, tt.grant)
		_, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: challenge, PublicKey: tt.key.Public(), TransactionID: tt.name})
		if claim := f.store.challenges[string(secret.Hash(challenge.Reveal()))].claim; (claim == nil) != (err != nil) {
			t.Errorf("%s: claim %v", tt.name, claim)
		}
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}
