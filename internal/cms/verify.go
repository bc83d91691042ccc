package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/subtle"
	"crypto/x509"
	"fmt"
)

// Verify opens an attached signature: exactly one signer, whose certificate
// leads to t.Roots at t.Now for one of t.Usages, and a signature that covers
// the content.
//
// The library's own verification is not used: it takes the signing time that
// the sender claims, so that an expired certificate can date itself back, or a
// phone whose clock is slow is turned away, and it never looks at the content
// type.
func Verify(der []byte, t Trust) (content []byte, signer *x509.Certificate, err error) {
	s, err := parseSigned(der, t.maxBytes())
	if err != nil {
		return nil, nil, err
	}
	if len(s.content) == 0 {
		return nil, nil, fmt.Errorf("%w: no content", ErrMalformed)
	}
	if err := s.verify(s.content, t); err != nil {
		return nil, nil, err
	}
	return s.content, s.signer, nil
}

// VerifyDetached is Verify for a signature that came apart from its content. A
// signature that brings content of its own is refused.
func VerifyDetached(sig, content []byte, t Trust) (*x509.Certificate, error) {
	s, err := parseSigned(sig, t.maxBytes())
	if err != nil {
		return nil, err
	}
	if len(s.content) != 0 {
		return nil, fmt.Errorf("%w: content where none belongs", ErrMalformed)
	}
	if err := s.verify(content, t); err != nil {
		return nil, err
	}
	return s.signer, nil
}

// verify asks first whose the certificate is where it can only be one of ours. The
// key in a stranger's is of the stranger's choice, and one that CheckKeySize lets
// pass keeps us busy for milliseconds; a chain of our own costs what our keys do.
func (s *signed) verify(content []byte, t Trust) error {
	if t.Closed {
		if err := s.checkChain(t); err != nil {
			return err
		}
		return s.checkSignature(content)
	}
	if err := s.checkSignature(content); err != nil {
		return err
	}
	return s.checkChain(t)
}

// checkSignature verifies the signature with the signer's key (RFC 5652, 5.6).
func (s *signed) checkSignature(content []byte) (err error) {
	defer guard(&err, ErrSignature)
	if s.digest == 0 {
		return fmt.Errorf("%w: unknown digest", ErrSignature)
	}
	message := content
	if len(s.attrs) > 0 {
		if err := s.checkAttributes(content); err != nil {
			return err
		}
		message = s.rawAttrs
	} else if bytes.HasPrefix(content, []byte{0x31}) {
		// The attributes of another signature, passed off as content.
		return fmt.Errorf("%w: content is a SET", ErrSignature)
	}
	algorithm := signatureAlgorithm(s.signer.PublicKey, s.digest)
	if err := s.signer.CheckSignature(algorithm, message, s.signature); err != nil {
		return ErrSignature
	}
	return nil
}

// checkAttributes wants the content type to be data and the message digest to
// be that of content, each exactly once.
func (s *signed) checkAttributes(content []byte) error {
	contentType, err := s.value(oidContentType)
	if err != nil || !bytes.Equal(contentType, oidData) {
		return fmt.Errorf("%w: content type", ErrSignature)
	}
	var digest []byte
	if err := s.attribute(oidMessageDigest, &digest); err != nil {
		return fmt.Errorf("%w: message digest", ErrSignature)
	}
	if subtle.ConstantTimeCompare(sum(s.digest, content), digest) != 1 {
		return ErrSignature
	}
	return nil
}

func (s *signed) checkChain(t Trust) error { return t.Check(s.signer, s.certs...) }

// Check reports whether c leads to t.Roots at t.Now for one of t.Usages, by way
// of t.Intermediates and, unless t is Closed, what the sender brought along.
func (t Trust) Check(c *x509.Certificate, along ...*x509.Certificate) (err error) {
	defer guard(&err, ErrUntrusted)
	if t.Roots == nil || t.Now.IsZero() {
		// nil would mean the system's roots, and zero the system's time.
		return fmt.Errorf("%w: no roots or no time given", ErrUntrusted)
	}
	if t.Known.knows(c, t) {
		return nil
	}
	if t.Closed {
		along = nil
	}
	intermediates := x509.NewCertPool()
	for _, between := range append(append([]*x509.Certificate(nil), t.Intermediates...), along...) {
		intermediates.AddCert(between)
	}
	usages := t.Usages
	if len(usages) == 0 {
		usages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny} // none would mean TLS servers
	}
	chains, err := c.Verify(x509.VerifyOptions{
		Roots: t.Roots, Intermediates: intermediates, CurrentTime: t.Now, KeyUsages: usages,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	t.Known.learn(c, t, chains[0])
	return nil
}

// signatureAlgorithm follows from key and digest. What the message says of it
// adds nothing: senders write rsaEncryption as well as sha256WithRSAEncryption.
func signatureAlgorithm(key crypto.PublicKey, digest crypto.Hash) x509.SignatureAlgorithm {
	switch key.(type) {
	case *rsa.PublicKey:
		switch digest {
		case crypto.SHA1:
			return x509.SHA1WithRSA
		case crypto.SHA256:
			return x509.SHA256WithRSA
		case crypto.SHA384:
			return x509.SHA384WithRSA
		case crypto.SHA512:
			return x509.SHA512WithRSA
		}
	case *ecdsa.PublicKey:
		switch digest {
		case crypto.SHA1:
			return x509.ECDSAWithSHA1
		case crypto.SHA256:
			return x509.ECDSAWithSHA256
		case crypto.SHA384:
			return x509.ECDSAWithSHA384
		case crypto.SHA512:
			return x509.ECDSAWithSHA512
		}
	}
	return x509.UnknownSignatureAlgorithm
}
