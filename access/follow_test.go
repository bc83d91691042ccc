package access_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// What was committed before a question was asked counts in its answer, though
// nobody follows in the background here.
func TestDecideReadsWhatWasWritten(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	steps := []struct {
		name string
		do   func()
		want access.Effect
		step access.Step
	}{
		{"as loaded", func() {}, access.Allow, access.StepConditionsPassed},
		{"a verdict", func() { b.say(compliance.NotCompliant) }, access.Block, access.StepConditionsFailed},
		{"a verdict back", func() { b.say(compliance.Compliant) }, access.Allow, access.StepConditionsPassed},
		{"an admin's word", func() {
			b.change("u1", func(e *access.Entry) {
				e.Personal = []access.Personal{{UserID: "u1", Key: "dev1", Kind: access.PersonalBlock}}
			})
		}, access.Block, access.StepPersonalBlock},
		{"the word back", func() { b.change("u1", func(e *access.Entry) { e.Personal = nil }) }, access.Allow, access.StepConditionsPassed},
		{"mail off", func() { b.change("u1", func(e *access.Entry) { e.Person.MailOff = &access.Note{By: "root"} }) }, access.Block, access.StepMailOff},
		{"mail on", func() { b.change("u1", func(e *access.Entry) { e.Person.MailOff = nil }) }, access.Allow, access.StepConditionsPassed},
		{"a rule", func() {
			b.mu.Lock()
			b.world.Rules = []access.Rule{{ID: "r1", Effect: access.Block, Family: "iPhone"}}
			b.mu.Unlock()
			b.emit(mdm.Event{Kind: mdm.EventAccess})
		}, access.Block, access.StepRuleBlock},
		{"another name", func() {
			b.change("u1", func(e *access.Entry) { e.Logins = []string{"liddell@example.test"} })
		}, access.Block, access.StepUser},
		{"removed", func() {
			b.mu.Lock()
			delete(b.people, "u1")
			b.mu.Unlock()
			b.emit(mdm.Event{Kind: mdm.EventAccess, UserID: "u1"})
		}, access.Block, access.StepUser},
	}
	for _, s := range steps {
		s.do()
		if d := decide(t, e, client()); d.Effect != s.want || d.Step != s.step {
			t.Errorf("%s: %+v, want %s by %s", s.name, d, s.want, s.step)
		}
	}
	if n := b.calls("Entries"); n != 1 {
		t.Errorf("everybody was read %d times", n)
	}
	reads := b.calls("After")
	for range 10 {
		decide(t, e, client())
	}
	if b.calls("After") != reads {
		t.Error("the outbox is read though nothing was committed")
	}
}

// Of another server's commits a follower hears at its next step. Events about one
// person cost one reading, and what is published costs none.
func TestFollow(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.engine()
	e.Commits = nil
	if err := e.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.say(compliance.NotCompliant)
	for range 50 {
		b.emit(mdm.Event{Kind: mdm.EventReported, EnrollmentID: "e1"}, mdm.Event{Kind: mdm.EventAccess, UserID: "u1"}, mdm.Event{Kind: mdm.EventDecision, UserID: "u2"}, mdm.Event{Kind: mdm.EventPolicyChanged})
	}
	if d := decide(t, e, client()); d.Effect != access.Allow {
		t.Errorf("before the step: %+v", d)
	}
	for more := true; more; {
		var err error
		if more, err = e.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d := decide(t, e, client()); d.Effect != access.Block {
		t.Errorf("after the step: %+v", d)
	}
	if people, world := b.calls("EntriesOf"), b.calls("World"); people != 1 || world != 1 {
		t.Errorf("people were read %d times for one batch about them, the world %d times", people, world)
	}
}

// A step that fails is done again: no event is lost.
func TestFollowLosesNothing(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	b.say(compliance.NotCompliant)
	b.set(true, false)
	for range 3 {
		if _, err := e.Follow(t.Context()); !errors.Is(err, errAway) {
			t.Fatal(err)
		}
	}
	b.set(false, false)
	if _, err := e.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := decide(t, e, client()); d.Effect != access.Block {
		t.Errorf("got %+v", d)
	}
}

// A first contact puts the device on record, with the phone that it probably is.
func TestFirstContact(t *testing.T) {
	t.Parallel()
	phone := func(id mdm.EnrollmentID, state mdm.EnrollmentState, product string, key access.DeviceKey) access.Phone {
		return access.Phone{EnrollmentID: id, State: state, Platform: mdm.Apple, Product: product, EASKey: key, Certificates: []string{fmt.Sprintf("%064x", len(id))}}
	}
	silent := phone("e2", mdm.Enrolled, "iPhone16,1", "")
	tests := []struct {
		name   string
		phones []access.Phone
		c      access.Client
		bound  mdm.EnrollmentID
		proof  access.Proof // of the phone that the decision rests on
	}{
		{"the one that is silent", []access.Phone{phone("e1", mdm.Enrolled, "iPhone15,4", "dev1"), silent}, access.Client{DeviceType: "iPhone"}, "e2", access.ProofProbable},
		{"of another type", []access.Phone{silent}, access.Client{DeviceType: "iPad"}, "", ""},
		{"of no type", []access.Phone{silent}, access.Client{}, "", ""},
		{"one of two", []access.Phone{silent, phone("e3", mdm.Enrolled, "iPhone17,2", "")}, access.Client{DeviceType: "iPhone"}, "", ""},
		{"over", []access.Phone{phone("e2", mdm.CheckedOut, "iPhone16,1", "")}, access.Client{DeviceType: "iPhone"}, "", ""},
		{"proved", []access.Phone{silent}, access.Client{DeviceType: "iPhone", Certificate: silent.Certificates[0]}, "", access.ProofCertificate},
		{"reported", []access.Phone{phone("e2", mdm.Enrolled, "iPhone16,1", "dev7"), phone("e33", mdm.Enrolled, "iPhone16,1", "")}, access.Client{DeviceType: "iPhone"}, "", access.ProofReported},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := newLedger()
			one := b.people["u1"]
			one.Phones = tt.phones
			b.people["u1"] = one
			e := b.loaded(t)
			c := tt.c
			c.User, c.DeviceID = "alice@example.test", "DEV7"
			decide(t, e, c)
			decide(t, e, c)
			devices := b.people["u1"].Devices
			if len(devices) != 2 || devices[1].Key != "dev7" || devices[1].Bound != tt.bound || b.calls("Meet") != 1 {
				t.Fatalf("devices %+v, %d times met", devices, b.calls("Meet"))
			}
			in, _, _, err := e.Explain(t.Context(), c)
			proof := access.ProofNone
			if len(in.Phones) > 0 {
				proof = in.Phones[0].Proof
			}
			if err != nil || proof != tt.proof {
				t.Errorf("proof %q, %v, want %q", proof, err, tt.proof)
			}
		})
	}
}

// Who asks has proved no password: one person's devices on record are bounded.
func TestDevicesOfOneAreBounded(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	c := client()
	for i := range 150 {
		c.DeviceID = fmt.Sprint("invented", i)
		if d := decide(t, e, c); d.Step != access.StepDefault {
			t.Fatalf("device %d: %+v", i, d)
		}
	}
	if n := len(b.people["u1"].Devices); n != 100 {
		t.Errorf("%d devices on record", n)
	}
}

// A long list does not wait for more than one answer would.
func TestFollowInBatches(t *testing.T) {
	t.Parallel()
	b := newLedger()
	e := b.loaded(t)
	for i := range 1000 {
		id := directory.UserID(fmt.Sprintf("v%04d", i))
		b.change(id, func(e *access.Entry) {
			e.Person, e.Logins = access.Person{ID: id, UPN: string(id) + "@example.test"}, []string{string(id) + "@example.test"}
		})
	}
	if d := decide(t, e, access.Client{User: "V0999@example.test", DeviceID: "x"}); d.Step == access.StepUser {
		t.Errorf("who was imported is unknown: %+v", d)
	}
	if s := e.Stats(); s.People != 1002 || s.Age > time.Minute {
		t.Errorf("stats %+v", s)
	}
}
