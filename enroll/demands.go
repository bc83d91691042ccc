package enroll

import (
	"context"
	"fmt"

	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// Demands says what compliance policies ask of a phone beside what is always
// asked. *compliance.Service is one.
type Demands interface {
	// AsksApps reports whether a policy of the user asks which apps a phone has.
	// state is how many revisions of policies there are.
	AsksApps(ctx context.Context, state int, u directory.User) (bool, error)
}

// asksApps reports whether the phone is to be asked which apps it has: only where
// a policy needs it, and the phone granted the right when it enrolled.
func (s *Service) asksApps(ctx context.Context, have Have) (bool, error) {
	if s.Demands == nil || have.Demands == 0 || have.User.ID == "" || have.Enrollment.AccessRights&mdm.RightInspectApps == 0 {
		return false, nil
	}
	asks, err := s.Demands.AsksApps(ctx, have.Demands, have.User)
	if err != nil {
		return false, fmt.Errorf("read what policies ask of user %s: %w", have.User.ID, err)
	}
	return asks, nil
}
