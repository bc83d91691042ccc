package enroll

import (
	"context"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// DeviceAction returns one act upon that device, under whichever of its
// enrolments; ErrNotFound when there is none, and when it is another device's.
func (s *Service) DeviceAction(ctx context.Context, device mdm.DeviceID, id mdm.ActionID) (mdm.Action, error) {
	act, e, err := s.actByID(ctx, id)
	if err != nil {
		return mdm.Action{}, err
	}
	if e.DeviceID != device {
		return mdm.Action{}, refusal.New(ErrNotFound, "action", "no such act upon this device", "see: sallyport device actions "+string(device))
	}
	return act, nil
}
