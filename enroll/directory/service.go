package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

const (
	maxRefusals = 100  // bounds how much of a hopeless input is explained
	maxPage     = 1000 // see Page
)

// Service is the directory as the API and the CLI use it.
type Service struct {
	Store Store
	Now   func() time.Time
}

// Save adds users, or updates those whose UPN is known; all of them or none. It
// fills defaults and returns the users as stored. One of whom everything is on
// record already is not written again. ErrInvalid lists every field that was
// refused; ErrConflict says that an email belongs to another user.
func (s *Service) Save(ctx context.Context, users []User) ([]User, error) {
	users, err := s.prepare(users)
	if err != nil {
		return nil, err
	}
	seen := knowns{}
	written, err := s.save(ctx, users, seen)
	if err != nil {
		return nil, err
	}
	now := make(map[string]User, len(written))
	for _, u := range written {
		now[Fold(u.UPN)] = u
	}
	stored := make([]User, len(users))
	for i, u := range users {
		key := Fold(u.UPN)
		if before := seen[key]; before != nil {
			stored[i] = *before
		}
		if u, ok := now[key]; ok {
			stored[i] = u
		}
	}
	return stored, nil
}

// Remove forgets a user: from then on every lookup is ErrNotFound, their open
// invitations are void and their mailbox is blocked.
func (s *Service) Remove(ctx context.Context, upn string) error {
	u, err := s.Store.UserByUPN(ctx, upn)
	if err != nil {
		return err
	}
	now := s.now()
	return s.Store.RemoveUser(ctx, u.ID, now, audit.New(ctx, now, "user.remove", u.UPN, audit.Done, "user_id", string(u.ID)))
}

// Get returns the user with that UPN, or ErrNotFound.
func (s *Service) Get(ctx context.Context, upn string) (User, error) {
	return s.Store.UserByUPN(ctx, strings.Trim(upn, " "))
}

// List returns users in the order of their UPN, those of group only when it is
// not empty.
func (s *Service) List(ctx context.Context, group string, page Page) ([]User, error) {
	if page.Limit < 0 || page.Limit > maxPage {
		return nil, refusal.New(ErrInvalid, "limit", fmt.Sprintf("is %d", page.Limit), "use 1 to 1000")
	}
	return s.Store.ListUsers(ctx, group, page)
}

// Import reads a CSV file (see ParseCSV) and saves its users, all or none.
// Users whom the file does not name stay as they are; of a known user only
// those fields change for which the file has a column. Who is as the file says
// already is in neither number.
func (s *Service) Import(ctx context.Context, r io.Reader) (added, updated int, err error) {
	table, err := readCSV(r)
	if err != nil {
		return 0, 0, err
	}
	seen := knowns{}
	users, err := table.users(func(upn string) (*User, error) { return s.known(ctx, seen, upn) })
	if err != nil {
		return 0, 0, err
	}
	if users, err = s.prepare(users); err != nil {
		return 0, 0, err
	}
	written, err := s.save(ctx, users, seen)
	if errors.Is(err, ErrConflict) {
		list, searchErr := s.conflicts(ctx, table.rows, users)
		if searchErr != nil || len(list) == 0 {
			return 0, 0, errors.Join(err, searchErr)
		}
		return 0, 0, list
	}
	if err != nil {
		return 0, 0, err
	}
	for _, u := range written {
		if seen[Fold(u.UPN)] == nil {
			added++
		} else {
			updated++
		}
	}
	return added, updated, nil
}

// prepare normalises and validates, and gives each user the ID that they get
// when their UPN is new.
func (s *Service) prepare(users []User) ([]User, error) {
	now := s.now()
	prepared := make([]User, len(users))
	var list refusal.List
	seen := newSeen()
	for i, u := range users {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make user ID: %w", err)
		}
		u = normal(u)
		u.ID, u.CreatedAt, u.UpdatedAt = UserID(id.String()), now, now
		prepared[i] = u
		prefix := ""
		if len(users) > 1 {
			prefix = fmt.Sprintf("users[%d].", i)
		}
		list.Add(u.refusals(prefix)...)
		list.Add(seen.doubles(u, prefix)...)
		if len(list) > maxRefusals {
			break
		}
	}
	return prepared, list.OrNil()
}

// save writes those of users of whom something is new, and returns them as stored.
func (s *Service) save(ctx context.Context, users []User, seen knowns) ([]User, error) {
	users, fields, err := s.changes(ctx, users, seen)
	if err != nil || len(users) == 0 {
		return nil, err
	}
	entries := make([]audit.Entry, len(users))
	for i, u := range users {
		entries[i] = audit.New(ctx, u.UpdatedAt, "user.save", u.UPN, audit.Done, "changed", fields[i])
	}
	stored, err := s.Store.SaveUsers(ctx, users, entries)
	if err != nil {
		return nil, fmt.Errorf("save %d users: %w", len(users), err)
	}
	return stored, nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// seen finds users that one input names twice.
type seen struct{ upns, emails map[string]bool }

func newSeen() seen { return seen{upns: map[string]bool{}, emails: map[string]bool{}} }

func (s seen) doubles(u User, prefix string) refusal.List {
	var list refusal.List
	upn, email := Fold(u.UPN), Fold(u.Email)
	if upn != "" && s.upns[upn] {
		list.Add(refusal.New(ErrInvalid, prefix+"upn", "is the UPN of another user in the same input", "name each user once"))
	}
	if email != "" && s.emails[email] {
		list.Add(refusal.New(ErrInvalid, prefix+"email", "is the email of another user in the same input", "a mailbox belongs to one user"))
	}
	s.upns[upn], s.emails[email] = true, true
	return list
}
