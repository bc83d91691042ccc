package enroll

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/templates"
)

// memory honours the contracts of every store that enroll needs, in memory.
type memory struct {
	mu          sync.Mutex
	users       map[directory.UserID]directory.User
	invitations map[InvitationID]Invitation
	devices     map[mdm.DeviceID]mdm.Device
	enrollments map[mdm.EnrollmentID]mdm.Enrollment
	push        map[mdm.EnrollmentID]mdm.Push
	reports     map[mdm.EnrollmentID]mdm.Report
	commands    []mdm.Command // oldest first
	acts        []mdm.Action  // oldest first
	wakes       map[mdm.EnrollmentID]time.Time
	said        map[mdm.EnrollmentID]mdm.Device // what the phones of held enrolments say of themselves
	admitted    map[mdm.EnrollmentID]time.Time  // when an admin let them in
	events      []mdm.Event
	audit       []audit.Entry
	revisions   []templates.Revision
	policies    []templates.SecurityRevision
	secrets     map[directory.UserID][]templates.Secret
	opened      int                    // how often secrets were asked for
	grants      map[string]certs.Grant // by challenge
	ttl         map[string]time.Duration
	hand        map[string]string // who else may be that owner of tokens
	certs       map[string]certs.Certificate
	clients     map[directory.UserID][]MailClient
	rights      map[string]int // of the grants of identities
	retired     int            // how often predecessors were asked to be retired
	beforePin   func()         // called, locked, before an enrolment is pinned anew
	// beforeCommand is called, locked, before an enrolment is read by its ID.
	beforeCommand func()
	broken        error // when set, every method that may fail does
}

func newMemory() *memory {
	return &memory{
		users:       map[directory.UserID]directory.User{},
		invitations: map[InvitationID]Invitation{},
		devices:     map[mdm.DeviceID]mdm.Device{},
		enrollments: map[mdm.EnrollmentID]mdm.Enrollment{},
		push:        map[mdm.EnrollmentID]mdm.Push{},
		reports:     map[mdm.EnrollmentID]mdm.Report{},
		wakes:       map[mdm.EnrollmentID]time.Time{},
		said:        map[mdm.EnrollmentID]mdm.Device{},
		admitted:    map[mdm.EnrollmentID]time.Time{},
		grants:      map[string]certs.Grant{},
		ttl:         map[string]time.Duration{},
		certs:       map[string]certs.Certificate{},
		clients:     map[directory.UserID][]MailClient{},
		rights:      map[string]int{},
	}
}

// state is everything that an attack must leave alone; the trail is not part of it.
func (m *memory) state() map[string]any {
	m.mu.Lock()
	defer m.mu.Unlock()
	revealed := map[mdm.EnrollmentID][3]string{}
	for id, p := range m.push {
		revealed[id] = [3]string{p.Token.Reveal(), p.Magic.Reveal(), p.UnlockToken.Reveal()}
	}
	return map[string]any{
		"users": maps.Clone(m.users), "invitations": maps.Clone(m.invitations), "devices": maps.Clone(m.devices),
		"enrollments": maps.Clone(m.enrollments), "push": revealed, "reports": maps.Clone(m.reports),
		"commands": slices.Clone(m.commands), "events": slices.Clone(m.events), "acts": slices.Clone(m.acts),
	}
}

func (m *memory) event(kind mdm.EventKind, id mdm.EnrollmentID, at time.Time) {
	m.events = append(m.events, mdm.Event{ID: int64(len(m.events) + 1), Kind: kind, EnrollmentID: id, At: at})
}

func (m *memory) lock() func() { m.mu.Lock(); return m.mu.Unlock }

// Invitations.

func (m *memory) CreateInvitations(_ context.Context, list []Invitation, entries []audit.Entry) error {
	defer m.lock()()
	for _, i := range list {
		m.invitations[i.ID] = i
	}
	m.audit = append(m.audit, entries...)
	return m.broken
}

func (m *memory) withUser(i Invitation) (Invitation, error) {
	u, ok := m.users[i.UserID]
	if !ok {
		return Invitation{}, ErrNotFound
	}
	i.UPN = u.UPN
	return i, m.broken
}

func (m *memory) InvitationByCode(_ context.Context, hash []byte) (Invitation, error) {
	defer m.lock()()
	for _, i := range m.invitations {
		if bytes.Equal(i.CodeHash, hash) {
			return m.withUser(i)
		}
	}
	return Invitation{}, cmp.Or(m.broken, ErrNotFound)
}

func (m *memory) InvitationByID(_ context.Context, id InvitationID) (Invitation, error) {
	defer m.lock()()
	i, ok := m.invitations[id]
	if !ok {
		return Invitation{}, cmp.Or(m.broken, ErrNotFound)
	}
	return m.withUser(i)
}

func (m *memory) ListInvitations(_ context.Context, user directory.UserID, _ directory.Page) ([]Invitation, error) {
	defer m.lock()()
	var list []Invitation
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.invitations))) {
		if i := m.invitations[id]; user == "" || i.UserID == user {
			list = append(list, i)
		}
	}
	return list, m.broken
}

func (m *memory) RevokeInvitation(_ context.Context, id InvitationID, entry audit.Entry) error {
	defer m.lock()()
	i, ok := m.invitations[id]
	switch {
	case !ok:
		return ErrNotFound
	case i.State != InvitationOpen:
		return ErrConflict
	}
	i.State = InvitationRevoked
	m.invitations[id] = i
	m.audit = append(m.audit, entry)
	return nil
}

// Enrolments.

func (m *memory) EnrollmentByCertificate(_ context.Context, hash string) (mdm.Enrollment, error) {
	defer m.lock()()
	for _, e := range m.enrollments {
		if e.CertificateHash == hash {
			return e, m.broken
		}
	}
	return mdm.Enrollment{}, cmp.Or(m.broken, ErrNotFound)
}

func (m *memory) Pinned(ctx context.Context, hash string) (mdm.Enrollment, certs.Certificate, error) {
	cert, err := m.Lookup(ctx, hash)
	if err != nil && !errors.Is(err, certs.ErrNotFound) {
		return mdm.Enrollment{}, certs.Certificate{}, err
	}
	e, err := m.EnrollmentByCertificate(ctx, hash)
	if errors.Is(err, ErrNotFound) && cert.Rule == certs.RuleMDMIdentity && cert.EnrollmentID != "" {
		e, err = m.EnrollmentByID(ctx, mdm.EnrollmentID(cert.EnrollmentID))
	}
	return e, cert, err
}

func (m *memory) EnrollmentByID(_ context.Context, id mdm.EnrollmentID) (mdm.Enrollment, error) {
	defer m.lock()()
	if m.beforeCommand != nil {
		m.beforeCommand()
	}
	e, ok := m.enrollments[id]
	if !ok {
		return mdm.Enrollment{}, ErrNotFound
	}
	return e, m.broken
}

func (m *memory) Admit(_ context.Context, d mdm.Device, e mdm.Enrollment, entry audit.Entry) (mdm.Enrollment, error) {
	defer m.lock()()
	if m.broken != nil {
		return mdm.Enrollment{}, m.broken
	}
	for _, other := range m.enrollments {
		if other.CertificateHash == e.CertificateHash {
			return other, nil
		}
	}
	for id, known := range m.devices {
		if known.UDID == d.UDID {
			d.ID, e.DeviceID, d.CreatedAt, d.Label = id, id, known.CreatedAt, known.Label
		}
	}
	if _, evades := m.evaded(e); evades || m.foreign(e) {
		e.State = mdm.Held
		m.enrollments[e.ID], m.said[e.ID] = e, d
		m.audit = append(m.audit, hold(entry))
		return e, nil
	}
	m.devices[d.ID], m.enrollments[e.ID] = d, e
	m.audit = append(m.audit, entry)
	if cert, ok := m.certs[e.CertificateHash]; ok {
		cert.EnrollmentID = string(e.ID)
		m.certs[e.CertificateHash] = cert
	}
	return e, nil
}

// hold makes the entry of an enrolment that is held of the one that it asked for.
func hold(entry audit.Entry) audit.Entry {
	entry.Action, entry.Outcome = "enrollment.hold", audit.Refused
	return entry
}

// foreign reports whether another user holds the phone.
func (m *memory) foreign(e mdm.Enrollment) bool {
	for _, other := range m.enrollments {
		if _, known := m.users[other.UserID]; known && other.UDID == e.UDID && other.State.Active() && other.UserID != e.UserID {
			return true
		}
	}
	return false
}

func (m *memory) Activate(_ context.Context, id mdm.EnrollmentID, push mdm.Push, now time.Time, entry audit.Entry) error {
	defer m.lock()()
	e, ok := m.enrollments[id]
	switch {
	case m.broken != nil:
		return m.broken
	case !ok:
		return ErrNotFound
	case e.State.Ended():
		return ErrConflict
	}
	if push.UnlockToken.IsZero() {
		push.UnlockToken = m.push[id].UnlockToken
	}
	m.push[id] = push
	if e.State.Active() || e.State == mdm.Held {
		return nil
	}
	if _, evades := m.evaded(e); evades || m.foreign(e) {
		e.State = mdm.Held
		m.enrollments[id] = e
		m.audit = append(m.audit, hold(entry))
		return nil
	}
	m.activate(e, now)
	m.audit = append(m.audit, entry)
	return nil
}

func (m *memory) activate(e mdm.Enrollment, now time.Time) {
	e.State, e.EnrolledAt = mdm.Enrolled, now
	m.enrollments[e.ID] = e
	m.replace(e, now)
	m.event(mdm.EventEnrolled, e.ID, now)
}

func (m *memory) replace(e mdm.Enrollment, now time.Time) {
	for id, other := range m.enrollments {
		if id != e.ID && other.DeviceID == e.DeviceID && other.State.Active() {
			m.end(id, mdm.Replaced, now)
		}
	}
}

func (m *memory) End(_ context.Context, id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time, entry audit.Entry) error {
	defer m.lock()()
	if m.broken != nil || m.enrollments[id].State.Ended() {
		return m.broken
	}
	m.end(id, state, now)
	m.audit = append(m.audit, entry)
	return nil
}

// Plans.

func (m *memory) SaveContact(_ context.Context, id mdm.EnrollmentID, c mdm.Contact) error {
	defer m.lock()()
	if m.broken != nil {
		return m.broken
	}
	_, err := m.saveContact(id, c)
	return err
}

func (m *memory) saveContact(id mdm.EnrollmentID, c mdm.Contact) (changed bool, err error) {
	e := m.enrollments[id]
	if c.Status == mdm.StatusIdle {
		e.IdleAt = c.At
		for i, old := range m.commands {
			if old.EnrollmentID == id && old.State == mdm.Sent && !m.repeated(old) {
				m.commands[i].State, m.commands[i].DoneAt, changed = mdm.Superseded, c.At, true
			}
		}
	} else {
		answer, err := c.Answer()
		if err != nil {
			return false, err
		}
		i := slices.IndexFunc(m.commands, func(old mdm.Command) bool { return old.ID == c.CommandID && old.EnrollmentID == id })
		if i < 0 {
			return false, ErrNotFound
		}
		old := &m.commands[i]
		if !old.Takes(answer.State) {
			return false, nil
		}
		old.State, old.Error, old.Chain, old.DoneAt = answer.State, answer.Error, answer.Chain, c.At
		m.reports[id] = m.reports[id].Merge(c.Report)
		m.answerAct(*old, c)
		e, changed = m.enrollments[id], true
	}
	if !c.Absent {
		e.LastSeenAt = c.At
	}
	m.enrollments[id] = e
	if changed {
		m.event(mdm.EventReported, id, c.At)
	}
	return changed, nil
}

func (m *memory) PinnedPlan(ctx context.Context, hash string) (Have, certs.Certificate, error) {
	e, cert, err := m.Pinned(ctx, hash)
	if err == nil && e.CertificateHash != hash {
		err = ErrNotFound
	}
	if err != nil {
		return Have{}, certs.Certificate{}, err
	}
	have, err := m.LoadPlan(ctx, e.ID)
	return have, cert, err
}

func (m *memory) LoadPlan(_ context.Context, id mdm.EnrollmentID) (Have, error) {
	defer m.lock()()
	e, ok := m.enrollments[id]
	if !ok {
		return Have{}, cmp.Or(m.broken, ErrNotFound)
	}
	have := Have{Enrollment: e, Report: m.reports[id], User: m.users[e.UserID]} // an unknown Catalog: each is read anew
	kept := map[[2]string]int{}
	for _, c := range slices.Backward(m.commands) {
		pair := [2]string{c.RequestType, c.Subject}
		if c.EnrollmentID != id {
			continue
		}
		if kept[pair]++; kept[pair] <= 5 {
			have.Commands = append(have.Commands, c)
		}
	}
	for _, a := range m.acts {
		if a.EnrollmentID == id && (a.State == mdm.ActionPending || a.State == mdm.ActionSent) {
			have.Actions = append(have.Actions, a)
		}
	}
	return have, m.broken
}

func (m *memory) SaveCommand(_ context.Context, c mdm.Command, pending *mdm.Contact) error {
	defer m.lock()()
	if m.broken != nil {
		return m.broken
	}
	if pending != nil {
		changed, err := m.saveContact(c.EnrollmentID, *pending)
		if err == nil && !changed && pending.Status != mdm.StatusIdle {
			err = ErrHeard
		}
		if err != nil {
			return err
		}
	}
	if again, err := m.sendAct(c); again || err != nil {
		return cmp.Or(m.broken, err)
	}
	if slices.ContainsFunc(m.commands, func(old mdm.Command) bool { return old.ID == c.ID }) {
		return ErrConflict
	}
	m.commands = append(m.commands, c)
	return m.broken
}

func (m *memory) Advance(_ context.Context, id mdm.EnrollmentID, from, to mdm.EnrollmentState) error {
	defer m.lock()()
	e := m.enrollments[id]
	if e.State != from {
		return ErrConflict
	}
	e.State = to
	m.enrollments[id] = e
	return m.broken
}

// Devices.

func (m *memory) ListDevices(context.Context, DeviceFilter) ([]DeviceRow, error) {
	defer m.lock()()
	var rows []DeviceRow
	for _, id := range slices.Sorted(maps.Keys(m.devices)) {
		rows = append(rows, m.row(id))
	}
	return rows, m.broken
}

func (m *memory) row(id mdm.DeviceID) DeviceRow {
	row := DeviceRow{Device: m.devices[id]}
	rank := func(e mdm.Enrollment) int {
		switch {
		case e.State.Active():
			return 3
		case e.State == mdm.Held, e.State == mdm.Refused:
			return 1
		}
		return 2
	}
	for _, e := range m.enrollments {
		if e.DeviceID != id {
			continue
		}
		if best := row.Enrollment; best.ID == "" || rank(e) > rank(best) || rank(e) == rank(best) && e.ID > best.ID {
			row.Enrollment, row.UPN, row.Report = e, m.users[e.UserID].UPN, m.reports[e.ID]
		}
	}
	return row
}

func (m *memory) DeviceByID(_ context.Context, id mdm.DeviceID) (DeviceRow, error) {
	defer m.lock()()
	if _, ok := m.devices[id]; !ok {
		return DeviceRow{}, ErrNotFound
	}
	return m.row(id), m.broken
}

// The directory.

func (m *memory) SaveUsers(_ context.Context, users []directory.User, _ []audit.Entry) ([]directory.User, error) {
	defer m.lock()()
	for _, u := range users {
		m.users[u.ID] = u
	}
	return users, m.broken
}

func (m *memory) UserByID(_ context.Context, id directory.UserID) (directory.User, error) {
	defer m.lock()()
	u, ok := m.users[id]
	if !ok {
		return directory.User{}, cmp.Or(m.broken, directory.ErrNotFound)
	}
	return u, m.broken
}

func (m *memory) UserByUPN(_ context.Context, upn string) (directory.User, error) {
	defer m.lock()()
	for _, u := range m.users {
		if strings.EqualFold(u.UPN, upn) {
			return u, m.broken
		}
	}
	return directory.User{}, cmp.Or(m.broken, directory.ErrNotFound)
}

func (m *memory) ListUsers(_ context.Context, group string, page directory.Page) ([]directory.User, error) {
	defer m.lock()()
	var list []directory.User
	for _, u := range slices.SortedFunc(maps.Values(m.users), func(a, b directory.User) int { return cmp.Compare(a.UPN, b.UPN) }) {
		if u.UPN > page.After && (group == "" || slices.Contains(u.Groups, group)) && len(list) < page.Limit {
			list = append(list, u)
		}
	}
	return list, m.broken
}

func (m *memory) RemoveUser(_ context.Context, id directory.UserID, _ time.Time, _ audit.Entry) error {
	defer m.lock()()
	delete(m.users, id)
	return m.broken
}

// The trail, templates and certificates.

func (m *memory) Append(ctx context.Context, e audit.Entry) error {
	defer m.lock()()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	m.audit = append(m.audit, e)
	return m.broken
}

func (m *memory) List(_ context.Context, f audit.Filter) ([]audit.Entry, error) {
	defer m.lock()()
	var list []audit.Entry
	for i, e := range m.audit {
		e.ID = int64(i + 1)
		if e.ID > f.After && (f.Target == "" || e.Target == f.Target) && len(list) < f.Limit {
			list = append(list, e)
		}
	}
	return list, m.broken
}

func (m *memory) CurrentRevisions(context.Context) ([]templates.Revision, error) {
	defer m.lock()()
	return slices.Clone(m.revisions), m.broken
}

func (m *memory) SecretsFor(_ context.Context, user directory.UserID) ([]templates.Secret, error) {
	defer m.lock()()
	m.opened++
	return slices.Clone(m.secrets[user]), m.broken
}

func (m *memory) CurrentSecurityPolicies(context.Context) ([]templates.SecurityRevision, error) {
	defer m.lock()()
	return slices.Clone(m.policies), m.broken
}

func (m *memory) Mint(_ context.Context, g certs.Grant, ttl time.Duration) (secret.Value, error) {
	defer m.lock()()
	challenge := newCode() + newCode()
	m.grants[challenge], m.ttl[challenge] = g, ttl
	return secret.New(challenge), m.broken
}

func (m *memory) MintAs(_ context.Context, text secret.Value, g certs.Grant, ttl time.Duration) error {
	defer m.lock()()
	m.grants[text.Reveal()], m.ttl[text.Reveal()] = g, ttl
	return m.broken
}

func (m *memory) Lookup(_ context.Context, sha256 string) (certs.Certificate, error) {
	defer m.lock()()
	cert, ok := m.certs[sha256]
	if !ok {
		return certs.Certificate{}, cmp.Or(m.broken, certs.ErrNotFound)
	}
	return cert, m.broken
}

// issued notes a certificate that was issued for a challenge's grant, which
// burns the grant's invitation.
func (m *memory) issued(cert *x509.Certificate, hash string, g certs.Grant) {
	defer m.lock()()
	m.certs[hash] = certs.Certificate{
		SHA256: hash, DER: cert.Raw, Rule: g.Rule, UserID: g.UserID, InvitationID: g.InvitationID,
		EnrollmentID: g.EnrollmentID, Profile: g.Profile, NotBefore: cert.NotBefore, NotAfter: cert.NotAfter,
	}
	if g.AccessRights != 0 {
		m.rights[hash] = g.AccessRights
	}
	m.done(mdm.EnrollmentID(g.EnrollmentID), func(r mdm.Renewal) bool { return r.Rule == string(g.Rule) && r.Profile == g.Profile })
	if i, ok := m.invitations[InvitationID(g.InvitationID)]; ok {
		i.State = InvitationUsed
		m.invitations[i.ID] = i
	}
}
