package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/bits"
	"time"

	"golang.org/x/crypto/cryptobyte"
	der "golang.org/x/crypto/cryptobyte/asn1"
)

// ecdsaSuite is how a curve signs certificates (RFC 5758, section 3.2).
type ecdsaSuite struct {
	id   asn1.ObjectIdentifier
	hash crypto.Hash
}

var ecdsaSuites = map[elliptic.Curve]ecdsaSuite{
	elliptic.P256(): {asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}, crypto.SHA256},
	elliptic.P384(): {asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 3}, crypto.SHA384},
}

var (
	oidSubjectKeyID   = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidKeyUsage       = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasic          = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidCRLs           = asn1.ObjectIdentifier{2, 5, 29, 31}
	oidAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidExtKeyUsage    = asn1.ObjectIdentifier{2, 5, 29, 37}

	extKeyUsages = map[x509.ExtKeyUsage]asn1.ObjectIdentifier{
		x509.ExtKeyUsageClientAuth:      {1, 3, 6, 1, 5, 5, 7, 3, 2},
		x509.ExtKeyUsageEmailProtection: {1, 3, 6, 1, 5, 5, 7, 3, 4},
	}
)

// leaf makes, of a template by a rule that challenges name, the certificate that
// x509.CreateCertificate makes, to the byte of what is signed. It leaves out that
// function's own verification of the signature, which with ECDSA costs more than
// the signature (ADR 0009). false for a key that only x509 knows to sign with.
func leaf(t *x509.Certificate, public crypto.PublicKey, issuer *member) (raw []byte, ok bool, err error) {
	key, ok := issuer.key.(*ecdsa.PrivateKey)
	if !ok {
		return nil, false, nil
	}
	suite, ok := ecdsaSuites[key.Curve]
	if !ok {
		return nil, false, nil
	}
	tbs, err := tbsCertificate(t, public, issuer.cert, suite)
	if err != nil {
		return nil, false, err
	}
	digest := suite.hash.New()
	digest.Write(tbs)
	signature, err := ecdsa.SignASN1(rand.Reader, key, digest.Sum(nil))
	if err != nil {
		return nil, false, err
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(tbs)
		suite.add(b)
		b.AddASN1BitString(signature)
	})
	raw, err = b.Bytes()
	return raw, true, err
}

func (s ecdsaSuite) add(b *cryptobyte.Builder) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(s.id) })
}

// tbsCertificate is what is signed (RFC 5280, section 4.1).
func tbsCertificate(t *x509.Certificate, public crypto.PublicKey, issuer *x509.Certificate, suite ecdsaSuite) ([]byte, error) {
	subject, err := asn1.Marshal(t.Subject.ToRDNSequence())
	if err != nil {
		return nil, fmt.Errorf("encode subject: %w", err)
	}
	spki, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	var b cryptobyte.Builder
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1Int64(2) }) // version 3
		b.AddASN1BigInt(t.SerialNumber)
		suite.add(b)
		b.AddBytes(issuer.RawSubject)
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, t.NotBefore)
			addTime(b, t.NotAfter)
		})
		b.AddBytes(subject)
		b.AddBytes(spki)
		b.AddASN1(explicit(3), func(b *cryptobyte.Builder) {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) { addExtensions(b, t, issuer) })
		})
	})
	return b.Bytes()
}

func explicit(n uint8) der.Tag { return der.Tag(n).Constructed().ContextSpecific() }

// addTime: RFC 5280, section 4.1.2.5, where the form depends on the year.
func addTime(b *cryptobyte.Builder, t time.Time) {
	if t = t.UTC(); t.Year() < 2050 {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

// addExtensions writes those that rules give, in the order of crypto/x509.
func addExtensions(b *cryptobyte.Builder, t, issuer *x509.Certificate) {
	addExtension(b, oidKeyUsage, true, func(b *cryptobyte.Builder) {
		usage := bits.Reverse8(uint8(t.KeyUsage)) // the first is the highest bit
		b.AddASN1(der.BIT_STRING, func(b *cryptobyte.Builder) {
			b.AddUint8(uint8(bits.TrailingZeros8(usage)))
			b.AddUint8(usage)
		})
	})
	addExtension(b, oidExtKeyUsage, false, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			for _, usage := range t.ExtKeyUsage {
				b.AddASN1ObjectIdentifier(extKeyUsages[usage])
			}
		})
	})
	addExtension(b, oidBasic, true, func(b *cryptobyte.Builder) { b.AddASN1(der.SEQUENCE, func(*cryptobyte.Builder) {}) }) // no CA
	addExtension(b, oidSubjectKeyID, false, func(b *cryptobyte.Builder) { b.AddASN1OctetString(t.SubjectKeyId) })
	addExtension(b, oidAuthorityKeyID, false, func(b *cryptobyte.Builder) {
		b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1(der.Tag(0).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(issuer.SubjectKeyId) })
		})
	})
	if len(t.CRLDistributionPoints) > 0 {
		addExtension(b, oidCRLs, false, func(b *cryptobyte.Builder) { addCRLs(b, t.CRLDistributionPoints) })
	}
	for _, e := range t.ExtraExtensions {
		addExtension(b, e.Id, e.Critical, func(b *cryptobyte.Builder) { b.AddBytes(e.Value) })
	}
}

func addExtension(b *cryptobyte.Builder, id asn1.ObjectIdentifier, critical bool, value cryptobyte.BuilderContinuation) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(id)
		if critical {
			b.AddASN1Boolean(true)
		}
		b.AddASN1(der.OCTET_STRING, value)
	})
}

// addCRLs: a DistributionPoint with one URI for each (RFC 5280, section 4.2.1.13).
func addCRLs(b *cryptobyte.Builder, addresses []string) {
	b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
		for _, address := range addresses {
			b.AddASN1(der.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
					b.AddASN1(explicit(0), func(b *cryptobyte.Builder) {
						b.AddASN1(der.Tag(6).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes([]byte(address)) })
					})
				})
			})
		}
	})
}
