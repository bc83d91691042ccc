package access

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"sallyport/enroll/directory"
)

const (
	pageSize   = 500  // people read at once
	pageDepth  = 5000 // people that one page of a report looks at, at most
	sampleSize = 50   // devices that a plan names
)

// Impact is what a change would do to the devices on record.
type Impact struct {
	Devices int     `json:"devices"`  // looked at: all there are
	Matched int     `json:"matched"`  // of which the new rule speaks
	ShutOut int     `json:"shut_out"` // that have mail now and would not any more
	LetIn   int     `json:"let_in"`   // the other way round
	Sample  []Shift `json:"sample"`   // those that change, who is shut out first; at most 50
}

// Shift is a device that a change would answer otherwise.
type Shift struct {
	DeviceID   DeviceID `json:"device_id"`
	User       string   `json:"user"` // UPN
	EASDevice  string   `json:"eas_device_id"`
	DeviceType string   `json:"device_type,omitempty"`
	Model      string   `json:"model,omitempty"`
	Before     Effect   `json:"before"`
	After      Effect   `json:"after"`
	Step       Step     `json:"step"` // that would decide
	Reasons    []Reason `json:"reasons"`
}

// shutsOut reports whether mail is taken away.
func (s Shift) shutsOut() bool { return s.Before == Allow && s.After != Allow }

// shift asks about one device before and after a change, as if it asked now.
func (s *Service) shift(e *Entry, d Device, before, after World, words []Personal) Shift {
	in := e.Inputs(s.now(), d.client(e.Person.UPN), d, before)
	first := in.Decide()
	in.World, in.Personal = after, words
	second := in.Decide()
	return Shift{DeviceID: d.ID, User: e.Person.UPN, EASDevice: in.Client.DeviceID, DeviceType: d.Type, Model: cmp.Or(d.Model, d.OS),
		Before: first.Effect, After: second.Effect, Step: second.Step, Reasons: second.Reasons}
}

// impact asks about every device on record what would change with the world.
// of is the new rule, or nil.
func (s *Service) impact(ctx context.Context, before, after World, of *Rule) (Impact, error) {
	found := Impact{Sample: []Shift{}}
	_, err := s.each(ctx, "", 0, func(e *Entry) bool {
		for _, d := range e.Devices {
			found.Devices++
			if of != nil {
				c := d.client(e.Person.UPN)
				if of.matches(&c, &e.Person, &d, e.bound(d, c)) {
					found.Matched++
				}
			}
			found.note(s.shift(e, d, before, after, e.Personal))
		}
		return true
	})
	return found, err
}

func (i *Impact) note(x Shift) {
	if x.Before == x.After {
		return
	}
	at := len(i.Sample)
	switch {
	case x.shutsOut():
		at = slices.IndexFunc(i.Sample, func(have Shift) bool { return !have.shutsOut() })
		if at < 0 {
			at = len(i.Sample)
		}
		i.ShutOut++
	case x.After == Allow:
		i.LetIn++
	}
	i.Sample = slices.Insert(i.Sample, at, x)
	i.Sample = i.Sample[:min(len(i.Sample), sampleSize)]
}

// each walks the people after a cursor, most of them or all (0), until visit has
// enough. It returns the cursor of the next page, empty at the end.
func (s *Service) each(ctx context.Context, after directory.UserID, most int, visit func(*Entry) bool) (directory.UserID, error) {
	for seen := 0; most == 0 || seen < most; {
		entries, err := s.Source.Entries(ctx, after, pageSize)
		if err != nil {
			return "", fmt.Errorf("read people: %w", err)
		}
		for i := range entries {
			after = entries[i].Person.ID
			if !visit(&entries[i]) {
				return after, nil
			}
		}
		if len(entries) < pageSize {
			return "", nil
		}
		seen += len(entries)
	}
	return after, nil
}

// WouldShutOut lists the devices that have mail now and would lose it if the
// policy were enforced from now on, people after the cursor. A page may be short,
// and the last one is that without a next cursor. ErrNotFound for a policy that
// is not in force.
func (s *Service) WouldShutOut(ctx context.Context, name string, after directory.UserID, limit int) ([]Shift, directory.UserID, error) {
	before, err := s.World(ctx)
	if err != nil {
		return nil, "", err
	}
	at := slices.IndexFunc(before.Policies, func(p Policy) bool { return p.Name == name })
	if at < 0 {
		return nil, "", missingPolicy(name)
	}
	spec := before.Policies[at].Spec
	spec.Mode, spec.StartsAt = Enforce, s.now()
	list := []Shift{}
	next, err := s.each(ctx, after, pageDepth, func(e *Entry) bool {
		for _, d := range e.Devices {
			if x := s.shift(e, d, before, before.with(spec), e.Personal); x.shutsOut() {
				list = append(list, x)
			}
		}
		return len(list) < limit
	})
	return list, next, err
}

// with is the world with that policy in place of its older revision.
func (w World) with(spec Spec) World {
	p := Policy{Name: spec.Name, Number: 1, Spec: spec}
	list := make([]Policy, 0, len(w.Policies)+1)
	for _, have := range w.Policies {
		if have.Name == spec.Name {
			p.Number = have.Number + 1
		} else {
			list = append(list, have)
		}
	}
	if !spec.Assign.Nobody() {
		list = append(list, p)
	}
	w.Policies = list
	return w
}

// and is the world with one more rule.
func (w World) and(r Rule) World {
	w.Rules = append(slices.Clone(w.Rules), r)
	return w
}
