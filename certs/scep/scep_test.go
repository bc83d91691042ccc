package scep

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"
)

func TestGetCACaps(t *testing.T) {
	t.Parallel()
	contentType, body, err := newFixture(t).Do(t.Context(), "GetCACaps", nil)
	if err != nil || contentType != "text/plain" {
		t.Fatal(contentType, err)
	}
	if got, want := string(body), "POSTPKIOperation\nRenewal\nSHA-256\nSHA-512\nSHA-384\nAES\nSCEPStandard"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGetCACert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	contentType, body, err := f.Do(t.Context(), "GetCACert", nil)
	if err != nil || contentType != "application/x-x509-ca-ra-cert" {
		t.Fatal(contentType, err)
	}
	list, err := scep.CACerts(body)
	if err != nil || len(list) != 3 || !list[0].Equal(f.Authority.RA().Certificate) ||
		!list[1].Equal(f.Authority.Issuing()) || !list[2].Equal(f.Authority.Root()) {
		t.Errorf("%d certificates, %v; want RA, issuing, root", len(list), err)
	}
}

// TestBundle: one certificate is not wrapped, and has a type of its own.
func TestBundle(t *testing.T) {
	t.Parallel()
	root := newFixture(t).Authority.Root()
	contentType, body := bundle([]*x509.Certificate{root})
	if contentType != "application/x-x509-ca-cert" || !bytes.Equal(body, root.Raw) {
		t.Error(contentType)
	}
	if contentType, _ = bundle([]*x509.Certificate{root, root}); contentType != "application/x-x509-ca-ra-cert" {
		t.Error(contentType)
	}
}

func TestUnknownOperations(t *testing.T) {
	t.Parallel()
	for _, operation := range []string{"", "GetNextCACert", "getcacaps", "PKIOperation ", "\x00"} {
		if _, _, err := newFixture(t).Do(t.Context(), operation, []byte("x")); !errors.Is(err, ErrBadRequest) {
			t.Errorf("%q: got %v, want ErrBadRequest", operation, err)
		}
	}
}

// TestReplyMirrorsTheRequest: clients take less than they offer.
func TestReplyMirrorsTheRequest(t *testing.T) {
	t.Parallel()
	digests := map[string]asn1.ObjectIdentifier{
		"SHA-256": pkcs7.OIDDigestAlgorithmSHA256, "SHA-384": pkcs7.OIDDigestAlgorithmSHA384,
		"SHA-512": pkcs7.OIDDigestAlgorithmSHA512, "SHA-1": pkcs7.OIDDigestAlgorithmSHA1,
	}
	ciphers := map[string]struct {
		code int
		oid  asn1.ObjectIdentifier
	}{
		"AES-128": {pkcs7.EncryptionAlgorithmAES128CBC, pkcs7.OIDEncryptionAlgorithmAES128CBC},
		"AES-256": {pkcs7.EncryptionAlgorithmAES256CBC, pkcs7.OIDEncryptionAlgorithmAES256CBC},
		"DES":     {pkcs7.EncryptionAlgorithmDESCBC, pkcs7.OIDEncryptionAlgorithmDESCBC},
		"AES-GCM": {pkcs7.EncryptionAlgorithmAES256GCM, nil},
	}
	for digestName, digest := range digests {
		for cipherName, cipher := range ciphers {
			for _, legacy := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %s legacy=%v", digestName, cipherName, legacy), func(t *testing.T) {
					t.Parallel()
					f := newFixture(t)
					f.Legacy = legacy
					p := newPhone(f, f.mint(t))
					p.digest, p.cipher = digest, cipher.code
					if cipherName == "AES-GCM" || !legacy && (digestName == "SHA-1" || cipherName == "DES") {
						p.refusedWith(t, f, scep.BadAlg)
						return
					}
					_, body, err := f.Do(t.Context(), "PKIOperation", p.message(t))
					if err != nil {
						t.Fatal(err)
					}
					reply := p.read(t, body)
					if reply.PKIStatus != scep.SUCCESS {
						t.Fatalf("status %s: %s", reply.PKIStatus, f.store.lastReason())
					}
					p7 := must(pkcs7.Parse(body))
					info := p7.Signers[0]
					if !info.DigestAlgorithm.Algorithm.Equal(digest) || !info.DigestEncryptionAlgorithm.Algorithm.Equal(pkcs7.OIDEncryptionAlgorithmRSA) {
						t.Errorf("signed with %v and %v", info.DigestAlgorithm.Algorithm, info.DigestEncryptionAlgorithm.Algorithm)
					}
					if oid := must(asn1.Marshal(cipher.oid)); !bytes.Contains(p7.Content, oid) {
						t.Error("the reply is not in the request's cipher")
					}
					if !p7.GetOnlySigner().Equal(f.Authority.RA().Certificate) {
						t.Error("not signed by the RA")
					}
				})
			}
		}
	}
}

func TestRetryGivesTheSameCertificate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := newPhone(f, f.mint(t))
	message := p.message(t)
	var first *x509.Certificate
	for range 3 {
		_, body, err := f.Do(t.Context(), "PKIOperation", message)
		if err != nil {
			t.Fatal(err)
		}
		cert := p.read(t, body).Certificate
		if first != nil && !first.Equal(cert) {
			t.Error("a retry gave another certificate")
		}
		first = cert
		f.skew += 12 * time.Hour // beyond the challenge's life
	}
	again := newPhone(f, p.challenge) // the same transaction, encrypted anew
	if reply := again.send(t, f); reply.PKIStatus != scep.SUCCESS || !reply.Certificate.Equal(first) {
		t.Error("a rebuilt message gave another certificate")
	}
	other := newPhone(f, p.challenge)
	other.transaction = "transaction-2"
	other.refusedWith(t, f, scep.BadRequest)
}

func TestParallelUsesOfOneChallenge(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	challenge := f.mintFor(t, mailGrant())
	const n = 64
	messages := make([][]byte, n)
	phones := make([]*phone, n)
	for i := range n {
		phones[i] = newPhone(f, challenge)
		phones[i].transaction = fmt.Sprint("transaction-", i)
		phones[i].csrKey = must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
		messages[i] = phones[i].message(t)
	}
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		success int
		start   = make(chan struct{})
	)
	for i := range n {
		wg.Go(func() {
			<-start
			_, body, err := f.Do(t.Context(), "PKIOperation", messages[i])
			if err != nil {
				t.Error(err)
				return
			}
			if phones[i].read(t, body).PKIStatus == scep.SUCCESS {
				mu.Lock()
				success++
				mu.Unlock()
			}
		})
	}
	close(start)
	wg.Wait()
	if issued, refused := f.store.count(); issued != 1 || success != 1 || refused != n-1 {
		t.Errorf("%d issued, %d successes, %d refusals; want 1, 1, %d", issued, success, refused, n-1)
	}
}

// TestForeignNames asks for 40 things that our rule does not give.
func TestForeignNames(t *testing.T) {
	t.Parallel()
	subjects := []pkix.Name{
		{CommonName: "Administrator"}, {CommonName: "root", Organization: []string{"Domain Admins"}},
		{CommonName: "bob@example.test"}, {}, {CommonName: strings.Repeat("x", 500)},
		{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "bob@example.test"}}},
		{CommonName: "a\x00b"}, {CommonName: "Example Root CA", Organization: []string{"Example"}},
	}
	extension := func(oid asn1.ObjectIdentifier, critical bool, value any) pkix.Extension {
		return pkix.Extension{Id: oid, Critical: critical, Value: must(asn1.Marshal(value))}
	}
	type constraints struct {
		CA   bool
		Path int
	}
	requests := []x509.CertificateRequest{
		{},
		{DNSNames: []string{"localhost", "mail.example.test"}, EmailAddresses: []string{"bob@example.test"}},
		{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, URIs: []*url.URL{{Scheme: "https", Host: "example.test"}}},
		{ExtraExtensions: []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 19}, true, constraints{true, 5})}},
		{ExtraExtensions: []pkix.Extension{extension(asn1.ObjectIdentifier{2, 5, 29, 37}, false, []asn1.ObjectIdentifier{
			{1, 3, 6, 1, 5, 5, 7, 3, 1}, {1, 3, 6, 1, 4, 1, 311, 20, 2, 2}, {2, 5, 29, 37, 0}})}},
	}
	n := 0
	for i, subject := range subjects {
		for j, template := range requests {
			n++
			t.Run(fmt.Sprintf("%d/%d", i, j), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				p := newPhone(f, f.mint(t))
				p.template = template
				p.template.Subject = subject
				reply := p.send(t, f)
				if reply.PKIStatus != scep.SUCCESS {
					t.Fatal(f.store.lastReason())
				}
				c := reply.Certificate
				if c.Subject.String() != "CN=alice@example.test,O=Example" || c.IsCA || c.MaxPathLen != -1 ||
					len(c.DNSNames)+len(c.IPAddresses)+len(c.URIs) != 0 ||
					len(c.EmailAddresses) != 1 || c.EmailAddresses[0] != "alice@example.test" ||
					len(c.ExtKeyUsage) != 1 || c.ExtKeyUsage[0] != x509.ExtKeyUsageClientAuth || len(c.UnknownExtKeyUsage) != 0 ||
					c.KeyUsage != x509.KeyUsageDigitalSignature|x509.KeyUsageKeyEncipherment {
					t.Errorf("the request had its way: %s, CA %v, %v %v, usages %v", c.Subject, c.IsCA, c.DNSNames, c.EmailAddresses, c.ExtKeyUsage)
				}
			})
		}
	}
	if n != 40 {
		t.Errorf("%d requests, want 40", n)
	}
}

func TestWeakKeys(t *testing.T) {
	t.Parallel()
	curve := func(c elliptic.Curve) crypto.Signer { return must(ecdsa.GenerateKey(c, rand.Reader)) }
	for name, tt := range map[string]struct {
		key crypto.Signer
		ok  bool
	}{
		"RSA 1024":      {must(rsa.GenerateKey(rand.Reader, 1024)), false},
		"RSA 2048, e=3": {smallExponent(), false},
		"P-224":         {curve(elliptic.P224()), false},
		"P-521":         {curve(elliptic.P521()), false},
		"P-256":         {curve(elliptic.P256()), true},
		"P-384":         {curve(elliptic.P384()), true},
		"RSA 2048":      {phoneKey(), true},
		"the RA's":      {newFixture(t).Authority.RA().Key, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, f.mintFor(t, mailGrant()))
			p.csrKey = tt.key
			if _, ok := tt.key.(*rsa.PrivateKey); ok {
				p.key, p.cert = tt.key, selfSigned(tt.key)
			}
			if tt.ok {
				if reply := p.send(t, f); reply.PKIStatus != scep.SUCCESS {
					t.Error(f.store.lastReason())
				}
				return
			}
			p.refusedWith(t, f, scep.BadAlg)
			if !f.store.challengesUntouched() {
				t.Error("the challenge was used up")
			}
		})
	}
}

// smallExponent is an RSA key with e=3.
func smallExponent() *rsa.PrivateKey {
	three, one := big.NewInt(3), big.NewInt(1)
	for {
		p, q := must(rand.Prime(rand.Reader, 1024)), must(rand.Prime(rand.Reader, 1024))
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(three, phi)
		n := new(big.Int).Mul(p, q)
		if d == nil || n.BitLen() != 2048 {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: 3}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		return key
	}
}

func TestTroubleOfOurs(t *testing.T) {
	t.Parallel()
	disk := errors.New("disk full")
	t.Run("store", func(t *testing.T) {
		f := newFixture(t)
		p := newPhone(f, f.mint(t))
		f.store.fail = disk
		if _, _, err := f.Do(t.Context(), "PKIOperation", p.message(t)); !errors.Is(err, disk) || errors.Is(err, ErrBadRequest) {
			t.Errorf("got %v", err)
		}
		f.store.fail = nil
		if reply := p.send(t, f); reply.PKIStatus != scep.SUCCESS {
			t.Error("the same message afterwards: " + f.store.lastReason())
		}
	})
	t.Run("audit", func(t *testing.T) {
		f := newFixture(t)
		f.store.mute = disk
		for _, message := range [][]byte{[]byte("x"), newPhone(f, "guess").message(t)} {
			if _, body, err := f.Do(t.Context(), "PKIOperation", message); !errors.Is(err, disk) || errors.Is(err, ErrBadRequest) || body != nil {
				t.Errorf("a refusal without an audit row: %v", err)
			}
		}
	})
}

func TestFormerRA(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	former := f.Authority.RA().Certificate
	f.skew = 500 * 24 * time.Hour
	if err := f.Authority.Maintain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if f.Authority.RA().Certificate.Equal(former) {
		t.Fatal("the RA was not replaced")
	}
	// The library's client does not read a reply from the future: count instead.
	for _, tt := range []struct {
		skew            time.Duration
		issued, refused int
	}{{500 * 24 * time.Hour, 1, 0}, {800 * 24 * time.Hour, 1, 1}} {
		f.skew = tt.skew
		p := newPhone(f, f.mint(t))
		p.recipient = former
		if _, _, err := f.Do(t.Context(), "PKIOperation", p.message(t)); err != nil {
			t.Fatal(err)
		}
		if issued, refused := f.store.count(); issued != tt.issued || refused != tt.refused {
			t.Errorf("after %v: %d issued, %d refused (%s)", tt.skew, issued, refused, f.store.lastReason())
		}
	}
}

func TestAuditRowHasNoSecret(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	p := newPhone(f, strings.Repeat("canary", 10))
	p.transaction = "line\nbreak"
	p.refusedWith(t, f, scep.BadRequest)
	entry := f.store.refused[0]
	if entry.Action != "certificate.issue" || entry.Detail["fail_info"] != "2" || entry.Detail["message_type"] != "19" {
		t.Errorf("entry %+v", entry)
	}
	if text := fmt.Sprint(entry); strings.Contains(text, "canary") || strings.Contains(text, "\n") {
		t.Errorf("entry %q", text)
	}
}
