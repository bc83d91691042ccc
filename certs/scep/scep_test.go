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

	"sallyport/internal/bounded"
)

func TestGetCACaps(t *testing.T) {
	t.Parallel()
	contentType, body, err := newFixture(t).Do(t.Context(), "GetCACaps", nil)
	if err != nil || contentType != "text/plain" {
		t.Fatal(contentType, err)
	}
	if got, want := string(body), "POSTPKIOperation\nSHA-256\nSHA-512\nSHA-384\nAES\nSCEPStandard"; got != want {
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
		library int
		oid     asn1.ObjectIdentifier
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
					p.digest, p.cipher = digest, cipher.library
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
	challenge := f.mint(t)
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
			p := newPhone(f, f.mint(t))
			p.csrKey = tt.key
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

// TestMessageTypes: of all types, with and without a challenge, one cell issues.
func TestMessageTypes(t *testing.T) {
	t.Parallel()
	for _, messageType := range []any{"3", "17", "18", "19", "20", "21", "22", "0", "1", "", "119", "19 ", " 19", "019", "1９", nil, 19, []byte("19")} {
		for _, challenge := range []string{"good", "guessed", "none"} {
			t.Run(fmt.Sprintf("%v %s", messageType, challenge), func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				p := newPhone(f, "")
				good := f.mint(t)
				switch challenge {
				case "good":
					p.challenge = good
				case "guessed":
					p.challenge = strings.Repeat("0", 64)
				}
				p.messageType = messageType
				if messageType == "19" && challenge == "good" {
					if reply := p.send(t, f); reply.PKIStatus != scep.SUCCESS {
						t.Error(f.store.lastReason())
					}
					return
				}
				p.refusedWith(t, f, scep.BadRequest)
				if !f.store.challengesUntouched() {
					t.Error("the challenge was used up")
				}
			})
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	ec := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	short := must(rsa.GenerateKey(rand.Reader, 1024))
	tests := []struct {
		name   string
		change func(*testing.T, *fixture, *phone)
		want   scep.FailInfo
	}{
		{"challenge expired", func(_ *testing.T, f *fixture, _ *phone) { f.skew = 2 * time.Hour }, scep.BadRequest},
		{"EC requester, to whom nobody can encrypt", func(_ *testing.T, _ *fixture, p *phone) { p.key, p.cert = ec, selfSigned(ec) }, scep.BadAlg},
		{"RSA requester of 1024 bits", func(_ *testing.T, _ *fixture, p *phone) { p.key, p.cert = short, selfSigned(short) }, scep.BadAlg},
		{"encrypted to the issuing CA's name", func(_ *testing.T, _ *fixture, p *phone) { p.recipient = p.cert }, scep.BadMessageCheck},
		{"no envelope", func(_ *testing.T, _ *fixture, p *phone) { p.envelope = []byte("hello") }, scep.BadMessageCheck},
		{"signed data for an envelope", func(t *testing.T, f *fixture, p *phone) { p.envelope = newPhone(f, "").message(t) }, scep.BadMessageCheck},
		{"nothing encrypted", func(_ *testing.T, _ *fixture, p *phone) { p.csr = []byte{} }, scep.BadMessageCheck},
		{"no request encrypted", func(_ *testing.T, _ *fixture, p *phone) { p.csr = []byte("hello") }, scep.BadMessageCheck},
		{"a certificate for a request", func(_ *testing.T, _ *fixture, p *phone) { p.csr = p.cert.Raw }, scep.BadMessageCheck},
		{"request with a key of 200,000 bits", func(_ *testing.T, _ *fixture, p *phone) { p.csr = hugeRequest(p) }, scep.BadMessageCheck},
		{"request of another's key", func(_ *testing.T, _ *fixture, p *phone) { p.csr = swapSignature(p) }, scep.BadMessageCheck},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			p := newPhone(f, f.mint(t))
			tt.change(t, f, p)
			p.refusedWith(t, f, tt.want)
			if !f.store.challengesUntouched() {
				t.Error("the challenge was used up")
			}
		})
	}
}

// hugeRequest is a request whose key takes 5 seconds to verify with.
func hugeRequest(p *phone) []byte {
	var csr struct {
		TBS struct {
			Version int
			Subject asn1.RawValue
			Key     struct {
				Algorithm pkix.AlgorithmIdentifier
				Key       asn1.BitString
			}
			Attributes asn1.RawValue `asn1:"tag:0"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	der := must(x509.CreateCertificateRequest(rand.Reader, &p.template, p.csrKey))
	must(asn1.Unmarshal(der, &csr))
	modulus := new(big.Int).Lsh(big.NewInt(1), 200_000)
	key := must(asn1.Marshal(struct{ N, E *big.Int }{modulus.SetBit(modulus, 0, 1), big.NewInt(1<<31 - 1)}))
	signature := make([]byte, 25_001)
	signature[1] = 1
	csr.TBS.Key.Key = asn1.BitString{Bytes: key, BitLength: 8 * len(key)}
	csr.Signature = asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	return must(asn1.Marshal(csr))
}

// TestRequestIsCheckedBeforeItsKeyIsUsed tells by the error that no signature
// was verified with the huge key; to the client all of these look alike.
func TestRequestIsCheckedBeforeItsKeyIsUsed(t *testing.T) {
	t.Parallel()
	p := newPhone(newFixture(t), "")
	der := hugeRequest(p)
	m := &scep.CSRReqMessage{RawDecrypted: der, CSR: must(x509.ParseCertificateRequest(der))}
	if err := checkRequest(m); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	der = swapSignature(p)
	m = &scep.CSRReqMessage{RawDecrypted: der, CSR: must(x509.ParseCertificateRequest(der))}
	if err := checkRequest(m); err == nil {
		t.Error("a signature of another key was taken")
	}
	m.RawDecrypted = bytes.Repeat([]byte{0x30, 0x80}, 1000)
	if err := checkRequest(m); !errors.Is(err, bounded.ErrTooDeep) {
		t.Errorf("got %v, want ErrTooDeep", err)
	}
}

// swapSignature is a request whose signature was not made by its own key:
// micromdm/scep would take it.
func swapSignature(p *phone) []byte {
	der := must(x509.CreateCertificateRequest(rand.Reader, &p.template, p.csrKey))
	der[len(der)-1] ^= 1
	return der
}

// TestUnaddressable messages get no CertRep, but an audit row.
func TestUnaddressable(t *testing.T) {
	t.Parallel()
	for name, message := range map[string]func(*phone) []byte{
		"nothing":              func(*phone) []byte { return nil },
		"text":                 func(*phone) []byte { return []byte("hello") },
		"degenerate":           func(p *phone) []byte { return must(scep.DegenerateCertificates([]*x509.Certificate{p.cert})) },
		"envelope alone":       func(p *phone) []byte { return encrypt([]byte("x"), p.recipient, p.cipher) },
		"no transaction":       func(p *phone) []byte { p.transaction = nil; return p.message(t) },
		"empty transaction":    func(p *phone) []byte { p.transaction = ""; return p.message(t) },
		"endless transaction":  func(p *phone) []byte { p.transaction = strings.Repeat("x", 256); return p.message(t) },
		"transaction no text":  func(p *phone) []byte { p.transaction = 7; return p.message(t) },
		"no nonce":             func(p *phone) []byte { p.nonce = nil; return p.message(t) },
		"empty nonce":          func(p *phone) []byte { p.nonce = []byte{}; return p.message(t) },
		"endless nonce":        func(p *phone) []byte { p.nonce = make([]byte, 65); return p.message(t) },
		"trailing byte":        func(p *phone) []byte { return append(p.message(t), 0) },
		"cut":                  func(p *phone) []byte { m := p.message(t); return m[:len(m)/2] },
		"larger than allowed":  func(p *phone) []byte { p.csr = make([]byte, 70<<10); return p.message(t) },
		"reply for a request":  func(p *phone) []byte { return must(pkcs7.DegenerateCertificate(nil)) },
		"two bytes of CVE-ish": func(*phone) []byte { return []byte{0x30, 0x81} },
	} {
		f := newFixture(t)
		_, body, err := f.Do(t.Context(), "PKIOperation", message(newPhone(f, f.mint(t))))
		if !errors.Is(err, ErrBadRequest) || body != nil {
			t.Errorf("%s: got %v, want ErrBadRequest", name, err)
		}
		if issued, refused := f.store.count(); issued != 0 || refused != 1 {
			t.Errorf("%s: %d issued, %d refused", name, issued, refused)
		}
	}
}

// TestBombs puts nested BER in each position; the answer is told by its
// identity, so that a slow refusal cannot pass.
func TestBombs(t *testing.T) {
	t.Parallel()
	bomb := func(size int) []byte { return bytes.Repeat([]byte{0x30, 0x80}, size/2) }
	outer := map[string]struct {
		message []byte
		want    error
	}{
		"64 KB": {bomb(64 << 10), bounded.ErrTooDeep},
		"4 MB":  {bomb(4 << 20), bounded.ErrTooLarge},
	}
	for name, tt := range outer {
		f := newFixture(t)
		if _, _, err := f.Do(t.Context(), "PKIOperation", tt.message); !errors.Is(err, ErrBadRequest) || !errors.Is(err, tt.want) {
			t.Errorf("outer %s: got %v, want %v", name, err, tt.want)
		}
	}
	const most = 60 << 10 // what still fits into an outer message of 64 KB
	inner := map[string]struct {
		change func(*phone)
		reason string
	}{
		"envelope":  {func(p *phone) { p.envelope = bomb(most) }, bounded.ErrTooDeep.Error()},
		"encrypted": {func(p *phone) { p.csr = bomb(most) }, "envelope does not open"},
	}
	for name, tt := range inner {
		f := newFixture(t)
		p := newPhone(f, f.mint(t))
		tt.change(p)
		p.refusedWith(t, f, scep.BadMessageCheck)
		if reason := f.store.lastReason(); !strings.Contains(reason, tt.reason) {
			t.Errorf("%s: refused because of %q, want %q", name, reason, tt.reason)
		}
		for size := range map[int]bool{64 << 10: true, 4 << 20: true} {
			p := newPhone(f, f.mint(t))
			if name == "envelope" {
				p.envelope = bomb(size)
			} else {
				p.csr = bomb(size)
			}
			if _, _, err := f.Do(t.Context(), "PKIOperation", p.message(t)); !errors.Is(err, bounded.ErrTooLarge) {
				t.Errorf("%s of %d bytes: got %v, want ErrTooLarge", name, size, err)
			}
		}
	}
}

// TestAlteredMessages flips bits all over a good message: none of them issues.
func TestAlteredMessages(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	good := newPhone(f, f.mint(t)).message(t)
	for i := 0; i < len(good); i += 7 {
		altered := bytes.Clone(good)
		altered[i] ^= 1 << (i % 8)
		if _, _, err := f.Do(t.Context(), "PKIOperation", altered); err != nil && !errors.Is(err, ErrBadRequest) {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	// A flipped bit of the signer's self-signed certificate leaves the message as
	// good as it was: the same transaction, so one certificate at most.
	if issued, _ := f.store.count(); issued > 1 {
		t.Errorf("%d certificates", issued)
	}
}

// TestEnvelopeTellsNothing has somebody who caught an envelope wrap altered
// copies of it in messages of his own: all answers are alike.
func TestEnvelopeTellsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	caught := newPhone(f, f.mint(t))
	caught.message(t)
	reasons := map[string]bool{}
	for i := 1; i <= 64; i++ {
		thief := newPhone(f, "")
		thief.envelope = bytes.Clone(caught.envelope)
		thief.envelope[len(thief.envelope)-i] ^= byte(i) // the last blocks: padding and the request's signature
		thief.refusedWith(t, f, scep.BadMessageCheck)
		reasons[f.store.lastReason()] = true
	}
	if len(reasons) != 1 {
		t.Errorf("several reasons: %v", reasons)
	}
	if !f.store.challengesUntouched() {
		t.Error("the challenge was used up")
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

func FuzzDo(f *testing.F) {
	fixture := newFixture(f)
	p := newPhone(fixture, fixture.mint(f))
	f.Add(p.message(f))
	f.Add(newPhone(fixture, "guess").message(f))
	p = newPhone(fixture, "")
	p.messageType = "17"
	f.Add(p.message(f))
	f.Add([]byte{0x30, 0x80, 0x00, 0x00})
	f.Fuzz(func(t *testing.T, message []byte) {
		if _, _, err := fixture.Do(t.Context(), "PKIOperation", message); err != nil && !errors.Is(err, ErrBadRequest) {
			t.Fatal(err)
		}
		if issued, _ := fixture.store.count(); issued > 1 {
			t.Fatal("one challenge, two certificates")
		}
	})
}
