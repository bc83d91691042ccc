package certs_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

var phoneKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func (f *fixture) mint(t *testing.T, g certs.Grant) secret.Value {
	t.Helper()
	c, err := f.issuer.Mint(t.Context(), g, 15*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIssueFollowsTheRule(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ec := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	mail := mailGrant("enrollment-1")
	for name, tt := range map[string]struct {
		grant certs.Grant
		key   crypto.PublicKey
		usage x509.KeyUsage
	}{
		"mdm rsa": {grant(), phoneKey().Public(), x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment},
		"mail ec": {mail, ec.Public(), x509.KeyUsageDigitalSignature},
	} {
		cert, err := f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, tt.grant), PublicKey: tt.key, TransactionID: "t " + name})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		pool := x509.NewCertPool()
		pool.AddCert(f.authority.Issuing())
		if _, err := cert.Verify(x509.VerifyOptions{Roots: f.authority.Roots(), Intermediates: pool, CurrentTime: f.clock.Now(),
			KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if cert.IsCA || !cert.BasicConstraintsValid || cert.KeyUsage != tt.usage ||
			len(cert.ExtKeyUsage) != 1 || cert.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth {
			t.Errorf("%s: CA %v, usage %b, extended %v", name, cert.IsCA, cert.KeyUsage, cert.ExtKeyUsage)
		}
		if got, want := cert.Subject.String(), "CN=alice@example.test,O=Example"; got != want {
			t.Errorf("%s: subject %s, want %s", name, got, want)
		}
		if len(cert.EmailAddresses) != 1 || cert.EmailAddresses[0] != tt.grant.Mail || len(cert.DNSNames)+len(cert.URIs)+len(cert.IPAddresses) != 0 {
			t.Errorf("%s: names %v %v", name, cert.EmailAddresses, cert.DNSNames)
		}
		if got := upn(t, cert); got != tt.grant.UPN {
			t.Errorf("%s: UPN %q", name, got)
		}
		now := f.clock.Now().UTC()
		if cert.NotBefore.After(now) || now.Sub(cert.NotBefore) > time.Hour+time.Second || cert.NotAfter.Sub(cert.NotBefore) != 365*day {
			t.Errorf("%s: valid from %v to %v", name, cert.NotBefore, cert.NotAfter)
		}
		if !bytes.Equal(cert.AuthorityKeyId, f.authority.Issuing().SubjectKeyId) || len(cert.SubjectKeyId) != 20 {
			t.Errorf("%s: key identifiers", name)
		}
		row, err := f.issuer.Lookup(t.Context(), strings.ToUpper(hexText(secret.Hash(string(cert.Raw)))))
		if err != nil || row.Rule != tt.grant.Rule || row.UserID != "user-1" || row.InvitationID != tt.grant.InvitationID ||
			row.EnrollmentID != tt.grant.EnrollmentID || row.Profile != tt.grant.Profile || row.Issuer != hexText(f.authority.Issuing().SubjectKeyId) ||
			row.KeyHash != hexText(secret.Hash(string(must(x509.MarshalPKIXPublicKey(tt.key))))) || row.Serial != fmt.Sprintf("%x", cert.SerialNumber) {
			t.Errorf("%s: Lookup = %+v, %v", name, row, err)
		}
	}
	if _, err := f.issuer.Lookup(t.Context(), "00"); !errors.Is(err, certs.ErrNotFound) {
		t.Errorf("Lookup of a stranger: %v", err)
	}
}

func TestMintRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	tests := map[string]func(*certs.Grant){
		"no rule":       func(g *certs.Grant) { g.Rule = "" },
		"server rule":   func(g *certs.Grant) { g.Rule = certs.RuleServer },
		"RA rule":       func(g *certs.Grant) { g.Rule = certs.RuleRA },
		"signer rule":   func(g *certs.Grant) { g.Rule = certs.RuleProfileSigner },
		"issuing rule":  func(g *certs.Grant) { g.Rule = "issuing" },
		"no name":       func(g *certs.Grant) { g.CommonName = "" },
		"no user":       func(g *certs.Grant) { g.UserID = "" },
		"no invitation": func(g *certs.Grant) { g.InvitationID = "" },
		"no enrolment":  func(g *certs.Grant) { g.Rule = certs.RuleMailIdentity },
		"MDM by hand":   func(g *certs.Grant) { g.InvitationID, g.RequestedBy = "", "ann" },
		"hand and push": func(g *certs.Grant) {
			g.Rule, g.RequestedBy, g.EnrollmentID = certs.RuleMailIdentity, "ann", "enrollment-1"
		},
		"NUL in UPN": func(g *certs.Grant) { g.UPN = "a\x00b" },
		"bad UTF-8":  func(g *certs.Grant) { g.CommonName = "\xff" },
	}
	for name, change := range tests {
		g := grant()
		change(&g)
		if _, err := f.issuer.Mint(t.Context(), g, time.Minute); !errors.Is(err, certs.ErrGrantInvalid) {
			t.Errorf("%s: got %v, want ErrGrantInvalid", name, err)
		}
	}
	if _, err := f.issuer.Mint(t.Context(), grant(), 0); !errors.Is(err, certs.ErrGrantInvalid) {
		t.Error("a challenge that is expired from the start")
	}
	for _, text := range []string{"", "secret", strings.Repeat("0", 62), strings.Repeat("z", 64)} {
		if err := f.issuer.MintAs(t.Context(), secret.New(text), grant(), time.Minute); !errors.Is(err, certs.ErrGrantInvalid) {
			t.Errorf("a challenge of %d characters that is no 256 bits in hex: %v", len(text), err)
		}
	}
	if len(f.store.challenges) != 0 {
		t.Error("something was stored")
	}
}

func TestMintStoresTheHashOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	a, b := f.mint(t, grant()), f.mint(t, grant())
	if a == b || len(a.Reveal()) != 64 {
		t.Errorf("challenges of %d characters", len(a.Reveal()))
	}
	if stored, ok := f.store.challenges[string(secret.Hash(a.Reveal()))]; !ok || !stored.challenge.ExpiresAt.Equal(stored.challenge.CreatedAt.Add(15*time.Minute)) {
		t.Error("not stored by its hash with its expiry")
	}
}

func TestIssueRefuses(t *testing.T) {
	t.Parallel()
	other := must(rsa.GenerateKey(rand.Reader, 2048))
	tests := []struct {
		name string
		make func(*fixture) certs.Request
		want error
	}{
		{"no challenge", func(*fixture) certs.Request {
			return certs.Request{PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"what a renewal is kept by", func(f *fixture) certs.Request {
			f.store.challenges[string(certs.RenewalHash("ab"))] = &row{challenge: certs.Challenge{Grant: grant(), ExpiresAt: f.clock.Now().Add(time.Hour)}}
			return certs.Request{Challenge: secret.New("renewal of ab"), PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"unknown challenge", func(*fixture) certs.Request {
			return certs.Request{Challenge: secret.New(strings.Repeat("0", 64)), PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"expired", func(f *fixture) certs.Request {
			c := f.mint(t, grant())
			f.clock.advance(15 * time.Minute)
			return certs.Request{Challenge: c, PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"no transaction", func(f *fixture) certs.Request {
			return certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public()}
		}, certs.ErrChallengeInvalid},
		{"endless transaction", func(f *fixture) certs.Request {
			return certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public(), TransactionID: strings.Repeat("t", 256)}
		}, certs.ErrChallengeInvalid},
		{"used by another transaction", func(f *fixture) certs.Request {
			c := f.mint(t, grant())
			must(f.issuer.Issue(t.Context(), certs.Request{Challenge: c, PublicKey: phoneKey().Public(), TransactionID: "first"}))
			return certs.Request{Challenge: c, PublicKey: phoneKey().Public(), TransactionID: "second"}
		}, certs.ErrChallengeInvalid},
		{"used for another key", func(f *fixture) certs.Request {
			c := f.mint(t, grant())
			must(f.issuer.Issue(t.Context(), certs.Request{Challenge: c, PublicKey: other.Public(), TransactionID: "t"}))
			return certs.Request{Challenge: c, PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"a sibling was used", func(f *fixture) certs.Request {
			c := f.mint(t, grant())
			must(f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public(), TransactionID: "t"}))
			return certs.Request{Challenge: c, PublicKey: phoneKey().Public(), TransactionID: "t"}
		}, certs.ErrChallengeInvalid},
		{"key of the root", func(f *fixture) certs.Request {
			return certs.Request{Challenge: f.mint(t, grant()), PublicKey: f.authority.Root().PublicKey, TransactionID: "t"}
		}, certs.ErrKeyRefused},
		{"key of the RA", func(f *fixture) certs.Request {
			return certs.Request{Challenge: f.mint(t, grant()), PublicKey: f.authority.RA().Certificate.PublicKey, TransactionID: "t"}
		}, certs.ErrKeyRefused},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			request := tt.make(f)
			before := len(f.store.issued())
			if _, err := f.issuer.Issue(t.Context(), request); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if len(f.store.issued()) != before {
				t.Error("a certificate was issued")
			}
		})
	}
}

func TestIssueRetriedIsTheSameCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	request := certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public(), TransactionID: "t"}
	first := must(f.issuer.Issue(t.Context(), request))
	f.clock.advance(24 * time.Hour) // long after the challenge expired
	second, err := f.issuer.Issue(t.Context(), request)
	if err != nil || !bytes.Equal(first.Raw, second.Raw) {
		t.Errorf("the retry differs: %v", err)
	}
	if n := len(f.store.issued()); n != 1 {
		t.Errorf("%d certificates", n)
	}
	var done int
	for _, e := range f.store.entries {
		if e.Action == "certificate.issue" && e.Outcome == audit.Done {
			done++
			if e.Target != hexText(secret.Hash(string(first.Raw))) || e.Detail["user"] != "user-1" || e.Detail["transaction"] != "t" {
				t.Errorf("audit entry %+v", e)
			}
		}
	}
	if done != 1 {
		t.Errorf("%d entries", done)
	}
}

// TestTransactionOfAnyBytes: what no database takes for text is kept as its digits.
func TestTransactionOfAnyBytes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	challenge := f.mint(t, grant())
	request := certs.Request{Challenge: challenge, PublicKey: phoneKey().Public(), TransactionID: "a\x00\xff"}
	first := must(f.issuer.Issue(t.Context(), request))
	if id := f.store.challenges[string(secret.Hash(challenge.Reveal()))].claim.TransactionID; id != "hex:6100ff" {
		t.Errorf("kept as %q", id)
	}
	if again := must(f.issuer.Issue(t.Context(), request)); !again.Equal(first) {
		t.Error("the retry differs")
	}
}

// TestIssueNotRecorded: what could not be put on record is not handed out, and leaves
// the challenge for the next try, which is another certificate.
func TestIssueNotRecorded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	request := certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public(), TransactionID: "t"}
	lost := &losing{memory: f.store}
	issuer := &certs.Issuer{Authority: f.authority, Store: lost, Renewals: renewals{f.store}, Now: f.clock.Now}
	if cert, err := issuer.Issue(t.Context(), request); !errors.Is(err, errLost) || cert != nil {
		t.Fatalf("got %v, %v", cert, err)
	}
	cert, err := f.issuer.Issue(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(cert.SerialNumber.Bytes(), lost.serial) || len(lost.serial) == 0 {
		t.Error("the serial of the lost one was used again, or nothing was signed")
	}
}

var errLost = errors.New("the storage is gone")

// losing signs, and then cannot commit.
type losing struct {
	*memory
	serial []byte
}

func (l *losing) Issue(ctx context.Context, hash []byte, claim certs.Claim, now time.Time, sign certs.Signing) (certs.Certificate, error) {
	return l.memory.Issue(ctx, hash, claim, now, func(g certs.Grant) (certs.Certificate, audit.Entry, error) {
		cert, _, err := sign(g)
		if err == nil {
			l.serial, err = must(hex.DecodeString(cert.Serial)), errLost
		}
		return certs.Certificate{}, audit.Entry{}, err
	})
}

func TestIssueInParallel(t *testing.T) {
	t.Parallel()
	const n = 64
	keys := make([]*ecdsa.PrivateKey, n)
	for i := range keys {
		keys[i] = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	}
	t.Run("one challenge, 64 phones", func(t *testing.T) {
		f := newFixture(t)
		challenge := f.mint(t, mailGrant("enrollment-1"))
		certificates := race(n, func(i int) (*x509.Certificate, error) {
			return f.issuer.Issue(t.Context(), certs.Request{Challenge: challenge, PublicKey: keys[i].Public(), TransactionID: fmt.Sprint(i)})
		})
		if len(certificates) != 1 || len(f.store.issued()) != 1 {
			t.Errorf("%d answers, %d certificates, want 1", len(certificates), len(f.store.issued()))
		}
	})
	t.Run("one transaction 64 times", func(t *testing.T) {
		f := newFixture(t)
		challenge := f.mint(t, mailGrant("enrollment-1"))
		certificates := race(n, func(int) (*x509.Certificate, error) {
			return f.issuer.Issue(t.Context(), certs.Request{Challenge: challenge, PublicKey: keys[0].Public(), TransactionID: "t"})
		})
		if len(certificates) != n || len(f.store.issued()) != 1 {
			t.Errorf("%d answers, %d certificates, want %d and 1", len(certificates), len(f.store.issued()), n)
		}
		for _, c := range certificates {
			if !bytes.Equal(c.Raw, certificates[0].Raw) {
				t.Fatal("two certificates for one transaction")
			}
		}
	})
}

// race runs f n times at once and returns what succeeded.
func race(n int, f func(i int) (*x509.Certificate, error)) []*x509.Certificate {
	var (
		mu   sync.Mutex
		list []*x509.Certificate
		wg   sync.WaitGroup
	)
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			if cert, err := f(i); err == nil {
				mu.Lock()
				list = append(list, cert)
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	return list
}

// TestStoreThatMixesUpClaims must not lead to a certificate for whoever does not have its key.
func TestStoreThatMixesUpClaims(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	must(f.issuer.Issue(t.Context(), certs.Request{Challenge: f.mint(t, grant()), PublicKey: newRSA().Public(), TransactionID: "t"}))
	request := certs.Request{Challenge: f.mint(t, grant()), PublicKey: phoneKey().Public(), TransactionID: "t"}
	issuer := &certs.Issuer{Authority: f.authority, Store: confused{f.store}, Renewals: renewals{f.store}, Now: f.clock.Now}
	if cert, err := issuer.Issue(t.Context(), request); !errors.Is(err, certs.ErrChallengeInvalid) || cert != nil {
		t.Errorf("got %v, %v, want ErrChallengeInvalid", cert, err)
	}
}

// confused answers with whatever was issued first.
type confused struct{ *memory }

func (c confused) Issue(context.Context, []byte, certs.Claim, time.Time, certs.Signing) (certs.Certificate, error) {
	return c.issued()[0], nil
}
