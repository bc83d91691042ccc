package access_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/mdm"
)

// An answer that is given again is the one that would be made: whatever the
// question, the person, the world or the time has changed, it is not given.
func TestRepeatedAnswers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newLedger()
		b.change("u1", func(e *access.Entry) { e.Phones[0].Certificates = []string{strings.Repeat("a", 64)} })
		e := b.loaded(t)
		e.Now = time.Now
		valid := time.Now().Add(10 * time.Minute)
		b.change("u1", func(e *access.Entry) { e.Phones[0].Verdict.At, e.Phones[0].Verdict.ValidUntil = time.Now(), valid })
		c := client()
		ask := func(name string, want access.Effect) access.Decision {
			t.Helper()
			d := decide(t, e, c)
			for range 3 {
				first := d
				d = decide(t, e, c)
				if first.ValidUntil = d.ValidUntil; !reflect.DeepEqual(d, first) {
					t.Errorf("%s: %+v, and at first %+v", name, d, first)
				}
				if d.Effect != want {
					t.Errorf("%s: %+v, want %s", name, d, want)
				}
				if left := time.Until(d.ValidUntil); left > 300*time.Second || want == access.Allow && left < 200*time.Second && time.Until(valid) > 300*time.Second {
					t.Errorf("%s: holds for %v", name, left)
				}
			}
			return d
		}
		ask("first", access.Allow)
		time.Sleep(50 * time.Second)
		ask("the same answer", access.Allow)
		time.Sleep(50 * time.Second)
		ask("a new one", access.Allow)
		c.DeviceID = "dev2"
		ask("another device", access.Quarantine)
		c = client()
		c.Certificate = strings.Repeat("b", 64)
		b.mu.Lock()
		b.world.Policies[0].Spec.Require = append(b.world.Policies[0].Spec.Require, access.RequireCertificate)
		b.mu.Unlock()
		b.emit(mdm.Event{Kind: mdm.EventAccess})
		ask("another certificate", access.Block)
		c.Certificate = strings.Repeat("a", 64)
		ask("the right one", access.Allow)
		c.Model = "iPhone15,4"
		b.change("u1", func(e *access.Entry) { e.Person.MailOff = &access.Note{} })
		ask("another person", access.Block)
		b.change("u1", func(e *access.Entry) { e.Person.MailOff = nil })
		ask("back", access.Allow)
		b.change("u2", func(e *access.Entry) { e.Logins = append(e.Logins, "alice@example.test") })
		ask("somebody else has the login, too", access.Block)
		b.change("u2", func(e *access.Entry) { e.Logins = nil })
		ask("no longer", access.Allow)
		time.Sleep(time.Until(valid))
		b.verdicts["e1"] = compliance.Verdict{EnrollmentID: "e1", State: compliance.Unknown, At: time.Now(), ValidUntil: time.Now().Add(time.Hour)}
		ask("the verdict is over", access.Block)
	})
}

// Answers that are kept are bounded, whatever is asked.
func TestManyRepeatedAnswers(t *testing.T) {
	t.Parallel()
	e := newLedger().loaded(t)
	for i := range 40_000 {
		c := client()
		c.UserAgent = fmt.Sprint("agent ", i%20_000)
		if d := decide(t, e, c); d.Effect != access.Allow {
			t.Fatalf("%d: %+v", i, d)
		}
	}
}
