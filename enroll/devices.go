package enroll

import (
	"context"
	"errors"
	"fmt"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// ListDevices returns devices in the order of their ID, none without error.
func (s *Service) ListDevices(ctx context.Context, f DeviceFilter) ([]DeviceRow, error) {
	if f.Limit < 0 || f.Limit > 1000 {
		return nil, refusal.New(ErrInvalid, "limit", "is not between 1 and 1000", "leave it out for 100")
	}
	rows, err := s.Devices.ListDevices(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return rows, nil
}

// Device returns one device; ErrNotFound when unknown.
func (s *Service) Device(ctx context.Context, id mdm.DeviceID) (DeviceRow, error) {
	row, err := s.Devices.DeviceByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return DeviceRow{}, refusal.New(ErrNotFound, "id", "no such device", "see: sallyport device list")
	}
	if err != nil {
		return DeviceRow{}, fmt.Errorf("look up device %s: %w", id, err)
	}
	return row, nil
}

// DeviceCommands returns the last commands of a device's newest enrolment,
// newest first; ErrNotFound when the device is unknown.
func (s *Service) DeviceCommands(ctx context.Context, id mdm.DeviceID) ([]mdm.Command, error) {
	row, err := s.Device(ctx, id)
	if err != nil {
		return nil, err
	}
	have, err := s.Plans.LoadPlan(ctx, row.Enrollment.ID)
	if err != nil {
		return nil, fmt.Errorf("read commands of device %s: %w", id, err)
	}
	return have.Commands, nil
}
