package cms

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	"sallyport/internal/bounded"
	"sallyport/internal/secret"
)

// SCEP's attributes (RFC 8894, section 3.2.1).
var (
	oidMessageType    = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2})
	oidPKIStatus      = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3})
	oidFailInfo       = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4})
	oidSenderNonce    = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5})
	oidRecipientNonce = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6})
	oidTransactionID  = encode(asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7})
)

const (
	certRep     = "3"
	pkiSuccess  = "0"
	pkiFailure  = "2"
	maxNonce    = 64 // RFC 8894 says 16
	maxTransact = 255
)

// FailInfo says why a SCEP request is refused (RFC 8894, section 3.2.1.4).
type FailInfo string

const (
	BadAlg          FailInfo = "0" // algorithm or key not accepted
	BadMessageCheck FailInfo = "1" // signature or envelope does not hold
	BadRequest      FailInfo = "2" // transaction not permitted
	BadCertID       FailInfo = "4" // no certificate by which that could be asked for
)

// SCEPRequest is a SCEP message as its sender wrapped it: readable enough to
// answer it, even if only with a refusal. Nothing in it is verified before
// CheckSignature.
type SCEPRequest struct {
	TransactionID string // 1 to 255 bytes
	MessageType   string // empty when it cannot be read
	SenderNonce   []byte
	Signer        *x509.Certificate // usually signed by itself
	Digest        crypto.Hash       // of the signature; 0 when unknown
	Content       []byte            // the envelope

	signed      *signed
	transaction asn1.RawValue // as the client encoded it
}

// ParseSCEP reads a SCEP message of at most bounded.MaxCMS bytes. It fails
// where not even a refusal can be addressed: without a transaction identifier,
// a nonce or a signer.
func ParseSCEP(der []byte) (*SCEPRequest, error) {
	s, err := parseSigned(der, bounded.MaxCMS)
	if err != nil {
		return nil, err
	}
	r := &SCEPRequest{Signer: s.signer, Digest: s.digest, Content: s.content, signed: s}
	if err := s.attribute(oidTransactionID, &r.TransactionID); err != nil {
		return nil, err
	}
	if n := len(r.TransactionID); n == 0 || n > maxTransact {
		return nil, fmt.Errorf("%w: transaction identifier of %d bytes", ErrMalformed, n)
	}
	if err := s.attribute(oidTransactionID, &r.transaction); err != nil {
		return nil, err
	}
	if err := s.attribute(oidSenderNonce, &r.SenderNonce); err != nil {
		return nil, err
	}
	if n := len(r.SenderNonce); n == 0 || n > maxNonce {
		return nil, fmt.Errorf("%w: nonce of %d bytes", ErrMalformed, n)
	}
	_ = s.attribute(oidMessageType, &r.MessageType) // empty is refused by the caller's list
	return r, nil
}

// CheckSignature verifies that the holder of Signer's key signed the message.
// It says nothing about who that is.
func (r *SCEPRequest) CheckSignature() error {
	return r.signed.checkSignature(r.Content)
}

// Success is a CertRep that carries cert, encrypted to the requester in the
// cipher of its own request and signed with the digest of its own request:
// clients take less than they offer.
func (r *SCEPRequest) Success(ra Identity, cert *x509.Certificate, with Cipher, digest crypto.Hash) ([]byte, error) {
	content, err := envelope(Degenerate(cert), r.Signer, with)
	if err != nil {
		return nil, err
	}
	return r.reply(ra, content, digest, signedAttribute(oidPKIStatus, printable(pkiSuccess)))
}

// Failure is a CertRep that refuses the request. RFC 8894 leaves its content
// out; it is empty here, as in the servers in use, since OpenSSL refuses to
// verify a message without one.
func (r *SCEPRequest) Failure(ra Identity, info FailInfo, digest crypto.Hash) ([]byte, error) {
	return r.reply(ra, []byte{}, digest,
		signedAttribute(oidPKIStatus, printable(pkiFailure)), signedAttribute(oidFailInfo, printable(string(info))))
}

func (r *SCEPRequest) reply(ra Identity, content []byte, digest crypto.Hash, status ...[]byte) (der []byte, err error) {
	defer guard(&err, fmt.Errorf("sign CertRep: %w", ErrUnsupported)) // a key's driver
	if _, ok := ra.Certificate.PublicKey.(*rsa.PublicKey); !ok {
		return nil, fmt.Errorf("sign CertRep: %w: RA key is not RSA", ErrUnsupported)
	}
	oid, err := digestOID(digest)
	if err != nil {
		return nil, fmt.Errorf("sign CertRep: %w", err)
	}
	attributes := append([][]byte{
		signedAttribute(oidContentType, oidData),
		signedAttribute(oidMessageDigest, tlv(tagOctets, sum(digest, content))),
		signedAttribute(oidSigningTime, encode(time.Now().UTC())),
		signedAttribute(oidTransactionID, r.transaction.FullBytes),
		signedAttribute(oidMessageType, printable(certRep)),
		signedAttribute(oidSenderNonce, tlv(tagOctets, secret.Random(16))),
		signedAttribute(oidRecipientNonce, tlv(tagOctets, r.SenderNonce)),
	}, status...)
	signed := setOf(attributes...)
	signature, err := ra.Key.Sign(rand.Reader, sum(digest, signed), digest)
	if err != nil {
		return nil, fmt.Errorf("sign CertRep: %w", err)
	}
	algorithm := tlv(tagSequence, oid)
	inMessage := bytes.Clone(signed)
	inMessage[0] = tagZero // what is signed is the SET OF (RFC 5652, 5.4)
	// strongSwan reads nothing but rsaEncryption here, and RFC 3370 (3.2) asks for it.
	signer := tlv(tagSequence, version(1), issuerAndSerial(ra.Certificate), algorithm, inMessage, rsaEncryption, tlv(tagOctets, signature))
	return contentInfo(oidSignedData, tlv(tagSequence, version(1), tlv(tagSet, algorithm), contentInfo(oidData, tlv(tagOctets, content)),
		tlv(tagZero, ra.Certificate.Raw), tlv(tagSet, signer))), nil
}

// signedAttribute is an attribute with one value (RFC 5652, section 5.3).
func signedAttribute(oid, value []byte) []byte {
	return tlv(tagSequence, oid, tlv(tagSet, value))
}

func printable(text string) []byte { return tlv(tagPrintable, []byte(text)) }

func sum(digest crypto.Hash, content []byte) []byte {
	h := digest.New()
	h.Write(content)
	return h.Sum(nil)
}

// Degenerate is SignedData that carries certificates and no signature (RFC
// 8894, section 3.4): how SCEP hands certificates over.
func Degenerate(certs ...*x509.Certificate) []byte {
	raw := make([][]byte, len(certs))
	for i, c := range certs {
		raw[i] = c.Raw
	}
	return contentInfo(oidSignedData, tlv(tagSequence, version(1), tlv(tagSet), tlv(tagSequence, oidData), tlv(tagZero, raw...), tlv(tagSet)))
}
