package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/compliance"
	"sallyport/internal/auth"
	"sallyport/mdm"
)

var _ compliance.Retirer = (*Service)(nil)

// RetireFor implements compliance.Retirer: it is the act that an admin orders, in
// the name of whoever ctx says. The policy typed the device's name when it asked
// for this in writing; a second owner still has to agree where the server asks for one.
func (s *Service) RetireFor(ctx context.Context, id mdm.EnrollmentID, policy string) error {
	e, err := s.Enrollments.EnrollmentByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look up enrolment %s: %w", id, err)
	}
	row, err := s.Device(ctx, e.DeviceID)
	if err != nil {
		return err
	}
	if row.Enrollment.ID != id || !row.Enrollment.State.Active() {
		return nil
	}
	open, err := s.openAct(ctx, id, mdm.ActionRetire)
	if err != nil || open.ID != "" {
		return err
	}
	_, _, err = s.Order(ctx, OrderRequest{DeviceID: e.DeviceID, Kind: mdm.ActionRetire, Confirm: deviceName(row), Role: auth.Admin})
	switch {
	case errors.Is(err, ErrConflict): // one waits for a second owner's consent
		return nil
	case err != nil:
		return fmt.Errorf("order the end of management by policy %s: %w", policy, err)
	}
	return nil
}
