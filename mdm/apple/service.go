package apple

import (
	"context"

	"sallyport/mdm"
)

// Admitter decides who may be managed. enroll implements it.
type Admitter interface {
	// Pinned returns the enrolment that is pinned to the certificate with this
	// SHA-256 (lower-case hex), also one that has ended, whose certificate may
	// be revoked. ErrUnknownIdentity when none is. A certificate that was issued
	// to follow the pinned one, and was not used yet, finds the enrolment too; its
	// CertificateHash is still that of the other one then.
	Pinned(ctx context.Context, certificateHash string) (mdm.Enrollment, error)
	// Succeed pins an enrolment that Pinned returned to the certificate that found
	// it: the first use of a new identity. The one before is refused from now on.
	// It returns the enrolment as it is then. ErrUnknownIdentity when another
	// certificate took the place meanwhile.
	Succeed(ctx context.Context, e mdm.Enrollment, identity Identity) (mdm.Enrollment, error)
	// Authenticate admits a phone that shows a certificate of ours: it creates
	// the enrolment, or returns the one that this certificate already has.
	// A refusal changes nothing.
	Authenticate(ctx context.Context, identity Identity, message Authenticate) error
	// TokenUpdate makes the enrolment active, or renews its push token.
	TokenUpdate(ctx context.Context, e mdm.Enrollment, message TokenUpdate) error
	// CheckOut ends the enrolment.
	CheckOut(ctx context.Context, e mdm.Enrollment) error
}

// Planner decides what a phone is told next. enroll implements it.
type Planner interface {
	// Visit is Admitter.Pinned for a phone that asks for its next command:
	// whatever is needed to answer is read at once.
	Visit(ctx context.Context, identity Identity) (Visit, error)
}

// Visit is one message of a phone that tells a result, or asks what to do.
type Visit interface {
	// Enrollment is as Admitter.Pinned would return it, and after Next as it is then.
	Enrollment() mdm.Enrollment
	// Next does what Admitter.Succeed does, where the identity is a new one. It takes note of the contact and returns the next command, whose row is
	// committed before it is returned; nil when there is nothing to do. It is
	// asked once at most.
	Next(ctx context.Context, contact mdm.Contact) (*Order, error)
}

// Order is a command on its way to a phone.
type Order struct {
	ID      mdm.CommandID
	Command Command
}
