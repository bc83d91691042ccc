package access

import "time"

// Inputs are all that a decision rests on: the same Inputs give the same
// Decision and trace for ever, so a stored denial can be replayed. Phones are
// those enrolments of the one person that the device is bound to, by whatever
// Proof; Personal are the words about the person's devices or this one.
type Inputs struct {
	At       time.Time  `json:"at"`
	Client   Client     `json:"client"`
	People   []Person   `json:"people,omitempty"` // whom the login names: none, one, or several
	Device   Device     `json:"device,omitzero"`  // the zero Device: never seen before
	Phones   []Phone    `json:"phones,omitempty"` // active ones first
	Personal []Personal `json:"personal,omitempty"`
	World    World      `json:"world"`
}

// Denial is a refusal on record, with what it rested on. Denials with the same
// Inputs (but for At and the client's address) and the same outcome are one,
// counted.
type Denial struct {
	ID       string      `json:"id"`  // UUIDv7
	Key      string      `json:"key"` // lower-case hex SHA-256 over what makes denials the same
	DeviceID DeviceID    `json:"device_id,omitempty"`
	Inputs   Inputs      `json:"inputs"`
	Decision Decision    `json:"decision"`
	Trace    []TraceLine `json:"trace"`
	Count    int64       `json:"count"`
	FirstAt  time.Time   `json:"first_at"`
	LastAt   time.Time   `json:"last_at"`
}
