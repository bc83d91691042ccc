package cms

import (
	"bytes"
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
	if err := id.ordered(); err != nil {
		return err
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

// ordered refuses a chain of which a certificate did not issue the one before,
// by names and key identifiers (RFC 5280, sections 4.1.2.4, 4.2.1.1). The
// libraries verify every signature of the chain instead, each time they sign:
// that costs more than a P-256 signature, and says nothing new of a chain that
// was verified when it was made or loaded.
func (id Identity) ordered() error {
	below := id.Certificate
	for _, c := range id.Chain {
		if c == nil || !bytes.Equal(below.RawIssuer, c.RawSubject) || differ(below.AuthorityKeyId, c.SubjectKeyId) {
			return fmt.Errorf("%w: chain is not in order, issuer first", ErrUnsupported)
		}
		below = c
	}
	return nil
}

// differ: a certificate may leave its identifiers out.
func differ(authority, subject []byte) bool {
	return len(authority) > 0 && len(subject) > 0 && !bytes.Equal(authority, subject)
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
	if err := sd.AddSigner(id.Certificate, id.Key, mozilla.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, c := range id.Chain {
		sd.AddCertificate(c)
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
	if err := sd.AddSigner(id.Certificate, id.Key, smallstep.SignerInfoConfig{}); err != nil {
		return nil, err
	}
	for _, c := range id.Chain {
		sd.AddCertificate(c)
	}
	if detached {
		sd.Detach()
	}
	return sd.Finish()
}
