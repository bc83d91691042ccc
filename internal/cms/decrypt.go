package cms

import (
	"bytes"
	"crypto"
	"crypto/cipher"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"

	smallstep "github.com/smallstep/pkcs7"

	"sallyport/internal/bounded"
)

// Envelope is EnvelopedData that was looked at, not opened.
type Envelope struct {
	// Cipher is the content encryption, empty for one that we do not know.
	Cipher     Cipher
	recipients []recipient
	iv         []byte
	content    []byte // encrypted
	der        []byte
}

// recipient is KeyTransRecipientInfo (RFC 5652, section 6.2.1).
type recipient struct {
	name         certificateName
	plain        bool // PKCS#1 v1.5, and not OAEP
	encryptedKey []byte
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
	return slices.ContainsFunc(e.recipients, func(r recipient) bool { return r.name.of(cert) })
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
	i := slices.IndexFunc(e.recipients, func(r recipient) bool { return r.name.of(cert) })
	if i < 0 || e.Cipher == "" {
		return nil, ErrDecrypt
	}
	if !e.recipients[i].plain {
		return e.openByLibrary(cert, key)
	}
	// With the length of a session key, wrong padding gives a random key, as RFC 3218
	// wants it: neither an error nor time tells one from the other, and the failure
	// shows only in the content.
	//lint:ignore SA1019 phones and SCEP clients send no other key transport (RFC 8894, section 3.1)
	opts := &rsa.PKCS1v15DecryptOptions{SessionKeyLen: e.Cipher.keySize()}
	contentKey, err := key.Decrypt(rand.Reader, e.recipients[i].encryptedKey, opts)
	if err != nil {
		return nil, ErrDecrypt
	}
	return e.decrypt(contentKey)
}

// openByLibrary is for a key that went by OAEP. No client that we tried sends that.
func (e Envelope) openByLibrary(cert *x509.Certificate, key crypto.Decrypter) ([]byte, error) {
	p7, err := smallstep.Parse(e.der)
	if err != nil {
		return nil, ErrDecrypt
	}
	content, err := p7.Decrypt(cert, key)
	if err != nil {
		return nil, ErrDecrypt
	}
	return content, nil
}

// decrypt undoes encryptContent.
func (e Envelope) decrypt(key []byte) ([]byte, error) {
	for _, c := range ciphers {
		if c.name != e.Cipher {
			continue
		}
		block, err := c.newBlock(key)
		if err != nil {
			return nil, ErrDecrypt
		}
		size := block.BlockSize()
		if len(e.iv) != size || len(e.content) == 0 || len(e.content)%size != 0 {
			return nil, ErrDecrypt
		}
		plain := make([]byte, len(e.content))
		cipher.NewCBCDecrypter(block, e.iv).CryptBlocks(plain, e.content)
		padding := int(plain[len(plain)-1])
		if padding == 0 || padding > size {
			return nil, ErrDecrypt
		}
		plain, padded := plain[:len(plain)-padding], plain[len(plain)-padding:]
		if bytes.Count(padded, padded[:1]) != padding {
			return nil, ErrDecrypt
		}
		return plain, nil
	}
	return nil, ErrDecrypt
}

// parseEnvelope walks ContentInfo and EnvelopedData (RFC 5652, 3 and 6.1),
// which may be BER: encoding/asn1 cannot read it.
func parseEnvelope(der []byte) (Envelope, error) {
	fields, err := contentOf(der, oidEnvelopedData)
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
	if err := e.readContent(fields[i+1]); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// parseRecipients reads the key-transport recipients that are named by issuer
// and serial number, the only form in use with SCEP. Others are passed over.
func parseRecipients(set element) ([]recipient, error) {
	infos, err := set.children()
	if err != nil {
		return nil, err
	}
	var list []recipient
	for _, info := range infos {
		fields, err := info.children()
		if err != nil {
			return nil, err
		}
		if info.tag != tagSequence || len(fields) != 4 || fields[1].tag != tagSequence {
			continue
		}
		var r recipient
		if r.name, err = parseIssuerAndSerial(fields[1]); err != nil {
			return nil, err
		}
		algorithm, err := fields[2].children()
		if err != nil || len(algorithm) == 0 {
			return nil, errBER
		}
		r.plain = bytes.Equal(algorithm[0].raw, oidRSAEncryption)
		if r.encryptedKey, err = fields[3].octets(tagOctets); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

// readContent reads EncryptedContentInfo.
func (e *Envelope) readContent(info element) error {
	fields, err := info.children()
	if err != nil || len(fields) < 2 {
		return errBER
	}
	algorithm, err := fields[1].children()
	if err != nil || len(algorithm) == 0 {
		return errBER
	}
	for _, c := range ciphers {
		if bytes.Equal(algorithm[0].raw, c.oid) {
			e.Cipher = c.name
		}
	}
	if len(algorithm) > 1 {
		e.iv = algorithm[1].body
	}
	if len(fields) > 2 {
		e.content, err = fields[2].octets(tagZero &^ inPieces)
	}
	return err
}
