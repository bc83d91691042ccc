package scep

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/smallstep/scep"

	"sallyport/certs"
)

// TestManagementIdentityIsRSA: profiles are encrypted to it, and that is done by RSA
// alone. A phone with another key would be enrolled and never get its mail.
func TestManagementIdentityIsRSA(t *testing.T) {
	t.Parallel()
	successor := must(rsa.GenerateKey(rand.Reader, 2048))
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384()} {
		elliptical := must(ecdsa.GenerateKey(curve, rand.Reader))
		t.Run("first, "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			challenge := f.mint(t)
			p := newPhone(f, challenge)
			p.csrKey = elliptical
			p.refusedForRSA(t, f)
			if !f.store.challengesUntouched() {
				t.Error("the challenge was used up")
			}
			newPhone(f, challenge).issues(t, f) // in the same transaction, too
		})
		for form, messageType := range map[string]string{"RenewalReq": "17", "PKCSReq": "19"} {
			t.Run(form+" of a renewal, "+name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				old := identity(t, f)
				f.skew = 300 * day
				renewal := func(key crypto.Signer) *phone {
					p := newPhone(f, "")
					p.messageType, p.cert, p.transaction, p.csrKey = messageType, old, "renewal", key
					return p
				}
				claims := f.store.claims()
				renewal(elliptical).refusedForRSA(t, f)
				if f.store.claims() != claims {
					t.Error("the renewal was used up")
				}
				renewed := must(x509.ParseCertificate(renewal(successor).issues(t, f).DER))
				if !successor.PublicKey.Equal(renewed.PublicKey) {
					t.Error("renewed for another key")
				}
			})
		}
		t.Run("mail identity, "+name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, f.mintFor(t, mailGrant()))
			p.csrKey = elliptical
			if row := p.issues(t, f); row.Rule != certs.RuleMailIdentity {
				t.Errorf("got one of the rule %s", row.Rule)
			}
		})
	}
}

// refusedForRSA expects a refusal whose audit row says what is to be done.
func (p *phone) refusedForRSA(t *testing.T, f *fixture) {
	t.Helper()
	p.refusedWith(t, f, scep.BadAlg)
	for _, word := range []string{"mdm-identity", "elliptic curve", "ask with an RSA key of 2048 to 4096 bits"} {
		if reason := f.store.lastReason(); !strings.Contains(reason, word) {
			t.Errorf("the trail says %q, and nothing of %q", reason, word)
		}
	}
}
