package apple

import (
	"crypto/x509"
	"errors"
)

var (
	// ErrMalformed says that a message cannot be understood. Answer: 400.
	ErrMalformed = errors.New("malformed MDM message")
	// ErrUnauthenticated says that a message's signature does not prove one of
	// our identities. Answer: 400, never 401 (a phone would un-enrol itself).
	ErrUnauthenticated = errors.New("message not authenticated")
	// ErrUnknownIdentity says that no enrolment is pinned to the certificate. Answer: 400.
	ErrUnknownIdentity = errors.New("no enrolment for this identity")
	// ErrRetired says that an admin has ended this enrolment. Answer: 403 with
	// {"code":"com.apple.unrecognized.device"}, after which the phone removes its
	// management: the one error that may be answered so
	// (https://developer.apple.com/documentation/devicemanagement/errorcodeunrecognizeddevice).
	ErrRetired = errors.New("an admin has retired this enrolment")
)

// Identity is the certificate that signed a message, already verified.
type Identity struct {
	Certificate *x509.Certificate
	Hash        string // lower-case hex SHA-256 of the DER
}

// Authenticate is the first check-in message of an enrolment
// (https://developer.apple.com/documentation/devicemanagement/authenticate).
type Authenticate struct {
	Topic        string
	UDID         string // upper case; EnrollmentID for account-driven enrolments, which this release refuses
	OSVersion    string
	BuildVersion string
	ProductName  string
	SerialNumber string
	DeviceName   string
	Model        string
}

// TokenUpdate carries the push token
// (https://developer.apple.com/documentation/devicemanagement/tokenupdate).
type TokenUpdate struct {
	Topic       string
	UDID        string
	Token       []byte
	PushMagic   string
	UnlockToken []byte // may be empty

	AwaitingConfiguration bool // set-up waits until we send DeviceConfigured
}
