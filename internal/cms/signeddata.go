package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"math/big"

	"sallyport/internal/bounded"
)

var (
	oidSignedData    = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2})
	oidContentType   = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 3})
	oidMessageDigest = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 4})
	oidSigningTime   = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 5})
)

// signed is SignedData with one signer, read but not yet believed.
type signed struct {
	content   []byte
	certs     []*x509.Certificate
	signer    *x509.Certificate
	digest    crypto.Hash // 0 when unknown
	signature []byte
	attrs     []attribute
	rawAttrs  []byte // as signed: DER of the SET OF
}

// attribute is a signed attribute: its identifier, and the content of its SET of values.
type attribute struct{ oid, values []byte }

// parseSigned reads SignedData (RFC 5652, section 5.1), which may be BER but for
// its certificates and signed attributes: what they say of themselves is DER
// (RFC 5280, section 4.1; RFC 5652, section 5.3).
func parseSigned(der []byte, maxBytes int) (s *signed, err error) {
	if err := check(der, maxBytes); err != nil {
		return nil, err
	}
	fields, err := contentOf(der, oidSignedData)
	if err != nil {
		return nil, ErrMalformed
	}
	// version, digestAlgorithms, encapContentInfo, [0] certificates OPTIONAL, [1] crls OPTIONAL, signerInfos
	if len(fields) < 4 || fields[2].tag != tagSequence || fields[len(fields)-1].tag != tagSet {
		return nil, ErrMalformed
	}
	s = &signed{}
	if s.content, err = encapsulated(fields[2]); err != nil {
		return nil, ErrMalformed
	}
	if fields[3].tag == tagZero {
		if s.certs, err = parseCertificates(fields[3]); err != nil {
			return nil, err
		}
	}
	signers, err := fields[len(fields)-1].children()
	if err != nil {
		return nil, ErrMalformed
	}
	if len(signers) != 1 {
		return nil, fmt.Errorf("%w: %d signers, want 1", ErrMalformed, len(signers))
	}
	return s, s.readSigner(signers[0])
}

// contentOf returns the fields of what a ContentInfo (RFC 5652, section 3) of
// that type holds.
func contentOf(der, contentType []byte) ([]element, error) {
	outer, _, err := next(der)
	if err != nil {
		return nil, err
	}
	info, err := outer.children()
	if err != nil || len(info) != 2 || outer.tag != tagSequence || !bytes.Equal(info[0].raw, contentType) || info[1].tag != tagZero {
		return nil, errBER
	}
	explicit, err := info[1].children()
	if err != nil || len(explicit) != 1 || explicit[0].tag != tagSequence {
		return nil, errBER
	}
	return explicit[0].children()
}

// encapsulated is the content of EncapsulatedContentInfo, nil where it stands apart.
func encapsulated(info element) ([]byte, error) {
	fields, err := info.children()
	if err != nil || len(fields) == 0 || len(fields) > 2 {
		return nil, errBER
	}
	if len(fields) == 1 {
		return nil, nil
	}
	explicit, err := fields[1].children()
	if err != nil || len(explicit) > 1 || fields[1].tag != tagZero {
		return nil, errBER
	}
	if len(explicit) == 0 {
		return nil, nil
	}
	return explicit[0].octets(tagOctets)
}

// octets is an OCTET STRING, or one that is tagged instead: in one piece, or in
// several (X.690, section 8.7.3).
func (e element) octets(tag byte) ([]byte, error) {
	if e.tag == tag {
		return e.body, nil
	}
	pieces, err := e.children()
	if err != nil || e.tag != tag|inPieces {
		return nil, errBER
	}
	whole := make([]byte, 0, len(e.body))
	for _, piece := range pieces {
		if piece.tag != tagOctets {
			return nil, errBER
		}
		whole = append(whole, piece.body...)
	}
	return whole, nil
}

// maxCertificates is how many a message may bring along: each could have to be
// tried as the issuer of the signer.
const maxCertificates = 16

func parseCertificates(set element) ([]*x509.Certificate, error) {
	raw, err := set.children()
	if err != nil {
		return nil, ErrMalformed
	}
	if len(raw) > maxCertificates {
		return nil, fmt.Errorf("%w: %w: %d certificates", ErrMalformed, bounded.ErrTooLarge, len(raw))
	}
	list := make([]*x509.Certificate, len(raw))
	for i, e := range raw {
		if list[i], err = x509.ParseCertificate(e.raw); err != nil {
			return nil, ErrMalformed
		}
		if err := CheckKeySize(list[i].PublicKey); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// readSigner reads SignerInfo (RFC 5652, section 5.3), whose certificate must be
// named by issuer and serial number, and among those that came along.
func (s *signed) readSigner(info element) error {
	fields, err := info.children()
	// version, sid, digestAlgorithm, [0] signedAttrs OPTIONAL, signatureAlgorithm, signature, [1] unsignedAttrs OPTIONAL
	if err != nil || len(fields) < 5 || info.tag != tagSequence || fields[1].tag != tagSequence || fields[2].tag != tagSequence {
		return ErrMalformed
	}
	name, err := parseIssuerAndSerial(fields[1])
	if err != nil {
		return ErrMalformed
	}
	algorithm, err := fields[2].children()
	if err != nil || len(algorithm) == 0 {
		return ErrMalformed
	}
	s.digest = hashOf(algorithm[0].raw)
	if fields[3].tag == tagZero {
		if err := s.readAttributes(fields[3]); err != nil {
			return ErrMalformed
		}
		fields = fields[1:]
	}
	if len(fields) < 5 || fields[3].tag != tagSequence {
		return ErrMalformed
	}
	if s.signature, err = fields[4].octets(tagOctets); err != nil {
		return ErrMalformed
	}
	for _, c := range s.certs {
		if name.of(c) {
			s.signer = c
			return nil
		}
	}
	return fmt.Errorf("%w: the signer's certificate is missing", ErrMalformed)
}

func (s *signed) readAttributes(set element) error {
	list, err := set.children()
	if err != nil {
		return err
	}
	raw := make([][]byte, len(list))
	s.attrs = make([]attribute, len(list))
	for i, e := range list {
		fields, err := e.children()
		if err != nil || len(fields) != 2 || fields[1].tag != tagSet {
			return errBER
		}
		raw[i], s.attrs[i] = e.raw, attribute{fields[0].raw, fields[1].body}
	}
	// What is signed is the SET OF, not the [0] in the message (RFC 5652, 5.4).
	s.rawAttrs = setOf(raw...)
	return nil
}

// value is the only value of the only attribute of that type.
func (s *signed) value(oid []byte) ([]byte, error) {
	found := 0
	var values []byte
	for _, a := range s.attrs {
		if bytes.Equal(a.oid, oid) {
			found++
			values = a.values
		}
	}
	if found != 1 {
		return nil, fmt.Errorf("%w: attribute %x found %d times", ErrMalformed, oid, found)
	}
	return values, nil
}

// attribute decodes it.
func (s *signed) attribute(oid []byte, to any) error {
	value, err := s.value(oid)
	if err != nil {
		return err
	}
	rest, err := asn1.Unmarshal(value, to)
	if err != nil || len(rest) != 0 {
		return fmt.Errorf("%w: attribute %x", ErrMalformed, oid)
	}
	return nil
}

// certificateName names a certificate by its issuer and serial number.
type certificateName struct {
	issuer []byte
	serial *big.Int
}

func parseIssuerAndSerial(e element) (certificateName, error) {
	fields, err := e.children()
	if err != nil || len(fields) != 2 {
		return certificateName{}, errBER
	}
	name := certificateName{issuer: fields[0].raw}
	if _, err := asn1.Unmarshal(fields[1].raw, &name.serial); err != nil {
		return certificateName{}, errBER
	}
	return name, nil
}

func (n certificateName) of(c *x509.Certificate) bool {
	return n.serial.Cmp(c.SerialNumber) == 0 && bytes.Equal(n.issuer, c.RawIssuer)
}

// MaxRSABits is the largest RSA modulus with which we verify anything.
const MaxRSABits = 8192

// CheckKeySize refuses a key from outside before a signature is verified with
// it. A message of 64 KB has room for an RSA modulus of 400,000 bits, and one
// verification with that takes 22 seconds; with MaxRSABits it takes 14 ms.
func CheckKeySize(key crypto.PublicKey) error {
	if k, ok := key.(*rsa.PublicKey); ok && k.N.BitLen() > MaxRSABits {
		return fmt.Errorf("%w: %w: RSA modulus of %d bits", ErrMalformed, bounded.ErrTooLarge, k.N.BitLen())
	}
	return nil
}
