package store

import (
	"context"
	"slices"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var _ access.PruneStore = (*Access)(nil)

const (
	agedDenials = `SELECT id FROM access_denials WHERE last_at < $1 ORDER BY last_at, id LIMIT $2`
	// fullDenials are the devices with too many, found in the index alone.
	fullDenials    = `SELECT device_id FROM access_denials WHERE device_id <> '' GROUP BY device_id HAVING COUNT(*) > $1 ORDER BY device_id LIMIT $2`
	excessDenials  = `SELECT id FROM access_denials WHERE device_id = $1 ORDER BY last_at DESC, id DESC LIMIT $2 OFFSET $3`
	strangeDenials = `SELECT id FROM access_denials WHERE user_id = '' ORDER BY id DESC LIMIT $1 OFFSET $2`
)

// DropDenials drops refusals that are old, or too many.
func (s *Access) DropDenials(ctx context.Context, before time.Time, perDevice, strangers, limit int) (int, error) {
	limit = pageLimit(limit)
	dropped := 0
	err := s.db.write(ctx, "drop old denials", func(t *tx) error {
		dropped = 0
		drop := func(query string, args ...any) error {
			n, err := t.change(ctx, `DELETE FROM access_denials WHERE id IN (`+query+`)`, args...)
			dropped += int(n)
			return err
		}
		if !before.IsZero() {
			if err := drop(agedDenials, micros(before), limit); err != nil {
				return err
			}
		}
		if dropped < limit {
			if err := drop(strangeDenials, limit-dropped, strangers); err != nil {
				return err
			}
		}
		if dropped < limit {
			if err := t.dropExcess(ctx, drop, perDevice, limit, &dropped); err != nil {
				return err
			}
		}
		if dropped == 0 {
			return errUnchanged
		}
		return nil
	})
	return dropped, err
}

func (t *tx) dropExcess(ctx context.Context, drop func(string, ...any) error, most, limit int, dropped *int) error {
	rows, err := t.QueryContext(ctx, fullDenials, most, limit)
	devices, err := collect(rows, err, func(row scanner) (id access.DeviceID, err error) {
		err = row.Scan(textOf(&id))
		return id, err
	})
	for _, id := range devices {
		if *dropped >= limit {
			break
		}
		if err := drop(excessDenials, id, limit-*dropped, most); err != nil {
			return err
		}
	}
	return err
}

// idleClients are mail clients that nobody let in, bound or said anything of, and
// that were not seen for long.
const (
	idleClients = clientRows + ` WHERE ` + idle + ` AND d.id > $2 ORDER BY d.id LIMIT $3`
	idle        = `d.last_at < $1 AND d.first_at < $1 AND d.sync_at = 0 AND d.bound = ''
		AND NOT EXISTS (SELECT 1 FROM access_personal p WHERE p.user_id = d.user_id AND p.device_key = d.device_key)`
)

// ForgetDevices forgets mail clients that came in vain, and come no more.
func (s *Access) ForgetDevices(ctx context.Context, before time.Time, after access.DeviceID, limit int) (int, access.DeviceID, error) {
	limit = pageLimit(limit)
	forgotten, next := 0, access.DeviceID("")
	err := s.db.write(ctx, "forget mail clients", func(t *tx) error {
		forgotten, next = 0, ""
		rows, err := t.QueryContext(ctx, idleClients, micros(before), after, limit)
		list, err := collect(rows, err, scanClientRow)
		if err != nil {
			return err
		}
		if len(list) == limit {
			next = list[limit-1].ID
		}
		gone, err := t.forgetIdle(ctx, list, before)
		if err != nil {
			return err
		}
		if forgotten = len(gone); forgotten == 0 {
			return errUnchanged
		}
		users := map[directory.UserID]bool{}
		for _, d := range gone {
			if users[d.UserID] {
				continue
			}
			users[d.UserID] = true
			t.emitUser(mdm.EventAccess, d.UserID, t.db.now())
			if err := t.places(ctx, d.UserID); err != nil {
				return err
			}
		}
		return t.forget(ctx, access.StepUnavailable, access.Reason{Rule: "device", Fact: "the device was not seen for long",
			Fix: "Open the mail app once more: the device is then looked at anew."}, gone...)
	})
	return forgotten, next, err
}

// forgetIdle takes those of list away of which no enrolment tells, as long as what
// makes them idle still holds.
func (t *tx) forgetIdle(ctx context.Context, list []access.DeviceRow, before time.Time) ([]access.DeviceRow, error) {
	if len(list) == 0 {
		return nil, nil
	}
	owners := make([]directory.UserID, len(list))
	for i, d := range list {
		owners[i] = d.UserID
	}
	query, args := scope{list: owners}.phones(`e.user_id, e.eas_device_id`)
	rows, err := t.QueryContext(ctx, query, args...)
	told := map[met]bool{}
	if _, err := collect(rows, err, func(row scanner) (none struct{}, err error) {
		var m met
		var eas string
		if err = row.Scan(textOf(&m.user), &eas); err == nil && eas != "" {
			m.key = access.Canonical(eas)
			told[m] = true
		}
		return none, err
	}); err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(d access.DeviceRow) bool { return told[met{d.UserID, d.Key}] })
	if len(list) == 0 {
		return nil, nil
	}
	var ids []access.DeviceID
	for _, d := range list {
		ids = append(ids, d.ID)
	}
	w := where{args: []any{micros(before)}}
	w.in("d.id", padded(ids))
	rows, err = t.QueryContext(ctx, `DELETE FROM access_devices WHERE id IN (SELECT d.id FROM access_devices d`+w.clause()+` AND `+idle+`) RETURNING id`, w.args...)
	gone, err := collect(rows, err, func(row scanner) (id access.DeviceID, err error) {
		err = row.Scan(textOf(&id))
		return id, err
	})
	return slices.DeleteFunc(list, func(d access.DeviceRow) bool { return !slices.Contains(gone, d.ID) }), err
}
