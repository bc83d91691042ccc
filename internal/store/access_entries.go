package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

var _ access.Source = (*Access)(nil)

// Entries returns people on record in the order of their ID. However many they
// are, the number of statements is the same.
func (s *Access) Entries(ctx context.Context, after directory.UserID, limit int) ([]access.Entry, error) {
	var list []access.Entry
	err := s.db.read(ctx, "load people", func(t *tx) error {
		query, args := peopleAfter(after, limit)
		rows, err := t.QueryContext(ctx, query, args...)
		if list, err = collect(rows, err, scanPerson); err != nil || len(list) == 0 {
			return err
		}
		return t.fillEntries(ctx, list, scope{first: list[0].Person.ID, last: list[len(list)-1].Person.ID})
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// EntriesOf returns those who are on record.
func (s *Access) EntriesOf(ctx context.Context, ids []directory.UserID) ([]access.Entry, error) {
	all := []access.Entry{}
	for some := range slices.Chunk(ids, maxLimit) {
		err := s.db.read(ctx, "load people by ID", func(t *tx) error {
			of := scope{list: some}
			query, args := of.people()
			rows, err := t.QueryContext(ctx, query, args...)
			list, err := collect(rows, err, scanPerson)
			if err != nil || len(list) == 0 {
				return err
			}
			if err := t.fillEntries(ctx, list, of); err != nil {
				return err
			}
			all = append(all, list...)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// scanPerson reads an entry without what belongs to it.
func scanPerson(row scanner) (access.Entry, error) {
	var e access.Entry
	var logins [4]string
	var off bool
	var note access.Note
	err := row.Scan(textOf(&e.Person.ID), &e.Person.UPN, &logins[0], &logins[1], &logins[2], &logins[3], document{&e.Person.Groups},
		&off, &note.By, stamp{&note.At}, &note.Reason)
	if off {
		e.Person.MailOff = &note
	}
	for _, login := range logins {
		if login != "" && !slices.Contains(e.Logins, login) {
			e.Logins = append(e.Logins, login)
		}
	}
	return e, err
}

// fillEntries gives each of list, who are in the scope, what belongs to them.
func (t *tx) fillEntries(ctx context.Context, list []access.Entry, of scope) error {
	byID := make(map[directory.UserID]*access.Entry, len(list))
	for i := range list {
		byID[list[i].Person.ID] = &list[i]
	}
	if err := t.fillDevices(ctx, byID, of); err != nil {
		return fmt.Errorf("devices: %w", err)
	}
	if err := t.fillPhones(ctx, byID, of); err != nil {
		return fmt.Errorf("phones: %w", err)
	}
	if err := t.fillPersonal(ctx, byID, of); err != nil {
		return fmt.Errorf("personal words: %w", err)
	}
	return nil
}

func (t *tx) fillDevices(ctx context.Context, byID map[directory.UserID]*access.Entry, of scope) error {
	query, args := of.clients()
	rows, err := t.QueryContext(ctx, query, args...)
	devices, err := collect(rows, err, scanClient)
	if err != nil {
		return err
	}
	slices.SortFunc(devices, func(a, b access.Device) int { return strings.Compare(string(a.ID), string(b.ID)) })
	for _, d := range devices {
		if e := byID[d.UserID]; e != nil { // a user who was removed lies between
			e.Devices = append(e.Devices, d)
		}
	}
	return nil
}

func (t *tx) fillPersonal(ctx context.Context, byID map[directory.UserID]*access.Entry, of scope) error {
	query, args := of.personal()
	rows, err := t.QueryContext(ctx, query, args...)
	words, err := collect(rows, err, func(row scanner) (access.Personal, error) {
		var p access.Personal
		err := row.Scan(&p.UserID, &p.Key, &p.Kind, &p.By, stamp{&p.At}, &p.Reason, stamp{&p.ExpiresAt})
		return p, err
	})
	if err != nil {
		return err
	}
	for _, p := range words {
		if e := byID[p.UserID]; e != nil {
			e.Personal = append(e.Personal, p)
		}
	}
	return nil
}

// Owners returns to whom the enrolments belong.
func (s *Access) Owners(ctx context.Context, ids []mdm.EnrollmentID) (map[mdm.EnrollmentID]directory.UserID, error) {
	owners := make(map[mdm.EnrollmentID]directory.UserID, len(ids))
	for some := range slices.Chunk(ids, maxLimit) {
		query, args := ownersOf(some)
		rows, err := s.db.reader.QueryContext(ctx, query, args...)
		_, err = collect(rows, err, func(row scanner) (none struct{}, err error) {
			var id mdm.EnrollmentID
			var user directory.UserID
			if err = row.Scan(&id, &user); err == nil {
				owners[id] = user
			}
			return none, err
		})
		if err != nil {
			return nil, fmt.Errorf("find owners of enrolments: %w", err)
		}
	}
	return owners, nil
}

func ownersOf(ids []mdm.EnrollmentID) (query string, args []any) {
	var w where
	w.in("id", padded(ids))
	return `SELECT id, user_id FROM enroll_enrollments` + w.clause(), w.args
}

const lapsedCertificates = `SELECT DISTINCT e.user_id FROM certs_certificates c JOIN enroll_enrollments e ON e.id = c.enrollment_id
	WHERE c.revoked_at = 0 AND c.not_after > $1 AND c.not_after <= $2 AND c.rule = 'mail-identity'`

// Lapsed returns the owners of enrolments of which a mail certificate has ended.
func (s *Access) Lapsed(ctx context.Context, from, until time.Time) ([]directory.UserID, error) {
	rows, err := s.db.reader.QueryContext(ctx, lapsedCertificates, micros(from), micros(until))
	list, err := collect(rows, err, scanUserID)
	if err != nil {
		return nil, fmt.Errorf("find certificates that have ended: %w", err)
	}
	return list, nil
}

const newestEvent = `SELECT COALESCE(MAX(id), 0) FROM work_outbox`

// LastEvent is the ID of the newest event, 0 before the first. Events become
// visible in the order of their ID, with what they tell of.
func (s *Access) LastEvent(ctx context.Context) (int64, error) {
	var id int64
	err := s.db.reader.QueryRowContext(ctx, newestEvent).Scan(&id)
	if err != nil {
		return 0, fmt.Errorf("find the newest event: %w", err)
	}
	return id, nil
}

// expiringWords finds users who are on record: those of others go with them.
const expiringWords = `SELECT DISTINCT user_id FROM access_personal WHERE expires_at <> 0 AND expires_at >= $1 AND expires_at < $2`

// Timed returns the users for whom time changes something from one moment until
// before another, in the order of ID; limit 0 means all of them. A policy that
// starts concerns whomever it is assigned to.
func (s *Access) Timed(ctx context.Context, from, until time.Time, limit int) ([]directory.UserID, error) {
	var ids []directory.UserID
	err := s.db.read(ctx, "find users whom time concerns", func(t *tx) error {
		rows, err := t.QueryContext(ctx, expiringWords, micros(from), micros(until))
		if ids, err = collect(rows, err, scanUserID); err != nil {
			return err
		}
		world, err := t.world(ctx)
		if err != nil {
			return err
		}
		for _, p := range world.Policies {
			if p.Spec.StartsAt.Before(from) || !p.Spec.StartsAt.Before(until) {
				continue
			}
			some, err := t.audience(ctx, p.Spec.Assign)
			if err != nil {
				return err
			}
			ids = append(ids, some...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if limit > 0 && len(ids) > limit {
		ids = ids[:limit]
	}
	return ids, nil
}

// audience are the users on record who are meant.
func (t *tx) audience(ctx context.Context, a directory.Audience) ([]directory.UserID, error) {
	if a.Everyone {
		return t.users(ctx, `TRUE`)
	}
	var ids []directory.UserID
	for _, group := range a.Groups {
		some, err := t.users(ctx, `id IN (SELECT user_id FROM directory_memberships WHERE group_key = $1)`, fold(group))
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
	}
	for _, upn := range a.Users {
		some, err := t.users(ctx, `upn_key = $1`, fold(upn))
		if err != nil {
			return nil, err
		}
		ids = append(ids, some...)
	}
	return ids, nil
}

// users are the IDs of those on record to whom a condition applies.
func (t *tx) users(ctx context.Context, condition string, args ...any) ([]directory.UserID, error) {
	rows, err := t.QueryContext(ctx, `SELECT id FROM directory_users WHERE removed_at = 0 AND `+condition, args...)
	return collect(rows, err, scanUserID)
}

func scanUserID(row scanner) (id directory.UserID, err error) {
	err = row.Scan(&id)
	return id, err
}
