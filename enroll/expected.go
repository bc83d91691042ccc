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
	e := have.Enrollment
	expected := compliance.Expected{
		EnrollmentID: e.ID,
		UserID:       e.UserID,
		Platform:     e.Platform,
		State:        e.State,
		LastSeenAt:   e.LastSeenAt,
		Withheld:     e.Withheld,
	}
	if expected.Identity, err = s.expectedIdentity(ctx, e); err != nil {
		return compliance.Expected{}, mdm.Report{}, err
	}
	if have.User.ID == "" {
		expected.UserRemoved = true
		return expected, have.Report, nil
	}
	expected.UPN, expected.Groups = have.User.UPN, have.User.Groups
	if e.Withheld == mdm.WithholdEverything {
		expected.Withdrawal, err = s.withdrawal(ctx, e)
		return expected, have.Report, err
	}
	assigned, err := s.assigned(ctx, have.Catalog, have.User, have.Report.Device, e.Withheld, s.knownKeys)
	if err != nil {
		return compliance.Expected{}, mdm.Report{}, err
	}
	assigned = s.foreseen(assigned, have.User)
	previous, err := s.previous(ctx, have, assigned)
	if err != nil {
		return compliance.Expected{}, mdm.Report{}, err
	}
	for _, a := range assigned {
		if !a.mail { // what a security policy demands is judged by what the phone reports of it
			continue
		}
		wanted := a.wanted()
		refused := refusedInstall(have.Commands, wanted)
		expected.Mail = append(expected.Mail, compliance.ExpectedProfile{
			Name:           wanted.Template,
			Identifier:     wanted.Identifier,
			UUID:           wanted.UUID,
			AcknowledgedAt: acknowledged(have.Commands, wanted),
			Refused:        refused.reason,
			Fix:            refused.fix,
			Previous:       previous[wanted.Identifier],
		})
	}
	return expected, have.Report, nil
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

// expectedIdentity describes the certificate that the enrolment is pinned to;
// one that is not on record counts as revoked.
func (s *Service) expectedIdentity(ctx context.Context, e mdm.Enrollment) (compliance.ExpectedIdentity, error) {
	cert, err := s.Certificates.Lookup(ctx, e.CertificateHash)
	if errors.Is(err, certs.ErrNotFound) {
		return compliance.ExpectedIdentity{SHA256: e.CertificateHash, Revoked: true}, nil
	}
	if err != nil {
		return compliance.ExpectedIdentity{}, fmt.Errorf("look up identity of enrolment %s: %w", e.ID, err)
	}
	revoked := !cert.RevokedAt.IsZero()
	return compliance.ExpectedIdentity{
		SHA256: cert.SHA256, NotAfter: cert.NotAfter, Revoked: revoked,
		Distrusted: revoked && cert.Issuer != "" && s.Distrusted != nil && s.Distrusted(cert.Issuer),
	}, nil
}

// ActiveEnrollments implements compliance.Expecter.
func (s *Service) ActiveEnrollments(ctx context.Context, after mdm.EnrollmentID, limit int) ([]mdm.EnrollmentID, error) {
	ids, err := s.Devices.ActiveEnrollments(ctx, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list active enrolments: %w", err)
	}
	return ids, nil
}
