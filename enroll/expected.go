package enroll

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/certs"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Expected implements compliance.Expecter.
func (s *Service) Expected(ctx context.Context, id mdm.EnrollmentID) (compliance.Expected, mdm.Report, error) {
	have, err := s.Plans.LoadPlan(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return compliance.Expected{}, mdm.Report{}, fmt.Errorf("enrolment %s: %w", id, compliance.ErrNotFound)
	}
	if err != nil {
		return compliance.Expected{}, mdm.Report{}, fmt.Errorf("load plan of enrolment %s: %w", id, err)
	}
	cert, err := s.Certificates.Lookup(ctx, have.Enrollment.CertificateHash)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return compliance.Expected{}, mdm.Report{}, fmt.Errorf("look up identity of enrolment %s: %w", id, err)
	}
	expected, err := s.expected(ctx, have, s.expectedIdentity(have.Enrollment.CertificateHash, cert))
	return expected, have.Report, err
}

// expected is what follows from what we know of an enrolment.
func (s *Service) expected(ctx context.Context, have Have, identity compliance.ExpectedIdentity) (_ compliance.Expected, err error) {
	e := have.Enrollment
	expected := compliance.Expected{
		EnrollmentID: e.ID,
		UserID:       e.UserID,
		Platform:     e.Platform,
		Ownership:    e.Ownership,
		AccessRights: e.AccessRights,
		State:        e.State,
		LastSeenAt:   e.LastSeenAt,
		Withheld:     e.Withheld,
		Identity:     identity,
	}
	if have.User.ID == "" {
		expected.UserRemoved = true
		return expected, nil
	}
	expected.UPN, expected.Groups = have.User.UPN, have.User.Groups
	if e.Withheld == mdm.WithholdEverything {
		expected.Withdrawal, err = s.withdrawal(ctx, e)
		return expected, err
	}
	if e.Platform == mdm.Android {
		return s.androidExpected(ctx, have, expected)
	}
	wanted, alike, err := s.mailProfiles(ctx, have.Catalog, have.User, have.Report.Device)
	var previous map[string][]compliance.PreviousRevision
	if err == nil && !alike {
		wanted, previous, err = s.mailOf(ctx, have)
	}
	if err != nil {
		return compliance.Expected{}, err
	}
	for _, w := range wanted {
		refused := refusedInstall(have.Commands, w)
		expected.Mail = append(expected.Mail, compliance.ExpectedProfile{
			Name:           w.Template,
			Identifier:     w.Identifier,
			UUID:           w.UUID,
			AcknowledgedAt: acknowledged(have.Commands, w),
			Refused:        refused.reason,
			Fix:            refused.fix,
			Previous:       previous[w.Identifier],
		})
	}
	return expected, s.sayWaits(ctx, have, expected.Mail)
}

// sayWaits says of mail profiles that wait for a place in the mailbox why they do.
func (s *Service) sayWaits(ctx context.Context, have Have, mail []compliance.ExpectedProfile) error {
	if len(mail) == 0 {
		return nil
	}
	why, err := s.crowded(ctx, have)
	if err != nil || why == nil {
		return err
	}
	for i := range mail {
		mail[i].Waits, mail[i].Fix = why.fact(), why.fix()
	}
	return nil
}

// mailOf renders the mail profiles for one phone, with the revisions that still
// count. What a security policy demands is judged by what the phone reports of it.
func (s *Service) mailOf(ctx context.Context, have Have) ([]WantedProfile, map[string][]compliance.PreviousRevision, error) {
	assigned, err := s.assigned(ctx, have.Catalog, have.User, have.Report.Device, have.Enrollment.Withheld, s.knownKeys)
	if err != nil {
		return nil, nil, err
	}
	assigned = s.foreseen(assigned, have.User)
	previous, err := s.previous(ctx, have, assigned)
	if err != nil {
		return nil, nil, err
	}
	var wanted []WantedProfile
	for _, a := range assigned {
		if a.mail {
			wanted = append(wanted, a.wanted())
		}
	}
	return wanted, previous, nil
}

// acknowledged is when the phone last acknowledged the installation of exactly
// this revision; zero when never, and for a profile that cannot be rendered.
func acknowledged(commands []mdm.Command, want WantedProfile) time.Time {
	if !want.renders() {
		return time.Time{}
	}
	var last time.Time
	for _, c := range commands {
		if c.RequestType == installProfile && c.State == mdm.Acknowledged && c.Subject == want.Identifier && c.Revision == want.UUID {
			last = later(last, c.DoneAt)
		}
	}
	return last
}

// refusedInstall is why the phone refused this revision, unless a newer attempt
// went otherwise.
func refusedInstall(commands []mdm.Command, want WantedProfile) explanation {
	for _, c := range commands { // newest first
		if c.RequestType == installProfile && c.Subject == want.Identifier && c.Revision == want.UUID {
			return explain(c)
		}
	}
	return explanation{}
}

// withdrawal finds the act by which an admin took the mail away: the newest one
// that does so and was not taken back.
func (s *Service) withdrawal(ctx context.Context, e mdm.Enrollment) (compliance.Withdrawal, error) {
	acts, err := s.Acts.ListActions(ctx, e.DeviceID, directory.Page{Limit: 100})
	if err != nil {
		return compliance.Withdrawal{}, fmt.Errorf("list acts of device %s: %w", e.DeviceID, err)
	}
	for _, act := range acts {
		if act.EnrollmentID != e.ID || act.Kind.Withholds() != mdm.WithholdEverything {
			continue
		}
		switch act.State {
		case mdm.ActionPending, mdm.ActionSent, mdm.ActionAcknowledged, mdm.ActionFailed:
			return compliance.Withdrawal{Act: inWords(act.Kind), By: act.RequestedBy, At: act.RequestedAt}, nil
		case mdm.ActionUnapproved, mdm.ActionCancelled, mdm.ActionExpired:
		}
	}
	return compliance.Withdrawal{}, nil
}

func inWords(k mdm.ActionKind) string {
	switch k {
	case mdm.ActionWipe:
		return "a full wipe"
	case mdm.ActionRetire:
		return "the end of its management"
	}
	return "a selective wipe"
}

// expectedIdentity describes the certificate that an enrolment is pinned to; one that is
// not on record counts as revoked.
func (s *Service) expectedIdentity(hash string, cert certs.Certificate) compliance.ExpectedIdentity {
	if hash == "" { // Android: it was never pinned to one
		return compliance.ExpectedIdentity{}
	}
	if cert.SHA256 == "" {
		return compliance.ExpectedIdentity{SHA256: hash, Revoked: true}
	}
	revoked := !cert.RevokedAt.IsZero()
	return compliance.ExpectedIdentity{
		SHA256: cert.SHA256, NotAfter: cert.NotAfter, Revoked: revoked,
		Distrusted: revoked && cert.Issuer != "" && s.Distrusted != nil && s.Distrusted(cert.Issuer),
	}
}
