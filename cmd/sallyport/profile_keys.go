package main

import (
	"crypto"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

// readSmall reads a file of keys or certificates.
func readSmall(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := bounded.Read(f, bounded.MaxPlist)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return data, nil
}

// privateKey reads the one private key of a PEM file: PKCS#8, PKCS#1 or SEC 1.
func privateKey(file string) (crypto.Signer, error) {
	text, err := readSmall(file)
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		key, err := cms.PrivateKey(block)
		switch {
		case errors.Is(err, cms.ErrNoKey): // a certificate beside it
			continue
		case errors.Is(err, cms.ErrKeyLocked):
			return nil, fmt.Errorf("%s: the key is closed with a pass phrase (open it first: openssl pkey -in %s -out FILE)", file, file)
		case err != nil:
			return nil, fmt.Errorf("%s: the private key %w", file, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%s holds no private key in PEM form", file)
}

// identity reads a certificate with its chain, signer first, and its key.
func identity(certificateFile, keyFile string) (cms.Identity, error) {
	chain, err := certificates(certificateFile)
	if err != nil {
		return cms.Identity{}, err
	}
	key, err := privateKey(keyFile)
	if err != nil {
		return cms.Identity{}, err
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return cms.Identity{}, fmt.Errorf("%s is not the key of the first certificate in %s (signer first, then its issuers)", keyFile, certificateFile)
	}
	return cms.Identity{Certificate: chain[0], Chain: chain[1:], Key: key}, nil
}
