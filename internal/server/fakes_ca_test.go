package server

import (
	"context"
	"crypto/x509"
	"strings"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/lapse"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

// authorityFake is the authority; its chain is one certificate.
type authorityFake struct{ w *world }

func (f authorityFake) Root() *x509.Certificate    { return f.w.root }
func (f authorityFake) Chain() []*x509.Certificate { return []*x509.Certificate{f.w.root} }

func (f authorityFake) Request(_ context.Context, kind certs.KeyKind) ([]byte, error) {
	if !kind.Valid() {
		return nil, refusal.New(certs.ErrAuthorityInvalid, "kind", "is none", "p256")
	}
	return []byte("-----BEGIN CERTIFICATE REQUEST-----\n"), f.w.did(true)
}

func (f authorityFake) Import(_ context.Context, in certs.Import) (certs.AuthorityInfo, error) {
	info := issuingInfo(certs.StateStaged)
	info.Subject, info.Warnings, info.KeyHere = in.Chain[0].Subject.String(), []string{"ends soon"}, in.Key != nil
	return info, f.w.did(!in.DryRun)
}

func (f authorityFake) Rollover(context.Context, certs.KeyKind) (certs.AuthorityInfo, error) {
	if err := f.w.did(true); err != nil {
		return certs.AuthorityInfo{}, err
	}
	return certs.AuthorityInfo{}, refusal.New(certs.ErrAuthorityState, "", "the root is offline", "sallyport ca csr")
}

func issuingInfo(state certs.AuthorityState) certs.AuthorityInfo {
	return certs.AuthorityInfo{Role: "issuing", State: state, Fingerprint: issuedHash, Subject: "CN=Issuing", Issuer: "CN=Root", SubjectKeyID: "0a0b", PEM: "-----BEGIN CERTIFICATE-----\n",
		Kind: certs.KeyP256, NotBefore: noon, NotAfter: noon.AddDate(5, 0, 0), KeyHere: true, CreatedAt: noon}
}

// rolloverFake has one staged authority, which three phones do not know.
type rolloverFake struct{ w *world }

func (f rolloverFake) step() enroll.Step {
	return enroll.Step{Authority: issuingInfo(certs.StateStaged), Untold: 3, Valid: 1,
		Refused: refusal.List{refusal.New(enroll.ErrConflict, "force", "3 phones do not know it", "wait")}}
}

func (f rolloverFake) Overview(context.Context) ([]enroll.Step, error) {
	return []enroll.Step{f.step()}, f.w.did(false)
}

func (f rolloverFake) Activate(_ context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error) {
	s := f.step()
	switch {
	case fingerprint != issuedHash:
		return s, refusal.New(certs.ErrNotFound, "fingerprint", "unknown", "list")
	case !force && !dryRun:
		return s, s.Refused
	}
	return s, f.w.did(!dryRun)
}

func (f rolloverFake) Retire(ctx context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error) {
	return f.Activate(ctx, fingerprint, force, dryRun)
}

func (f rolloverFake) Untold(_ context.Context, fingerprint string, _ mdm.EnrollmentID, _ int) ([]enroll.UntoldPhone, error) {
	if fingerprint != issuedHash {
		return nil, refusal.New(certs.ErrNotFound, "fingerprint", "unknown", "list")
	}
	return []enroll.UntoldPhone{{EnrollmentID: "e1", Device: mdm.Device{ID: deviceID, Name: "phone", Label: "desk", Serial: "S1"}, UPN: alice.UPN, LastSeenAt: noon}}, f.w.did(false)
}

func (f rolloverFake) Endings(context.Context) (enroll.Endings, error) {
	return enroll.Endings{
		Own:        []enroll.Ending{{Role: "issuing", State: "active", Subject: "CN=Issuing", Fingerprint: issuedHash, NotAfter: noon.AddDate(0, 0, 29), DaysLeft: 29, Stage: lapse.Days30, Next: "sallyport ca csr"}},
		Lists:      []enroll.ListState{{Issuer: "CN=Issuing", SubjectKeyID: "0a0b", ThisUpdate: noon, NextUpdate: noon.AddDate(0, 0, 1), Revoked: 2}},
		Identities: enroll.IdentityEndings{Within30: 3, Within7: 1, Waiting: 2},
	}, f.w.did(false)
}

// caFake is what the authority issued.
type caFake struct{ w *world }

const (
	issuedHash  = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
	renewedHash = "0112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0"
	mailHash    = "02112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

func (f caFake) issued() certs.Certificate {
	return certs.Certificate{SHA256: issuedHash, DER: f.w.root.Raw, Serial: "4001", Rule: certs.RuleMDMIdentity, UserID: "u1", EnrollmentID: "e1", Issuer: "0a0b",
		NotBefore: noon, NotAfter: noon.AddDate(1, 0, 0)}
}

// List has what the phone of the certificate has when asked for that.
func (f caFake) List(_ context.Context, filter certs.CertificateFilter) ([]certs.Certificate, error) {
	list := []certs.Certificate{f.issued()}
	if filter.EnrollmentID == "e1" {
		renewed, mail := f.issued(), f.issued()
		renewed.SHA256, mail.SHA256, mail.Rule = renewedHash, mailHash, certs.RuleMailIdentity
		list = append(list, renewed, mail)
	}
	return list, f.w.did(false)
}

// Successors are one that is valid, one that has expired, and one that was revoked.
func (f caFake) Successors(_ context.Context, sha256 string) ([]certs.Certificate, error) {
	if sha256 != issuedHash {
		return nil, f.w.did(false)
	}
	valid := f.issued()
	valid.SHA256 = renewedHash
	expired, revoked := valid, valid
	expired.SHA256, expired.NotAfter = "ee"+renewedHash[2:], noon.AddDate(0, 0, -1)
	revoked.SHA256, revoked.RevokedAt = "ff"+renewedHash[2:], noon
	return []certs.Certificate{valid, expired, revoked}, f.w.did(false)
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
		ExpiresAt: noon.AddDate(0, 0, 1), Root: f.w.root, RA: f.w.root}, f.w.did(true)
}

// chainImport is a certificate in PEM, as openssl made it.
const chainImport = `{"chain": "-----BEGIN CERTIFICATE-----\nMIIBjTCCATOgAwIBAgIUYilRjTU0HE6dkpm5JHApvY8n7aowCgYIKoZIzj0EAwIw\nHDEaMBgGA1UEAwwRQ29ycG9yYXRlIElzc3VpbmcwHhcNMjYxMTIyMDMzMjUxWhcN\nMzYxMTE5MDMzMjUxWjAcMRowGAYDVQQDDBFDb3Jwb3JhdGUgSXNzdWluZzBZMBMG\nByqGSM49AgEGCCqGSM49AwEHA0IABCS1RADKEJ95XaBo5HYyZkUh3h/IJLSH2CrD\nwxYFRZtBQ3vK+SMPFpIYNBCu/zheasTtV+4D2RHuDzqD4WeH0cejUzBRMB0GA1Ud\nDgQWBBR5ZDs9Y6v6FiHe7a+LYjlZcUbWdTAfBgNVHSMEGDAWgBR5ZDs9Y6v6FiHe\n7a+LYjlZcUbWdTAPBgNVHRMBAf8EBTADAQH/MAoGCCqGSM49BAMCA0gAMEUCIQCe\nw9f7DKpA2ij80NHytXrVuqOLPLIDMqzyyhy/P9NMYQIgSjHQMRN2k6T+qINZZTsQ\nEkWcARMTKWhb7iGJ6JmChMA=\n-----END CERTIFICATE-----\n"}`
