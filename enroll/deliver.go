package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// pushedChallengeTTL is long, since a phone may lie in a drawer between the
// moment a profile is handed to it and the moment it asks for its certificate.
const pushedChallengeTTL = 7 * 24 * time.Hour

// errUnrenderable marks a profile that cannot be made for this user now. Other
// commands must not wait for it.
var errUnrenderable = errors.New("profile cannot be rendered")

// Visit implements apple.Planner.
func (s *Service) Visit(ctx context.Context, identity apple.Identity) (apple.Visit, error) {
	have, cert, err := s.Plans.PinnedPlan(ctx, identity.Hash)
	if errors.Is(err, ErrNotFound) {
		return s.visitUnpinned(ctx, identity)
	}
	if err := s.pinned(ctx, have.Enrollment, cert, err); err != nil {
		return nil, err
	}
	return &visit{s, identity, have}, nil
}

// visit is one poll of a phone, with what was known of it when it came.
type visit struct {
	s        *Service
	identity apple.Identity
	have     Have
}

// Enrollment implements apple.Visit.
func (v *visit) Enrollment() mdm.Enrollment { return v.have.Enrollment }

// Next implements apple.Visit.
func (v *visit) Next(ctx context.Context, c mdm.Contact) (*apple.Order, error) {
	if !v.have.Enrollment.State.Active() {
		return nil, nil
	}
	if err := v.succeed(ctx); err != nil {
		return nil, err
	}
	s, e := v.s, v.have.Enrollment
	if err := s.retire(ctx, e, v.have.Report, c); err != nil {
		return nil, err
	}
	w, err := s.meet(ctx, v, c)
	if errors.Is(err, ErrNotFound) {
		return nil, s.unknownResult(ctx, e, c)
	}
	if err != nil {
		return nil, err
	}
	order, err := s.next(ctx, w, c)
	if errors.Is(err, errPending) || errors.Is(err, ErrHeard) {
		if w, err = s.note(ctx, v, c); err != nil {
			return nil, err
		}
		order, err = s.next(ctx, w, c)
	}
	return order, err
}

// next plans, and makes the first command that can be made.
func (s *Service) next(ctx context.Context, w *job, c mdm.Contact) (*apple.Order, error) {
	if !w.have.Enrollment.State.Active() { // it ended with this very result
		return nil, nil
	}
	if err := s.assign(ctx, w); err != nil {
		return nil, err
	}
	if err := s.confirm(ctx, w); err != nil {
		return nil, err
	}
	if err := s.settle(ctx, w); err != nil {
		return nil, err
	}
	p := newPlanner(w.want, w.have, s.now())
	p.plan()
	for _, action := range p.actions {
		order, err := s.order(ctx, w, action)
		switch {
		case errors.Is(err, errUnrenderable):
			s.log().ErrorContext(ctx, "profile left out", logkey.Enrollment, p.have.Enrollment.ID, logkey.Error, err)
		case errors.Is(err, errGone):
			s.log().InfoContext(ctx, "act was cancelled meanwhile", logkey.Enrollment, p.have.Enrollment.ID, "action_id", action.Act)
		case err != nil:
			return nil, err
		default:
			return order, nil
		}
	}
	if err := s.noteLast(ctx, w); err != nil {
		return nil, err
	}
	return nil, s.wakeAgain(ctx, p, c)
}

// job is everything that the next command may be made of.
type job struct {
	have     Have
	identity apple.Identity // that the phone has shown
	pending  *mdm.Contact   // not on record yet, though have is what it will make of it; nil otherwise
	assigned []assignment
	want     Want
}

// assign adds what a phone should have.
func (s *Service) assign(ctx context.Context, w *job) (err error) {
	removed := w.have.User.ID == ""
	if !removed {
		w.assigned, err = s.assigned(ctx, w.have.Catalog, w.have.User, w.have.Report.Device, w.have.Enrollment.Withheld, s.smimeKeys)
		if err != nil {
			return err
		}
	}
	w.want = s.want(w.assigned)
	w.want.UserRemoved, w.want.EnrollmentRevision = removed, s.enrollmentRevision(w.have)
	if w.want.Apps, err = s.asksApps(ctx, w.have); err != nil {
		return err
	}
	return s.hold(ctx, w)
}

// hold has the mail profiles wait while the mailbox has no place for this phone.
func (s *Service) hold(ctx context.Context, w *job) error {
	if !slices.ContainsFunc(w.want.Profiles, func(p WantedProfile) bool { return p.Mail }) {
		return nil
	}
	why, err := s.crowded(ctx, w.have)
	if err != nil || why == nil {
		return err
	}
	for i := range w.want.Profiles {
		w.want.Profiles[i].Waits = w.want.Profiles[i].Mail
	}
	s.log().InfoContext(ctx, "mail profile waits: the mailbox is full", logkey.Enrollment, w.have.Enrollment.ID,
		logkey.User, w.have.User.ID, "devices", why.used, "limit", why.limit)
	return nil
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
// profile, and back when an admin takes the mail away. Losing that race is no
// error: somebody else did it, or it ended.
func (s *Service) confirm(ctx context.Context, w *job) error {
	e := w.have.Enrollment
	from, to := mdm.Enrolled, mdm.Configured
	switch {
	case e.State == mdm.Enrolled && Confirmed(w.want, w.have.Report):
	case e.State == mdm.Configured && e.Withheld == mdm.WithholdEverything:
		from, to = to, from
	default:
		return nil
	}
	if w.result() {
		return errPending
	}
	err := s.Plans.Advance(ctx, e.ID, from, to)
	if err != nil && !errors.Is(err, ErrConflict) {
		return fmt.Errorf("advance enrolment %s: %w", e.ID, err)
	}
	return nil
}

// errGone marks work of an act that was cancelled, or taken up elsewhere, since
// the plan was read.
var errGone = errors.New("act is not open any more")

// actCommandID is the CommandUUID of an act, the same for ever, whichever server
// process hands it out and how often: two of them at once, or again because the
// phone did not answer, are one command, which a phone executes once. It looks
// like every other (UUIDv4) and tells nothing of the act.
func (s *Service) actCommandID(id mdm.ActionID) mdm.CommandID {
	var u uuid.UUID
	copy(u[:], s.MAC(purposeAct, []byte(id)))
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return mdm.CommandID(strings.ToUpper(u.String()))
}

// order makes the command of an action. Its row is committed before it is
// returned; an action that repeats a command has its row already. An act that
// cannot be carried out fails here.
func (s *Service) order(ctx context.Context, w *job, a Action) (*apple.Order, error) {
	e := w.have.Enrollment
	if a.ID != "" && w.result() {
		return nil, errPending
	}
	command, err := s.command(ctx, w, a)
	if errors.Is(err, errActFailed) {
		if err := s.moveAct(ctx, e, w.act(a.Act), mdm.ActionFailed, plain(err)); err != nil {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.begin(ctx, w, a); err != nil {
		return nil, err
	}
	if a.ID != "" {
		return &apple.Order{ID: a.ID, Command: command}, nil
	}
	row := mdm.Command{
		ID:           newCommandID(),
		EnrollmentID: e.ID,
		RequestType:  command.RequestType(),
		Subject:      a.Subject,
		Revision:     a.Revision,
		State:        mdm.Sent,
		SentAt:       s.now(),
	}
	if a.Act != "" && !a.Part {
		row.ID, row.ActionID = s.actCommandID(a.Act), a.Act
	}
	err = s.Plans.SaveCommand(ctx, row, w.pending)
	if errors.Is(err, ErrConflict) && row.ActionID != "" {
		return nil, errGone
	}
	if err != nil {
		return nil, fmt.Errorf("save command for enrolment %s: %w", e.ID, err)
	}
	return &apple.Order{ID: row.ID, Command: command}, nil
}

func (s *Service) command(ctx context.Context, w *job, a Action) (apple.Command, error) {
	if a.Act != "" && !a.Part {
		return s.actCommand(ctx, w.have.Enrollment, w.act(a.Act))
	}
	switch a.Type {
	case askDevice:
		return apple.DeviceInformation{Queries: apple.DeviceQueries()}, nil
	case askSecurity:
		return apple.SecurityInfo{}, nil
	case askProfiles:
		return apple.ProfileList{}, nil
	case askCertificates:
		return apple.CertificateList{}, nil
	case askRestrictions:
		return apple.Restrictions{}, nil
	case askApplications:
		return apple.InstalledApplicationList{}, nil
	case deviceConfigured:
		return apple.DeviceConfigured{}, nil
	case removeProfile:
		return apple.RemoveProfile{Identifier: a.Subject}, nil
	case installProfile:
		if a.Subject == w.want.EnrollmentProfile {
			payload, err := s.renewedManagement(ctx, w)
			return apple.InstallProfile{Payload: payload}, err
		}
		for _, p := range w.assigned {
			if p.identifier == a.Subject && p.uuid == a.Revision {
				payload, err := s.payload(ctx, w, p)
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
// identity, signed, and a mail profile with the user's S/MIME keys and a fresh
// challenge. One whose command does not go on record is a challenge that nobody knows.
func (s *Service) payload(ctx context.Context, w *job, a assignment) ([]byte, error) {
	e, u := w.have.Enrollment, w.have.User
	rendered, err := s.withKeys(ctx, w, a.rendered)
	if err != nil {
		return nil, err
	}
	profile := a.profile
	if a.mail {
		profile = rendered.Profile
	}
	if rendered.NeedsChallenge {
		challenge, err := s.Certificates.Mint(ctx, mailGrant(u, e.ID, a.identifier), pushedChallengeTTL)
		if err != nil {
			return nil, fmt.Errorf("mint challenge for enrolment %s: %w", e.ID, err)
		}
		profile = rendered.WithChallenge(challenge)
	}
	return s.seal(w, profile)
}

// mailGrant is for a certificate by which one mail account on one phone signs in.
func mailGrant(u directory.User, id mdm.EnrollmentID, profile string) certs.Grant {
	return certs.Grant{
		Rule: certs.RuleMailIdentity, CommonName: u.UPN, UPN: u.UPN, Mail: u.Email,
		UserID: string(u.ID), EnrollmentID: string(id), Profile: profile,
	}
}

// newCommandID makes a CommandUUID: UUIDv4, so that it tells nothing of the time
// or order of its making.
func newCommandID() mdm.CommandID { return mdm.CommandID(strings.ToUpper(uuid.NewString())) }
