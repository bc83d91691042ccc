package cms

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"fmt"

	smallstep "github.com/smallstep/pkcs7"
	mozilla "go.mozilla.org/pkcs7"
)

// Sign returns content as attached CMS SignedData with SHA-256 (RFC 5652,
// section 5), together with the signer's chain. This is how an Apple device
// wants a configuration profile.
func Sign(content []byte, id Identity) ([]byte, error) {
	return sign(content, id, false)
}

// SignDetached returns the signature alone.
func SignDetached(content []byte, id Identity) ([]byte, error) {
	return sign(content, id, true)
}

func sign(content []byte, id Identity, detached bool) (der []byte, err error) {
	defer guard(&err, fmt.Errorf("sign: %w", ErrUnsupported))
	if err := id.usable(); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	switch id.Key.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey:
		der, err = signFileKey(content, id, detached)
	default:
		der, err = signAnyKey(content, id, detached)
	}
	if err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return der, nil
}

// usable refuses what would give a signature that nobody can verify.
func (id Identity) usable() error {
	if id.Certificate == nil || id.Key == nil {
		return fmt.Errorf("%w: identity is incomplete", ErrUnsupported)
	}
	switch pub := id.Key.Public().(type) {
	case *rsa.PublicKey:
		return id.matches(pub)
	case *ecdsa.PublicKey:
		return id.matches(pub)
	default:
		return fmt.Errorf("%w: key of type %T", ErrUnsupported, pub)
	}
}

func (id Identity) matches(pub interface{ Equal(crypto.PublicKey) bool }) error {
	if !pub.Equal(id.Certificate.PublicKey) {
		return fmt.Errorf("%w: certificate is not of this key", ErrUnsupported)
	}
	return nil
}

func signFileKey(content []byte, id Identity, detached bool) ([]byte, error) {
	sd, err := mozilla.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(mozilla.OIDDigestAlgorithmSHA256) // the library's own choice is SHA-1
	if err := sd.AddSignerChain(id.Certificate, id.Key, id.Chain, mozilla.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	if detached {
		sd.Detach()
	}
	return sd.Finish()
}

// signAnyKey is for keys that only sign (HSM, KMS): mozilla's does not know them.
func signAnyKey(content []byte, id Identity, detached bool) ([]byte, error) {
	sd, err := smallstep.NewSignedData(content)
	if err != nil {
		return nil, err
	}
	sd.SetDigestAlgorithm(smallstep.OIDDigestAlgorithmSHA256)
	if err := sd.AddSignerChain(id.Certificate, id.Key, id.Chain, smallstep.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	if detached {
		sd.Detach()
	}
	return sd.Finish()
}
