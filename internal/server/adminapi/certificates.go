package adminapi

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// CertificateService knows what was issued. *certs.Issuer is one.
type CertificateService interface {
	List(ctx context.Context, f certs.CertificateFilter) ([]certs.Certificate, error)
	Lookup(ctx context.Context, sha256 string) (certs.Certificate, error)
	Successors(ctx context.Context, sha256 string) ([]certs.Certificate, error)
	Revoke(ctx context.Context, sha256 string, reason certs.RevocationReason) (certs.Certificate, error)
}

// People finds users by what certificates name them by. directory.Store is one.
type People interface {
	// UserByID returns directory.ErrNotFound for a user who was removed.
	UserByID(ctx context.Context, id directory.UserID) (directory.User, error)
}

// Certificate is one that we issued to somebody else.
type Certificate struct {
	SHA256       string    `json:"sha256"`
	Serial       string    `json:"serial"`
	Rule         string    `json:"rule"`
	User         string    `json:"user,omitempty"` // UPN; absent when the user was removed
	UserID       string    `json:"user_id"`
	EnrollmentID string    `json:"enrollment_id,omitempty"`
	InvitationID string    `json:"invitation_id,omitempty"`
	Profile      string    `json:"profile,omitempty"` // identifier of the mail profile that brought it
	Issuer       string    `json:"issuer,omitempty"`  // SubjectKeyId of the issuing certificate, in hex
	State        string    `json:"state"`             // valid, expired, revoked
	NotBefore    time.Time `json:"not_before"`
	NotAfter     time.Time `json:"not_after"`
	RevokedAt    time.Time `json:"revoked_at,omitzero"`
	Reason       string    `json:"reason,omitempty"` // as RFC 5280, section 5.3.1 spells it
}

// CertificateDetail is a certificate with what stands in it.
type CertificateDetail struct {
	Certificate Certificate `json:"certificate"`
	Subject     string      `json:"subject"`
	PEM         string      `json:"pem"`
}

// Certificates answers GET /api/v1/certificates.
type Certificates struct {
	Certificates []Certificate `json:"certificates"`
	Next         string        `json:"next,omitempty"`
}

// RevokeRequest says why.
type RevokeRequest struct {
	Reason string `json:"reason,omitempty"` // unspecified when empty
	DryRun bool   `json:"dry_run,omitempty"`
}

// Revoked answers a revocation, or its dry run.
type Revoked struct {
	Certificate Certificate `json:"certificate"`
	Effects     []string    `json:"effects"`
}

// ListCertificates answers GET /api/v1/certificates.
func (a *API) ListCertificates(w http.ResponseWriter, r *http.Request) error {
	f, err := a.certificateFilter(r)
	if err != nil {
		return err
	}
	list, err := a.d.Certificates.List(r.Context(), f)
	if err != nil {
		return err
	}
	out := Certificates{
		Certificates: make([]Certificate, len(list)),
		Next:         wire.Next(list, f.Limit, func(c certs.Certificate) string { return c.SHA256 }),
	}
	names := map[string]string{}
	for i, c := range list {
		if out.Certificates[i], err = a.certificate(r.Context(), c, names); err != nil {
			return err
		}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

func (a *API) certificateFilter(r *http.Request) (certs.CertificateFilter, error) {
	values, err := wire.Query(r, "user", "enrollment", "rule", "expiring_before", "after", "limit")
	if err != nil {
		return certs.CertificateFilter{}, err
	}
	f := certs.CertificateFilter{
		EnrollmentID: values["enrollment"], Rule: certs.RuleName(values["rule"]), After: values["after"], Now: now(a),
	}
	if f.Limit, err = wire.Limit(values["limit"]); err != nil {
		return f, err
	}
	if f.ExpiringBefore, err = wire.Time("expiring_before", values["expiring_before"]); err != nil {
		return f, err
	}
	issued := []certs.RuleName{certs.RuleMDMIdentity, certs.RuleMailIdentity, certs.RuleSMIMESigning, certs.RuleSMIMEEncryption}
	if f.Rule != "" && !slices.Contains(issued, f.Rule) {
		return f, refusal.New(problem.ErrMalformed, "rule", "is none by which certificates are issued", "mdm-identity, mail-identity, smime-signing or smime-encryption")
	}
	if upn := values["user"]; upn != "" {
		u, err := a.d.Users.Get(r.Context(), upn)
		if err != nil {
			return f, missingUser(err, "user", upn)
		}
		f.UserID = string(u.ID)
	}
	return f, nil
}

// certificate tells a row with the name of its user; names keeps those that were asked for.
func (a *API) certificate(ctx context.Context, c certs.Certificate, names map[string]string) (Certificate, error) {
	upn, known := names[c.UserID]
	if !known {
		u, err := a.d.People.UserByID(ctx, directory.UserID(c.UserID))
		if err != nil && !errors.Is(err, directory.ErrNotFound) {
			return Certificate{}, err
		}
		upn = u.UPN
		names[c.UserID] = upn
	}
	out := Certificate{
		SHA256: c.SHA256, Serial: c.Serial, Rule: string(c.Rule), User: upn, UserID: c.UserID,
		EnrollmentID: c.EnrollmentID, InvitationID: c.InvitationID, Profile: c.Profile, Issuer: c.Issuer,
		State: "valid", NotBefore: c.NotBefore, NotAfter: c.NotAfter, RevokedAt: c.RevokedAt,
	}
	switch {
	case !c.RevokedAt.IsZero():
		out.State, out.Reason = "revoked", c.Reason.String()
	case now(a).After(c.NotAfter):
		out.State = "expired"
	}
	return out, nil
}

// GetCertificate answers GET /api/v1/certificates/{sha256}.
func (a *API) GetCertificate(w http.ResponseWriter, r *http.Request) error {
	c, err := a.lookup(r)
	if err != nil {
		return err
	}
	out := CertificateDetail{PEM: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.DER}))}
	if out.Certificate, err = a.certificate(r.Context(), c, map[string]string{}); err != nil {
		return err
	}
	parsed, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return fmt.Errorf("read issued certificate: %w", err)
	}
	out.Subject = parsed.Subject.String()
	return wire.WriteJSON(w, http.StatusOK, out)
}

// RevokeCertificate answers POST /api/v1/certificates/{sha256}/revoke. What is
// revoked already stays as it is.
func (a *API) RevokeCertificate(w http.ResponseWriter, r *http.Request) error {
	var in RevokeRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	reason, err := certs.ParseReason(in.Reason)
	if err != nil {
		return err
	}
	before, err := a.lookup(r)
	if err != nil {
		return err
	}
	successors, err := a.successors(r.Context(), before)
	if err != nil {
		return err
	}
	others, err := a.others(r.Context(), before, successors)
	if err != nil {
		return err
	}
	out, after := Revoked{Effects: effects(before, now(a))}, before
	out.Effects = append(out.Effects, others.effects(reason, in.DryRun)...)
	out.Effects = append(out.Effects, successors.effects(reason, in.DryRun)...)
	if reason == certs.ReasonKeyCompromise {
		out.Effects = append(out.Effects, "it is said of the key: every other certificate of it is revoked too, whoever has it, and what was renewed from one of them by its signature; the key is never certified again")
	}
	if !in.DryRun {
		if reason == certs.ReasonKeyCompromise { // who has the phone has all of its keys; first, so that a repetition does what is left
			for _, c := range others.list {
				if _, err := a.d.Certificates.Revoke(r.Context(), c.SHA256, reason); err != nil {
					return err
				}
			}
		}
		if after, err = a.d.Certificates.Revoke(r.Context(), before.SHA256, reason); err != nil {
			return err
		}
	}
	if out.Certificate, err = a.certificate(r.Context(), after, map[string]string{}); err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// lookup finds the certificate that the path names.
func (a *API) lookup(r *http.Request) (certs.Certificate, error) {
	sha256 := r.PathValue("sha256")
	c, err := a.d.Certificates.Lookup(r.Context(), sha256)
	return c, missing(err, certs.ErrNotFound, "sha256", "certificate", sha256)
}

// companions are valid certificates that go with another whose key was lost.
type companions struct {
	list     []certs.Certificate
	relation string // to the other one, as it follows the name in a sentence
	why      string // they go with it
}

// successors are those of c that are valid: they go with it in one unit of work.
func (a *API) successors(ctx context.Context, c certs.Certificate) (companions, error) {
	list, err := a.d.Certificates.Successors(ctx, c.SHA256)
	return companions{slices.DeleteFunc(list, a.ended), ", renewed from it by signature,", "whoever had the key can have renewed it"}, err
}

// others are the valid identities besides c, and its successors, of the phone whose
// management identity c is.
func (a *API) others(ctx context.Context, c certs.Certificate, successors companions) (companions, error) {
	if c.Rule != certs.RuleMDMIdentity || c.EnrollmentID == "" {
		return companions{}, nil
	}
	list, err := a.d.Certificates.List(ctx, certs.CertificateFilter{EnrollmentID: c.EnrollmentID, Limit: 1000})
	return companions{slices.DeleteFunc(list, func(other certs.Certificate) bool {
		named := func(n certs.Certificate) bool { return n.SHA256 == other.SHA256 }
		return named(c) || slices.ContainsFunc(successors.list, named) || a.ended(other)
	}), " of this phone", "who has the phone has its keys"}, err
}

// ended says of a certificate that it is refused as it is.
func (a *API) ended(c certs.Certificate) bool {
	return !c.RevokedAt.IsZero() || now(a).After(c.NotAfter)
}

// effects say what becomes of them.
func (l companions) effects(reason certs.RevocationReason, dryRun bool) []string {
	var lines []string
	for _, c := range l.list {
		name := fmt.Sprintf("%s %.16s%s", c.Rule, c.SHA256, l.relation)
		switch {
		case reason != certs.ReasonKeyCompromise:
			lines = append(lines, fmt.Sprintf("%s stays valid; to revoke it too: sallyport ca revoke %.16s", name, c.SHA256))
		case dryRun:
			lines = append(lines, name+" would be revoked with it: "+l.why)
		default:
			lines = append(lines, name+" is revoked with it: "+l.why)
		}
	}
	return lines
}

// effects say what a revocation means for who holds the certificate.
func effects(c certs.Certificate, now time.Time) []string {
	switch {
	case !c.RevokedAt.IsZero():
		return []string{"nothing more for this one: it is revoked already"}
	case now.After(c.NotAfter):
		return []string{"nothing more for this one: it has expired, and is refused for that"}
	}
	crl := "whoever reads our CRL refuses it, once his copy is renewed: at the latest after a day"
	switch c.Rule {
	case certs.RuleMDMIdentity:
		return []string{"the server refuses the phone from its next contact on: nothing can be installed, asked or wiped any more, and it has to enrol again", crl}
	case certs.RuleMailIdentity:
		list := []string{"the server renews nothing for it any more", crl}
		if c.EnrollmentID != "" {
			list = append(list, "the phone keeps a certificate that is worth nothing until it is brought a new one: sallyport device resend ID (sallyport device list names the phone)")
		}
		return list
	default:
		return []string{crl}
	}
}
