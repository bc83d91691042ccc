package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"maps"
	"slices"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var _ access.Register = (*Access)(nil)

// met identifies a mail client.
type met struct {
	user directory.UserID
	key  access.DeviceKey
}

const metQuery = `SELECT ` + clientColumns + ` FROM access_devices d WHERE d.user_id = $1 AND d.device_key = $2`

// Meet returns the mail client, and makes it at first contact.
func (s *Access) Meet(ctx context.Context, seen access.Sighting, guess mdm.EnrollmentID) (access.Device, error) {
	var d access.Device
	err := s.db.write(ctx, "meet mail client", func(t *tx) error {
		var err error
		d, err = scanClient(t.QueryRowContext(ctx, metQuery, seen.UserID, seen.Key))
		if !errors.Is(err, sql.ErrNoRows) {
			return unchanged(err)
		}
		if err := t.onRecord(ctx, seen.UserID); err != nil {
			return err
		}
		if d, err = firstContact(seen, guess, cmp.Or(seen.At, t.db.now())); err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, d.UserID, t.db.now())
		return t.insertClient(ctx, d)
	})
	if err != nil {
		return access.Device{}, err
	}
	return d, nil
}

// firstContact makes a device: at is when it comes on record.
func firstContact(seen access.Sighting, guess mdm.EnrollmentID, at time.Time) (access.Device, error) {
	id, err := newID()
	if err != nil {
		return access.Device{}, err
	}
	d := access.Device{ID: access.DeviceID(id), UserID: seen.UserID, Key: seen.Key, FirstAt: whole(at)}
	if guess != "" {
		d.Bound, d.Proof = guess, access.ProofProbable
	}
	return learn(d, seen), nil
}

func (t *tx) insertClient(ctx context.Context, d access.Device) error {
	family, model := folded(d)
	_, err := t.ExecContext(ctx, `INSERT INTO access_devices (id, user_id, device_key, spellings, type, type_key, model, model_key,
			os, user_agent, protocol, address, bound, proof, first_at, last_at, sync_at, effect, step, since_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, '', '', 0)`,
		d.ID, d.UserID, d.Key, document{d.Spellings}, d.Type, family, d.Model, model, d.OS, d.UserAgent, d.Protocol, d.Address,
		d.Bound, d.Proof, micros(d.FirstAt), micros(d.LastAt), micros(d.SyncAt))
	return err
}

// learn adds what a contact says to what is on record. What it leaves out stays,
// and of one that is older than the newest only the spelling counts.
func learn(d access.Device, seen access.Sighting) access.Device {
	d.Spellings = spelled(slices.Clip(d.Spellings), seen.Client.DeviceID)
	at := seen.At.UTC().Truncate(time.Minute)
	if at.Before(d.FirstAt) && !seen.At.Before(d.FirstAt) {
		at = d.FirstAt // nobody was seen before they came
	}
	if seen.Effect == access.Allow && at.After(d.SyncAt) {
		d.SyncAt = at
	}
	if at.Before(d.LastAt) {
		return d
	}
	d.LastAt = at
	c := seen.Client
	d.Type, d.Model, d.OS = cmp.Or(c.DeviceType, d.Type), cmp.Or(c.Model, d.Model), cmp.Or(c.OS, d.OS)
	d.UserAgent, d.Protocol, d.Address = cmp.Or(c.UserAgent, d.UserAgent), cmp.Or(c.Protocol, d.Protocol), cmp.Or(c.Address, d.Address)
	return d
}

// Seen notes later contacts: many of them in few statements.
func (s *Access) Seen(ctx context.Context, list []access.Sighting) error {
	for some := range slices.Chunk(list, maxLimit) {
		err := s.db.write(ctx, "note contacts of mail clients", func(t *tx) error {
			before, err := t.clientsOf(ctx, some)
			if err != nil {
				return err
			}
			return t.noteContacts(ctx, before, some)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// clientsOf are all mail clients of the users whom list names.
func (t *tx) clientsOf(ctx context.Context, list []access.Sighting) (map[met]access.Device, error) {
	users := make([]directory.UserID, len(list))
	for i, seen := range list {
		users[i] = seen.UserID
	}
	query, args := scope{list: users}.clients()
	rows, err := t.QueryContext(ctx, query, args...)
	devices, err := collect(rows, err, scanClient)
	if err != nil {
		return nil, err
	}
	known := make(map[met]access.Device, len(devices))
	for _, d := range devices {
		known[met{d.UserID, d.Key}] = d
	}
	return known, nil
}

// noteContacts writes the devices that the contacts change, in the order of ID:
// two that do so at once then wait for each other, and neither for ever.
func (t *tx) noteContacts(ctx context.Context, known map[met]access.Device, list []access.Sighting) error {
	after := map[met]access.Device{}
	for _, seen := range list {
		m := met{seen.UserID, seen.Key}
		d, ok := after[m]
		if !ok {
			if d, ok = known[m]; !ok {
				continue
			}
		}
		after[m] = learn(d, seen)
	}
	written, told := 0, map[directory.UserID]bool{}
	for _, d := range slices.SortedFunc(maps.Values(after), func(a, b access.Device) int { return cmp.Compare(a.ID, b.ID) }) {
		matters, any := differs(known[met{d.UserID, d.Key}], d)
		if !any {
			continue
		}
		written++
		t.updateClient(d)
		if matters && !told[d.UserID] {
			told[d.UserID] = true
			t.emitUser(mdm.EventAccess, d.UserID, t.db.now())
		}
	}
	if written == 0 {
		return errUnchanged
	}
	return nil
}

// updateClient writes what contacts may change.
func (t *tx) updateClient(d access.Device) {
	family, model := folded(d)
	t.later(`UPDATE access_devices SET spellings = $2, type = $3, type_key = $4, model = $5, model_key = $6, os = $7,
			user_agent = $8, protocol = $9, address = $10, last_at = $11, sync_at = $12 WHERE id = $1`,
		d.ID, document{d.Spellings}, d.Type, family, d.Model, model, d.OS, d.UserAgent, d.Protocol, d.Address, micros(d.LastAt), micros(d.SyncAt))
}

// differs reports whether anything of a device is new, and whether a decision may
// rest on it.
func differs(a, b access.Device) (matters, any bool) {
	matters = len(a.Spellings) != len(b.Spellings) || a.Type != b.Type || a.Model != b.Model || a.OS != b.OS ||
		a.UserAgent != b.UserAgent || a.Protocol != b.Protocol
	return matters, matters || a.Address != b.Address || !a.LastAt.Equal(b.LastAt) || !a.SyncAt.Equal(b.SyncAt)
}
