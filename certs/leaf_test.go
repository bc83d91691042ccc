package certs

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	mathrand "math/rand/v2"
	"testing"
	"time"
)

// TestLeafIsWhatX509Writes makes certificates of every rule that challenges name, with
// random content, by both ways: what is signed is the same to the byte, and the
// signature holds.
func TestLeafIsWhatX509Writes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	var keys []crypto.PublicKey
	for _, kind := range []KeyKind{KeyRSA2048, KeyP256, KeyP384} { // RSA first
		key, err := kind.newKey()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.Public())
	}
	random := mathrand.New(mathrand.NewPCG(1, 2))
	for _, kind := range []KeyKind{KeyP256, KeyP384} {
		active, _ := newFamily(t, kind, now).active()
		for name, r := range issuanceRules {
			if !r.byChallenge {
				continue
			}
			for i, key := range keys {
				if r.rsa && i > 0 {
					continue
				}
				for range 30 {
					c := randomContent(random, r, key, now)
					sameAsX509(t, name, r, c, &active)
				}
			}
		}
	}
}

func sameAsX509(t *testing.T, name RuleName, r rule, c content, issuer *member) {
	t.Helper()
	template, err := r.template(c)
	if err != nil {
		t.Fatal(err)
	}
	raw, ok, err := leaf(template, c.key, issuer)
	if err != nil || !ok {
		t.Fatalf("%s: %t, %v", name, ok, err)
	}
	ours, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatalf("%s: %v\n%x", name, err, raw)
	}
	if err := ours.CheckSignatureFrom(issuer.cert); err != nil {
		t.Errorf("%s: %v", name, err)
	}
	raw, err = x509.CreateCertificate(rand.Reader, template, issuer.cert, c.key, issuer.key)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours.RawTBSCertificate, theirs.RawTBSCertificate) || ours.SignatureAlgorithm != theirs.SignatureAlgorithm {
		t.Fatalf("%s: we write\n%x\nx509 writes\n%x", name, ours.RawTBSCertificate, theirs.RawTBSCertificate)
	}
}

// randomContent has names of any length and alphabet, times on both sides of 2050, and
// addresses of CRLs or none.
func randomContent(random *mathrand.Rand, r rule, key crypto.PublicKey, now time.Time) content {
	text := func(longest int) string {
		alphabet := []rune("abcXYZ019 .-_'@*&+/:=?()äßéñ中文ابج🙂")
		s := make([]rune, 1+random.IntN(longest))
		for i := range s {
			s[i] = alphabet[random.IntN(len(alphabet))]
		}
		return string(s)
	}
	ascii := hex.EncodeToString([]byte(text(20))) + "@example.test"
	c := content{
		subject: pkix.Name{Organization: []string{text(60)}, CommonName: text(60)},
		names:   names{upn: text(120), mail: []string{ascii, text(40) + "ü@example.test"}[random.IntN(2)]},
		serial:  newSerial(), key: key,
	}
	if random.IntN(4) == 0 {
		c.names.upn = ""
	}
	if random.IntN(4) == 0 && !r.mail {
		c.names.mail = ""
	}
	if random.IntN(2) == 0 {
		c.crl = []string{"http://crl.example.test/crl/" + hex.EncodeToString(newSerial()) + ".crl"}
	}
	c.notBefore, c.notAfter = r.period(now.AddDate(random.IntN(40), random.IntN(12), random.IntN(30)).Add(time.Duration(random.IntN(86400)) * time.Second))
	return c
}

// TestLeafByOtherKeys: where the issuing key is RSA, x509 signs.
func TestLeafByOtherKeys(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	active, _ := newFamily(t, KeyRSA2048, now).active()
	key, err := KeyP256.newKey()
	if err != nil {
		t.Fatal(err)
	}
	r := issuanceRules[RuleMailIdentity]
	c := content{subject: pkix.Name{CommonName: "phone"}, serial: newSerial(), key: key.Public()}
	c.notBefore, c.notAfter = r.period(now)
	cert, err := sign(r, c, &active, nil)
	if err != nil || cert.SignatureAlgorithm != x509.SHA256WithRSA || cert.CheckSignatureFrom(active.cert) != nil {
		t.Errorf("got %v, %v", cert, err)
	}
}
