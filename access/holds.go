package access

import (
	"slices"
	"time"
)

// Until is until when a published word on a device holds, by what is known now: as
// long as the same would be answered, and no longer than any answer. A word that
// another one has taken the place of, or is about to, holds no longer than was said
// when it was published.
func (e *Engine) Until(c *Change) time.Time {
	now, until, last := e.now(), c.Decision.ValidUntil, maxValid
	if e.loaded.Load() {
		elapsed := e.elapsed()
		now, last = e.clock(now, elapsed), min(maxValid, max(e.left(elapsed), 0))
		if d, ok := e.said(c, now); ok && d.Effect == c.Decision.Effect {
			until = d.ValidUntil
		}
	}
	switch {
	case until.After(now.Add(last)):
		return now.Add(last).Truncate(time.Microsecond)
	case until.Before(now):
		return now
	}
	return until
}

// said is what a device would be answered now, as far as it is on record.
func (e *Engine) said(c *Change, now time.Time) (Decision, bool) {
	world := e.set.world.Load()
	person := e.set.Person(c.UserID)
	if person == nil || world == nil {
		return Decision{}, false
	}
	i := slices.IndexFunc(person.Devices, func(d Device) bool { return d.ID == c.DeviceID })
	if i < 0 {
		return Decision{}, false
	}
	d := person.Devices[i]
	in := person.Inputs(now, d.client(person.Person.UPN), d, *world)
	return in.Decide(), true
}
