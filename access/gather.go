package access

import (
	"slices"
	"strings"
	"time"
)

// Gather puts together what a decision about a client rests on. people are those
// whom the login names.
func Gather(people []*Entry, w World, c Client, now time.Time) Inputs {
	if len(people) == 1 {
		e, key := people[0], Canonical(c.DeviceID)
		d := Device{}
		if i := slices.IndexFunc(e.Devices, func(d Device) bool { return d.Key == key }); i >= 0 {
			d = e.Devices[i]
		}
		return e.Inputs(now, c, d, w)
	}
	in := Inputs{At: now, Client: c, World: w}
	for _, e := range people {
		in.People = append(in.People, e.Person)
	}
	return in
}

// guess names the phone that a device probably is which was never met: the one
// active phone of the person that has not told its DeviceId yet, is no other
// device's, and is of the type that the mail client tells. Two such phones are none.
func guess(e *Entry, c Client) (found *Phone) {
	for i := range e.Phones {
		p := &e.Phones[i]
		if !p.State.Active() || p.EASKey != "" || !p.ofType(c.DeviceType) {
			continue
		}
		if slices.ContainsFunc(e.Devices, func(d Device) bool { return d.Bound == p.EnrollmentID }) {
			continue
		}
		if found != nil {
			return nil
		}
		found = p
	}
	return found
}

// ofType: Apple's mail client tells a DeviceType that begins its model, "iPhone" of
// "iPhone15,4".
func (p *Phone) ofType(deviceType string) bool {
	return deviceType != "" && len(p.Product) >= len(deviceType) && strings.EqualFold(p.Product[:len(deviceType)], deviceType)
}
