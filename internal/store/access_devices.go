package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var (
	_ access.DeviceStore = (*Access)(nil)
	_ access.MailStore   = (*Access)(nil)
)

// clientColumns are read by clientFields, in that order; d is the table.
const clientColumns = `d.id, d.user_id, d.device_key, d.spellings, d.type, d.model, d.os, d.user_agent, d.protocol, d.address,
	d.bound, d.proof, d.first_at, d.last_at, d.sync_at, d.effect, d.step, d.since_at`

func clientFields(d *access.Device) []any {
	return []any{textOf(&d.ID), textOf(&d.UserID), textOf(&d.Key), document{&d.Spellings}, &d.Type, &d.Model, &d.OS, &d.UserAgent,
		&d.Protocol, &d.Address, textOf(&d.Bound), textOf(&d.Proof), stamp{&d.FirstAt}, stamp{&d.LastAt}, stamp{&d.SyncAt},
		textOf(&d.Effect), textOf(&d.Step), stamp{&d.SinceAt}}
}

func scanClient(row scanner) (access.Device, error) {
	var d access.Device
	err := row.Scan(clientFields(&d)...)
	return d, err
}

const clientRows = `SELECT ` + clientColumns + `, u.upn FROM access_devices d JOIN directory_users u ON u.id = d.user_id`

func scanClientRow(row scanner) (access.DeviceRow, error) {
	var r access.DeviceRow
	err := row.Scan(append(clientFields(&r.Device), &r.UPN)...)
	return r, err
}

// listClients selects in the order of ID.
func listClients(f access.DeviceFilter) (query string, args []any) {
	var w where
	w.add("d.id > ?", f.After)
	if f.User != "" {
		w.add("d.user_id = ?", f.User)
	}
	if f.Effect != "" {
		w.add("d.effect = ?", f.Effect)
	}
	if f.Family != "" {
		w.add("d.type_key = ?", fold(f.Family))
	}
	if f.Model != "" {
		w.add("d.model_key = ?", fold(f.Model))
	}
	return clientRows + w.clause() + ` ORDER BY d.id` + w.limit(pageLimit(f.Limit)), w.args
}

// Devices lists mail clients in the order of ID.
func (s *Access) Devices(ctx context.Context, f access.DeviceFilter) ([]access.DeviceRow, error) {
	var list []access.DeviceRow
	err := s.db.read(ctx, "list mail clients", func(t *tx) error {
		query, args := listClients(f)
		rows, err := t.QueryContext(ctx, query, args...)
		if list, err = collect(rows, err, scanClientRow); err != nil {
			return err
		}
		return t.judge(ctx, list)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Device returns one.
func (s *Access) Device(ctx context.Context, id access.DeviceID) (access.DeviceRow, error) {
	var list [1]access.DeviceRow
	err := s.db.read(ctx, "load mail client", func(t *tx) error {
		var err error
		if list[0], err = scanClientRow(t.QueryRowContext(ctx, clientRows+` WHERE d.id = $1`, id)); err != nil {
			return orNotFound(err, access.ErrNotFound)
		}
		return t.judge(ctx, list[:])
	})
	return list[0], err
}

// judge says of each row how its enrolment stands: the active one, or else the
// newest, of those that it is bound to.
func (t *tx) judge(ctx context.Context, list []access.DeviceRow) error {
	if len(list) == 0 {
		return nil
	}
	owners := make([]directory.UserID, len(list))
	for i, r := range list {
		owners[i] = r.UserID
	}
	query, args := scope{list: owners}.phones(`e.id, e.user_id, e.state, e.eas_device_id, COALESCE(v.state, '')`)
	rows, err := t.QueryContext(ctx, query, args...)
	phones, err := collect(rows, err, func(row scanner) (p phone, err error) {
		var eas string
		err = row.Scan(&p.EnrollmentID, &p.owner, &p.State, &eas, &p.Verdict.State)
		if eas != "" {
			p.EASKey = access.Canonical(eas)
		}
		return p, err
	})
	if err != nil {
		return err
	}
	slices.SortFunc(phones, activeFirst)
	byUser := map[directory.UserID][]phone{}
	for _, p := range phones {
		byUser[p.owner] = append(byUser[p.owner], p)
	}
	for i := range list {
		list[i].Compliance = string(verdictOf(list[i].Device, byUser[list[i].UserID]).Verdict.State)
	}
	return nil
}

func verdictOf(d access.Device, phones []phone) phone {
	for _, p := range phones {
		if p.EASKey == d.Key || p.EnrollmentID == d.Bound && d.Proof.Counts() {
			return p
		}
	}
	return phone{}
}

// client is one in this transaction.
func (t *tx) client(ctx context.Context, id access.DeviceID) (access.DeviceRow, error) {
	r, err := scanClientRow(t.QueryRowContext(ctx, clientRows+` WHERE d.id = $1`, id))
	return r, orNotFound(err, access.ErrNotFound)
}

// Bind ties a mail client to an enrolment of its user, or to none.
func (s *Access) Bind(ctx context.Context, id access.DeviceID, to mdm.EnrollmentID, proof access.Proof, entry audit.Entry) error {
	if to == "" {
		proof = access.ProofNone
	}
	return s.db.write(ctx, "bind mail client", func(t *tx) error {
		d, err := t.client(ctx, id)
		if err != nil {
			return err
		}
		if to != "" {
			e, err := t.enrollment(ctx, to)
			if err != nil || e.UserID != d.UserID {
				return errors.Join(access.ErrNotFound, err)
			}
		}
		if _, err := t.ExecContext(ctx, `UPDATE access_devices SET bound = $2, proof = $3 WHERE id = $1`, id, to, proof); err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, d.UserID, t.db.now())
		return t.audit(ctx, entry)
	})
}

// RemoveDevice forgets a mail client.
func (s *Access) RemoveDevice(ctx context.Context, id access.DeviceID, entry audit.Entry) error {
	return s.db.write(ctx, "remove mail client", func(t *tx) error {
		d, err := t.client(ctx, id)
		if err != nil {
			return err
		}
		if _, err := t.ExecContext(ctx, `DELETE FROM access_devices WHERE id = $1`, id); err != nil {
			return err
		}
		if err := t.audit(ctx, entry); err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, d.UserID, t.db.now())
		if err := t.places(ctx, d.UserID); err != nil {
			return err
		}
		return t.forget(ctx, access.StepUnavailable, access.Reason{Rule: "device", Fact: "the device was removed from the list",
			Fix: "Open the mail app once more: the device is then looked at anew."}, d)
	})
}

// forgetClients ends what is on record of a user's mail clients. It comes last in
// a unit of work.
func (t *tx) forgetClients(ctx context.Context, id directory.UserID) error {
	for _, table := range []string{"access_personal", "access_mail_off"} {
		if _, err := t.ExecContext(ctx, `DELETE FROM `+table+` WHERE user_id = $1`, id); err != nil {
			return err
		}
	}
	rows, err := t.QueryContext(ctx, clientRows+` WHERE d.user_id = $1 ORDER BY d.id`, id)
	list, err := collect(rows, err, scanClientRow)
	if err != nil || len(list) == 0 {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM access_devices WHERE user_id = $1`, id); err != nil {
		return err
	}
	return t.forget(ctx, access.StepUser, access.Reason{Rule: access.RuleUser, Fact: "nobody here has this mailbox",
		Fix: "Ask your administrator."}, list...)
}

// forget tells the feed that devices are gone; whoever acts on a row all the same
// keeps them out.
func (t *tx) forget(ctx context.Context, step access.Step, why access.Reason, gone ...access.DeviceRow) error {
	now := t.db.now()
	why.Since = now
	list := make([]access.Change, len(gone))
	for i, d := range gone {
		list[i] = access.Change{At: now, DeviceID: d.ID, UserID: d.UserID, User: d.UPN, Key: d.Key, Spellings: d.Spellings,
			Before: d.Effect, Removed: true,
			Decision: access.Decision{Effect: access.Block, Step: step, Reasons: []access.Reason{why}, ValidUntil: now}}
	}
	_, err := t.tell(ctx, list)
	return err
}

// folded are the forms of a device's properties by which lists find it.
func folded(d access.Device) (family, model string) { return fold(d.Type), fold(d.Model) }

// spelled adds a spelling that is new, as long as there is room.
func spelled(list []string, spelling string) []string {
	if spelling == "" || len(list) >= maxSpellings || slices.Contains(list, spelling) {
		return list
	}
	return append(list, strings.Clone(spelling))
}

const maxSpellings = 8

// SetMail turns a user's ActiveSync off, or on.
func (s *Access) SetMail(ctx context.Context, user directory.UserID, off *access.Note, entry audit.Entry) error {
	return s.db.write(ctx, "set mail", func(t *tx) error {
		if err := t.onRecord(ctx, user); err != nil {
			return err
		}
		var err error
		if off == nil {
			_, err = t.ExecContext(ctx, `DELETE FROM access_mail_off WHERE user_id = $1`, user)
		} else {
			_, err = t.ExecContext(ctx, `INSERT INTO access_mail_off (user_id, noted_by, noted_at, reason) VALUES ($1, $2, $3, $4)
				ON CONFLICT (user_id) DO UPDATE SET noted_by = excluded.noted_by, noted_at = excluded.noted_at, reason = excluded.reason`,
				user, off.By, micros(off.At), off.Reason)
		}
		if err != nil {
			return err
		}
		t.emitUser(mdm.EventAccess, user, t.db.now())
		return t.audit(ctx, entry)
	})
}

// onRecord is ErrNotFound for a user who was removed, or never was there.
func (t *tx) onRecord(ctx context.Context, user directory.UserID) error {
	list, err := t.users(ctx, `id = $1`, user)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("user %s: %w", user, access.ErrNotFound)
	}
	return err
}
