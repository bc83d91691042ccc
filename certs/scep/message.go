package scep

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	"github.com/smallstep/scep"
	"github.com/smallstep/scep/x509util"

	"sallyport/internal/bounded"
	"sallyport/internal/cms"
)

// refusal is a reason for CertRep FAILURE. The client learns info alone; cause
// is for the audit trail.
type refusal struct {
	info  cms.FailInfo
	cause string
	err   error
}

func (r *refusal) Error() string {
	if r.err != nil {
		return r.cause + ": " + r.err.Error()
	}
	return r.cause
}

func (r *refusal) Unwrap() error { return r.err }

func refuse(info cms.FailInfo, cause string, err error) *refusal {
	return &refusal{info: info, cause: cause, err: err}
}

// messageTypes is the list of what is answered (RFC 8894, section 3.2.1.2): a
// first request, which a challenge allows, and a renewal, which the signature of
// the certificate that it replaces allows.
var messageTypes = []string{string(scep.PKCSReq), string(scep.RenewalReq)}

// request is an opened PKCSReq or RenewalReq.
type request struct {
	key       crypto.PublicKey
	challenge string
	cipher    cms.Cipher // to reply in
}

// digest is what the reply is signed with: that of the request, or SHA-256
// where the request's own is one that we do not use.
func (s *Service) digest(m *cms.SCEPRequest) crypto.Hash {
	if s.takesDigest(m.Digest) {
		return m.Digest
	}
	return crypto.SHA256
}

func (s *Service) takesDigest(h crypto.Hash) bool {
	switch h {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
		return true
	case crypto.SHA1:
		return s.Legacy
	default:
		return false
	}
}

func (s *Service) takesCipher(c cms.Cipher) bool {
	switch c {
	case cms.AES256, cms.AES128, cms.TripleDES:
		return true
	case cms.DES:
		return s.Legacy
	default:
		return false
	}
}

// check decides whether to open the envelope at all: a type on the list, sound
// algorithms, a key to which a reply can be closed, and a signature that holds.
func (s *Service) check(m *cms.SCEPRequest) error {
	// The list comes first: what is not on it gets no further, whatever else it
	// says (CVE-2026-30836 was a type that skipped the challenge).
	if !slices.Contains(messageTypes, m.MessageType) {
		return refuse(cms.BadRequest, "message type is neither PKCSReq nor RenewalReq", nil)
	}
	if !s.takesDigest(m.Digest) {
		return refuse(cms.BadAlg, "digest is not accepted", nil)
	}
	// The key is of the sender's choice, and so would be what it costs to verify by it.
	key, ok := m.Signer.PublicKey.(*rsa.PublicKey)
	if !ok {
		return refuse(cms.BadAlg, "requester's key is not RSA", nil)
	}
	if bits := key.N.BitLen(); bits < 2048 || bits > 4096 {
		return refuse(cms.BadAlg, fmt.Sprintf("requester's RSA key has %d bits", bits), nil)
	}
	if err := m.CheckSignature(); err != nil {
		return refuse(cms.BadMessageCheck, "signature does not hold", err)
	}
	return nil
}

// open decrypts the envelope and reads the certificate request in it.
//
// Everything between the first use of the RA's key and the request's own valid
// signature is refused in the same words: otherwise whoever caught a request
// could have its challenge told to him, one altered byte at a time.
func (s *Service) open(m *cms.SCEPRequest) (request, error) {
	// The envelope is an OCTET STRING to the check of the outer message: its own
	// depth is counted here.
	envelope, err := cms.ParseEnvelope(m.Content)
	if err != nil {
		return request{}, refuse(cms.BadMessageCheck, "envelope is malformed", err)
	}
	if !s.takesCipher(envelope.Cipher) {
		return request{}, refuse(cms.BadAlg, "content cipher is not accepted", nil)
	}
	for _, ra := range s.Authority.RAs() {
		key, ok := ra.Key.(crypto.Decrypter)
		if !ok || !envelope.For(ra.Certificate) {
			continue
		}
		content, err := envelope.Open(ra.Certificate, key)
		if err != nil {
			return request{}, refuse(cms.BadMessageCheck, "envelope does not open", errOpen)
		}
		r, err := parseRequest(content)
		if err != nil {
			return request{}, refuse(cms.BadMessageCheck, "envelope does not open", errOpen)
		}
		r.cipher = envelope.Cipher
		return r, nil
	}
	return request{}, refuse(cms.BadMessageCheck, "envelope is for another recipient", nil)
}

// errOpen is the one error of everything in an envelope.
var errOpen = errors.New("envelope, certificate request or its signature does not hold")

// parseRequest reads the PKCS#10 request in an envelope (RFC 2986, RFC 8894
// section 2.9): the key, whose possession the request's own signature proves, and
// the challenge. Its names and extensions are not looked at.
func parseRequest(der []byte) (request, error) {
	if err := bounded.DER(der, bounded.MaxCMS, bounded.MaxDepth); err != nil {
		return request{}, err
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return request{}, err
	}
	if err := cms.CheckKeySize(csr.PublicKey); err != nil {
		return request{}, err
	}
	if err := csr.CheckSignature(); err != nil {
		return request{}, err
	}
	challenge, err := x509util.ParseChallengePassword(der)
	if err != nil {
		return request{}, err
	}
	return request{key: csr.PublicKey, challenge: challenge}, nil
}
