package enroll

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/mdm"
)

const year = 365 * 24 * time.Hour

// fleetOf is a store with so many phones, whose two identities were issued at noon.
func fleetOf(n int) *memory {
	m := newMemory()
	for i := range n {
		id := mdm.EnrollmentID(fmt.Sprintf("E%06d", i))
		own, mail := fmt.Sprintf("%064d", 2*i), fmt.Sprintf("%064d", 2*i+1)
		m.enrollments[id] = mdm.Enrollment{ID: id, State: mdm.Configured, CertificateHash: own}
		m.certs[own] = certs.Certificate{SHA256: own, Rule: certs.RuleMDMIdentity, EnrollmentID: string(id), NotBefore: noon, NotAfter: noon.Add(year)}
		m.certs[mail] = certs.Certificate{SHA256: mail, Rule: certs.RuleMailIdentity, EnrollmentID: string(id), Profile: "P", NotBefore: noon, NotAfter: noon.Add(year)}
	}
	return m
}

// waiting are the moments at which identities of a rule are due, in their order.
func (m *memory) waiting(rule certs.RuleName) []time.Time {
	var due []time.Time
	for _, e := range m.enrollments {
		for _, r := range e.Renewals {
			if r.Rule == string(rule) {
				due = append(due, r.DueAt)
			}
		}
	}
	slices.SortFunc(due, time.Time.Compare)
	return due
}

// through steps until there is no more to look at.
func through(t *testing.T, r *Renewer) (steps int) {
	t.Helper()
	for more := true; more; steps++ {
		var err error
		if more, err = r.Step(context.Background()); err != nil {
			t.Fatal(err)
		}
		if steps > 100 {
			t.Fatal("no end")
		}
	}
	return steps
}

// mostWithin is how many of them fall into any span of that length.
func mostWithin(due []time.Time, span time.Duration) (most int) {
	for from, to := 0, 0; to < len(due); to++ {
		for due[to].Sub(due[from]) >= span {
			from++
		}
		most = max(most, to-from+1)
	}
	return most
}

// TestRenewerSpreads: certificates of one hour are renewed over weeks, all of them
// well before their end.
func TestRenewerSpreads(t *testing.T) {
	t.Parallel()
	m, now := fleetOf(700), noon
	r := &Renewer{Renewals: m, Life: year, Now: func() time.Time { return now }}
	var first time.Time
	for day := range 365 {
		now = noon.AddDate(0, 0, day)
		through(t, r)
		if first.IsZero() && len(m.waiting(certs.RuleMailIdentity)) > 0 {
			first = now
		}
	}
	for _, rule := range []certs.RuleName{certs.RuleMDMIdentity, certs.RuleMailIdentity} {
		due := m.waiting(rule)
		if len(due) != 700 {
			t.Fatalf("%d of 700 %s", len(due), rule)
		}
		if due[0].Before(noon.Add(year*2/3)) || due[699].After(noon.Add(year*5/6+25*time.Hour)) || mostWithin(due, time.Hour) > 40 {
			t.Errorf("%s: due from %v to %v, %d within an hour", rule, due[0], due[699], mostWithin(due, time.Hour))
		}
	}
	if first.Before(noon.Add(year*2/3)) || len(m.wakes) != 700 {
		t.Errorf("first on %v, %d are woken", first, len(m.wakes))
	}
	if steps := through(t, r); steps != 2 || len(m.audit) == 0 {
		t.Errorf("%d steps where all wait", steps)
	}
}

// TestRenewerPaces: a server that was away for long does not have everybody at once,
// and nobody too late.
func TestRenewerPaces(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		left   time.Duration
		last   time.Duration // of them, at least
		within int           // a minute, at most
	}{
		{"weeks", 30 * 24 * time.Hour, 40 * time.Minute, renewalsAtOnce + 60*renewalsPerSecond + 1},
		{"an hour", time.Hour, 29 * time.Minute, 6000},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			m := fleetOf(3000)
			now := noon.Add(year - test.left)
			r := &Renewer{Renewals: m, Life: year, Now: func() time.Time { return now }}
			if steps := through(t, r); steps != 14 {
				t.Errorf("%d steps", steps)
			}
			due := append(m.waiting(certs.RuleMDMIdentity), m.waiting(certs.RuleMailIdentity)...)
			slices.SortFunc(due, time.Time.Compare)
			if last := due[len(due)-1]; len(due) != 6000 || due[0] != now || last.Before(now.Add(test.last)) || last.After(noon.Add(year)) || mostWithin(due, time.Minute) > test.within {
				t.Errorf("%d from %v to %v, %d within a minute", len(due), due[0], last, mostWithin(due, time.Minute))
			}
		})
	}
}

// TestRenewerTells: phones that enrolled before there was a new root are told of it.
func TestRenewerTells(t *testing.T) {
	t.Parallel()
	m, now := fleetOf(600), noon.Add(time.Hour)
	root := time.Time{}
	r := &Renewer{Renewals: m, Root: func() time.Time { return root }, Life: year, Now: func() time.Time { return now }}
	through(t, r)
	if n := len(m.waiting(certs.RuleMDMIdentity)); n != 0 {
		t.Fatalf("%d though there is one root", n)
	}
	root = noon.Add(30 * time.Minute)
	newer := m.certs[fmt.Sprintf("%064d", 0)]
	newer.NotBefore = root
	m.certs[newer.SHA256] = newer
	through(t, r)
	due := m.waiting(certs.RuleMDMIdentity)
	if len(due) != 599 || len(m.waiting(certs.RuleMailIdentity)) != 0 || mostWithin(due, time.Second) > renewalsAtOnce+renewalsPerSecond {
		t.Errorf("%d are told, %d of them at once", len(due), mostWithin(due, time.Second))
	}
	if e := m.enrollments["E000001"]; e.Renewals[0].Reason != mdm.RenewalTrust || e.Renewals[0].Certificate != e.CertificateHash {
		t.Errorf("got %+v", e.Renewals)
	}
}

// TestRenewerWindow: as configured; what cannot be helped any more is left alone.
func TestRenewerWindow(t *testing.T) {
	t.Parallel()
	m, now := fleetOf(1), noon.Add(year-24*time.Hour-time.Minute)
	r := &Renewer{Renewals: m, Window: 24 * time.Hour, Life: year, Now: func() time.Time { return now }}
	through(t, r)
	if n := len(m.waiting(certs.RuleMDMIdentity)) + len(m.waiting(certs.RuleMailIdentity)); n != 0 {
		t.Errorf("%d are due too early", n)
	}
	now = noon.Add(year + time.Second) // only the mail can be renewed by a phone that has enrolled again meanwhile
	through(t, r)
	if own, mail := len(m.waiting(certs.RuleMDMIdentity)), len(m.waiting(certs.RuleMailIdentity)); own != 0 || mail != 1 {
		t.Errorf("%d and %d are due", own, mail)
	}
	m.broken = errors.New("disk full")
	if _, err := r.Step(t.Context()); !errors.Is(err, m.broken) {
		t.Errorf("got %v", err)
	}
}
