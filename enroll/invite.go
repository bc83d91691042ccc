package enroll

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/templates"
)

const (
	defaultInvitationTTL = 7 * 24 * time.Hour
	minInvitationTTL     = time.Minute
	maxInvitationTTL     = 90 * 24 * time.Hour
	userPage             = 1000
)

// InviteRequest says whom to invite: exactly one of UPN, Group and All.
type InviteRequest struct {
	UPN   string
	Group string
	All   bool
	// Ownership decides which rights the enrolment profile asks for. Empty means
	// personal, which asks for fewer: Apple freezes the rights at enrolment, and
	// too few can be repaired by enrolling again, while rights that a person
	// granted by mistake cannot be taken back by us.
	Ownership mdm.Ownership
	PIN       bool          // ask for a 6-digit PIN that travels another way than the URL
	TTL       time.Duration // 0 means 7 days; at most 90 days
}

// Invited is the outcome of an invitation of several users.
type Invited struct {
	Issued  []Issued
	Skipped []Skipped // users who were meant and cannot be invited
}

// Skipped is a user whom an invitation of a group or of everyone left out.
type Skipped struct {
	User   directory.User
	Reason *refusal.Error
}

// Invite makes one invitation for every user concerned, all or none, and says
// nothing of those who were left out: see InviteAll.
func (s *Service) Invite(ctx context.Context, r InviteRequest) ([]Issued, error) {
	invited, err := s.InviteAll(ctx, r)
	return invited.Issued, err
}

// InviteAll makes one invitation for every user concerned, all or none. Codes
// and PINs are in the answer and nowhere else. A shared mailbox is refused when
// it is named, and left out of a group.
func (s *Service) InviteAll(ctx context.Context, r InviteRequest) (Invited, error) {
	if r.Ownership == "" {
		r.Ownership = mdm.Personal
	}
	if r.TTL == 0 {
		r.TTL = defaultInvitationTTL
	}
	if err := r.validate(); err != nil {
		return Invited{}, err
	}
	users, skipped, err := s.invited(ctx, r)
	if err != nil {
		return Invited{}, err
	}
	now := s.now()
	issued := make([]Issued, len(users))
	invitations := make([]Invitation, len(users))
	entries := make([]audit.Entry, len(users))
	for i, u := range users {
		issued[i] = s.issue(u, r, audit.Actor(ctx), now)
		invitations[i] = issued[i].Invitation
		entries[i] = audit.New(ctx, now, "invitation.create", string(invitations[i].ID), audit.Done,
			"user", string(u.ID), "ownership", string(r.Ownership), "pin", strconv.FormatBool(r.PIN),
			"expires_at", invitations[i].ExpiresAt.Format(time.RFC3339))
	}
	if err := s.Invitations.CreateInvitations(ctx, invitations, entries); err != nil {
		return Invited{}, fmt.Errorf("create invitations: %w", err)
	}
	return Invited{Issued: issued, Skipped: skipped}, nil
}

func (r InviteRequest) validate() error {
	var list refusal.List
	named := 0
	for _, given := range []bool{r.UPN != "", r.Group != "", r.All} {
		if given {
			named++
		}
	}
	if named != 1 {
		list = append(list, refusal.New(ErrInvalid, "user", "name one user, or one group, or everyone", "give exactly one of them"))
	}
	if !r.Ownership.Valid() {
		list = append(list, refusal.New(ErrInvalid, "ownership", "is neither corporate nor personal", "say corporate or personal"))
	}
	if r.TTL < minInvitationTTL || r.TTL > maxInvitationTTL {
		list = append(list, refusal.New(ErrInvalid, "ttl", "is not between 1 minute and 90 days", "choose a time in between; the default is 7 days"))
	}
	return list.OrNil()
}

// invited resolves the request to users, and those who are left out; nobody is
// a refusal, so that a group with a typing error does not look like success.
func (s *Service) invited(ctx context.Context, r InviteRequest) (users []directory.User, skipped []Skipped, err error) {
	if r.UPN != "" {
		u, err := s.Users.UserByUPN(ctx, r.UPN)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, nil, refusal.New(ErrNotFound, "user", "no such user", "add the user first: sallyport user add --upn … --email …")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("look up user: %w", err)
		}
		if refused := templates.RefuseShared(u, ErrInvalid, "user"); refused != nil {
			return nil, nil, refused
		}
		return []directory.User{u}, nil, nil
	}
	page := directory.Page{Limit: userPage}
	for {
		some, err := s.Users.ListUsers(ctx, r.Group, page)
		if err != nil {
			return nil, nil, fmt.Errorf("list users: %w", err)
		}
		for _, u := range some {
			if refused := templates.RefuseShared(u, ErrInvalid, "user"); refused != nil {
				skipped = append(skipped, Skipped{User: u, Reason: refused})
				continue
			}
			users = append(users, u)
		}
		if len(some) < page.Limit {
			break
		}
		page.After = some[len(some)-1].UPN
	}
	switch {
	case len(users) == 0 && len(skipped) > 0:
		return nil, nil, refusal.New(ErrInvalid, "group", fmt.Sprintf("there is nobody to invite: all %d users are shared mailboxes", len(skipped)), skipped[0].Reason.Remedy)
	case len(users) == 0:
		return nil, nil, refusal.New(ErrNotFound, "group", "there is no user to invite", "check the group's name with: sallyport user list")
	}
	return users, skipped, nil
}

// issue makes one invitation in memory.
func (s *Service) issue(u directory.User, r InviteRequest, by string, now time.Time) Issued {
	code := newCode()
	i := Invitation{
		ID:        InvitationID(newID()),
		CodeHash:  s.codeHash(code),
		UserID:    u.ID,
		UPN:       u.UPN,
		Ownership: r.Ownership,
		State:     InvitationOpen,
		CreatedAt: now,
		CreatedBy: by,
		ExpiresAt: now.Add(r.TTL),
	}
	issued := Issued{User: u, URL: secret.New(s.PublicURL + "/enroll/" + code)}
	if r.PIN {
		pin := newPIN()
		i.PINHash = s.pinHash(i.ID, pin)
		issued.PIN = secret.New(pin)
	}
	issued.Invitation = i
	return issued
}

// ListInvitations returns invitations newest first, of one user only when upn is given.
func (s *Service) ListInvitations(ctx context.Context, upn string, page directory.Page) ([]Invitation, error) {
	var id directory.UserID
	if upn != "" {
		u, err := s.Users.UserByUPN(ctx, upn)
		if errors.Is(err, directory.ErrNotFound) {
			return nil, refusal.New(ErrNotFound, "user", "no such user", "see: sallyport user list")
		}
		if err != nil {
			return nil, fmt.Errorf("look up user: %w", err)
		}
		id = u.ID
	}
	list, err := s.Invitations.ListInvitations(ctx, id, page)
	if err != nil {
		return nil, fmt.Errorf("list invitations: %w", err)
	}
	return list, nil
}

// RevokeInvitation makes an open invitation and its challenges void. ErrConflict
// when it is not open, ErrNotFound when unknown.
func (s *Service) RevokeInvitation(ctx context.Context, id string) error {
	entry := audit.New(ctx, s.now(), "invitation.revoke", id, audit.Done)
	err := s.Invitations.RevokeInvitation(ctx, InvitationID(id), entry)
	switch {
	case errors.Is(err, ErrNotFound):
		return refusal.New(ErrNotFound, "id", "no such invitation", "see: sallyport invitation list")
	case errors.Is(err, ErrConflict):
		return refusal.New(ErrConflict, "id", "only an open invitation can be revoked", "see its state with: sallyport invitation list")
	case err != nil:
		return fmt.Errorf("revoke invitation %s: %w", id, err)
	}
	return nil
}

// newID makes a row's identifier, a UUIDv7: ordered by time. It fails only
// where crypto/rand does, which stops the program.
func newID() string { return uuid.Must(uuid.NewV7()).String() }
