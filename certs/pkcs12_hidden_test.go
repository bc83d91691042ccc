package certs_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"testing"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/secret"
)

// What a PKCS#12 file is made of (RFC 7292, section 4; RFC 8018, appendix A).
type (
	p12Content struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue
	}
	p12Bag struct {
		ID    asn1.ObjectIdentifier
		Value asn1.RawValue
	}
	p12KDF struct {
		Salt       []byte
		Iterations int
		KeyLength  int `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier
	}
	p12Schemes struct{ KDF, Scheme pkix.AlgorithmIdentifier }
)

var (
	oidP12Data      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidP12Encrypted = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidP12KeyBag    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidP12CertBag   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidP12X509      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
	oidP12PBES2     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 13}
	oidP12PBKDF2    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 12}
	oidP12PBMAC1    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 5, 14}
	oidP12HMAC      = asn1.ObjectIdentifier{1, 2, 840, 113549, 2, 9}
	oidP12AES256    = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}
)

func der(v any) []byte { return must(asn1.Marshal(v)) }

func raw(v any) asn1.RawValue { return asn1.RawValue{FullBytes: der(v)} }

// inner is a value with the tag [0] EXPLICIT.
func inner(v any) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: der(v)}
}

// p12Derive is PBKDF2 with SHA-256, and what names it.
func p12Derive(password string, iterations, length int) ([]byte, pkix.AlgorithmIdentifier) {
	salt := []byte("eight by")
	kdf := p12KDF{Salt: salt, Iterations: iterations, PRF: pkix.AlgorithmIdentifier{Algorithm: oidP12HMAC, Parameters: asn1.NullRawValue}}
	kdf.KeyLength = length
	return must(pbkdf2.Key(sha256.New, password, salt, iterations, length)), pkix.AlgorithmIdentifier{Algorithm: oidP12PBKDF2, Parameters: raw(kdf)}
}

// p12Encrypt closes plain by PBES2.
func p12Encrypt(password string, iterations int, plain []byte) (pkix.AlgorithmIdentifier, []byte) {
	key, kdf := p12Derive(password, iterations, 32)
	iv := make([]byte, aes.BlockSize)
	pad := aes.BlockSize - len(plain)%aes.BlockSize
	plain = append(slices.Clone(plain), slices.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(must(aes.NewCipher(key)), iv).CryptBlocks(plain, plain)
	return pkix.AlgorithmIdentifier{
		Algorithm:  oidP12PBES2,
		Parameters: raw(p12Schemes{kdf, pkix.AlgorithmIdentifier{Algorithm: oidP12AES256, Parameters: raw(iv)}}),
	}, plain
}

func p12KeyBag(password string, iterations int, key any) p12Bag {
	algorithm, closed := p12Encrypt(password, iterations, must(x509.MarshalPKCS8PrivateKey(key)))
	return p12Bag{oidP12KeyBag, inner(struct {
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte
	}{algorithm, closed})}
}

func p12CertBag(cert []byte) p12Bag {
	return p12Bag{oidP12CertBag, inner(struct {
		ID   asn1.ObjectIdentifier
		Data []byte `asn1:"tag:0,explicit"`
	}{oidP12X509, cert})}
}

func p12Plain(bags ...p12Bag) p12Content { return p12Content{oidP12Data, inner(der(bags))} }

func p12Closed(password string, bags ...p12Bag) p12Content {
	algorithm, closed := p12Encrypt(password, 1, der(bags))
	type closedInfo struct {
		Type      asn1.ObjectIdentifier
		Algorithm pkix.AlgorithmIdentifier
		Data      []byte `asn1:"tag:0"`
	}
	return p12Content{oidP12Encrypted, inner(struct {
		Version int
		Inner   closedInfo
	}{0, closedInfo{oidP12Data, algorithm, closed}})}
}

// p12File puts contents together under a MAC of RFC 9579.
func p12File(password string, contents ...p12Content) []byte {
	safe := der(contents)
	key, kdf := p12Derive(password, 1, 32)
	mac := hmac.New(sha256.New, key)
	mac.Write(safe)
	hmacAlgorithm := pkix.AlgorithmIdentifier{Algorithm: oidP12HMAC, Parameters: asn1.NullRawValue}
	type digest struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	type macData struct {
		MAC        digest
		Salt       []byte
		Iterations int
	}
	return der(struct {
		Version int
		Safe    p12Content
		MAC     macData
	}{3, p12Content{oidP12Data, inner(safe)}, macData{
		digest{pkix.AlgorithmIdentifier{Algorithm: oidP12PBMAC1, Parameters: raw(p12Schemes{kdf, hmacAlgorithm})}, mac.Sum(nil)}, []byte("x"), 1,
	}})
}

// TestHiddenKeyBag: who made the file knows its password, and so can hide in what is
// encrypted how much derivation a key asks for. No such key is ever derived.
func TestHiddenKeyBag(t *testing.T) {
	t.Parallel()
	const password = "a password"
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	cert := p12CertBag(certify("leaf", nil, key.Public(), key, newClock().Now(), nil).Raw)
	honest := p12KeyBag(password, 1000, key)
	costly := p12KeyBag(password, bounded.MaxDerivations+1, key)
	fields := certs.PKCS12Fields{Err: certs.ErrSMIME, File: "file", Password: "password"}
	for name, file := range map[string][]byte{
		"certificate encrypted, then key": p12File(password, p12Closed(password, cert), p12Plain(honest)),
		"key, then certificate encrypted": p12File(password, p12Plain(honest), p12Closed(password, cert)),
		"both in the clear":               p12File(password, p12Plain(cert, honest)),
	} {
		opened, refused := certs.OpenPKCS12(file, secret.New(password), fields)
		if refused != nil || !key.Equal(opened.Key) {
			t.Errorf("%s: %v", name, refused)
		}
		if _, refused := certs.OpenPKCS12(file, secret.New("another"), fields); refused == nil || refused.Field != "password" {
			t.Errorf("%s, under another password: %v", name, refused)
		}
	}
	for name, file := range map[string][]byte{
		"alone":                  p12File(password, p12Closed(password, cert, costly)),
		"before an honest one":   p12File(password, p12Closed(password, cert, costly), p12Plain(honest)),
		"after an honest one":    p12File(password, p12Plain(honest), p12Closed(password, cert, costly)),
		"beside clear ones":      p12File(password, p12Closed(password, costly), p12Plain(cert, honest)),
		"with nothing else":      p12File(password, p12Closed(password, costly), p12Plain(cert)),
		"in the clear, too much": p12File(password, p12Closed(password, cert), p12Plain(costly)),
	} {
		_, refused := certs.OpenPKCS12(file, secret.New(password), fields)
		if refused == nil || !errors.Is(refused, certs.ErrSMIME) || refused.Field != "file" {
			t.Errorf("%s: %v", name, refused)
		}
	}
	// As programs write them.
	leaf := certify("leaf", nil, key.Public(), key, newClock().Now(), nil)
	for name, encoder := range map[string]*pkcs12.Encoder{"modern": pkcs12.Modern, "legacy": pkcs12.LegacyDES, "rc2": pkcs12.LegacyRC2, "clear": pkcs12.Passwordless} {
		text := password
		if name == "clear" {
			text = ""
		}
		opened, refused := certs.OpenPKCS12(must(encoder.Encode(key, leaf, nil, text)), secret.New(text), fields)
		if refused != nil || !key.Equal(opened.Key) {
			t.Errorf("%s: %v", name, refused)
		}
	}
}
