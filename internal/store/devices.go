package store

import (
	"context"
	"fmt"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// Devices lists devices.
type Devices struct{ db *DB }

var _ enroll.DeviceStore = (*Devices)(nil)

// Devices returns the device list.
func (db *DB) Devices() *Devices { return &Devices{db} }

const deviceColumns = `d.id, d.platform, d.udid, d.serial, d.product, d.model, d.name, d.label, d.created_at`

func deviceFields(d *mdm.Device) []any {
	return []any{&d.ID, &d.Platform, &d.UDID, &d.Serial, &d.Product, &d.Model, &d.Name, &d.Label, stamp{&d.CreatedAt}}
}

// deviceQuery joins a device with the enrolment that stands for it: the active
// one, or else the newest (identifiers are UUIDv7, so the greatest is the
// newest), and one that somebody else may not have only where there is no other.
const deviceQuery = `SELECT ` + deviceColumns + `,
		` + enrollmentColumns + `, COALESCE(u.upn, ''), e.report, COALESCE(v.state, ''),
		e.reported_at, e.state_changed_at, COALESCE(v.changed_at, 0)
	FROM enroll_devices d
	JOIN enroll_enrollments e ON e.id = (SELECT x.id FROM enroll_enrollments x WHERE x.device_id = d.id
		ORDER BY CASE WHEN x.state IN ` + activeStates + ` THEN 0 WHEN x.state IN ` + asideStates + ` THEN 2 ELSE 1 END, x.id DESC
		LIMIT 1)
	LEFT JOIN directory_users u ON u.id = e.user_id AND u.removed_at = 0
	LEFT JOIN compliance_verdicts v ON v.enrollment_id = e.id`

func scanDevice(row scanner) (enroll.DeviceRow, error) {
	var r enroll.DeviceRow
	var reported, moved, judged time.Time
	fields := append(deviceFields(&r.Device), enrollmentFields(&r.Enrollment)...)
	fields = append(fields, &r.UPN, document{&r.Report}, &r.Verdict, stamp{&reported}, stamp{&moved}, stamp{&judged})
	err := row.Scan(fields...)
	r.ChangedAt = latest(reported, moved, judged)
	return r, err
}

func latest(times ...time.Time) time.Time {
	var last time.Time
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// ListDevices returns rows in the order of device ID.
func (s *Devices) ListDevices(ctx context.Context, f enroll.DeviceFilter) ([]enroll.DeviceRow, error) {
	var w where
	if f.After != "" {
		w.add("d.id > ?", f.After)
	}
	if f.UPN != "" {
		w.add("u.upn_key = ?", fold(f.UPN))
	}
	if f.EASDeviceID != "" {
		w.add("e.eas_device_id = ? AND e.state NOT IN "+asideStates, fold(f.EASDeviceID))
	}
	if f.UPN != "" || f.EASDeviceID != "" {
		// True of every row: it lets a planner go from the few that match to their
		// devices. Without such a filter it would tempt PostgreSQL to join all of them.
		w.add("e.device_id = d.id")
	}
	if f.State != "" {
		w.add("v.state = ?", f.State)
	}
	if !f.ChangedSince.IsZero() {
		since := micros(f.ChangedSince)
		w.add("(e.reported_at >= ? OR e.state_changed_at >= ? OR v.changed_at >= ?)", since, since, since)
	}
	rows, err := s.db.reader.QueryContext(ctx, deviceQuery+w.clause()+` ORDER BY d.id`+w.limit(pageLimit(f.Limit)), w.args...)
	list, err := collect(rows, err, scanDevice)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return list, nil
}

// DeviceByID returns one row.
func (s *Devices) DeviceByID(ctx context.Context, id mdm.DeviceID) (enroll.DeviceRow, error) {
	row, err := scanDevice(s.db.reader.QueryRowContext(ctx, deviceQuery+` WHERE d.id = $1`, id))
	if err != nil {
		return enroll.DeviceRow{}, fmt.Errorf("load device %s: %w", id, orNotFound(err, enroll.ErrNotFound))
	}
	return row, nil
}
