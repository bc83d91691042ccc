package mdm

import "time"

// Platform names the management protocol that a device speaks.
type Platform string

const (
	Apple   Platform = "apple"
	Android Platform = "android"
)

// Ownership says whose phone it is. It decides which rights the enrolment
// profile asks for, and which commands may ever be sent.
type Ownership string

const (
	Corporate Ownership = "corporate"
	Personal  Ownership = "personal"
)

// Valid reports whether o is a known ownership.
func (o Ownership) Valid() bool { return o == Corporate || o == Personal }

// DeviceID identifies a physical device on record (UUIDv7).
type DeviceID string

// Device is a phone that has enrolled at least once. The identifier on the
// wire (UDID) is unique per platform and kept in upper case.
type Device struct {
	ID        DeviceID
	Platform  Platform
	UDID      string
	Serial    string // empty where the enrolment type hides it
	Product   string // Apple's ProductName, for example "iPhone15,4"
	Model     string // marketing name as reported, may be empty
	Name      string // what its owner calls it
	Label     string // what an admin calls it; empty when nobody gave it one
	CreatedAt time.Time
}
