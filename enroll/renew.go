package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles/mobileconfig"
)

// renewsManagement reports whether the identity of the management is among those
// that are due to be replaced, or will be.
func renewsManagement(e mdm.Enrollment) bool {
	return slices.ContainsFunc(e.Renewals, func(r mdm.Renewal) bool { return r.Rule == string(certs.RuleMDMIdentity) })
}

// enrollmentRevision is the top-level PayloadUUID of the enrolment profile as it
// would be sent again now; empty where nothing asks for it.
func (s *Service) enrollmentRevision(have Have) string {
	if have.User.ID == "" || !renewsManagement(have.Enrollment) {
		return ""
	}
	return s.managementProfile(have, secret.Value{}).TopUUID()
}

// managementProfile is the enrolment profile of a phone that is managed already.
// What Apple freezes stays what this enrolment began with, and rights only go.
func (s *Service) managementProfile(have Have, challenge secret.Value) mobileconfig.Profile {
	e := have.Enrollment
	return s.enrollmentProfile(have.User, e.Topic, e.AccessRights&AccessRights(e.Ownership), challenge)
}

// renewedManagement makes the bytes of that profile for one phone.
func (s *Service) renewedManagement(ctx context.Context, w *job) ([]byte, error) {
	e, u := w.have.Enrollment, w.have.User
	challenge, err := s.Certificates.Mint(ctx, certs.Grant{
		Rule:         certs.RuleMDMIdentity,
		CommonName:   u.UPN,
		UPN:          u.UPN,
		Mail:         u.Email,
		UserID:       string(u.ID),
		EnrollmentID: string(e.ID),
		AccessRights: e.AccessRights & AccessRights(e.Ownership),
	}, pushedChallengeTTL)
	if err != nil {
		return nil, fmt.Errorf("mint challenge for enrolment %s: %w", e.ID, err)
	}
	return s.seal(w, s.managementProfile(w.have, challenge))
}

// seal encrypts a profile to the phone's identity, and signs it.
func (s *Service) seal(w *job, p mobileconfig.Profile) ([]byte, error) {
	sealed, err := mobileconfig.Encrypt(p, w.identity.Certificate)
	if err != nil {
		return nil, fmt.Errorf("%w: encrypt to enrolment %s: %w", errUnrenderable, w.have.Enrollment.ID, err)
	}
	signed, err := cms.Sign(sealed, s.Signer())
	if err != nil {
		return nil, fmt.Errorf("sign profile: %w", err)
	}
	return signed, nil
}

// retire revokes mail identities whose successors the phone lists. That follows
// from its list of certificates alone, and is asked where an identity is in it
// which was not before: in an ordinary poll there is nothing to ask. It is done
// before the list goes on record, so that a crash in between loses nothing: the
// phone repeats what was not answered.
func (s *Service) retire(ctx context.Context, e mdm.Enrollment, known mdm.Report, c mdm.Contact) error {
	listed := listedIdentities(c.Report)
	if before := listedIdentities(known); len(listed) == 0 || !slices.ContainsFunc(listed, func(sha string) bool { return !slices.Contains(before, sha) }) {
		return nil
	}
	now := s.now()
	entry := audit.New(ctx, now, "identity.retire", string(e.ID), audit.Done, "user", string(e.UserID), "rule", string(certs.RuleMailIdentity))
	if _, err := s.Renewals.RetirePredecessors(ctx, e.ID, listed, now, entry); err != nil {
		return fmt.Errorf("retire identities of enrolment %s: %w", e.ID, err)
	}
	return nil
}

// listedIdentities are the certificates with a key on a phone.
func listedIdentities(r mdm.Report) []string {
	if r.Certificates == nil {
		return nil
	}
	var list []string
	for _, item := range r.Certificates.Items {
		if item.Identity {
			list = append(list, item.SHA256)
		}
	}
	return list
}

// dropRights has the enrolment profile sent again, without the rights that a
// device of its new owner is not given. It may be asked for any number of times.
// What is done to an Android phone depends on whose it is at that moment alone.
func (s *Service) dropRights(ctx context.Context, e mdm.Enrollment) error {
	if e.AccessRights&^AccessRights(mdm.Personal) == 0 || e.Platform == mdm.Android { // which has no such profile
		return nil
	}
	now := s.now()
	renewal := mdm.Renewal{Rule: string(certs.RuleMDMIdentity), Certificate: e.CertificateHash, DueAt: now, Reason: mdm.RenewalRights}
	entry := audit.New(ctx, now, "identity.renew", string(e.ID), audit.Done, "reason", string(renewal.Reason), "rule", renewal.Rule)
	if err := s.Renewals.SaveRenewals(ctx, []IdentityRenewal{{EnrollmentID: e.ID, Renewal: renewal}}, entry); err != nil {
		return fmt.Errorf("have enrolment profile of %s sent again: %w", e.ID, err)
	}
	return nil
}

// visitUnpinned is Visit for an identity that no enrolment is pinned to. What is
// known of the phone is read when it is pinned: see succeed.
func (s *Service) visitUnpinned(ctx context.Context, identity apple.Identity) (apple.Visit, error) {
	e, err := s.Pinned(ctx, identity.Hash)
	if err != nil {
		return nil, err
	}
	return &visit{s, identity, Have{Enrollment: e}}, nil
}

// succeed is the first use of a new identity, if it is one.
func (v *visit) succeed(ctx context.Context) error {
	if v.have.Enrollment.CertificateHash == v.identity.Hash {
		return nil
	}
	e, err := v.s.Succeed(ctx, v.have.Enrollment, v.identity)
	if err != nil {
		return err
	}
	have, err := v.s.Plans.LoadPlan(ctx, e.ID)
	if err != nil {
		return fmt.Errorf("load plan of enrolment %s: %w", e.ID, err)
	}
	v.have = have
	return nil
}

// Succeed implements apple.Admitter. Whoever else pinned the enrolment to the same
// certificate meanwhile did what was to be done.
func (s *Service) Succeed(ctx context.Context, e mdm.Enrollment, identity apple.Identity) (mdm.Enrollment, error) {
	now := s.now()
	entry := audit.New(ctx, now, "enrollment.identity", string(e.ID), audit.Done,
		"user", string(e.UserID), "udid", e.UDID, "from", e.CertificateHash, "to", identity.Hash)
	next, err := s.Renewals.PinSuccessor(ctx, e.ID, e.CertificateHash, identity.Hash, now, entry)
	if errors.Is(err, ErrConflict) {
		return mdm.Enrollment{}, replacedIdentity()
	}
	if err != nil {
		return mdm.Enrollment{}, fmt.Errorf("pin enrolment %s to its new identity: %w", e.ID, err)
	}
	return next, nil
}
