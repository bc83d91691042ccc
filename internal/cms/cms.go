package cms

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	_ "crypto/sha1"   // signatures of phones
	_ "crypto/sha256" // ours
	_ "crypto/sha512"

	"sallyport/internal/bounded"
)

// Of the two pkcs7 libraries in the build, go.mozilla.org/pkcs7 signs with
// keys from files and github.com/smallstep/pkcs7 does what it cannot: sign
// through any crypto.Signer, and open envelopes whose key went by OAEP. Both keep
// the cipher of new envelopes (single DES, if nobody sets it) in a package
// variable. We never call the functions that read those: envelopes are built
// here, and the digest is set on each value. So there is nothing to lock, and
// a neighbour's setting cannot weaken ours. What phones send, and SCEP's replies, are
// read and written here: the libraries copy a message several times over.

var (
	// ErrMalformed says that the bytes are not the CMS message that was asked
	// for, or are beyond the limits (then it also wraps the error of bounded).
	ErrMalformed = errors.New("not an acceptable CMS message")
	// ErrSignature says that the signature does not fit the content.
	ErrSignature = errors.New("CMS signature does not verify")
	// ErrUntrusted says that the signer's certificate does not lead to our
	// roots at our time for the usage that was asked for.
	ErrUntrusted = errors.New("CMS signer is not trusted")
	// ErrDecrypt is the one answer to everything that goes wrong while an
	// envelope is opened: the difference between two reasons is what an attacker
	// on RSA or CBC padding needs.
	ErrDecrypt = errors.New("CMS envelope does not open")
	// ErrUnsupported says that a key or algorithm is one that we do not use.
	ErrUnsupported = errors.New("CMS algorithm or key not supported")
)

// Identity signs: a certificate, its private key, and the chain above it.
type Identity struct {
	Certificate *x509.Certificate
	Chain       []*x509.Certificate // issuer first; sent along with signatures
	Key         crypto.Signer
}

// Trust is what a signer is measured by.
type Trust struct {
	Roots         *x509.CertPool
	Intermediates []*x509.Certificate // ours, in case the sender leaves them out
	Now           time.Time           // our time: the signing time in a message is a claim of its sender
	Usages        []x509.ExtKeyUsage  // empty means any
	MaxBytes      int                 // 0 means bounded.MaxCMS
	Known         *Chains             // certificates that were found good before; nil: each is verified anew
	// Closed leaves out what the sender brings along: Intermediates are all there
	// are. A stranger's crowd of authorities that all sign each other takes a tenth of
	// a second to get lost in, and one of ours that was retired is not to come back so.
	Closed bool
}

func (t Trust) maxBytes() int {
	if t.MaxBytes == 0 {
		return bounded.MaxCMS
	}
	return t.MaxBytes
}

// Identifiers are kept as they stand in a message, with tag and length.
var oidData = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1})

// digests are those that we verify. SHA-1 is among them for signatures over
// what the signer itself wrote (a phone's Mdm-Signature); we sign with it
// only in a SCEP reply whose caller asked for it.
var digests = []struct {
	oid  []byte
	hash crypto.Hash
}{
	{encode(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}), crypto.SHA1},
	{encode(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}), crypto.SHA256},
	{encode(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 2}), crypto.SHA384},
	{encode(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 3}), crypto.SHA512},
}

// hashOf is 0 for a digest that we do not know.
func hashOf(oid []byte) crypto.Hash {
	for _, d := range digests {
		if bytes.Equal(d.oid, oid) {
			return d.hash
		}
	}
	return 0
}

func digestOID(hash crypto.Hash) ([]byte, error) {
	for _, d := range digests {
		if d.hash == hash {
			return d.oid, nil
		}
	}
	return nil, fmt.Errorf("%w: digest %v", ErrUnsupported, hash)
}

// guard turns a panic of a library into sentinel. Both libraries have known
// ones on hostile input; none of them carries anything worth showing.
func guard(err *error, sentinel error) {
	if recover() != nil {
		*err = sentinel
	}
}

// check bounds a message before a parser sees it.
func check(der []byte, maxBytes int) error {
	if err := bounded.DER(der, maxBytes, bounded.MaxDepth); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}
