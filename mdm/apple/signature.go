package apple

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
	"sallyport/internal/refusal"
)

// authenticate verifies the Mdm-Signature header: base64 of a detached CMS
// signature of the raw body, by exactly one signer, whose certificate leads to
// our roots at our time and may authenticate a client
// (https://developer.apple.com/documentation/devicemanagement/implementing-device-management/managing-certificates-for-mdm-servers-and-devices).
// It comes before anything in the body is looked at.
func (s *Service) authenticate(r Request) (Identity, error) {
	switch {
	case len(r.Body) > bounded.MaxPlist:
		return Identity{}, malformed("", "is larger than a message may be")
	case r.Signature == "":
		return Identity{}, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is missing", "enrol with a profile of this server, which asks for SignMessage")
	case len(r.Signature) > bounded.MaxHeader:
		return Identity{}, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is longer than a header may be", "")
	}
	signature, err := base64.StdEncoding.DecodeString(r.Signature)
	if err != nil {
		return Identity{}, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is not base64", "")
	}
	trust := s.Trust()
	trust.Now = s.now()
	trust.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	signer, err := cms.VerifyDetached(signature, r.Body, trust)
	if err != nil {
		return Identity{}, fmt.Errorf("%w: Mdm-Signature: %w", ErrUnauthenticated, err)
	}
	sum := sha256.Sum256(signer.Raw)
	return Identity{Certificate: signer, Hash: hex.EncodeToString(sum[:])}, nil
}
