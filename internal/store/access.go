package store

import (
	"context"
	"fmt"

	"sallyport/access"
	"sallyport/enroll/directory"
)

// Access finds whom a mail client is about.
type Access struct{ db *DB }

var _ access.Store = (*Access)(nil)

// Access returns the store of logins and bindings.
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

// Bindings returns the user's bindings to a DeviceId. An enrolment that is held,
// or was refused, binds nothing: it may be another user's phone.
func (s *Access) Bindings(ctx context.Context, user directory.UserID, deviceID string) ([]access.Binding, error) {
	if deviceID == "" { // enrolments that have not reported have an empty one
		return []access.Binding{}, nil
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT id, user_id, eas_device_id, state, withheld FROM enroll_enrollments
		WHERE user_id = $1 AND eas_device_id = $2 AND state NOT IN `+asideStates+`
		ORDER BY CASE WHEN state IN `+activeStates+` THEN 0 ELSE 1 END, id DESC`, user, fold(deviceID))
	list, err := collect(rows, err, func(row scanner) (access.Binding, error) {
		var b access.Binding
		err := row.Scan(&b.EnrollmentID, &b.UserID, &b.EASDeviceID, &b.State, &b.Withheld)
		return b, err
	})
	if err != nil {
		return nil, fmt.Errorf("find bindings of %s: %w", user, err)
	}
	return list, nil
}
