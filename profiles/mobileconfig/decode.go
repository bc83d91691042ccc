package mobileconfig

import (
	"crypto/x509"
	"fmt"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

// Decode reads an unsigned profile as a tree of values, within the limits for
// input from outside. Use it to inspect; it checks the form, not the keys.
func Decode(data []byte) (map[string]any, error) {
	var profile map[string]any
	if err := bounded.DecodePlist(data, bounded.MaxPlist, bounded.MaxDepth, &profile); err != nil {
		return nil, fmt.Errorf("decode profile: %w", err)
	}
	if profile == nil {
		return nil, fmt.Errorf("decode profile: %w: not a dictionary", bounded.ErrMalformed)
	}
	return profile, nil
}

// DecodeSigned reads a signed profile (CMS, attached content) and returns its
// signer, verified against trust.
func DecodeSigned(der []byte, trust cms.Trust) (map[string]any, *x509.Certificate, error) {
	content, signer, err := cms.Verify(der, trust)
	if err != nil {
		return nil, nil, fmt.Errorf("verify profile: %w", err)
	}
	profile, err := Decode(content)
	if err != nil {
		return nil, nil, err
	}
	return profile, signer, nil
}
