package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/profiles"
	"sallyport/templates"
)

// Welcome is what the enrolment page shows.
type Welcome struct {
	Invitation   Invitation
	User         directory.User
	Organization string
	PINAsked     bool
	// Placeholder: no push certificate is imported yet, so a phone that enrols
	// now can be told nothing unless it asks by itself.
	Placeholder bool
	// Accounts are the user's mail settings, rendered, for a phone that must be
	// set up by hand. A template that cannot be rendered is left out.
	Accounts []profiles.ExchangeAccount
}

// Open returns what the page of an invitation shows. It changes nothing, so
// that mail scanners and previews may fetch the page as often as they like; a
// refusal leaves an audit row.
func (s *Service) Open(ctx context.Context, code string) (Welcome, error) {
	i, u, err := s.openInvitation(ctx, code)
	if err != nil {
		return Welcome{}, s.refused(ctx, "invitation.open", string(i.ID), err)
	}
	_, placeholder := s.Topic()
	w := Welcome{Invitation: i, User: u, Organization: s.Organization, PINAsked: len(i.PINHash) > 0, Placeholder: placeholder}
	won, _, options, err := s.chosen(ctx, u, nil)
	if err != nil {
		return Welcome{}, err
	}
	for _, revision := range won {
		if rendered, err := templates.Render(revision, u, options); err == nil {
			w.Accounts = append(w.Accounts, rendered.Accounts...)
		}
	}
	return w, nil
}

// openInvitation finds the open invitation of a code, and its user. The
// invitation comes along with a refusal where there is one.
func (s *Service) openInvitation(ctx context.Context, typed string) (Invitation, directory.User, error) {
	code, ok := normalCode(typed)
	if !ok {
		return Invitation{}, directory.User{}, unknownCode()
	}
	i, err := s.Invitations.InvitationByCode(ctx, s.codeHash(code))
	if errors.Is(err, ErrNotFound) {
		return Invitation{}, directory.User{}, unknownCode()
	}
	if err != nil {
		return Invitation{}, directory.User{}, fmt.Errorf("look up invitation: %w", err)
	}
	const again = "ask your administrator for a new invitation"
	switch i.StateAt(s.now()) {
	case InvitationUsed:
		return i, directory.User{}, refusal.New(ErrInvitationUsed, "code", "this invitation was used already", again)
	case InvitationExpired:
		return i, directory.User{}, refusal.New(ErrInvitationExpired, "code", "this invitation has expired", again)
	case InvitationRevoked:
		return i, directory.User{}, refusal.New(ErrInvitationRevoked, "code", "this invitation was withdrawn", again)
	case InvitationOpen:
	}
	u, err := s.Users.UserByID(ctx, i.UserID)
	if errors.Is(err, directory.ErrNotFound) {
		return i, directory.User{}, unknownCode()
	}
	if err != nil {
		return i, directory.User{}, fmt.Errorf("look up user of invitation %s: %w", i.ID, err)
	}
	return i, u, nil
}

func unknownCode() error {
	return refusal.New(ErrNotFound, "code", "there is no such invitation", "check the 8 characters, or ask your administrator for a new invitation")
}

// refused leaves an audit row when err is a refusal, and returns err. The row is
// written for a caller who has hung up meanwhile too; one that cannot be written
// is logged: the refusal stands either way. detail follows the reason.
func (s *Service) refused(ctx context.Context, action, target string, err error, detail ...string) error {
	refusals := refusal.All(err)
	if len(refusals) == 0 {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	entry := audit.New(ctx, s.now(), action, target, audit.Refused, append([]string{"reason", refusals[0].Reason}, detail...)...)
	if failure := s.Audit.Append(ctx, entry); failure != nil {
		s.log().ErrorContext(ctx, "audit row of a refusal not written", "action", action, "error", failure)
	}
	return err
}
