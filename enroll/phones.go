package enroll

import (
	"context"
	"fmt"
	"slices"

	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

var _ templates.Phones = (*Service)(nil)

// PhonesOf implements templates.Phones.
func (s *Service) PhonesOf(ctx context.Context, u directory.User) ([]mdm.DeviceFacts, error) {
	var active []DeviceRow
	filter := DeviceFilter{UPN: u.UPN, Limit: 1000}
	for {
		rows, err := s.Devices.ListDevices(ctx, filter)
		if err != nil {
			return nil, fmt.Errorf("list phones of user %s: %w", u.ID, err)
		}
		for _, row := range rows {
			if row.Enrollment.State.Active() && row.Report.Device != nil {
				active = append(active, row)
			}
		}
		if len(rows) < filter.Limit {
			break
		}
		filter.After = rows[len(rows)-1].Device.ID
	}
	slices.SortStableFunc(active, func(a, b DeviceRow) int { return b.Enrollment.LastSeenAt.Compare(a.Enrollment.LastSeenAt) })
	facts := make([]mdm.DeviceFacts, len(active))
	for i, row := range active {
		facts[i] = *row.Report.Device
	}
	return facts, nil
}

// RenderOptions are what every delivery renders with, and therefore what a
// preview must: all but the user's secrets and the phone's facts.
func (s *Service) RenderOptions() templates.Options {
	return templates.Options{Organization: s.Organization, SCEPURL: s.PublicURL + "/scep"}
}
