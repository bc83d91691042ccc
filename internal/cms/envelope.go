package cms

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"

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
	oid      asn1.ObjectIdentifier
	keySize  int
	newBlock func(key []byte) (cipher.Block, error)
}{
	{AES256, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 42}, 32, aes.NewCipher},
	{AES128, asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 1, 2}, 16, aes.NewCipher},
	{TripleDES, asn1.ObjectIdentifier{1, 2, 840, 113549, 3, 7}, 24, des.NewTripleDESCipher},
	{DES, asn1.ObjectIdentifier{1, 3, 14, 3, 2, 7}, 8, des.NewCipher},
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
	oidEnvelopedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 3}
	oidRSAEncryption = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}
)

type contentInfo struct {
	ContentType asn1.ObjectIdentifier
	Content     asn1.RawValue `asn1:"explicit,tag:0"`
}

// envelopedData is RFC 5652, section 6.1, with key transport only.
type envelopedData struct {
	Version    int
	Recipients []recipient `asn1:"set"`
	Content    encryptedContent
}

type recipient struct {
	Version      int
	Certificate  issuerAndSerial
	Algorithm    pkix.AlgorithmIdentifier
	EncryptedKey []byte
}

type issuerAndSerial struct {
	Issuer asn1.RawValue
	Serial *big.Int
}

type encryptedContent struct {
	ContentType asn1.ObjectIdentifier
	Algorithm   pkix.AlgorithmIdentifier
	Content     asn1.RawValue
}

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
	inner, err := asn1.Marshal(envelopedData{
		Recipients: []recipient{{
			Certificate:  issuerAndSerial{asn1.RawValue{FullBytes: to.RawIssuer}, to.SerialNumber},
			Algorithm:    pkix.AlgorithmIdentifier{Algorithm: oidRSAEncryption, Parameters: asn1.NullRawValue},
			EncryptedKey: encryptedKey,
		}},
		Content: encrypted,
	})
	if err != nil {
		return nil, fmt.Errorf("encrypt: %w", err)
	}
	return wrap(oidEnvelopedData, inner)
}

func wrap(contentType asn1.ObjectIdentifier, inner []byte) ([]byte, error) {
	return asn1.Marshal(contentInfo{
		ContentType: contentType,
		Content:     asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, IsCompound: true, Bytes: inner},
	})
}

func encryptContent(content, key []byte, with Cipher) (encryptedContent, error) {
	for _, c := range ciphers {
		if c.name != with {
			continue
		}
		block, err := c.newBlock(key)
		if err != nil {
			return encryptedContent{}, err
		}
		size := block.BlockSize()
		iv := secret.Random(size)
		padding := size - len(content)%size // RFC 5652, 6.3: always at least one byte
		padded := append(bytes.Clone(content), bytes.Repeat([]byte{byte(padding)}, padding)...)
		cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
		return encryptedContent{
			ContentType: oidData,
			Algorithm: pkix.AlgorithmIdentifier{
				Algorithm:  c.oid,
				Parameters: asn1.RawValue{Tag: asn1.TagOctetString, Bytes: iv},
			},
			Content: asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 0, Bytes: padded},
		}, nil
	}
	return encryptedContent{}, fmt.Errorf("%w: cipher %q", ErrUnsupported, with)
}
