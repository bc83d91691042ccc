package cms

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

var (
	// ErrKeyLocked says that a private key is encrypted under a passphrase.
	ErrKeyLocked = errors.New("is encrypted")
	// ErrNoKey says that a PEM block holds something else than a private key.
	ErrNoKey = errors.New("holds no private key")
)

// PrivateKey reads a private key by what its PEM block calls it: PKCS#8 (RFC
// 5958), PKCS#1 (RFC 8017, appendix A.1.2) or SEC 1 (RFC 5915). Nothing of a
// library's error is taken over, which could quote the key.
func PrivateKey(block *pem.Block) (crypto.Signer, error) {
	if block.Headers["DEK-Info"] != "" { // OpenSSL's older way
		return nil, ErrKeyLocked
	}
	var parsed any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return nil, ErrKeyLocked
	default:
		return nil, fmt.Errorf("%w: it is a %.40q", ErrNoKey, block.Type)
	}
	key, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		return nil, errors.New("cannot be read")
	}
	return key, nil
}
