package scep

import (
	"bytes"
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
	"strings"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"github.com/smallstep/scep"

	"sallyport/internal/bounded"
)

// authStates are ways to be allowed something, or not.
var authStates = map[string]func(*testing.T, *fixture, *phone){
	"a challenge":         func(t *testing.T, f *fixture, p *phone) { p.challenge = f.mint(t) },
	"a guessed challenge": func(_ *testing.T, _ *fixture, p *phone) { p.challenge = strings.Repeat("0", 64) },
	"no challenge":        func(*testing.T, *fixture, *phone) {},
	"a certificate that is due": func(t *testing.T, f *fixture, p *phone) {
		p.cert = identity(t, f)
		f.skew = 300 * day
	},
	"a certificate that is not due": func(t *testing.T, f *fixture, p *phone) { p.cert = identity(t, f) },
	"a copy of a certificate that is due": func(t *testing.T, f *fixture, p *phone) {
		p.cert = impostor(identity(t, f), phoneKey())
		f.skew = 300 * day
	},
	"a challenge and a copy": func(t *testing.T, f *fixture, p *phone) {
		p.cert = impostor(identity(t, f), phoneKey())
		f.skew = 300 * day
		p.challenge = f.mint(t)
	},
}

// TestMessageTypes: of all types, with all that could allow them, these issue:
// 19 with a challenge, whoever signs, and both with a certificate that is due.
func TestMessageTypes(t *testing.T) {
	t.Parallel()
	issues := map[string]bool{"19 a challenge": true, "19 a challenge and a copy": true, "17 a certificate that is due": true, "19 a certificate that is due": true}
	found := 0
	for _, messageType := range []any{"3", "17", "18", "19", "20", "21", "22", "99", "0", "1", "", "119", "19 ", " 19", "019", "1９", "17\x00", nil, 17, 19, []byte("19"), []byte("17"), twice{"19"}, twice{"17"}} {
		for state, prepare := range authStates {
			name := fmt.Sprintf("%v %s", messageType, state)
			if _, isText := messageType.(string); isText && issues[name] {
				found++
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := newFixture(t)
				p := newPhone(f, "")
				prepare(t, f, p)
				p.messageType = messageType
				p.transaction = "transaction-2"
				issued, _ := f.store.count()
				claims := f.store.claims()
				text, isText := messageType.(string)
				if isText && issues[name] {
					p.issues(t, f)
					return
				}
				want := scep.BadRequest
				if isText && text == "17" && state != "a certificate that is not due" {
					want = scep.BadMessageCheck
				}
				p.refusedWith(t, f, want)
				if n, _ := f.store.count(); n != issued || f.store.claims() != claims {
					t.Error("something was claimed or issued")
				}
			})
		}
	}
	if found != len(issues) {
		t.Errorf("%d cells that issue, want %d", found, len(issues))
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
		{"RSA requester of 1024 bits, whose signature would not hold either", func(_ *testing.T, _ *fixture, p *phone) {
			p.key, p.cert = must(rsa.GenerateKey(rand.Reader, 1024)), selfSigned(short)
		}, scep.BadAlg},
		{"encrypted to the issuing CA's name", func(_ *testing.T, _ *fixture, p *phone) { p.recipient = p.cert }, scep.BadMessageCheck},
		{"no envelope", func(_ *testing.T, _ *fixture, p *phone) { p.envelope = []byte("hello") }, scep.BadMessageCheck},
		{"signed data for an envelope", func(t *testing.T, f *fixture, p *phone) { p.envelope = newPhone(f, "").message(t) }, scep.BadMessageCheck},
		{"nothing encrypted", func(_ *testing.T, _ *fixture, p *phone) { p.csr = []byte{} }, scep.BadMessageCheck},
		{"no request encrypted", func(_ *testing.T, _ *fixture, p *phone) { p.csr = []byte("hello") }, scep.BadMessageCheck},
		{"a certificate for a request", func(_ *testing.T, _ *fixture, p *phone) { p.csr = p.cert.Raw }, scep.BadMessageCheck},
		{"request with a key of 200,000 bits", func(_ *testing.T, _ *fixture, p *phone) { p.csr = hugeRequest(p) }, scep.BadMessageCheck},
		{"another's envelope", func(t *testing.T, _ *fixture, p *phone) {
			p.message(t)
			p.key = must(rsa.GenerateKey(rand.Reader, 2048))
			p.cert = selfSigned(p.key)
		}, scep.BadRequest},
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
	if _, err := parseRequest(hugeRequest(p)); !errors.Is(err, bounded.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
	if _, err := parseRequest(swapSignature(p)); err == nil {
		t.Error("a signature of another key was taken")
	}
	if _, err := parseRequest(bytes.Repeat([]byte{0x30, 0x80}, 1000)); !errors.Is(err, bounded.ErrTooDeep) {
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

func FuzzDo(f *testing.F) {
	fixture := newFixture(f)
	p := newPhone(fixture, fixture.mint(f))
	f.Add(p.message(f))
	f.Add(newPhone(fixture, "guess").message(f))
	p = newPhone(fixture, "")
	p.messageType = "17"
	f.Add(p.message(f))
	p.messageType = twice{"19"}
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
