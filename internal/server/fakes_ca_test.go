package server

import (
	"context"
	"strings"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/secret"
)

// caFake is the authority, and what it issued.
type caFake struct{ w *world }

const issuedHash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func (f caFake) issued() certs.Certificate {
	return certs.Certificate{SHA256: issuedHash, DER: f.w.root.Raw, Serial: "4001", Rule: certs.RuleMDMIdentity, UserID: "u1", EnrollmentID: "e1", Issuer: "0a0b",
		NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
}

func (f caFake) List(context.Context, certs.CertificateFilter) ([]certs.Certificate, error) {
	return []certs.Certificate{f.issued()}, f.w.did(false)
}

func (f caFake) Lookup(_ context.Context, sha256 string) (certs.Certificate, error) {
	if strings.ToLower(sha256) != issuedHash {
		return certs.Certificate{}, certs.ErrNotFound
	}
	return f.issued(), f.w.did(false)
}

func (f caFake) Revoke(_ context.Context, _ string, reason certs.RevocationReason) (certs.Certificate, error) {
	c := f.issued()
	c.RevokedAt, c.Reason = noon, reason
	return c, f.w.did(true)
}

func (f caFake) UserByID(_ context.Context, id directory.UserID) (directory.User, error) {
	if id != alice.ID {
		return directory.User{}, directory.ErrNotFound
	}
	return alice, f.w.did(false)
}

func (f caFake) Mint(_ context.Context, r enroll.HandRequest) (enroll.HandChallenge, error) {
	return enroll.HandChallenge{URL: "http://mdm.example.test/scep", Challenge: secret.New(canary), Rule: certs.RuleMailIdentity, UPN: r.UPN,
		ExpiresAt: noon.AddDate(0, 0, 1), Root: f.w.root}, f.w.did(true)
}
