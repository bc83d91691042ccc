package store

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
)

// Access keeps what decisions about mailboxes rest on beside people and phones:
// devices that were met, rules, policies, words of admins, and what was refused.
type Access struct{ db *DB }

// Access returns the store of what decisions rest on.
func (db *DB) Access() *Access { return &Access{db} }

// UsersByLogin returns the users who could have typed login, by UPN.
func (s *Access) UsersByLogin(ctx context.Context, login string) ([]directory.User, error) {
	if login == "" { // users without a domain have an empty key
		return []directory.User{}, nil
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+userColumns+` FROM directory_users WHERE removed_at = 0
		AND (upn_key = $1 OR email_key = $1 OR username_key = $1 OR down_level_key = $1) ORDER BY upn_key`, fold(login))
	list, err := collect(rows, err, scanUser)
	if err != nil {
		return nil, fmt.Errorf("find users by login: %w", err)
	}
	return list, nil
}
