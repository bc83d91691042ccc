package enroll

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/logkey"
	"sallyport/mdm"
	"sallyport/mdm/apple"
	"sallyport/profiles/mobileconfig"
)

// pushedChallengeTTL is long, since a phone may lie in a drawer between the
// moment a profile is handed to it and the moment it asks for its certificate.
const pushedChallengeTTL = 7 * 24 * time.Hour

// errUnrenderable marks a profile that cannot be made for this user now. Other
// commands must not wait for it.
var errUnrenderable = errors.New("profile cannot be rendered")

// Next implements apple.Planner.
func (s *Service) Next(ctx context.Context, e mdm.Enrollment, c mdm.Contact) (*apple.Order, error) {
	if !e.State.Active() {
		return nil, nil
	}
	err := s.Plans.SaveContact(ctx, e.ID, c)
	if errors.Is(err, ErrNotFound) {
		return nil, s.unknownResult(ctx, e, c)
	}
	if err != nil {
		return nil, fmt.Errorf("save contact of enrolment %s: %w", e.ID, err)
	}
	user, err := s.Users.UserByID(ctx, e.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return nil, nil // removed: nothing more is installed, and nothing more is asked
	}
	if err != nil {
		return nil, fmt.Errorf("look up user of enrolment %s: %w", e.ID, err)
	}
	have, err := s.Plans.LoadPlan(ctx, e.ID)
	if err != nil {
		return nil, fmt.Errorf("load plan of enrolment %s: %w", e.ID, err)
	}
	assigned, err := s.assigned(ctx, user, have.Report.Device)
	if err != nil {
		return nil, err
	}
	want := s.want(assigned)
	if err := s.confirm(ctx, want, have); err != nil {
		return nil, err
	}
	for _, action := range Plan(want, have, s.now()) {
		order, err := s.order(ctx, have.Enrollment, user, assigned, action)
		if errors.Is(err, errUnrenderable) {
			s.log().ErrorContext(ctx, "profile left out", logkey.Enrollment, e.ID, logkey.Error, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		return order, nil
	}
	return nil, nil
}

// unknownResult notes the result of a command that this enrolment was never
// given, and lets the phone go with an empty answer. A refusal would be worse
// for the one honest way to come here, a database restored from a backup: a
// phone repeats a result until it is taken.
func (s *Service) unknownResult(ctx context.Context, e mdm.Enrollment, c mdm.Contact) error {
	entry := audit.New(ctx, s.now(), "command.result", string(e.ID), audit.Refused,
		"reason", "no such command of this enrolment", "command", string(c.CommandID))
	if err := s.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("audit result of an unknown command: %w", err)
	}
	return nil
}

// confirm turns Enrolled into Configured once the phone lists every wanted
// profile. Losing that race is no error: somebody else did it, or it ended.
func (s *Service) confirm(ctx context.Context, want Want, have Have) error {
	if have.Enrollment.State != mdm.Enrolled || !Confirmed(want, have.Report) {
		return nil
	}
	err := s.Plans.Advance(ctx, have.Enrollment.ID, mdm.Enrolled, mdm.Configured)
	if err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("advance enrolment %s: %w", have.Enrollment.ID, err)
	}
	return nil
}

// order makes the command of an action. Its row is committed before it is
// returned; an action that repeats a command has its row already.
func (s *Service) order(ctx context.Context, e mdm.Enrollment, u directory.User, assigned []assignment, a Action) (*apple.Order, error) {
	command, err := s.command(ctx, e, u, assigned, a)
	if err != nil {
		return nil, err
	}
	if a.ID != "" {
		return &apple.Order{ID: a.ID, Command: command}, nil
	}
	row := mdm.Command{
		ID:           newCommandID(),
		EnrollmentID: e.ID,
		RequestType:  a.Type,
		Subject:      a.Subject,
		Revision:     a.Revision,
		State:        mdm.Sent,
		SentAt:       s.now(),
	}
	if err := s.Plans.SaveCommand(ctx, row); err != nil {
		return nil, fmt.Errorf("save command for enrolment %s: %w", e.ID, err)
	}
	return &apple.Order{ID: row.ID, Command: command}, nil
}

func (s *Service) command(ctx context.Context, e mdm.Enrollment, u directory.User, assigned []assignment, a Action) (apple.Command, error) {
	switch a.Type {
	case askDevice:
		return apple.DeviceInformation{Queries: apple.DeviceQueries()}, nil
	case askSecurity:
		return apple.SecurityInfo{}, nil
	case askProfiles:
		return apple.ProfileList{}, nil
	case askCertificates:
		return apple.CertificateList{}, nil
	case removeProfile:
		return apple.RemoveProfile{Identifier: a.Subject}, nil
	case installProfile:
		for _, p := range assigned {
			if p.identifier == a.Subject && p.uuid == a.Revision {
				payload, err := s.payload(ctx, e, u, p)
				if err != nil {
					return nil, err
				}
				return apple.InstallProfile{Payload: payload}, nil
			}
		}
	}
	return nil, fmt.Errorf("plan names %s %q, which nothing makes", a.Type, a.Subject)
}

// payload makes the bytes of one profile for one phone: encrypted to the phone's
// identity, signed, and a mail profile with a fresh challenge.
func (s *Service) payload(ctx context.Context, e mdm.Enrollment, u directory.User, a assignment) ([]byte, error) {
	row, err := s.Certificates.Lookup(ctx, e.CertificateHash)
	if err != nil {
		return nil, fmt.Errorf("look up identity of enrolment %s: %w", e.ID, err)
	}
	to, err := x509.ParseCertificate(row.DER)
	if err != nil {
		return nil, fmt.Errorf("parse identity of enrolment %s: %w", e.ID, err)
	}
	profile := a.profile
	if a.mail {
		profile = a.rendered.Profile
	}
	if a.rendered.NeedsChallenge {
		challenge, err := s.Certificates.Mint(ctx, certs.Grant{
			Rule:         certs.RuleMailIdentity,
			CommonName:   u.UPN,
			UPN:          u.UPN,
			Mail:         u.Email,
			UserID:       string(u.ID),
			EnrollmentID: string(e.ID),
		}, pushedChallengeTTL)
		if err != nil {
			return nil, fmt.Errorf("mint challenge for enrolment %s: %w", e.ID, err)
		}
		profile = a.rendered.WithChallenge(challenge)
	}
	sealed, err := mobileconfig.Encrypt(profile, to)
	if err != nil {
		return nil, fmt.Errorf("%w: encrypt to enrolment %s: %w", errUnrenderable, e.ID, err)
	}
	signed, err := cms.Sign(sealed, s.Signer())
	if err != nil {
		return nil, fmt.Errorf("sign profile: %w", err)
	}
	return signed, nil
}

// newCommandID makes a CommandUUID: UUIDv4, so that it tells nothing of the time
// or order of its making.
func newCommandID() mdm.CommandID { return mdm.CommandID(strings.ToUpper(uuid.NewString())) }
