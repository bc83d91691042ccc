package access_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// books follows the contracts of RuleStore, DeviceStore, MailStore, Source and
// People in memory.
type books struct {
	world    access.World
	entries  []access.Entry // by ID
	policies []compliance.Policy
	trail    []audit.Entry
	trouble  error
}

var (
	_ access.RuleStore   = (*books)(nil)
	_ access.DeviceStore = (*books)(nil)
	_ access.MailStore   = (*books)(nil)
	_ access.Source      = (*books)(nil)
	_ access.People      = (*books)(nil)
)

func (b *books) write(entries ...audit.Entry) error {
	if b.trouble == nil {
		b.trail = append(b.trail, entries...)
	}
	return b.trouble
}

func (b *books) World(context.Context) (access.World, error) {
	w := b.world
	w.Rules, w.Policies = slices.Clone(w.Rules), slices.Clone(w.Policies)
	return w, b.trouble
}

func (b *books) SaveRule(_ context.Context, r access.Rule, e audit.Entry) error {
	b.world.Rules = append(b.world.Rules, r)
	return b.write(e)
}

func (b *books) RemoveRule(_ context.Context, id access.RuleID, e audit.Entry) error {
	before := len(b.world.Rules)
	b.world.Rules = slices.DeleteFunc(b.world.Rules, func(r access.Rule) bool { return r.ID == id })
	if len(b.world.Rules) == before {
		return access.ErrNotFound
	}
	return b.write(e)
}

func (b *books) SetDefault(_ context.Context, e access.Effect, entry audit.Entry) error {
	b.world.Default = e
	return b.write(entry)
}

func (b *books) SavePolicy(_ context.Context, p access.Policy, e audit.Entry) (access.Policy, bool, error) {
	p.Number = 1
	for i, have := range b.world.Policies {
		if have.Name != p.Name {
			continue
		}
		if have.Source == p.Source {
			return have, false, b.trouble
		}
		p.Number = have.Number + 1
		b.world.Policies = slices.Delete(b.world.Policies, i, i+1)
		break
	}
	if !p.Spec.Assign.Nobody() {
		b.world.Policies = append(b.world.Policies, p)
	}
	return p, true, b.write(e)
}

func (b *books) row(id access.DeviceID) (*access.Entry, *access.Device) {
	for i := range b.entries {
		for k := range b.entries[i].Devices {
			if b.entries[i].Devices[k].ID == id {
				return &b.entries[i], &b.entries[i].Devices[k]
			}
		}
	}
	return nil, nil
}

func (b *books) Devices(_ context.Context, f access.DeviceFilter) ([]access.DeviceRow, error) {
	var list []access.DeviceRow
	for _, e := range b.entries {
		for _, d := range e.Devices {
			if f.User == "" || f.User == e.Person.ID {
				list = append(list, access.DeviceRow{Device: d, UPN: e.Person.UPN})
			}
		}
	}
	return list, b.trouble
}

func (b *books) Device(_ context.Context, id access.DeviceID) (access.DeviceRow, error) {
	e, d := b.row(id)
	if d == nil {
		return access.DeviceRow{}, access.ErrNotFound
	}
	return access.DeviceRow{Device: *d, UPN: e.Person.UPN}, b.trouble
}

func (b *books) entry(user directory.UserID) *access.Entry {
	return &b.entries[slices.IndexFunc(b.entries, func(e access.Entry) bool { return e.Person.ID == user })]
}

func (b *books) SavePersonal(_ context.Context, list []access.Personal, entries []audit.Entry) error {
	for _, p := range list {
		e := b.entry(p.UserID)
		e.Personal = slices.DeleteFunc(e.Personal, func(have access.Personal) bool {
			return have.Key == p.Key && (have.Kind == p.Kind || have.Kind != access.PersonalExempt && p.Kind != access.PersonalExempt)
		})
		e.Personal = append(e.Personal, p)
	}
	return b.write(entries...)
}

func (b *books) RemovePersonal(_ context.Context, user directory.UserID, key access.DeviceKey, kind access.PersonalKind, entry audit.Entry) error {
	e := b.entry(user)
	before := len(e.Personal)
	e.Personal = slices.DeleteFunc(e.Personal, func(p access.Personal) bool { return p.Key == key && p.Kind == kind })
	if len(e.Personal) == before {
		return access.ErrNotFound
	}
	return b.write(entry)
}

func (b *books) Bind(_ context.Context, id access.DeviceID, to mdm.EnrollmentID, proof access.Proof, entry audit.Entry) error {
	_, d := b.row(id)
	if d == nil {
		return access.ErrNotFound
	}
	d.Bound, d.Proof = to, proof
	return b.write(entry)
}

func (b *books) SetMail(_ context.Context, user directory.UserID, off *access.Note, entry audit.Entry) error {
	b.entry(user).Person.MailOff = off
	return b.write(entry)
}

func (b *books) RemoveDevice(_ context.Context, id access.DeviceID, entry audit.Entry) error {
	e, d := b.row(id)
	if d == nil {
		return access.ErrNotFound
	}
	e.Devices = slices.DeleteFunc(e.Devices, func(d access.Device) bool { return d.ID == id })
	return b.write(entry)
}

func (b *books) Entries(_ context.Context, after directory.UserID, limit int) ([]access.Entry, error) {
	var list []access.Entry
	for _, e := range b.entries {
		if e.Person.ID > after && len(list) < limit {
			list = append(list, e)
		}
	}
	return list, b.trouble
}

func (b *books) EntriesOf(_ context.Context, ids []directory.UserID) ([]access.Entry, error) {
	var list []access.Entry
	for _, e := range b.entries {
		if slices.Contains(ids, e.Person.ID) {
			list = append(list, e)
		}
	}
	return list, b.trouble
}

func (b *books) Owners(context.Context, []mdm.EnrollmentID) (map[mdm.EnrollmentID]directory.UserID, error) {
	return map[mdm.EnrollmentID]directory.UserID{}, b.trouble
}

func (b *books) Lapsed(context.Context, time.Time, time.Time) ([]directory.UserID, error) {
	return nil, b.trouble
}

func (b *books) LastEvent(context.Context) (int64, error) { return 0, b.trouble }

func (b *books) UserByUPN(_ context.Context, upn string) (directory.User, error) {
	for _, e := range b.entries {
		if strings.EqualFold(e.Person.UPN, upn) {
			return directory.User{ID: e.Person.ID, UPN: e.Person.UPN}, b.trouble
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (b *books) ListUsers(_ context.Context, group string, _ directory.Page) (list []directory.User, err error) {
	for _, e := range b.entries {
		if slices.Contains(e.Person.Groups, group) {
			list = append(list, directory.User{ID: e.Person.ID, UPN: e.Person.UPN})
		}
	}
	return list, b.trouble
}

func (b *books) Policies(context.Context) ([]compliance.Policy, error) { return b.policies, b.trouble }

// office has three people: alice with an enrolled phone that is as it should be,
// bob with one that is not, and carol with a stranger.
func office() (*books, *access.Service) {
	verdict := func(id mdm.EnrollmentID, s compliance.State) compliance.Verdict {
		v := compliance.Verdict{EnrollmentID: id, State: s, Since: start, At: start, ValidUntil: start.Add(time.Hour), Policy: "standard@1"}
		if s == compliance.NotCompliant {
			v.Findings = []compliance.Finding{{Rule: compliance.RulePasscode, State: compliance.Failed, Fact: "no passcode is set", Fix: "Set one.", Since: start}}
		}
		return v
	}
	person := func(n string, upn string) access.Person {
		return access.Person{ID: directory.UserID("u" + n), UPN: upn, Groups: []string{"staff"}}
	}
	device := func(n, kind string) access.Device {
		return access.Device{ID: access.DeviceID("d" + n), UserID: directory.UserID("u" + n), Key: access.DeviceKey("dev" + n), Spellings: []string{"DEV" + n}, Type: kind, Model: kind + "15C4", FirstAt: start, LastAt: start}
	}
	phone := func(n string, s compliance.State) access.Phone {
		return access.Phone{EnrollmentID: mdm.EnrollmentID("e" + n), State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, EASKey: access.DeviceKey("dev" + n), Verdict: verdict(mdm.EnrollmentID("e"+n), s)}
	}
	everyone := directory.Audience{Everyone: true}
	b := &books{
		world: access.World{Default: access.Quarantine, Policies: []access.Policy{{Name: "standard", Number: 1,
			Spec: access.Spec{Name: "standard", Assign: everyone, Mode: access.Enforce, Require: []access.Requirement{access.RequireEnrolled, access.RequireCompliant}}}}},
		entries: []access.Entry{
			{Person: person("1", "alice@example.test"), Devices: []access.Device{device("1", "iPhone")}, Phones: []access.Phone{phone("1", compliance.Compliant)}},
			{Person: person("2", "bob@example.test"), Devices: []access.Device{device("2", "iPhone")}, Phones: []access.Phone{phone("2", compliance.NotCompliant)}},
			{Person: person("3", "carol@example.test"), Devices: []access.Device{device("3", "Outlook")}},
		},
		policies: []compliance.Policy{{Name: "standard", Spec: compliance.Spec{Assign: everyone, Rules: compliance.Rules{Passcode: true}}}},
	}
	s := &access.Service{Rules: b, Devices: b, Mail: b, Source: b, People: b, Compliance: b, Now: func() time.Time { return start }}
	return b, s
}

// trailed says what the newest entries of the trail tell.
func (b *books) trailed(t *testing.T, action, target, reason string) {
	t.Helper()
	if len(b.trail) == 0 {
		t.Fatalf("no entry in the trail, want %s", action)
	}
	if e := b.trail[len(b.trail)-1]; e.Action != action || e.Target != target || e.Outcome != audit.Done || e.Detail["reason"] != reason || !e.At.Equal(start) || e.Actor != "boss" {
		t.Errorf("the trail ends in %+v, want %s of %s for %q", e, action, target, reason)
	}
}
