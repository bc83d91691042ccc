package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	smallstep "github.com/smallstep/pkcs7"
	mozilla "go.mozilla.org/pkcs7"

	"sallyport/internal/bounded"
)

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ecKey() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) }

// pki is a root, an intermediate and what they issue.
type pki struct {
	root, sub       *x509.Certificate
	rootKey, subKey *ecdsa.PrivateKey
	now             time.Time
}

func newPKI(t *testing.T) *pki {
	t.Helper()
	p := &pki{rootKey: ecKey(), subKey: ecKey(), now: time.Now().UTC().Truncate(time.Second)}
	p.root = p.issue(t, "root", p.rootKey.Public(), nil, nil, true, 0)
	p.sub = p.issue(t, "sub", p.subKey.Public(), p.root, p.rootKey, true, 0)
	return p
}

// issue makes a certificate whose validity begins age before now and lasts an hour more than a day.
func (p *pki) issue(t *testing.T, cn string, pub crypto.PublicKey, parent *x509.Certificate, key crypto.Signer, ca bool, age time.Duration, usages ...x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, big.NewInt(1<<62))),
		Subject:      pkix.Name{CommonName: cn},
		NotBefore:    p.now.Add(-time.Hour - age), NotAfter: p.now.Add(24*time.Hour - age),
		BasicConstraintsValid: true, IsCA: ca, ExtKeyUsage: usages,
	}
	if parent == nil {
		parent, key = template, p.rootKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return must(x509.ParseCertificate(der))
}

func (p *pki) identity(t *testing.T, key crypto.Signer, usages ...x509.ExtKeyUsage) Identity {
	t.Helper()
	cert := p.issue(t, "leaf", key.Public(), p.sub, p.subKey, false, 0, usages...)
	return Identity{Certificate: cert, Chain: []*x509.Certificate{p.sub, p.root}, Key: key}
}

func (p *pki) trust() Trust {
	roots := x509.NewCertPool()
	roots.AddCert(p.root)
	return Trust{Roots: roots, Intermediates: []*x509.Certificate{p.sub}, Now: p.now}
}

// onlySigner hides everything of a key but that it signs, as an HSM does.
type onlySigner struct{ key crypto.Signer }

func (o onlySigner) Public() crypto.PublicKey { return o.key.Public() }
func (o onlySigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return o.key.Sign(r, digest, opts)
}

func TestSignVerify(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	content := []byte("<plist/>")
	keys := map[string]crypto.Signer{
		"rsa": rsaKey(), "p256": ecKey(), "p384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
		"rsa behind a signer": onlySigner{rsaKey()}, "p256 behind a signer": onlySigner{ecKey()},
	}
	for name, key := range keys {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			id := p.identity(t, key)
			der, err := Sign(content, id)
			if err != nil {
				t.Fatal(err)
			}
			got, signer, err := Verify(der, p.trust())
			if err != nil || !bytes.Equal(got, content) || !signer.Equal(id.Certificate) {
				t.Errorf("Verify = %q, %v", got, err)
			}
			sig, err := SignDetached(content, id)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(sig, content) {
				t.Error("a detached signature holds the content")
			}
			if _, err := VerifyDetached(sig, content, p.trust()); err != nil {
				t.Error(err)
			}
			if _, err := VerifyDetached(sig, append(content, ' '), p.trust()); !errors.Is(err, ErrSignature) {
				t.Errorf("altered content: %v", err)
			}
			if _, err := VerifyDetached(der, content, p.trust()); !errors.Is(err, ErrMalformed) {
				t.Errorf("attached given as detached: %v", err)
			}
			if _, _, err := Verify(sig, p.trust()); !errors.Is(err, ErrMalformed) {
				t.Errorf("detached given as attached: %v", err)
			}
		})
	}
}

func TestSignRefusesUnusableIdentity(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	good := p.identity(t, ecKey())
	_, edwards, _ := ed25519.GenerateKey(rand.Reader)
	for name, id := range map[string]Identity{
		"empty":       {},
		"no key":      {Certificate: good.Certificate},
		"foreign key": {Certificate: good.Certificate, Key: ecKey()},
		"ed25519":     {Certificate: good.Certificate, Key: edwards},
	} {
		if _, err := Sign([]byte("x"), id); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: got %v, want ErrUnsupported", name, err)
		}
	}
}

func TestVerifyLargeNeedsItsOwnLimit(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	content := bytes.Repeat([]byte("x"), bounded.MaxPlist)
	der, err := Sign(content, p.identity(t, ecKey()))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(der, p.trust()); !errors.Is(err, bounded.ErrTooLarge) || !errors.Is(err, ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed and ErrTooLarge", err)
	}
	trust := p.trust()
	trust.MaxBytes = 2 << 20
	if got, _, err := Verify(der, trust); err != nil || !bytes.Equal(got, content) {
		t.Errorf("with a limit of its own: %v", err)
	}
}

func TestSignRefusesAChainOutOfOrder(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t), newPKI(t)
	id := p.identity(t, ecKey())
	for name, chain := range map[string][]*x509.Certificate{
		"root first":                   {p.root, p.sub},
		"issuer left out":              {p.root},
		"same names, other keys":       {other.sub, other.root},
		"other root":                   {p.sub, other.root},
		"the signer's own certificate": {id.Certificate, p.sub},
		"nothing":                      {nil},
	} {
		id := id
		id.Chain = chain
		for _, key := range []crypto.Signer{id.Key, onlySigner{id.Key}} {
			id.Key = key
			if _, err := Sign([]byte("content"), id); !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: got %v, want ErrUnsupported", name, err)
			}
		}
	}
}

func TestVerifyChain(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t), newPKI(t)
	content := []byte("content")
	signWith := func(id Identity) []byte { return must(Sign(content, id)) }
	client := p.identity(t, ecKey(), x509.ExtKeyUsageClientAuth)
	bare := client
	bare.Chain = nil
	key := ecKey()
	expired := Identity{Certificate: p.issue(t, "old", key.Public(), p.sub, p.subKey, false, 48*time.Hour), Key: key}
	own := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: client.Certificate.Subject, NotBefore: p.now.Add(-time.Hour), NotAfter: p.now.Add(time.Hour)}
	selfSigned := Identity{Certificate: must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, own, own, key.Public(), key)))), Key: key}

	tests := []struct {
		name  string
		der   []byte
		trust func(*Trust)
		want  error
	}{
		{"good", signWith(client), func(*Trust) {}, nil},
		{"good for its usage", signWith(client), func(tr *Trust) { tr.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }, nil},
		{"chain comes from us", signWith(bare), func(*Trust) {}, nil},
		{"chain comes from us and is closed", signWith(bare), func(tr *Trust) { tr.Closed = true }, nil},
		{"chain comes along", signWith(client), func(tr *Trust) { tr.Intermediates = nil }, nil},
		{"chain comes along where it is closed", signWith(client), func(tr *Trust) { tr.Intermediates, tr.Closed = nil, true }, ErrUntrusted},
		{"chain comes from nobody", signWith(bare), func(tr *Trust) { tr.Intermediates = nil }, ErrUntrusted},
		{"wrong usage", signWith(client), func(tr *Trust) { tr.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ErrUntrusted},
		{"foreign CA", signWith(other.identity(t, ecKey())), func(*Trust) {}, ErrUntrusted},
		{"signed by itself", signWith(selfSigned), func(*Trust) {}, ErrUntrusted},
		{"expired, signed now", signWith(expired), func(*Trust) {}, ErrUntrusted},
		{"expired since", signWith(client), func(tr *Trust) { tr.Now = tr.Now.Add(25 * time.Hour) }, ErrUntrusted},
		{"not valid yet", signWith(client), func(tr *Trust) { tr.Now = tr.Now.Add(-2 * time.Hour) }, ErrUntrusted},
		{"no roots", signWith(client), func(tr *Trust) { tr.Roots = nil }, ErrUntrusted},
		{"no time", signWith(client), func(tr *Trust) { tr.Now = time.Time{} }, ErrUntrusted},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			trust := p.trust()
			tt.trust(&trust)
			_, _, err := Verify(tt.der, trust)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// A key that a stranger made is not worked with where only our own authorities
// count: what it costs to verify is the stranger's to choose.
func TestVerifyAsksFirstWhoseTheKeyIs(t *testing.T) {
	t.Parallel()
	p, other := newPKI(t), newPKI(t)
	altered := func(id Identity) []byte {
		return forge(t, id, []byte("content"), func(sd *smallstep.SignedData) {
			s := sd.GetSignedData().SignerInfos[0].EncryptedDigest
			s[len(s)-1] ^= 1
		})
	}
	ours, stranger := altered(p.identity(t, rsaKey())), altered(other.identity(t, rsaKey()))
	for _, tt := range []struct {
		name   string
		der    []byte
		closed bool
		want   error
	}{
		{"a stranger's", stranger, true, ErrUntrusted},
		{"ours", ours, true, ErrSignature},
		{"a stranger's, where anybody's chain may lead to a root", stranger, false, ErrSignature},
		{"ours, where anybody's chain may lead to a root", ours, false, ErrSignature},
	} {
		trust := p.trust()
		trust.Closed = tt.closed
		trust.Known = &Chains{}
		for range 2 { // learns the chain, then knows it
			if _, _, err := Verify(tt.der, trust); !errors.Is(err, tt.want) {
				t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
			}
		}
	}
}

// TestVerifyAtOurTime has an identity that expired yesterday claim that it
// signed the day before: the claim must not count, nor may an honest phone's
// slow clock.
func TestVerifyAtOurTime(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id := p.identity(t, ecKey())
	trust := p.trust()
	trust.Now = p.now.Add(30 * 24 * time.Hour)
	if _, _, err := Verify(must(Sign([]byte("x"), id)), trust); !errors.Is(err, ErrUntrusted) {
		t.Errorf("signing time inside of the validity: got %v, want ErrUntrusted", err)
	}
	key := ecKey()
	future := Identity{Certificate: p.issue(t, "future", key.Public(), p.sub, p.subKey, false, -12*time.Hour), Key: key}
	trust.Now = p.now.Add(12 * time.Hour) // the signing time is before NotBefore now
	if _, _, err := Verify(must(Sign([]byte("x"), future)), trust); err != nil {
		t.Errorf("slow clock: %v", err)
	}
}

// forge signs with chosen attributes.
func forge(t *testing.T, id Identity, content []byte, change func(*smallstep.SignedData)) []byte {
	t.Helper()
	sd := must(smallstep.NewSignedData(content))
	sd.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
	if err := sd.AddSigner(id.Certificate, id.Key, smallstep.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	change(sd)
	return must(sd.Finish())
}

func TestVerifyForged(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id, second := p.identity(t, ecKey()), p.identity(t, ecKey())
	content := []byte("content")
	good := forge(t, id, content, func(*smallstep.SignedData) {})
	if _, _, err := Verify(good, p.trust()); err != nil {
		t.Fatal(err)
	}
	attributesAsContent := func() []byte {
		sd := must(smallstep.NewSignedData(content))
		sd.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
		if err := sd.AddSigner(id.Certificate, id.Key, smallstep.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		info := sd.GetSignedData().SignerInfos[0]
		set := must(asn1.MarshalWithParams(info.AuthenticatedAttributes, "set"))
		again := must(smallstep.NewSignedData(set))
		again.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
		if err := again.AddSigner(id.Certificate, id.Key, smallstep.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
		infos := again.GetSignedData().SignerInfos
		infos[0].AuthenticatedAttributes, infos[0].EncryptedDigest = nil, info.EncryptedDigest
		return must(again.Finish())
	}
	tests := []struct {
		name string
		der  []byte
		want error
	}{
		{"two signers", forge(t, id, content, func(sd *smallstep.SignedData) {
			_ = sd.AddSigner(second.Certificate, second.Key, smallstep.SignerInfoConfig{})
		}), ErrMalformed},
		{"no signer", Degenerate(id.Certificate), ErrMalformed},
		{"attributes removed", forge(t, id, content, (*smallstep.SignedData).RemoveAuthenticatedAttributes), ErrSignature},
		{"attributes as content", attributesAsContent(), ErrSignature},
		{"digest renamed", forge(t, id, content, func(sd *smallstep.SignedData) {
			sd.GetSignedData().SignerInfos[0].DigestAlgorithm.Algorithm = smallstep.OIDDigestAlgorithmSHA384
		}), ErrSignature},
		{"digest unknown", forge(t, id, content, func(sd *smallstep.SignedData) {
			sd.GetSignedData().SignerInfos[0].DigestAlgorithm.Algorithm = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 5}
		}), ErrSignature},
		{"signature altered", forge(t, id, content, func(sd *smallstep.SignedData) {
			s := sd.GetSignedData().SignerInfos[0].EncryptedDigest
			s[len(s)-1] ^= 1
		}), ErrSignature},
		{"content altered", bytes.Replace(good, content, []byte("CONTENT"), 1), ErrSignature},
		{"other signer named", forge(t, id, content, func(sd *smallstep.SignedData) {
			sd.AddCertificate(second.Certificate)
			sd.GetSignedData().SignerInfos[0].IssuerAndSerialNumber.SerialNumber = second.Certificate.SerialNumber
		}), ErrSignature},
		{"signer not sent", forge(t, id, content, func(sd *smallstep.SignedData) {
			sd.GetSignedData().SignerInfos[0].IssuerAndSerialNumber.SerialNumber = big.NewInt(1)
		}), ErrMalformed},
		{"trailing byte", append(bytes.Clone(good), 0), ErrMalformed},
		{"cut", good[:len(good)-1], ErrMalformed},
		{"empty", nil, ErrMalformed},
		{"envelope", must(Encrypt(content, p.identity(t, rsaKey()).Certificate)), ErrMalformed},
	}
	for _, tt := range tests {
		if _, _, err := Verify(tt.der, p.trust()); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestVerifyWithoutAttributes(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	sd := must(smallstep.NewSignedData([]byte("content")))
	sd.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
	if err := sd.SignWithoutAttr(id.Certificate, id.Key, smallstep.SignerInfoConfig{}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Verify(must(sd.Finish()), p.trust()); err != nil {
		t.Error(err)
	}
}

func bombs() map[string][]byte {
	nest := func(unit string, n int) []byte { return []byte(strings.Repeat(unit, n)) }
	return map[string][]byte{
		"64 KB indefinite":   nest("\x30\x80", bounded.MaxCMS/2),
		"4 MB indefinite":    nest("\x30\x80", 2<<20),
		"64 KB octet string": nest("\x24\x80", bounded.MaxCMS/2),
		"33 levels":          append(nest("\x30\x80", 33), append([]byte{5, 0}, nest("\x00\x00", 33)...)...),
		"tag without length": {0x30},
		"length in the air":  {0x30, 0x81},
	}
}

func TestBombsAreRefusedByCount(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	for name, bomb := range bombs() {
		want := bounded.ErrTooDeep
		switch {
		case len(bomb) > bounded.MaxCMS:
			want = bounded.ErrTooLarge
		case len(bomb) < 3:
			want = bounded.ErrMalformed
		}
		_, _, verify := Verify(bomb, p.trust())
		_, detached := VerifyDetached(bomb, []byte("x"), p.trust())
		_, decrypt := Decrypt(bomb, id.Certificate, rsaKey())
		_, request := ParseSCEP(bomb)
		_, envelope := ParseEnvelope(bomb)
		for door, err := range map[string]error{"Verify": verify, "VerifyDetached": detached, "Decrypt": decrypt, "ParseSCEP": request, "ParseEnvelope": envelope} {
			if !errors.Is(err, want) || !errors.Is(err, ErrMalformed) {
				t.Errorf("%s of %s: got %v, want %v", door, name, err, want)
			}
		}
	}
}

// TestHugeKeysAreRefusedBeforeUse sends keys that take seconds to verify with,
// as the signer's and as that of a certificate that might stand above it.
func TestHugeKeysAreRefusedBeforeUse(t *testing.T) {
	t.Parallel()
	p := newPKI(t)
	modulus := new(big.Int).Lsh(big.NewInt(1), 200_000)
	huge := &rsa.PublicKey{N: modulus.SetBit(modulus, 0, 1), E: 1<<31 - 1}
	cert := p.issue(t, "huge", huge, p.sub, p.subKey, true, 0)
	id := p.identity(t, ecKey())
	for name, der := range map[string][]byte{
		"signer": forge(t, id, []byte("x"), func(sd *smallstep.SignedData) {
			sd.AddCertificate(cert)
			sd.GetSignedData().SignerInfos[0].IssuerAndSerialNumber.SerialNumber = cert.SerialNumber
		}),
		"crowd": forge(t, id, []byte("x"), func(sd *smallstep.SignedData) {
			for range maxCertificates {
				sd.AddCertificate(id.Certificate)
			}
		}),
		"above": forge(t, id, []byte("x"), func(sd *smallstep.SignedData) { sd.AddCertificate(cert) }),
	} {
		if _, _, err := Verify(der, p.trust()); !errors.Is(err, bounded.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
		if _, err := ParseSCEP(der); !errors.Is(err, bounded.ErrTooLarge) {
			t.Errorf("%s over SCEP: got %v, want ErrTooLarge", name, err)
		}
	}
}

// TestNeighboursSettings has the package variables of both libraries at their
// worst, as a neighbour might leave them.
func TestNeighboursSettings(t *testing.T) {
	if smallstep.ContentEncryptionAlgorithm != smallstep.EncryptionAlgorithmDESCBC ||
		mozilla.ContentEncryptionAlgorithm != mozilla.EncryptionAlgorithmDESCBC {
		t.Fatal("this package or a library changed the variables")
	}
	p := newPKI(t)
	id := p.identity(t, rsaKey())
	e, err := ParseEnvelope(must(Encrypt([]byte("x"), id.Certificate)))
	if err != nil || e.Cipher != AES256 {
		t.Errorf("Encrypt uses %q, %v", e.Cipher, err)
	}
	for _, key := range []crypto.Signer{rsaKey(), onlySigner{rsaKey()}} {
		s := must(parseSigned(must(Sign([]byte("x"), p.identity(t, key))), bounded.MaxCMS))
		if s.digest != crypto.SHA256 {
			t.Errorf("Sign uses %v", s.digest)
		}
	}
}
