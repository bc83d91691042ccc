package scep

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

func TestRenewal(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	old := identity(t, f)
	f.skew = 300 * day
	p := newPhone(f, "no renewal needs one")
	p.messageType, p.cert, p.transaction = "17", old, "renewal"
	successor := must(rsa.GenerateKey(rand.Reader, 2048))
	p.csrKey = successor
	p.template.Subject.CommonName = "Administrator"
	row := p.issues(t, f)
	renewed := must(x509.ParseCertificate(row.DER))
	if renewed.Subject.String() != old.Subject.String() || !successor.PublicKey.Equal(renewed.PublicKey) || renewed.SerialNumber.Cmp(old.SerialNumber) == 0 {
		t.Errorf("renewed as %s", renewed.Subject)
	}
	f.skew = 500 * day // the answer was lost, and the phone off for months
	if _, _, err := f.Do(t.Context(), "PKIOperation", p.message(t)); err != nil {
		t.Fatal(err)
	}
	if issued, refused := f.store.count(); issued != 2 || refused != 0 {
		t.Errorf("the same transaction again: %d issued, %d refused (%s)", issued, refused, f.store.lastReason())
	}
	again := newPhone(f, "")
	again.messageType, again.cert, again.transaction = "17", old, "another"
	again.refusedWith(t, f, scep.BadCertID)
}

// TestRenewalByRequest is what certmonger does: a PKCSReq signed by the
// certificate that is due, with the challenge of long ago.
func TestRenewalByRequest(t *testing.T) {
	t.Parallel()
	another := must(rsa.GenerateKey(rand.Reader, 2048))
	for name, change := range map[string]func(*phone){
		"the same transaction and key": func(*phone) {},
		"a new key": func(p *phone) {
			p.csrKey = another
			p.transaction = "transaction-2"
		},
		"no challenge": func(p *phone) { p.challenge = ""; p.transaction = "transaction-2" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, f.mint(t))
			old := must(x509.ParseCertificate(p.issues(t, f).DER))
			request := func() *phone {
				p := newPhone(f, p.challenge)
				p.cert = old
				change(p)
				return p
			}
			if name == "the same transaction and key" { // not due: what it has
				if reply := request().send(t, f); reply.PKIStatus != scep.SUCCESS || !reply.Certificate.Equal(old) {
					t.Error("before it is due: another certificate")
				}
			}
			f.skew = 300 * day
			for range 2 { // the second time is a retry
				if _, _, err := f.Do(t.Context(), "PKIOperation", request().message(t)); err != nil {
					t.Fatal(err)
				}
				if issued, refused := f.store.count(); issued != 2 || refused != 0 {
					t.Errorf("%d issued, %d refused (%s)", issued, refused, f.store.lastReason())
				}
			}
			f.store.revoke(f.now())
			p = newPhone(f, p.challenge)
			p.cert, p.transaction = old, "transaction-3"
			p.refusedWith(t, f, scep.BadRequest)
		})
	}
}

// TestEnrolsAnew: a certificate of ours that is not due may sign for another key, with
// a challenge that is new, as long as it is valid itself.
func TestEnrolsAnew(t *testing.T) {
	t.Parallel()
	another := must(rsa.GenerateKey(rand.Reader, 2048))
	f := newFixture(t)
	old := identity(t, f)
	anew := func(transaction string) *phone {
		p := newPhone(f, f.mint(t))
		p.cert, p.csrKey, p.transaction = old, another, transaction
		return p
	}
	if reply := anew("anew").send(t, f); reply.PKIStatus != scep.SUCCESS || !another.PublicKey.Equal(reply.Certificate.PublicKey) {
		t.Error(f.store.lastReason())
	}
	f.store.revoke(f.now())
	anew("revoked").refusedWith(t, f, scep.BadRequest)
	if issued, _ := f.store.count(); issued != 2 {
		t.Errorf("%d certificates, want 2", issued)
	}
}

// TestRenewalRefused: the signer's signature holds in all of these.
func TestRenewalRefused(t *testing.T) {
	t.Parallel()
	stranger := must(rsa.GenerateKey(rand.Reader, 2048))
	tests := []struct {
		name   string
		change func(*testing.T, *fixture, *phone)
		want   scep.FailInfo
	}{
		{"not due", func(*testing.T, *fixture, *phone) {}, scep.BadRequest},
		{"day 60", func(_ *testing.T, f *fixture, _ *phone) { f.skew = 60 * day }, scep.BadRequest},
		// What the library signs says when: the signing time is 366 days ago, when the certificate was good.
		{"expired, and dated back", func(_ *testing.T, f *fixture, _ *phone) { f.skew = 366 * day }, scep.BadCertID},
		{"expired for 60 days, and dated back", func(_ *testing.T, f *fixture, _ *phone) { f.skew = 425 * day }, scep.BadCertID},
		{"revoked", func(_ *testing.T, f *fixture, _ *phone) {
			f.skew = 300 * day
			f.store.revoke(f.now())
		}, scep.BadCertID},
		{"foreign CA", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.cert, p.key = foreign(stranger), stranger
		}, scep.BadMessageCheck},
		{"signed by itself", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.cert = selfSigned(phoneKey())
		}, scep.BadMessageCheck},
		{"a copy of it made by ourselves", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.cert, p.key = impostor(p.cert, stranger), stranger
		}, scep.BadMessageCheck},
		{"the certificate itself, signed with another key", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.key = stranger
		}, scep.BadMessageCheck},
		// Its key is not RSA: nobody looks at the signature.
		{"our issuing CA", func(_ *testing.T, f *fixture, p *phone) { p.cert = f.Authority.Issuing() }, scep.BadAlg},
		{"another device's key", func(t *testing.T, f *fixture, p *phone) {
			other := newPhone(f, f.mint(t))
			other.csrKey, other.transaction = stranger, "other"
			other.key, other.cert = stranger, selfSigned(stranger)
			other.issues(t, f)
			f.store.mu.Lock()
			f.store.rows[1].UserID = "user-2"
			f.store.mu.Unlock()
			f.skew = 300 * day
			p.csrKey = stranger
		}, scep.BadAlg},
		{"the RA's key", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.csrKey = f.Authority.RA().Key
		}, scep.BadAlg},
		{"SHA-1", func(_ *testing.T, f *fixture, p *phone) {
			f.skew = 300 * day
			p.digest = pkcs7.OIDDigestAlgorithmSHA1
		}, scep.BadAlg},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, "")
			p.messageType, p.cert, p.transaction = "17", identity(t, f), "renewal"
			tt.change(t, f, p)
			claims := f.store.claims()
			p.refusedWith(t, f, tt.want)
			if f.store.claims() != claims {
				t.Error("something was claimed")
			}
		})
	}
}

// foreign is a certificate of a CA that nobody here knows.
func foreign(key *rsa.PrivateKey) *x509.Certificate {
	ca := selfSigned(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)))
	caKey := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	ca.PublicKey = caKey.Public()
	template := selfSigned(key)
	template.SignatureAlgorithm = x509.UnknownSignatureAlgorithm
	template.NotAfter = time.Now().Add(365 * day)
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey))))
}
