package compliance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
)

const shiftsShown = 50 // phones that a plan names

// Impact is what a policy would do to the phones on record, as they have told of
// themselves until now.
type Impact struct {
	Phones  int     `json:"phones"`   // looked at: all active enrolments
	ShutOut int     `json:"shut_out"` // that comply or are in grace now, and would not any more
	InGrace int     `json:"in_grace"` // that comply now, and would only until their grace is over
	LetIn   int     `json:"let_in"`   // that do not comply now, and would, or be in grace
	Sample  []Shift `json:"sample"`   // those that change, who is shut out first; at most 50
}

// Shift is a phone whose verdict a policy would change.
type Shift struct {
	EnrollmentID mdm.EnrollmentID `json:"enrollment_id"`
	User         string           `json:"user"` // UPN
	Before       State            `json:"before"`
	After        State            `json:"after"`
	GraceUntil   time.Time        `json:"grace_until,omitzero"`
	Policy       string           `json:"policy,omitempty"` // that would decide; empty: none
	Open         string           `json:"open,omitempty"`   // rules that are failed, or that the phone has told nothing about
}

// mailed reports whether a phone in that state may read mail where conditional
// access asks for compliant.
func (s State) mailed() bool { return s == Compliant || s == InGrace }

// Plan says what the policy would do if it were applied now. It changes nothing.
// What a phone was never asked, which apps it has for one, is not told: such a
// phone would not be evaluated until it answers.
func (s *Service) Plan(ctx context.Context, spec Spec) (Impact, error) {
	found := Impact{Sample: []Shift{}}
	standing, err := s.ready(ctx)
	if err != nil {
		return found, err
	}
	planned := Ready(with(standing, spec))
	now := s.now()
	for after := mdm.EnrollmentID(""); ; {
		subjects, err := s.Expecter.Subjects(ctx, after, runSize)
		if err != nil {
			return found, fmt.Errorf("read what is to be evaluated: %w", err)
		}
		for _, subject := range subjects {
			found.note(subject.Expected.UPN, s.judgeOne(standing, subject, now).verdict, s.judgeOne(planned, subject, now).verdict)
		}
		if len(subjects) < runSize {
			return found, nil
		}
		after = subjects[len(subjects)-1].Expected.EnrollmentID
	}
}

func (i *Impact) note(upn string, before, after Verdict) {
	i.Phones++
	if before.State == after.State {
		return
	}
	at := len(i.Sample)
	switch {
	case before.State.mailed() && !after.State.mailed():
		at = i.ShutOut
		i.ShutOut++
	case after.State == InGrace && before.State == Compliant:
		at = i.ShutOut + i.InGrace
		i.InGrace++
	case after.State.mailed() && !before.State.mailed():
		i.LetIn++
	}
	if at >= shiftsShown {
		return
	}
	i.Sample = slices.Insert(i.Sample, at, Shift{EnrollmentID: after.EnrollmentID, User: upn, Before: before.State, After: after.State,
		GraceUntil: after.GraceUntil, Policy: after.Policy, Open: open(after)})
	i.Sample = i.Sample[:min(len(i.Sample), shiftsShown)]
}

// with are the policies, by name, with that one in place of its older revision.
func with(policies []Policy, spec Spec) []Policy {
	p := Policy{Name: spec.Name, Number: 1, Spec: spec}
	at, known := slices.BinarySearchFunc(policies, spec.Name, func(p Policy, name string) int { return strings.Compare(p.Name, name) })
	if !known {
		return slices.Insert(slices.Clone(policies), at, p)
	}
	p.Number += policies[at].Number
	list := slices.Clone(policies)
	list[at] = p
	return list
}
