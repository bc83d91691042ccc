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

// authenticate finds out whose message it is, before anything in the body is
// looked at. The proof is the Mdm-Signature header, or the certificate that the
// phone has shown for its connection, or both, which must then be one and the
// same. Either way the certificate leads to our roots at our time and may
// authenticate a client
// (https://developer.apple.com/documentation/devicemanagement/implementing-device-management/managing-certificates-for-mdm-servers-and-devices).
func (s *Service) authenticate(r Request) (Identity, error) {
	if len(r.Body) > bounded.MaxPlist {
		return Identity{}, malformed("", "is larger than a message may be")
	}
	trust := s.Trust()
	trust.Now = s.now()
	trust.Usages = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	trust.Closed = true // ours is every authority above a phone's identity
	if r.Signature == "" && r.Certificate != nil {
		if err := trust.Check(r.Certificate); err != nil {
			return Identity{}, fmt.Errorf("%w: client certificate: %w", ErrUnauthenticated, err)
		}
		return identityOf(r.Certificate), nil
	}
	signer, err := signed(r, trust)
	if err != nil {
		return Identity{}, err
	}
	if r.Certificate != nil && !r.Certificate.Equal(signer) {
		return Identity{}, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is not by the client certificate that came with it", "")
	}
	return identityOf(signer), nil
}

// signed verifies Mdm-Signature: base64 of a detached CMS signature of the raw
// body, by exactly one signer.
func signed(r Request, trust cms.Trust) (*x509.Certificate, error) {
	switch {
	case r.Signature == "":
		return nil, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is missing", "enrol with a profile of this server, which asks for SignMessage")
	case len(r.Signature) > bounded.MaxHeader:
		return nil, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is longer than a header may be", "")
	}
	signature, err := base64.StdEncoding.DecodeString(r.Signature)
	if err != nil {
		return nil, refusal.New(ErrUnauthenticated, "Mdm-Signature", "is not base64", "")
	}
	signer, err := cms.VerifyDetached(signature, r.Body, trust)
	if err != nil {
		return nil, fmt.Errorf("%w: Mdm-Signature: %w", ErrUnauthenticated, err)
	}
	return signer, nil
}

func identityOf(c *x509.Certificate) Identity {
	sum := sha256.Sum256(c.Raw)
	return Identity{Certificate: c, Hash: hex.EncodeToString(sum[:])}
}
