package scep

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
)

// ErrBadRequest says that a message cannot even be refused in SCEP's own
// terms: it is no message, or has no transaction, nonce or signer to address.
var ErrBadRequest = errors.New("not a SCEP request")

// Content types (RFC 8894, sections 4.2.1, 4.2.2 and 4.3).
const (
	typeCaps    = "text/plain"
	typeCACert  = "application/x-x509-ca-cert"    // one certificate, as it is
	typeCACerts = "application/x-x509-ca-ra-cert" // several, as degenerate SignedData
	typeMessage = "application/x-pki-message"
)

// capabilities are what GetCACaps lists. strongSwan believes in AES only where
// SHA-384 is listed too. iOS is said to stumble over words that it does not know,
// so there are no others, and lines end in LF (RFC 8894, section 3.5.2).
var capabilities = []string{"POSTPKIOperation", "Renewal", "SHA-256", "SHA-512", "SHA-384", "AES", "SCEPStandard"}

// Service answers SCEP requests. All fields but Now, Log and Legacy are needed.
type Service struct {
	Authority *certs.Authority
	Issuer    *certs.Issuer
	Audit     audit.Log
	Now       func() time.Time // nil means time.Now
	Log       *slog.Logger     // nil means silence
	// Legacy also takes what old clients cannot do without: SHA-1 and single DES.
	Legacy bool
}

// Do answers one request. operation is the query parameter of that name, and
// message the body of a POST, or the decoded message parameter of a GET.
//
// A refusal is a signed CertRep FAILURE and no error, wherever one can be
// addressed, else ErrBadRequest. Any other error is trouble of ours: nothing
// was decided, and the same message may be sent again.
func (s *Service) Do(ctx context.Context, operation string, message []byte) (contentType string, body []byte, err error) {
	switch operation {
	case "GetCACaps":
		return typeCaps, []byte(strings.Join(capabilities, "\n")), nil
	case "GetCACert":
		contentType, body = s.caCerts()
		return contentType, body, nil
	case "PKIOperation":
		return s.pkiOperation(ctx, message)
	default: // GetNextCACert among them: no roll-over is announced this way
		return "", nil, fmt.Errorf("%w: unknown operation", ErrBadRequest)
	}
}

// caCerts is the RA certificate, to which requests are encrypted and which
// signs replies, and the CA certificates above it and above what is issued now
// (RFC 8894, section 4.2.1).
func (s *Service) caCerts() (string, []byte) {
	ra := s.Authority.RA()
	list := []*x509.Certificate{ra.Certificate}
	for _, c := range append(s.Authority.Chain(), ra.Chain...) {
		if !slices.ContainsFunc(list, c.Equal) {
			list = append(list, c)
		}
	}
	return bundle(list)
}

func bundle(list []*x509.Certificate) (contentType string, body []byte) {
	if len(list) == 1 {
		return typeCACert, list[0].Raw
	}
	return typeCACerts, cms.Degenerate(list...)
}

func (s *Service) now() time.Time {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

func (s *Service) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
