package enroll

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

const (
	ticketTTL   = time.Hour
	tokensAtOne = 50 // deleted in one step
)

// AndroidInvite is how one phone gets in, once.
type AndroidInvite struct {
	Ownership mdm.Ownership
	Link      secret.Value // personal phones: opened on the phone
	QR        secret.Value // the company's: shown to the phone at the first screen after a factory reset
	Token     secret.Value // the link of either, for a set-up that is under way on the phone
	ExpiresAt time.Time
}

// newTicket is a number that tells nothing.
func newTicket() string {
	raw := make([]byte, 16)
	_, _ = rand.Read(raw) // never fails: it stops the program instead
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
}

// Invite mints an enrolment token for an open invitation. Asked once more, it
// gives a fresh one, and the one before is void: nobody is left with a page that
// does not work any more.
func (a *Androids) Invite(ctx context.Context, code, pin string) (AndroidInvite, error) {
	const action = "android.token"
	s := a.Service
	i, u, err := s.openInvitation(ctx, code)
	if err != nil {
		return AndroidInvite{}, s.refused(ctx, action, string(i.ID), err)
	}
	if !s.pinMatches(i, pin) {
		return AndroidInvite{}, s.refused(ctx, action, string(i.ID), wrongPIN())
	}
	e, api, err := a.enterprise(ctx)
	if err != nil {
		return AndroidInvite{}, err
	}
	now, ticket := a.now(), newTicket()
	token, err := api.CreateToken(ctx, e.Name, android.TokenRequest{
		Policy: android.BasePolicyID, Ticket: ticket, Personal: i.Ownership != mdm.Corporate, TTL: min(ticketTTL, i.ExpiresAt.Sub(now)),
	})
	if err != nil {
		return AndroidInvite{}, google("create enrolment token", err)
	}
	row := AndroidTicket{
		Hash: secret.Hash(ticket), InvitationID: i.ID, Ownership: i.Ownership, Token: token.Name, CreatedAt: now,
		ExpiresAt: expiryOf(token, now),
	}
	entry := audit.New(ctx, now, action, string(i.ID), audit.Done, "user", string(u.ID), "ownership", string(i.Ownership))
	if err := a.Tickets.CreateTicket(ctx, row, entry); err != nil {
		a.discard(ctx, api, token)
		if errors.Is(err, ErrConflict) { // used or revoked just now
			_, _, err = s.openInvitation(ctx, code)
		}
		return AndroidInvite{}, fmt.Errorf("note enrolment token: %w", err)
	}
	a.Notify() // the one before is to be deleted
	invite := AndroidInvite{Ownership: i.Ownership, Token: token.Link(), ExpiresAt: row.ExpiresAt}
	if i.Ownership == mdm.Corporate {
		invite.QR = token.QR
	} else {
		invite.Link = token.Link()
	}
	return invite, nil
}

// expiryOf is when a token ends; Google need not say so.
func expiryOf(t android.Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return now.Add(ticketTTL)
	}
	return t.ExpiresAt
}

// discard takes back a token that nobody was told of. One that stays ends by itself.
func (a *Androids) discard(ctx context.Context, api AndroidAPI, t android.Token) {
	if err := api.DeleteToken(context.WithoutCancel(ctx), t.Name); err != nil {
		a.log().WarnContext(ctx, "enrolment token was not deleted", logkey.Error, err)
	}
}

func wrongPIN() error {
	return refusal.New(ErrInvalid, "pin", "is not the PIN of this invitation", "it has 6 digits, and came to you another way than the link")
}

// SignIn is Invite for the page that Android Device Policy opens during set-up:
// only for a phone that is being set up for our enterprise.
func (a *Androids) SignIn(ctx context.Context, provisioning, code, pin string) (AndroidInvite, error) {
	if err := a.Provisioned(ctx, provisioning); err != nil {
		return AndroidInvite{}, err
	}
	// The phone itself goes on with the token, whosever it is.
	return a.Invite(ctx, code, pin)
}

// Provisioned refuses a set-up that is not under way at our enterprise.
func (a *Androids) Provisioned(ctx context.Context, provisioning string) error {
	e, api, err := a.enterprise(ctx)
	if err != nil {
		return err
	}
	info, err := api.ProvisioningInfo(ctx, provisioning)
	if problem := (*android.Problem)(nil); errors.As(err, &problem) && problem.NotFound() {
		return refusal.New(ErrNotFound, "provisioningInfo", "no phone is being set up under this address", "begin again on the phone")
	}
	if err != nil {
		return google("look up set-up", err)
	}
	if info.Enterprise != "" && info.Enterprise != e.Name {
		return refusal.New(ErrForeign, "provisioningInfo", "the phone is being set up for another organisation", "begin again on the phone")
	}
	return nil
}

// AndroidProgress is how far the phone of an invitation has come.
type AndroidProgress string

const (
	AndroidNone       AndroidProgress = ""           // no token was made
	AndroidWaiting    AndroidProgress = "waiting"    // for the phone
	AndroidEnrolled   AndroidProgress = "enrolled"   // its mail is on the way
	AndroidHeld       AndroidProgress = "held"       // for an administrator
	AndroidConfigured AndroidProgress = "configured" // it has its mail
	AndroidEnded      AndroidProgress = "ended"
)

// Progress tells how far the phone of an invitation has come, whatever became of
// the invitation; ErrNotFound for an unknown code.
func (a *Androids) Progress(ctx context.Context, typed string) (AndroidProgress, error) {
	s := a.Service
	code, ok := normalCode(typed)
	if !ok {
		return AndroidNone, unknownCode()
	}
	i, err := s.Invitations.InvitationByCode(ctx, s.codeHash(code))
	if errors.Is(err, ErrNotFound) {
		return AndroidNone, unknownCode()
	}
	if err != nil {
		return AndroidNone, fmt.Errorf("look up invitation: %w", err)
	}
	t, err := a.Tickets.NewestTicket(ctx, i.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return AndroidNone, nil
	case err != nil:
		return AndroidNone, fmt.Errorf("look up ticket: %w", err)
	case t.UsedAt.IsZero() && !a.now().Before(t.ExpiresAt):
		return AndroidNone, nil
	case t.UsedAt.IsZero():
		return AndroidWaiting, nil
	}
	e, err := s.Enrollments.EnrollmentByID(ctx, t.EnrollmentID)
	if err != nil {
		return AndroidNone, fmt.Errorf("look up enrolment of invitation %s: %w", i.ID, err)
	}
	switch {
	case e.State == mdm.Held:
		return AndroidHeld, nil
	case e.State == mdm.Configured:
		return AndroidConfigured, nil
	case e.State.Ended():
		return AndroidEnded, nil
	}
	return AndroidEnrolled, nil
}

// ClearTokens is a step for internal/work: tokens that were used, replaced or have
// expired are deleted at Google.
func (a *Androids) ClearTokens(ctx context.Context) (more bool, err error) {
	now := a.now()
	due, err := a.Tickets.DueTickets(ctx, now, tokensAtOne)
	if err != nil || len(due) == 0 {
		return false, err
	}
	_, api, err := a.enterprise(ctx)
	if err != nil {
		return false, err
	}
	for _, t := range due {
		next := time.Time{}
		if err := api.DeleteToken(ctx, t.Token); err != nil {
			if ctx.Err() != nil {
				return false, ctx.Err()
			}
			next = now.Add(androidBackOff(t.Attempts, err))
			a.log().WarnContext(ctx, "enrolment token was not deleted", "attempts", t.Attempts+1, logkey.Error, err)
		}
		if err := a.Tickets.TicketTried(ctx, t.Hash, next); err != nil {
			return false, fmt.Errorf("note deletion of token: %w", err)
		}
	}
	return len(due) == tokensAtOne, nil
}
