package apns

import (
	"net/http"
	"time"
)

// Outcome says what a push that was tried means for whoever sent it.
type Outcome string

const (
	Accepted       Outcome = "accepted"        // the service took it; that is all one ever learns
	Dead           Outcome = "dead"            // the token is no more: the phone un-enrolled, or was erased
	WrongTopic     Outcome = "wrong_topic"     // the token belongs to another push certificate
	BadCertificate Outcome = "bad_certificate" // no push of ours will pass before the certificate is mended
	Later          Outcome = "later"           // nothing is wrong with this push: try again
	Refused        Outcome = "refused"         // this push will never pass as it is
)

// Outcomes are all there are.
func Outcomes() []Outcome {
	return []Outcome{Accepted, Dead, WrongTopic, BadCertificate, Later, Refused}
}

// Reasons of our own, beside those in Apple's words.
const (
	ReasonUnreachable   = "Unreachable"   // no connection, or it broke
	ReasonNoCertificate = "NoCertificate" // there is no push certificate
	ReasonNoToken       = "NoToken"       // there is nothing to send to
	ReasonUnreadable    = "Unreadable"    // the answer was not one of Apple's
	// ReasonCertificateRefused: the service ended the handshake because of our certificate.
	ReasonCertificateRefused = "CertificateRefused"
)

// Result is what became of one push.
type Result struct {
	Outcome      Outcome
	Status       int           // HTTP; 0 when there was no answer
	Reason       string        // in Apple's word, or one of ours
	APNSID       string        // as the service names this push; for Apple's support
	RetryAfter   time.Duration // how long the service wants to be left alone; 0: it did not say
	InvalidSince time.Time     // Dead: when the service learned that the token is no more; zero: it did not say
}

// Everyone reports whether the same would happen to every other push now.
func (r Result) Everyone() bool {
	return r.Outcome == BadCertificate || r.Outcome == Later && r.Status != http.StatusTooManyRequests
}

// outcome reads an answer
// (https://developer.apple.com/documentation/usernotifications/handling-notification-responses-from-apns).
// BadDeviceToken (400) is no death: it also says that a token is of the other
// environment, or that we garbled it, and only 410 is said of a token that was
// good once.
func outcome(status int, reason string) Outcome {
	switch reason {
	case "DeviceTokenNotForTopic", "TopicDisallowed", "BadTopic":
		return WrongTopic
	case "IdleTimeout":
		return Later
	}
	switch status {
	case http.StatusOK:
		return Accepted
	case http.StatusGone:
		return Dead
	case http.StatusForbidden:
		return BadCertificate
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return Later
	}
	return Refused
}
