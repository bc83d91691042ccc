package cms

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

	"sallyport/internal/secret"
)

// Cipher is a content-encryption algorithm. All are CBC: it is what Apple's
// devices and OpenSSL's cms command read alike.
type Cipher string

const (
	AES256    Cipher = "AES-256-CBC"
	AES128    Cipher = "AES-128-CBC"
	TripleDES Cipher = "3DES-CBC"
	DES       Cipher = "DES-CBC" // broken; only for old SCEP clients, behind a switch
)

var ciphers = []struct {
	name     Cipher
	oid      []byte
	keySize  int
	newBlock func(key []byte) (cipher.Block, error)
}{
	{AES256, encode(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}), 32, aes.NewCipher},
	{AES128, encode(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}), 16, aes.NewCipher},
	{TripleDES, encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}), 24, des.NewTripleDESCipher},
	{DES, encode(asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}), 8, des.NewCipher},
}

// keySize is 0 for a cipher that we do not know.
func (c Cipher) keySize() int {
	for _, known := range ciphers {
		if known.name == c {
			return known.keySize
		}
	}
	return 0
}

var (
	oidEnvelopedData = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3})
	oidRSAEncryption = encode(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1})

	rsaEncryption = tlv(tagSequence, oidRSAEncryption, tlv(tagNull)) // AlgorithmIdentifier (RFC 3370, section 3.2)
)

// Encrypt closes content for the RSA key in to, with AES-256-CBC (RFC 5652,
// section 6). It is what EncryptedPayloadContent of a profile holds. An
// elliptic-curve recipient is ErrUnsupported: no library here does key agreement.
func Encrypt(content []byte, to *x509.Certificate) ([]byte, error) {
	return envelope(content, to, AES256)
}

func envelope(content []byte, to *x509.Certificate, with Cipher) ([]byte, error) {
	public, ok := to.PublicKey.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("encrypt: %w: recipient key of type %T, want RSA", ErrUnsupported, to.PublicKey)
	}
	key := secret.Random(with.keySize())
	encrypted, err := encryptContent(content, key, with)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	//lint:ignore SA1019 iOS and SCEP clients are not known to open any other key transport (RFC 8894, section 3.1)
	encryptedKey, err := rsa.EncryptPKCS1v15(rand.Reader, public, key)
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w: %w", ErrUnsupported, err) // a key that is too short
	}
	recipient := tlv(tagSequence, version(0), issuerAndSerial(to), rsaEncryption, tlv(tagOctets, encryptedKey))
	return contentInfo(oidEnvelopedData, tlv(tagSequence, version(0), tlv(tagSet, recipient), encrypted)), nil
}

// contentInfo is RFC 5652, section 3.
func contentInfo(contentType, content []byte) []byte {
	return tlv(tagSequence, contentType, tlv(tagZero, content))
}

func version(n byte) []byte { return tlv(tagInteger, []byte{n}) }

// issuerAndSerial is how a certificate is named (RFC 5652, section 10.2.4).
func issuerAndSerial(c *x509.Certificate) []byte {
	return tlv(tagSequence, c.RawIssuer, derInteger(c.SerialNumber))
}

// encryptContent returns EncryptedContentInfo.
func encryptContent(content, key []byte, with Cipher) ([]byte, error) {
	for _, c := range ciphers {
		if c.name != with {
			continue
		}
		block, err := c.newBlock(key)
		if err != nil {
			return nil, err
		}
		size := block.BlockSize()
		iv := secret.Random(size)
		padding := size - len(content)%size // RFC 5652, 6.3: always at least one byte
		padded := make([]byte, len(content)+padding)
		for i := copy(padded, content); i < len(padded); i++ {
			padded[i] = byte(padding)
		}
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
		return tlv(tagSequence, oidData, tlv(tagSequence, c.oid, tlv(tagOctets, iv)), tlv(tagZero&^inPieces, padded)), nil
	}
	return nil, fmt.Errorf("%w: cipher %q", ErrUnsupported, with)
}
