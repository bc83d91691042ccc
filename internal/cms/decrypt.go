package cms

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"io"
	"math/big"
	"slices"

	smallstep "github.com/smallstep/pkcs7"

	"sallyport/internal/bounded"
)

// Envelope is EnvelopedData that was looked at, not opened.
type Envelope struct {
	// Cipher is the content encryption, empty for one that we do not know.
	Cipher     Cipher
	recipients []issuerAndSerial
	der        []byte
}

// ParseEnvelope bounds EnvelopedData and reads, without a key, whom it is for
// and how it was encrypted.
func ParseEnvelope(der []byte) (Envelope, error) { return parseBounded(der, bounded.MaxCMS) }

func parseBounded(der []byte, maxBytes int) (Envelope, error) {
	if err := check(der, maxBytes); err != nil {
		return Envelope{}, err
	}
	e, err := parseEnvelope(der)
	if err != nil {
		return Envelope{}, ErrMalformed
	}
	e.der = der
	return e, nil
}

// For reports whether cert is among the recipients.
func (e Envelope) For(cert *x509.Certificate) bool {
	return slices.ContainsFunc(e.recipients, func(r issuerAndSerial) bool {
		return r.Serial.Cmp(cert.SerialNumber) == 0 && bytes.Equal(r.Issuer.FullBytes, cert.RawIssuer)
	})
}

// implicitRejection makes the RSA operation of PKCS#1 v1.5 return a random
// content key where the padding is wrong, as RFC 3218 wants it: neither an error
// nor time tells one from the other, and the failure shows only in the content.
type implicitRejection struct {
	crypto.Decrypter
	keySize int
}

func (d implicitRejection) Decrypt(random io.Reader, message []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	//lint:ignore SA1019 phones and SCEP clients send no other key transport (RFC 8894, section 3.1)
	if _, ok := opts.(*rsa.PKCS1v15DecryptOptions); ok && d.keySize > 0 {
		//lint:ignore SA1019 the same; a session key length is what makes it safe to answer
		opts = &rsa.PKCS1v15DecryptOptions{SessionKeyLen: d.keySize}
	}
	return d.Decrypter.Decrypt(random, message, opts)
}

// Decrypt opens EnvelopedData of at most bounded.MaxCMS bytes that was closed
// with AES or 3DES for cert. Whatever is wrong once the key is in use is
// ErrDecrypt and nothing else.
func Decrypt(der []byte, cert *x509.Certificate, key crypto.PrivateKey) ([]byte, error) {
	return DecryptUpTo(der, cert, key, bounded.MaxCMS)
}

// DecryptUpTo is Decrypt for an envelope of at most maxBytes: a profile that
// holds certificates is larger than a message of the network may be.
func DecryptUpTo(der []byte, cert *x509.Certificate, key crypto.PrivateKey, maxBytes int) ([]byte, error) {
	e, err := parseBounded(der, maxBytes)
	if err != nil {
		return nil, err
	}
	decrypter, ok := key.(crypto.Decrypter)
	if !ok {
		return nil, fmt.Errorf("%w: key of type %T does not decrypt", ErrUnsupported, key)
	}
	if e.Cipher == "" || e.Cipher == DES {
		return nil, fmt.Errorf("%w: content cipher", ErrUnsupported)
	}
	return e.Open(cert, decrypter)
}

// Open decrypts with the key of cert, which is one of the recipients, whatever
// the cipher: the caller has decided that. Whatever is wrong is ErrDecrypt and
// nothing else.
func (e Envelope) Open(cert *x509.Certificate, key crypto.Decrypter) (content []byte, err error) {
	defer guard(&err, ErrDecrypt) // the library panics on bad padding
	p7, err := smallstep.Parse(e.der)
	if err != nil {
		return nil, ErrDecrypt
	}
	content, err = p7.Decrypt(cert, implicitRejection{key, e.Cipher.keySize()})
	if err != nil {
		return nil, ErrDecrypt
	}
	return content, nil
}

// parseEnvelope walks ContentInfo and EnvelopedData (RFC 5652, 3 and 6.1),
// which may be BER: encoding/asn1 cannot read it.
func parseEnvelope(der []byte) (Envelope, error) {
	outer, _, err := next(der)
	if err != nil {
		return Envelope{}, err
	}
	info, err := outer.children()
	if err != nil || len(info) != 2 || !isOID(info[0], oidEnvelopedData) {
		return Envelope{}, errBER
	}
	explicit, err := info[1].children()
	if err != nil || len(explicit) != 1 {
		return Envelope{}, errBER
	}
	fields, err := explicit[0].children()
	if err != nil {
		return Envelope{}, err
	}
	// version, [0] originatorInfo OPTIONAL, SET recipientInfos, encryptedContentInfo, ...
	i := slices.IndexFunc(fields, func(e element) bool { return e.tag == 0x31 })
	if i < 0 || i+1 >= len(fields) {
		return Envelope{}, errBER
	}
	var e Envelope
	if e.recipients, err = parseRecipients(fields[i]); err != nil {
		return Envelope{}, err
	}
	e.Cipher, err = parseCipher(fields[i+1])
	return e, err
}

// parseRecipients reads the key-transport recipients that are named by issuer
// and serial number, the only form in use with SCEP. Others are passed over.
func parseRecipients(set element) ([]issuerAndSerial, error) {
	infos, err := set.children()
	if err != nil {
		return nil, err
	}
	var list []issuerAndSerial
	for _, info := range infos {
		fields, err := info.children()
		if err != nil {
			return nil, err
		}
		if info.tag != 0x30 || len(fields) != 4 || fields[1].tag != 0x30 {
			continue
		}
		name, err := fields[1].children()
		if err != nil || len(name) != 2 {
			return nil, errBER
		}
		serial := new(big.Int)
		if _, err := asn1.Unmarshal(name[1].raw, &serial); err != nil {
			return nil, errBER
		}
		list = append(list, issuerAndSerial{asn1.RawValue{FullBytes: name[0].raw}, serial})
	}
	return list, nil
}

func parseCipher(content element) (Cipher, error) {
	fields, err := content.children()
	if err != nil || len(fields) < 2 {
		return "", errBER
	}
	algorithm, err := fields[1].children()
	if err != nil || len(algorithm) == 0 {
		return "", errBER
	}
	for _, c := range ciphers {
		if isOID(algorithm[0], c.oid) {
			return c.name, nil
		}
	}
	return "", nil
}

func isOID(e element, oid asn1.ObjectIdentifier) bool {
	want, err := asn1.Marshal(oid)
	return err == nil && bytes.Equal(e.raw, want)
}
