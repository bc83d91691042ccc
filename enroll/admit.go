package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// Access rights of com.apple.mdm
// (https://developer.apple.com/documentation/devicemanagement/mdm). All of them
// are 8191; provisioning profiles (64 and 128) are never our business, and a
// personal phone is never erased (8). Apple freezes them at enrolment.
const (
	rightsCorporate = 8191 - 64 - 128
	rightsPersonal  = rightsCorporate - 8
)

// AccessRights are what an enrolment profile asks for.
func AccessRights(o mdm.Ownership) int {
	if o == mdm.Corporate {
		return rightsCorporate
	}
	return rightsPersonal
}

// The phone shows what it was given long ago: whatever is wrong with it, the
// way out is the same.
const enrolAgain = "remove the management profile and enrol again with a new invitation"

// Pinned implements apple.Admitter.
func (s *Service) Pinned(ctx context.Context, certificateHash string) (mdm.Enrollment, error) {
	e, cert, err := s.Enrollments.Pinned(ctx, certificateHash)
	if err := s.pinned(ctx, e, cert, err); err != nil {
		return mdm.Enrollment{}, err
	}
	return e, nil
}

// pinned judges what was found of a phone by its identity certificate.
func (s *Service) pinned(ctx context.Context, e mdm.Enrollment, cert certs.Certificate, err error) error {
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal.New(apple.ErrUnknownIdentity, "", "no enrolment belongs to this identity certificate", enrolAgain)
	case err != nil:
		return fmt.Errorf("look up enrolment: %w", err)
	case cert.SHA256 != "" && cert.SHA256 != e.CertificateHash:
		return s.mayFollow(ctx, e, cert)
	case e.State.Ended():
		return nil // told nothing, but never refused: its phone may not have noticed yet
	}
	return s.usable(cert)
}

// mayFollow judges an identity that was issued for an enrolment which is pinned
// to another one: it may be the successor that the phone uses for the first time,
// and is refused when it is one that was replaced, or overtaken before it was used.
func (s *Service) mayFollow(ctx context.Context, e mdm.Enrollment, cert certs.Certificate) error {
	switch {
	case cert.Reason == certs.ReasonSuperseded:
		return replacedIdentity()
	case e.State.Ended():
		return nil // as with the one that it is pinned to
	}
	if err := s.usable(cert); err != nil {
		return err
	}
	pinned, err := s.Certificates.Lookup(ctx, e.CertificateHash)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return fmt.Errorf("look up identity of enrolment %s: %w", e.ID, err)
	}
	switch {
	case !pinned.RevokedAt.IsZero():
		// Who has stolen its key may have asked for a successor just before.
		return refusal.New(apple.ErrUnauthenticated, "", "the identity certificate that this one follows was revoked", enrolAgain)
	case cert.NotBefore.Before(pinned.NotBefore):
		return replacedIdentity()
	}
	return nil
}

// replacedIdentity refuses what has a successor in use. A phone that shows it came
// out of a backup: the key of the successor is gone.
func replacedIdentity() error {
	return refusal.New(apple.ErrUnknownIdentity, "", "this identity certificate was replaced by a newer one", enrolAgain)
}

// identity returns our row of an identity certificate that may be used now.
func (s *Service) identity(ctx context.Context, hash string) (certs.Certificate, error) {
	cert, err := s.Certificates.Lookup(ctx, hash)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return certs.Certificate{}, fmt.Errorf("look up identity certificate: %w", err)
	}
	return cert, s.usable(cert)
}

// usable refuses an identity certificate that may not be used now; a zero row is
// one that is not on record.
func (s *Service) usable(cert certs.Certificate) error {
	now := s.now()
	switch {
	case cert.SHA256 == "":
		return refusal.New(apple.ErrUnknownIdentity, "", "this identity certificate is not on record", enrolAgain)
	case cert.Rule != certs.RuleMDMIdentity:
		return refusal.New(apple.ErrUnauthenticated, "", "this certificate was issued for something else than management", enrolAgain)
	case !cert.RevokedAt.IsZero():
		return refusal.New(apple.ErrUnauthenticated, "", "this identity certificate was revoked", enrolAgain)
	case now.Before(cert.NotBefore) || !now.Before(cert.NotAfter):
		return refusal.New(apple.ErrUnauthenticated, "", "this identity certificate is not valid now", enrolAgain)
	}
	return nil
}

// Authenticate implements apple.Admitter. Who the phone belongs to follows from
// the certificate, which was issued for one invitation; nothing is taken from
// what the phone says of itself.
func (s *Service) Authenticate(ctx context.Context, id apple.Identity, m apple.Authenticate) error {
	cert, err := s.identity(ctx, id.Hash)
	if err != nil {
		return err
	}
	known, err := s.Pinned(ctx, id.Hash)
	if err == nil {
		return s.again(ctx, known, id, m)
	}
	if !errors.Is(err, apple.ErrUnknownIdentity) || cert.EnrollmentID != "" {
		return err
	}
	i, err := s.entitlement(ctx, cert)
	if err != nil {
		return err
	}
	topic, placeholder := s.Topic()
	if m.Topic != topic {
		return refusal.New(ErrConflict, "Topic", "the enrolment profile is for another push topic", "download the enrolment profile again")
	}
	return s.admit(ctx, id, m, i, placeholder)
}

// again answers an Authenticate of a phone that has an enrolment. It admits nothing,
// also where it is the first word of a new identity.
func (s *Service) again(ctx context.Context, e mdm.Enrollment, id apple.Identity, m apple.Authenticate) error {
	if err := repeated(e, m); err != nil || e.CertificateHash == id.Hash {
		return err
	}
	_, err := s.Succeed(ctx, e, id)
	return err
}

// repeated answers an Authenticate whose certificate has an enrolment already:
// the same phone says it once more, because our answer was lost.
func repeated(e mdm.Enrollment, m apple.Authenticate) error {
	switch {
	case e.UDID != m.UDID:
		return refusal.New(ErrForeign, "UDID", "this identity certificate belongs to another phone", enrolAgain)
	case e.State.Ended():
		return refusal.New(ErrConflict, "", "this enrolment has ended", enrolAgain)
	case e.Topic != m.Topic:
		return refusal.New(ErrConflict, "Topic", "this enrolment has another push topic", enrolAgain)
	}
	return nil
}

// entitlement finds the invitation that the certificate was issued for.
func (s *Service) entitlement(ctx context.Context, cert certs.Certificate) (Invitation, error) {
	i, err := s.Invitations.InvitationByID(ctx, InvitationID(cert.InvitationID))
	if errors.Is(err, ErrNotFound) {
		return Invitation{}, refusal.New(ErrNotFound, "", "the invitation of this phone, or its user, is no more", "ask your administrator for a new invitation")
	}
	if err != nil {
		return Invitation{}, fmt.Errorf("look up invitation: %w", err)
	}
	if i.State == InvitationRevoked {
		return Invitation{}, refusal.New(ErrInvitationRevoked, "", "the invitation of this phone was withdrawn", "ask your administrator for a new invitation")
	}
	if i.UserID != directory.UserID(cert.UserID) {
		return Invitation{}, refusal.New(ErrForeign, "", "the identity certificate was issued for another user", enrolAgain)
	}
	return i, nil
}

func (s *Service) admit(ctx context.Context, id apple.Identity, m apple.Authenticate, i Invitation, placeholder bool) error {
	now := s.now()
	d := mdm.Device{
		ID:        mdm.DeviceID(newID()),
		Platform:  mdm.Apple,
		UDID:      m.UDID,
		Serial:    m.SerialNumber,
		Product:   m.ProductName,
		Model:     m.Model,
		Name:      m.DeviceName,
		CreatedAt: now,
	}
	e := mdm.Enrollment{
		ID:              mdm.EnrollmentID(newID()),
		DeviceID:        d.ID,
		UserID:          i.UserID,
		InvitationID:    string(i.ID),
		Platform:        mdm.Apple,
		Ownership:       i.Ownership,
		State:           mdm.Authenticated,
		UDID:            m.UDID,
		CertificateHash: id.Hash,
		AccessRights:    AccessRights(i.Ownership),
		Topic:           m.Topic,
		PollOnly:        placeholder,
		CreatedAt:       now,
		LastSeenAt:      now,
	}
	entry := audit.New(ctx, now, "enrollment.authenticate", string(e.ID), audit.Done,
		"user", string(i.UserID), "udid", m.UDID, "invitation", string(i.ID), "ownership", string(i.Ownership))
	admitted, err := s.Enrollments.Admit(ctx, d, e, entry)
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "", "the user of this phone is no more", "ask your administrator for a new invitation")
	case err != nil:
		return fmt.Errorf("admit device: %w", err)
	}
	return repeated(admitted, m) // a held one looks the same to its phone: an admin decides
}

// enrollAction is what the trail calls the enrolment of a phone.
const enrollAction = "enrollment.enroll"

// TokenUpdate implements apple.Admitter. Two users' enrolments of one phone may
// both have been admitted while neither was active: the first one to come here
// has it, and the other one is held.
func (s *Service) TokenUpdate(ctx context.Context, e mdm.Enrollment, m apple.TokenUpdate) error {
	now := s.now()
	push := mdm.Push{
		Topic:       m.Topic,
		Token:       secret.New(string(m.Token)),
		Magic:       secret.New(m.PushMagic),
		UnlockToken: secret.New(string(m.UnlockToken)),
		UpdatedAt:   now,
	}
	entry := audit.New(ctx, now, enrollAction, string(e.ID), audit.Done, "user", string(e.UserID), "udid", e.UDID)
	err := s.Enrollments.Activate(ctx, e.ID, push, now, entry)
	switch {
	case errors.Is(err, ErrConflict):
		return refusal.New(ErrConflict, "", "this enrolment has ended", enrolAgain)
	case err != nil:
		return fmt.Errorf("activate enrolment %s: %w", e.ID, err)
	}
	return nil
}

// CheckOut implements apple.Admitter. Where an admin has ordered the retirement
// it is done by that: a phone that loses its management profile says so, and may
// not come to acknowledge the command that removed it.
func (s *Service) CheckOut(ctx context.Context, e mdm.Enrollment) error {
	now := s.now()
	entry := audit.New(ctx, now, "enrollment.check_out", string(e.ID), audit.Done, "user", string(e.UserID), "udid", e.UDID)
	if err := s.Enrollments.End(ctx, e.ID, mdm.CheckedOut, now, entry); err != nil {
		return fmt.Errorf("end enrolment %s: %w", e.ID, err)
	}
	return nil
}
