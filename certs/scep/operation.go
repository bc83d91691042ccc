package scep

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"unicode"

	"github.com/smallstep/scep"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/secret"
)

const actionIssue = "certificate.issue"

// pkiOperation answers a PKIOperation. Nothing in it is decrypted before the
// outer message was bounded, allowed by its type, and verified.
func (s *Service) pkiOperation(ctx context.Context, message []byte) (string, []byte, error) {
	m, err := cms.ParseSCEP(message)
	if err != nil {
		if err := s.note(ctx, "", "", "", err.Error()); err != nil {
			return "", nil, err
		}
		return "", nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	body, err := s.issue(ctx, m)
	var r *refusal
	if errors.As(err, &r) {
		body, err = s.refused(ctx, m, r)
	}
	if err != nil {
		return "", nil, fmt.Errorf("SCEP: %w", err)
	}
	return typeMessage, body, nil
}

// issue runs a request through. Its error is a *refusal, or trouble of ours.
func (s *Service) issue(ctx context.Context, m *cms.SCEPRequest) ([]byte, error) {
	if err := s.check(m); err != nil {
		return nil, err
	}
	r, err := s.open(m)
	if err != nil {
		return nil, err
	}
	cert, err := s.certify(ctx, m, r)
	if err != nil {
		return nil, err
	}
	s.log().InfoContext(ctx, "certificate issued over SCEP", slog.String("serial", cert.SerialNumber.Text(16)),
		slog.String("message_type", m.MessageType))
	return m.Success(s.Authority.RA(), cert, r.cipher, s.digest(m))
}

// certify asks for the certificate: by the challenge, or by the signer, who has
// shown by now that he has the key of his certificate.
func (s *Service) certify(ctx context.Context, m *cms.SCEPRequest, r request) (*x509.Certificate, error) {
	asked := certs.Request{PublicKey: r.key, TransactionID: m.TransactionID}
	if m.MessageType == string(scep.RenewalReq) { // no challenge helps it
		cert, err := s.Issuer.Renew(ctx, m.Signer, asked)
		switch {
		case errors.Is(err, certs.ErrNotFound):
			return nil, refuse(cms.BadMessageCheck, "signer is no certificate of ours", err)
		case errors.Is(err, certs.ErrChallengeInvalid):
			return nil, refuse(cms.BadCertID, "signer cannot be renewed", err)
		case errors.Is(err, certs.ErrNotDue):
			return nil, refuse(cms.BadRequest, "signer is not due", err)
		}
		return cert, keyRefused(err)
	}
	own, err := s.wrappedByOwner(ctx, m.Signer, r.key)
	if err != nil {
		return nil, err
	}
	if !own {
		return nil, refuse(cms.BadRequest, "signer's key is not the key of the request, nor that of a valid certificate of ours", nil)
	}
	asked.Challenge = secret.New(r.challenge)
	cert, err := s.Issuer.Issue(ctx, asked)
	if errors.Is(err, certs.ErrChallengeInvalid) || err == nil && cert.Equal(m.Signer) {
		return s.renewByRequest(ctx, m.Signer, asked, cert, err)
	}
	return cert, keyRefused(err)
}

// wrappedByOwner says whether the one who signed a PKCSReq may be the one who made
// the request in it. Whoever listens to plain HTTP can send what is in another's envelope under
// a signature of his own; he gets nothing that he could read, but would use up the
// challenge. So signer has the key of the request (RFC 8894, section 2.3), or is a
// certificate of ours. To a key of another kind than RSA nobody can encrypt the
// answer: there the signer's must be another.
func (s *Service) wrappedByOwner(ctx context.Context, signer *x509.Certificate, key crypto.PublicKey) (bool, error) {
	requested, ok := key.(*rsa.PublicKey)
	if !ok || requested.Equal(signer.PublicKey) {
		return true, nil
	}
	ours, err := s.Issuer.Lookup(ctx, hex.EncodeToString(secret.Hash(string(signer.Raw))))
	if errors.Is(err, certs.ErrNotFound) {
		return false, nil
	}
	return err == nil && ours.RevokedAt.IsZero() && s.now().Before(ours.NotAfter), err
}

// renewByRequest takes a PKCSReq for a renewal, where it is signed by a
// certificate that is due: certmonger sends no RenewalReq, but what the drafts
// before RFC 8894 knew (draft-nourse-scep-23, section 2.3), together with the
// challenge that it once had; with the same key, even in the same transaction. The
// signature allows exactly what it allows a RenewalReq. Where it allows nothing, the
// answer is that of the challenge: cert, or refused.
func (s *Service) renewByRequest(ctx context.Context, signer *x509.Certificate, asked certs.Request, cert *x509.Certificate, refused error) (*x509.Certificate, error) {
	renewed, err := s.Issuer.Renew(ctx, signer, asked)
	switch {
	case err == nil:
		return renewed, nil
	case !errors.Is(err, certs.ErrNotFound) && !errors.Is(err, certs.ErrNotDue) && !errors.Is(err, certs.ErrChallengeInvalid):
		return nil, keyRefused(err)
	case refused != nil:
		return nil, refuse(cms.BadRequest, "challenge is not valid", refused)
	}
	return cert, nil
}

func keyRefused(err error) error {
	if errors.Is(err, certs.ErrKeyRefused) {
		return refuse(cms.BadAlg, "public key is not accepted", err)
	}
	return err
}

// refused writes the audit row and then the signed refusal: without the row
// there is no answer.
func (s *Service) refused(ctx context.Context, m *cms.SCEPRequest, r *refusal) ([]byte, error) {
	if err := s.note(ctx, m.TransactionID, m.MessageType, string(r.info), r.Error()); err != nil {
		return nil, err
	}
	return m.Failure(s.Authority.RA(), r.info, s.digest(m))
}

func (s *Service) note(ctx context.Context, transaction, messageType, failInfo, reason string) error {
	entry := audit.New(ctx, s.now(), actionIssue, "scep", audit.Refused,
		"transaction", printable(transaction), "message_type", printable(messageType),
		"fail_info", failInfo, "reason", reason)
	if err := s.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("note refusal: %w", err)
	}
	s.log().WarnContext(ctx, "SCEP request refused", slog.String("reason", reason))
	return nil
}

// printable is a client's text as it may stand in the audit trail.
func printable(text string) string {
	const limit = 255
	if len(text) > limit {
		text = text[:limit]
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return "hex:" + hex.EncodeToString([]byte(text))
	}
	return text
}
