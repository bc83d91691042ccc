package enroll

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

var (
	_ ActionStore  = (*memory)(nil)
	_ CommandStore = (*memory)(nil)
	_ HeldStore    = (*memory)(nil)
	_ PushStore    = (*memory)(nil)
	_ WakeStore    = (*memory)(nil)
)

// end ends an enrolment with what belongs to it.
func (m *memory) end(id mdm.EnrollmentID, state mdm.EnrollmentState, now time.Time) {
	for i, a := range m.acts {
		switch {
		case a.EnrollmentID != id || !a.State.Open():
		case a.Kind == mdm.ActionRetire && a.State != mdm.ActionUnapproved && (state == mdm.CheckedOut || state == mdm.Retired):
			state = mdm.Retired
			m.turn(i, mdm.ActionAcknowledged, "", now)
		case a.State == mdm.ActionSent, a.State == mdm.ActionPending && a.Kind.Withholds() == mdm.WithholdEverything:
			m.turn(i, mdm.ActionFailed, "the enrolment ended", now)
		default:
			m.turn(i, mdm.ActionCancelled, "the enrolment ended", now)
		}
	}
	e := m.enrollments[id]
	e.State, e.EndedAt = state, now
	m.enrollments[id] = e
	for hash, cert := range m.certs {
		if hash == e.CertificateHash && cert.RevokedAt.IsZero() {
			cert.RevokedAt = now
			m.certs[hash] = cert
		}
	}
	m.event(mdm.EventEnded, id, now)
}

// turn moves an act and what it withholds.
func (m *memory) turn(i int, to mdm.ActionState, reason string, at time.Time) {
	m.acts[i].State, m.acts[i].Error = to, reason
	if !to.Open() {
		m.acts[i].DoneAt = at
	}
	m.withhold(m.acts[i].EnrollmentID)
	m.event(mdm.EventAction, m.acts[i].EnrollmentID, at)
}

// withholding are the acts upon an enrolment that count: see CreateAction.
func (m *memory) withholding(id mdm.EnrollmentID) []mdm.Action {
	var done, open []mdm.Action
	for _, a := range m.acts {
		if a.EnrollmentID != id {
			continue
		}
		switch a.State {
		case mdm.ActionPending, mdm.ActionSent:
			open = append(open, a)
		case mdm.ActionAcknowledged, mdm.ActionFailed, mdm.ActionExpired:
			done = append(done, a)
		case mdm.ActionUnapproved, mdm.ActionCancelled:
		}
		if a.Kind == mdm.ActionResend && a.State != mdm.ActionUnapproved {
			done = nil
		}
	}
	return append(done, open...)
}

// withhold follows from the acts.
func (m *memory) withhold(id mdm.EnrollmentID) {
	e := m.enrollments[id]
	e.Withheld = mdm.WithholdNothing
	for _, a := range m.withholding(id) {
		if w := a.Kind.Withholds(); w == mdm.WithholdEverything || e.Withheld == mdm.WithholdNothing {
			e.Withheld = w
		}
	}
	m.enrollments[id] = e
}

// evaded is an act that e would evade: see Admit.
func (m *memory) evaded(e mdm.Enrollment) (evaded mdm.Action, evades bool) {
	var last mdm.Enrollment
	for id, x := range m.enrollments {
		if id != e.ID && x.DeviceID == e.DeviceID && x.EnrolledAt.After(last.EnrolledAt) {
			last = x
		}
	}
	invited := m.invitations[InvitationID(e.InvitationID)].CreatedAt
	for id, x := range m.enrollments {
		if id == e.ID || x.DeviceID != e.DeviceID {
			continue
		}
		for _, a := range m.withholding(id) {
			flips := e.Ownership == mdm.Personal && last.Ownership == mdm.Corporate && last.ID == id && a.State != mdm.ActionAcknowledged
			if a.Kind.Withholds() == mdm.WithholdEverything && a.RequestedAt.After(m.admitted[e.ID]) && (flips || a.RequestedAt.After(invited)) {
				return a, true
			}
		}
	}
	return mdm.Action{}, false
}

func (m *memory) CreateAction(_ context.Context, a mdm.Action, entry audit.Entry) error {
	defer m.lock()()
	e, ok := m.enrollments[a.EnrollmentID]
	switch {
	case m.broken != nil:
		return m.broken
	case !ok:
		return ErrNotFound
	case !e.State.Active():
		return ErrConflict
	}
	for _, other := range m.acts {
		if other.EnrollmentID == a.EnrollmentID && other.Kind == a.Kind && other.State.Open() && a.Kind != mdm.ActionQuery && a.Kind != mdm.ActionCommand {
			return ErrConflict
		}
	}
	m.acts = append(m.acts, a)
	m.withhold(a.EnrollmentID)
	m.event(mdm.EventAction, a.EnrollmentID, a.RequestedAt)
	m.audit = append(m.audit, entry)
	return nil
}

func (m *memory) find(id mdm.ActionID) int {
	return slices.IndexFunc(m.acts, func(a mdm.Action) bool { return a.ID == id })
}

func (m *memory) ActionByID(_ context.Context, id mdm.ActionID) (mdm.Action, error) {
	defer m.lock()()
	i := m.find(id)
	if i < 0 {
		return mdm.Action{}, cmp.Or(m.broken, ErrNotFound)
	}
	return m.acts[i], m.broken
}

func (m *memory) ListActions(_ context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Action, error) {
	defer m.lock()()
	var list []mdm.Action
	for _, a := range slices.Backward(m.acts) {
		if m.enrollments[a.EnrollmentID].DeviceID == device && (page.After == "" || string(a.ID) < page.After) && len(list) < page.Limit {
			list = append(list, a)
		}
	}
	return list, m.broken
}

func (m *memory) ListCommands(_ context.Context, device mdm.DeviceID, page directory.Page) ([]mdm.Command, error) {
	defer m.lock()()
	var list []mdm.Command
	begun := page.After == ""
	for _, c := range slices.Backward(m.commands) {
		if begun && m.enrollments[c.EnrollmentID].DeviceID == device && len(list) < page.Limit {
			list = append(list, c)
		}
		begun = begun || string(c.ID) == page.After
	}
	return list, m.broken
}

func (m *memory) MoveAction(_ context.Context, id mdm.ActionID, move ActionMove, entry audit.Entry) error {
	defer m.lock()()
	i := m.find(id)
	switch {
	case m.broken != nil:
		return m.broken
	case i < 0:
		return ErrNotFound
	case !slices.Contains(move.From, m.acts[i].State):
		return ErrConflict
	}
	if m.acts[i].State == mdm.ActionUnapproved && move.To == mdm.ActionPending {
		m.acts[i].ApprovedBy = move.By
	}
	if move.To == mdm.ActionSent {
		m.acts[i].SentAt = move.At
	}
	m.turn(i, move.To, move.Error, move.At)
	m.audit = append(m.audit, entry)
	if move.To == mdm.ActionAcknowledged && m.acts[i].Kind.Ends() {
		m.end(m.acts[i].EnrollmentID, mdm.Retired, move.At)
	}
	return nil
}

func (m *memory) ExpireActions(_ context.Context, now time.Time, limit int) (int, error) {
	defer m.lock()()
	n := 0
	for i, a := range m.acts {
		if a.State.Open() && !now.Before(a.ExpiresAt) && n < limit {
			to := mdm.ActionExpired
			if a.State == mdm.ActionUnapproved {
				to = mdm.ActionCancelled
			}
			m.turn(i, to, "out of time", now)
			n++
		}
	}
	return n, m.broken
}

// repeated reports whether a command is that of an act which waits for its answer.
func (m *memory) repeated(c mdm.Command) bool {
	i := m.find(c.ActionID)
	return i >= 0 && m.acts[i].State == mdm.ActionSent && m.acts[i].CommandID == c.ID
}

// sendAct is the part of SaveCommand that concerns an act.
func (m *memory) sendAct(c mdm.Command) (again bool, err error) {
	if c.ActionID == "" {
		return false, nil
	}
	i := m.find(c.ActionID)
	if i < 0 || m.acts[i].EnrollmentID != c.EnrollmentID || m.acts[i].State != mdm.ActionPending && m.acts[i].State != mdm.ActionSent {
		return false, ErrConflict
	}
	if m.acts[i].SentAt.IsZero() {
		m.acts[i].SentAt = c.SentAt
	}
	m.acts[i].State, m.acts[i].CommandID = mdm.ActionSent, c.ID
	for k, old := range m.commands {
		if old.ID == c.ID && (old.State == mdm.Sent || old.State == mdm.NotNow) {
			m.commands[k].State, m.commands[k].DoneAt = mdm.Sent, time.Time{}
			return true, nil
		}
	}
	return false, nil
}

// answerAct is the part of SaveContact that concerns an act.
func (m *memory) answerAct(c mdm.Command, contact mdm.Contact) {
	i := m.find(c.ActionID)
	if i < 0 {
		return
	}
	last := m.acts[i].CommandID == c.ID
	switch state := m.acts[i].State; {
	case c.State == mdm.NotNow && last && state == mdm.ActionSent:
		m.acts[i].State = mdm.ActionPending
	case c.State == mdm.Failed && last && (state == mdm.ActionSent || state == mdm.ActionExpired):
		m.turn(i, mdm.ActionFailed, c.Error, contact.At)
	case c.State == mdm.Acknowledged && state != mdm.ActionAcknowledged:
		m.acts[i].CommandID, m.acts[i].Result = c.ID, contact.Result
		m.turn(i, mdm.ActionAcknowledged, "", contact.At)
		if m.acts[i].Kind.Ends() {
			m.end(c.EnrollmentID, mdm.Retired, contact.At)
		}
	}
}

// Held enrolments, ownership, names.

func (m *memory) ListHeld(_ context.Context, page directory.Page) ([]HeldRow, error) {
	defer m.lock()()
	var rows []HeldRow
	for _, id := range slices.Sorted(maps.Keys(m.enrollments)) {
		e := m.enrollments[id]
		if e.State != mdm.Held || string(id) <= page.After || len(rows) == page.Limit {
			continue
		}
		row := HeldRow{Enrollment: e, Device: m.devices[e.DeviceID], UPN: m.users[e.UserID].UPN}
		for _, other := range m.enrollments {
			if other.DeviceID == e.DeviceID && other.State.Active() {
				row.HolderUPN = m.users[other.UserID].UPN
			}
		}
		row.Act, _ = m.evaded(e)
		rows = append(rows, row)
	}
	return rows, m.broken
}

func (m *memory) AdmitHeld(_ context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error {
	defer m.lock()()
	e := m.enrollments[id]
	if e.State != mdm.Held {
		return ErrConflict
	}
	m.admitted[id] = now
	if said, ok := m.said[id]; ok {
		m.devices[e.DeviceID] = said
	}
	if _, ok := m.push[id]; ok {
		m.activate(e, now)
	} else {
		e.State = mdm.Authenticated
		m.enrollments[id] = e
		m.replace(e, now)
	}
	m.audit = append(m.audit, entry)
	return m.broken
}

func (m *memory) RefuseHeld(_ context.Context, id mdm.EnrollmentID, now time.Time, entry audit.Entry) error {
	defer m.lock()()
	if m.enrollments[id].State != mdm.Held {
		return ErrConflict
	}
	m.end(id, mdm.Refused, now)
	m.audit = append(m.audit, entry)
	return m.broken
}

func (m *memory) SetOwnership(_ context.Context, id mdm.EnrollmentID, o mdm.Ownership, entry audit.Entry) error {
	defer m.lock()()
	e := m.enrollments[id]
	switch {
	case e.Ownership == o:
		return m.broken
	case o != mdm.Personal:
		return ErrConflict
	}
	e.Ownership = o
	m.enrollments[id] = e
	m.audit = append(m.audit, entry)
	return m.broken
}

func (m *memory) SetLabel(_ context.Context, id mdm.DeviceID, label string, entry audit.Entry) error {
	defer m.lock()()
	d, ok := m.devices[id]
	if !ok {
		return ErrNotFound
	}
	d.Label = label
	m.devices[id] = d
	m.audit = append(m.audit, entry)
	return m.broken
}

// SameHand implements Hands.
func (m *memory) SameHand(_ context.Context, a, b string) (bool, error) {
	defer m.lock()()
	a, b = strings.ToLower(strings.TrimSpace(a)), strings.ToLower(strings.TrimSpace(b))
	return a == b || m.hand[a] == b || m.hand[b] == a, m.broken
}

// Push and wake-ups, as far as these tests ask for them.

func (m *memory) Push(_ context.Context, id mdm.EnrollmentID) (mdm.Push, error) {
	defer m.lock()()
	push, ok := m.push[id]
	if !ok {
		return mdm.Push{}, cmp.Or(m.broken, ErrNotFound)
	}
	return push, m.broken
}

func (m *memory) RequestReport(_ context.Context, id mdm.EnrollmentID, at time.Time) error {
	defer m.lock()()
	r := m.reports[id]
	if at.After(r.AskedAt) {
		r.AskedAt = at
	}
	m.reports[id] = r
	return m.broken
}

func (m *memory) RequestWake(_ context.Context, ids []mdm.EnrollmentID, at time.Time) (int, error) {
	defer m.lock()()
	n := 0
	for _, id := range ids {
		if !m.enrollments[id].State.Active() {
			continue
		}
		if due, ok := m.wakes[id]; !ok || at.Before(due) {
			m.wakes[id] = at
		}
		n++
	}
	return n, m.broken
}

func (m *memory) RequestSilent(context.Context, time.Time, time.Time, int) (int, error) {
	return 0, m.broken
}

func (m *memory) DueWakes(context.Context, time.Time, int) ([]Wakeup, error) { return nil, m.broken }

func (m *memory) SaveWake(context.Context, Wakeup, WakeResult) error { return m.broken }

func (m *memory) PushState(context.Context, string) (PushState, error) {
	return PushState{}, m.broken
}
