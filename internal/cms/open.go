package cms

import (
	"crypto/x509"
	"fmt"
)

// Open returns the content of an attached signature and the certificate that
// made it, for a person to look at. The signature fits the content; whose it is
// nobody has checked: trust nothing that the content says. maxBytes 0 means
// bounded.MaxCMS.
func Open(der []byte, maxBytes int) (content []byte, signer *x509.Certificate, err error) {
	s, err := parseSigned(der, Trust{MaxBytes: maxBytes}.maxBytes())
	if err != nil {
		return nil, nil, err
	}
	if len(s.content) == 0 {
		return nil, nil, fmt.Errorf("%w: no content", ErrMalformed)
	}
	if err := s.checkSignature(s.content); err != nil {
		return nil, nil, err
	}
	return s.content, s.signer, nil
}
