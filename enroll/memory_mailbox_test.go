package enroll

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"sallyport/enroll/directory"
)

var _ MailboxStore = (*memory)(nil)

// MailClients are those that came, and the active phones; both have the DeviceId
// that the phone reports.
func (m *memory) MailClients(_ context.Context, user directory.UserID) ([]MailClient, error) {
	defer m.lock()()
	var list []MailClient
	for _, c := range m.clients[user] {
		for id, e := range m.enrollments {
			if d := m.reports[id].Device; d != nil && e.UserID == user && e.State.Active() && strings.EqualFold(d.EASDeviceID, c.DeviceID) {
				c.Enrollment, c.Device = id, e.DeviceID
			}
		}
		list = append(list, c)
	}
	for id, e := range m.enrollments {
		if e.UserID != user || !e.State.Active() {
			continue
		}
		i := slices.IndexFunc(list, func(c MailClient) bool { return c.Enrollment == id })
		if i < 0 {
			c := MailClient{Enrollment: id, Device: e.DeviceID}
			if d := m.reports[id].Device; d != nil {
				c.DeviceID = d.EASDeviceID
			}
			i, list = len(list), append(list, c)
		}
		have := Have{Report: m.reports[id]}
		for _, c := range m.commands {
			if c.EnrollmentID == id {
				have.Commands = append(have.Commands, c)
			}
		}
		list[i].HasMail = wasSentMail(have)
	}
	slices.SortFunc(list, func(a, b MailClient) int { return cmp.Compare(a.DeviceID, b.DeviceID) })
	return list, m.broken
}

func (m *memory) Crowded(_ context.Context, devices int, after directory.UserID, limit int) ([]directory.UserID, error) {
	defer m.lock()()
	count := map[directory.UserID]int{}
	for user, list := range m.clients {
		count[user] += len(list)
	}
	for _, e := range m.enrollments {
		if e.State.Active() {
			count[e.UserID]++
		}
	}
	var users []directory.UserID
	for user, n := range count {
		if n >= devices && user > after {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users[:min(limit, len(users))], m.broken
}

// seen puts a mail client on record.
func (m *memory) seen(user directory.UserID, c MailClient) {
	defer m.lock()()
	m.clients[user] = append(m.clients[user], c)
}

// forgotten takes them away again.
func (m *memory) forgotten(user directory.UserID, deviceID string) {
	defer m.lock()()
	m.clients[user] = slices.DeleteFunc(m.clients[user], func(c MailClient) bool { return c.DeviceID == deviceID })
}
