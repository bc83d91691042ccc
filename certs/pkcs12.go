package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"

	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// MaxPKCS12 bounds a PKCS#12 file in bytes; a key and its chain need a tenth of it.
const MaxPKCS12 = 64 << 10

const exportAgain = "export it anew, with its private key, as PKCS#12"

// maxChain bounds what stands above a certificate in a file.
const maxChain = 8

// PKCS12 is what a PKCS#12 file holds.
type PKCS12 struct {
	Key         crypto.Signer
	Certificate *x509.Certificate   // that of the key
	Chain       []*x509.Certificate // from the certificate's issuer up, as far as the file holds it
}

// PKCS12Fields is how a caller's refusals of a file are called.
type PKCS12Fields struct {
	Err      error  // the room's sentinel
	File     string // field of the file
	Password string // field of its password
}

// OpenPKCS12 reads a file from outside (RFC 7292): in DER, bounded in size, in
// depth and in what it may cost before its password is known to be right. It
// holds one private key, and the certificate of that key. Refusals tell nothing
// of key or password.
func OpenPKCS12(data []byte, password secret.Value, f PKCS12Fields) (PKCS12, *refusal.Error) {
	refuse := func(reason, remedy string) (PKCS12, *refusal.Error) {
		return PKCS12{}, refusal.New(f.Err, f.File, reason, remedy)
	}
	if reason, remedy := unlike(data[:min(len(data), MaxPKCS12)]); reason != "" {
		return refuse(reason, remedy)
	}
	const again = exportAgain
	if err := bounded.DER(data, MaxPKCS12, bounded.MaxDepth); err != nil {
		return refuse(fmt.Sprintf("is not a PKCS#12 file in DER of at most %d KB", MaxPKCS12>>10), again)
	}
	if bounded.Derivations(data) > bounded.MaxDerivations {
		return refuse("asks for more key derivation than any program writes", again)
	}
	key, found, err := decodePKCS12(data, password.Reveal())
	switch {
	case errors.Is(err, pkcs12.ErrIncorrectPassword):
		return PKCS12{}, refusal.New(f.Err, f.Password, "is not the password of this PKCS#12 file", "give the one that it was exported with")
	case err != nil:
		return refuse("is not a PKCS#12 file with one private key and its certificate", again)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return refuse("holds a private key of a kind that phones do not use", "use RSA or an elliptic curve")
	}
	for i, cert := range found {
		if samePublicKey(signer.Public(), cert.PublicKey) {
			others := append(found[:i:i], found[i+1:]...)
			return PKCS12{Key: signer, Certificate: cert, Chain: chainOf(cert, others)}, nil
		}
	}
	return refuse("holds a certificate that does not belong to its private key", again)
}

// decodePKCS12 turns a panic of the library, which reads bytes from outside,
// into an error. Which of the certificates is that of the key does not follow
// from their order: some programs write the authorities first.
func decodePKCS12(data []byte, password string) (key any, found []*x509.Certificate, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("decode PKCS#12: panic: %v", r)
		}
	}()
	if data, err = keyFirst(data, password); err != nil {
		return nil, nil, err
	}
	key, first, others, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, nil, err
	}
	return key, append([]*x509.Certificate{first}, others...), nil
}

// chainOf orders what stands above cert, and leaves out what does not.
func chainOf(cert *x509.Certificate, others []*x509.Certificate) []*x509.Certificate {
	var chain []*x509.Certificate
	for len(chain) < maxChain && !bytes.Equal(cert.RawIssuer, cert.RawSubject) {
		next := issuerOf(cert, others)
		if next == nil {
			break
		}
		chain, cert = append(chain, next), next
	}
	return chain
}

func issuerOf(cert *x509.Certificate, others []*x509.Certificate) *x509.Certificate {
	for _, other := range others {
		if bytes.Equal(other.RawSubject, cert.RawIssuer) && cert.CheckSignatureFrom(other) == nil {
			return other
		}
	}
	return nil
}
