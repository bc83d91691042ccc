package store

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

var _ enroll.MailboxStore = (*Access)(nil)

const (
	// mailboxPhones are the active phones of a user, each with when it was last sent a
	// mail profile that it did not turn down.
	mailboxPhones = `SELECT e.id, e.device_id, e.eas_device_id, e.report, COALESCE((SELECT MAX(c.sent_at) FROM enroll_commands c
			WHERE c.enrollment_id = e.id AND c.recent = TRUE AND c.request_type = 'InstallProfile'
				AND c.subject LIKE '` + templates.IdentifierPrefix + `%' AND c.state IN ('sent', 'acknowledged', 'superseded')), 0)
		FROM enroll_enrollments e WHERE e.user_id = $1 AND e.state IN ` + activeStates + ` ORDER BY e.id DESC`

	crowdedMailboxes = `SELECT user_id FROM (
			SELECT user_id FROM access_devices WHERE user_id > $1
			UNION ALL SELECT user_id FROM enroll_enrollments WHERE user_id > $1 AND state IN ` + activeStates + `
		) all_devices GROUP BY user_id HAVING COUNT(*) >= $2 ORDER BY user_id LIMIT $3`

	// waitingPhones finds them by their owner: with an index of states a planner would
	// go through all that are not set up yet.
	waitingPhones = `SELECT id FROM enroll_enrollments WHERE user_id = $1 AND CASE WHEN state = 'enrolled' THEN 1 ELSE 0 END = 1`
)

// mailboxPhone is an active enrolment as far as its mailbox is concerned.
type mailboxPhone struct {
	id     mdm.EnrollmentID
	key    access.DeviceKey
	client enroll.MailClient
}

func scanMailboxPhone(row scanner) (mailboxPhone, error) {
	var p mailboxPhone
	var eas string
	var sent time.Time
	var report struct {
		Device   *mdm.DeviceFacts  `json:"device"`
		Profiles *mdm.ProfileFacts `json:"profiles"`
	}
	err := row.Scan(textOf(&p.id), textOf(&p.client.Device), &eas, document{&report}, stamp{&sent})
	p.client.Enrollment, p.client.DeviceID = p.id, eas
	if d := report.Device; d != nil {
		p.client.DeviceID, p.client.Name, p.client.Model = cmp.Or(d.EASDeviceID, eas), d.Name, cmp.Or(d.Product, d.Model)
	}
	if eas != "" {
		p.key = access.Canonical(eas)
	}
	p.client.HasMail = hasMail(report.Profiles, sent)
	return p, err
}

// hasMail: a list of profiles that is older than what was sent knows nothing of it.
func hasMail(listed *mdm.ProfileFacts, sent time.Time) bool {
	if listed == nil || listed.At.Before(sent) {
		return !sent.IsZero()
	}
	return slices.ContainsFunc(listed.Items, func(p mdm.ProfileOnFile) bool {
		return strings.HasPrefix(p.Identifier, templates.IdentifierPrefix)
	})
}

// MailClients returns who shares the mailbox of a user.
func (s *Access) MailClients(ctx context.Context, user directory.UserID) ([]enroll.MailClient, error) {
	var list []enroll.MailClient
	err := s.db.read(ctx, "load devices of a mailbox", func(t *tx) error {
		query, args := scope{list: []directory.UserID{user}}.clients()
		rows, err := t.QueryContext(ctx, query, args...)
		devices, err := collect(rows, err, scanClient)
		if err != nil {
			return err
		}
		rows, err = t.QueryContext(ctx, mailboxPhones, user)
		phones, err := collect(rows, err, scanMailboxPhone)
		list = mailClients(devices, phones)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// mailClients lists the devices, and the phones that are none of them.
func mailClients(devices []access.Device, phones []mailboxPhone) []enroll.MailClient {
	list := make([]enroll.MailClient, 0, len(devices))
	known := map[mdm.EnrollmentID]bool{}
	for _, d := range devices {
		var c enroll.MailClient
		phone, guessed := phoneOf(d, phones)
		if phone != nil {
			c, known[phone.id] = phone.client, true
			c.Guessed = guessed
		}
		c.ID, c.DeviceID, c.Type, c.Model = string(d.ID), string(d.Key), d.Type, cmp.Or(d.Model, c.Model)
		if len(d.Spellings) > 0 {
			c.DeviceID = d.Spellings[0]
		}
		c.LastAt, c.ShutOut = d.LastAt, d.SyncAt.IsZero() && (d.Effect == access.Block || phone == nil || guessed)
		list = append(list, c)
	}
	for _, p := range phones {
		if !known[p.id] {
			list = append(list, p.client)
		}
	}
	slices.SortFunc(list, func(a, b enroll.MailClient) int {
		return cmp.Or(strings.Compare(a.DeviceID, b.DeviceID), strings.Compare(a.ID, b.ID), cmp.Compare(a.Enrollment, b.Enrollment))
	})
	return list
}

// phoneOf finds the phone that a device is, and says whether that is but a guess.
func phoneOf(d access.Device, phones []mailboxPhone) (p *mailboxPhone, guessed bool) {
	for i := range phones {
		if phones[i].key == d.Key {
			return &phones[i], false
		}
	}
	for i := range phones {
		if d.Bound == phones[i].id {
			return &phones[i], !d.Proof.Counts()
		}
	}
	return nil, false
}

// Crowded returns users with many devices.
func (s *Access) Crowded(ctx context.Context, devices int, after directory.UserID, limit int) ([]directory.UserID, error) {
	rows, err := s.db.reader.QueryContext(ctx, crowdedMailboxes, after, devices, pageLimit(limit))
	return collect(rows, err, func(row scanner) (id directory.UserID, err error) {
		err = row.Scan(textOf(&id))
		return id, err
	})
}

// places has the phones of a user looked at anew that may wait for a place in the
// mailbox: it has one more.
func (t *tx) places(ctx context.Context, user directory.UserID) error {
	rows, err := t.QueryContext(ctx, waitingPhones, user)
	ids, err := collect(rows, err, func(row scanner) (id mdm.EnrollmentID, err error) {
		err = row.Scan(textOf(&id))
		return id, err
	})
	for _, id := range ids {
		t.emit(mdm.EventUserChanged, id, t.db.now())
	}
	return err
}
