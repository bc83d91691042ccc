package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// ChangedFields names the fields, as a CSV file names them, in which after
// differs from before: what a person may enter, not the identifier nor the times.
func ChangedFields(before, after User) []string {
	var names []string
	for _, c := range columns() {
		if c.get(before) != c.get(after) {
			names = append(names, c.name)
		}
	}
	return names
}

// knowns remembers what was on record before an input, by UPN.
type knowns map[string]*User

// known returns the user on record under that UPN, nil when there is none.
func (s *Service) known(ctx context.Context, seen knowns, upn string) (*User, error) {
	key := Fold(upn)
	if u, ok := seen[key]; ok {
		return u, nil
	}
	u, err := s.Store.UserByUPN(ctx, upn)
	if errors.Is(err, ErrNotFound) {
		seen[key] = nil
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	seen[key] = &u
	return &u, nil
}

// changes leaves out the users of whom everything is on record already: a file
// that is imported every night must not wake every phone. fields says for each
// one that stays what the trail shall tell: names of fields, never their values.
func (s *Service) changes(ctx context.Context, users []User, seen knowns) (changed []User, fields []string, err error) {
	for _, u := range users {
		before, err := s.known(ctx, seen, u.UPN)
		if err != nil {
			return nil, nil, err
		}
		if before == nil {
			changed, fields = append(changed, u), append(fields, "all")
			continue
		}
		if names := ChangedFields(*before, u); len(names) > 0 {
			changed, fields = append(changed, u), append(fields, strings.Join(names, ","))
		}
	}
	return changed, fields, nil
}

// conflicts explains a conflict of an import with the lines of its file: which
// addresses belong to users whom the file does not name. Empty when no address
// does (any more).
func (s *Service) conflicts(ctx context.Context, rows []bounded.CSVRow, users []User) (refusal.List, error) {
	lines, inFile := map[string]bounded.CSVRow{}, map[string]bool{}
	for i, u := range users {
		lines[Fold(u.Email)] = rows[i]
		inFile[Fold(u.UPN)] = true
	}
	var found []conflict
	for page := (Page{Limit: maxPage}); ; {
		some, err := s.Store.ListUsers(ctx, "", page)
		if err != nil {
			return nil, err
		}
		for _, u := range some {
			if r, ok := lines[Fold(u.Email)]; ok && !inFile[Fold(u.UPN)] {
				found = append(found, conflict{r.Line, u})
			}
		}
		if len(some) < page.Limit {
			break
		}
		page.After = some[len(some)-1].UPN
	}
	slices.SortFunc(found, func(a, b conflict) int { return a.line - b.line })
	var list refusal.List
	for _, c := range found[:min(len(found), maxRefusals)] {
		list.Add(refusal.New(ErrConflict, fmt.Sprintf("line %d, email", c.line),
			fmt.Sprintf("the address %s belongs to another user, %s", c.holder.Email, c.holder.UPN),
			"give each user an address of their own, or remove the other user first"))
	}
	return list, nil
}

// conflict is a line whose address belongs to holder.
type conflict struct {
	line   int
	holder User
}
