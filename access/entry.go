package access

import (
	"slices"
	"time"
)

// Inputs puts the question that c asks with device d, of which it may be the
// first contact, as things stand with the entry and the world.
func (e *Entry) Inputs(at time.Time, c Client, d Device, w World) Inputs {
	return Inputs{At: at, Client: c, People: []Person{e.Person}, Device: d, Phones: e.bound(d, c), Personal: e.Personal, World: w}
}

// bound are the phones that the device is, or may be, with the best proof of each.
func (e *Entry) bound(d Device, c Client) []Phone {
	key := d.Key
	if key == "" {
		key = Canonical(c.DeviceID)
	}
	var list []Phone
	for _, p := range e.Phones {
		switch {
		case p.EASKey != "" && p.EASKey == key:
			p.Proof = ProofReported
		case c.Certificate != "" && slices.Contains(p.Certificates, c.Certificate):
			p.Proof = ProofCertificate
		case d.Bound != "" && d.Bound == p.EnrollmentID:
			p.Proof = d.Proof
		default:
			continue
		}
		list = append(list, p)
	}
	return list
}

// client is what the device would say if it asked now, as far as it is on record.
func (d *Device) client(user string) Client {
	return Client{User: user, DeviceID: d.Spelling(), DeviceType: d.Type, UserAgent: d.UserAgent, Protocol: d.Protocol, Model: d.Model, OS: d.OS, Address: d.Address}
}
