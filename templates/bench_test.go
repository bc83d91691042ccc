//go:build unix

package templates

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"syscall"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"

	"sallyport/internal/cms"
	"sallyport/internal/secret"
	"sallyport/templates/builtin"
)

// starterRevision is what the benchmarks measure with: the starter
// exchange-certificate, for one user.
func starterRevision(b *testing.B) Revision {
	b.Helper()
	starters, err := builtin.Starters()
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range starters {
		if s.Name == "exchange-certificate" {
			return revision(b, s.Source)
		}
	}
	b.Fatal("there is no starter exchange-certificate")
	return Revision{}
}

func renderProfile(b *testing.B, r Revision) []byte {
	rendered, err := Render(r, alice(), options())
	if err != nil {
		b.Fatal(err)
	}
	data, err := rendered.WithChallenge(secret.New("0123456789ABCDEF0123456789ABCDEF")).Encode()
	if err != nil {
		b.Fatal(err)
	}
	return data
}

func BenchmarkRender(b *testing.B) {
	r := starterRevision(b)
	b.ReportAllocs()
	for b.Loop() {
		renderProfile(b, r)
	}
}

// cpu is the time that this process has used, system time and the garbage
// collector's included: what other programs do meanwhile does not count.
func cpu(b *testing.B) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// stage is one thing whose CPU time is compared with the others'.
type stage struct {
	name string
	do   func()
	used time.Duration
}

// measure runs the stages in turns, so that all see the same machine.
func measure(b *testing.B, stages ...*stage) (each func(*stage) time.Duration) {
	const turn = 5
	turns := 0
	for b.Loop() {
		for i := range stages {
			s := stages[(i+turns)%len(stages)]
			began := cpu(b)
			for range turn {
				s.do()
			}
			s.used += cpu(b) - began
		}
		turns++
	}
	return func(s *stage) time.Duration { return s.used / time.Duration(turns*turn) }
}

// BenchmarkSign compares rendering and signing a profile with a bare signature
// by the same key, and with the pkcs7 library alone on the same bytes.
func BenchmarkSign(b *testing.B) {
	r := starterRevision(b)
	content := renderProfile(b, r)
	for _, key := range []struct {
		name string
		make func() (crypto.Signer, error)
		// over is what is held against target: of the total, or of what the total
		// is above the library, in bare signatures.
		over   string
		target float64
	}{
		{"RSA-2048", func() (crypto.Signer, error) { return rsa.GenerateKey(rand.Reader, 2048) }, "total", 1.2},
		{"P-256", func() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }, "total-library", 2.5},
	} {
		b.Run(key.name, func(b *testing.B) {
			signer, err := key.make()
			if err != nil {
				b.Fatal(err)
			}
			id := identityOf(b, signer)
			total := &stage{name: "total", do: func() {
				if _, err := cms.Sign(renderProfile(b, r), id); err != nil {
					b.Fatal(err)
				}
			}}
			render := &stage{name: "render", do: func() { renderProfile(b, r) }}
			sign := &stage{name: "sign", do: func() {
				if _, err := cms.Sign(content, id); err != nil {
					b.Fatal(err)
				}
			}}
			library := &stage{name: "library", do: func() { libraryAlone(b, content, id) }}
			digest := sha256.Sum256(content)
			bare := &stage{name: "bare", do: func() {
				if _, err := signer.Sign(rand.Reader, digest[:], crypto.SHA256); err != nil {
					b.Fatal(err)
				}
			}}
			stages := []*stage{total, render, sign, library, bare}
			each := measure(b, stages...)
			b.ReportMetric(0, "ns/op") // of a turn of everything: says nothing
			for _, s := range stages {
				b.ReportMetric(float64(each(s).Nanoseconds())/1e3, s.name+"-cpu-µs")
			}
			reached := float64(each(total))
			if key.over != "total" {
				reached -= float64(each(library))
			}
			reached /= float64(each(bare))
			b.ReportMetric(reached, key.over+"/bare")
			b.Logf("%s: render %v, sign %v, together %v; library alone %v, bare signature %v (CPU)",
				key.name, each(render), each(sign), each(total), each(library), each(bare))
			b.Logf("%s: %s is %.2f bare signatures; to reach: %.1f", key.name, key.over, reached, key.target)
		})
	}
}

// libraryAlone is the least that the library needs for such a profile.
func libraryAlone(b *testing.B, content []byte, id cms.Identity) {
	data, err := pkcs7.NewSignedData(content)
	if err != nil {
		b.Fatal(err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.AddSignerChain(id.Certificate, id.Key, id.Chain, pkcs7.SignerInfoConfig{}); err != nil {
		b.Fatal(err)
	}
	if _, err := data.Finish(); err != nil {
		b.Fatal(err)
	}
}

// identityOf issues a certificate under a root and an issuing certificate, both
// P-256 as ours are.
func identityOf(b *testing.B, key crypto.Signer) cms.Identity {
	b.Helper()
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	issue := func(name string, ca bool, public crypto.PublicKey, parent *x509.Certificate, by crypto.Signer) *x509.Certificate {
		now := time.Now()
		c := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name, Organization: []string{"Example"}},
			NotBefore: now, NotAfter: now.Add(time.Hour), IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		}
		if ca {
			c.KeyUsage = x509.KeyUsageCertSign
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, public, by)
		if err != nil {
			b.Fatal(err)
		}
		made, err := x509.ParseCertificate(der)
		if err != nil {
			b.Fatal(err)
		}
		return made
	}
	root := issue("Root", true, rootKey.Public(), nil, rootKey)
	issuing := issue("Issuing", true, rootKey.Public(), root, rootKey)
	return cms.Identity{Certificate: issue("Profile signer", false, key.Public(), issuing, rootKey), Chain: []*x509.Certificate{issuing}, Key: key}
}
