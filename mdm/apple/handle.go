package apple

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/mdm"
)

// Service answers what phones send to the one MDM address, check-in messages
// and command polls alike.
type Service struct {
	Admitter Admitter
	Planner  Planner
	Trust    func() cms.Trust // our roots and intermediates; time and usage are set here
	Audit    audit.Log        // refusals
	Now      func() time.Time // nil means time.Now
	Log      *slog.Logger     // nil means no log
}

// Request is one message, before anything of it is believed.
type Request struct {
	Body      []byte
	Signature string // the Mdm-Signature header
	// Certificate is what the phone has shown for its connection, and proven to
	// hold the key of; nil when none. Nothing else of it is known.
	Certificate *x509.Certificate
	RemoteAddr  string // for the audit trail only
}

// Handle answers one message. An empty body means a zero-byte 200. An error
// that Refused holds for is a 400: an audit row was written and nothing was
// changed. ErrRetired, also with its row, is the 403 that un-enrols a phone.
// Every other error is a 503, after which a phone tries again. Nothing else that
// happens here may become a 401 or a 403: a phone would un-enrol itself.
func (s *Service) Handle(ctx context.Context, r Request) ([]byte, error) {
	t := &trail{action: "mdm.message"}
	body, err := s.handle(ctx, r, t)
	if err != nil && (Refused(err) || errors.Is(err, ErrRetired)) {
		s.refused(ctx, r, t, err)
	}
	return body, err
}

// Refused reports whether an error of Handle refuses the message; any other
// error is trouble of our own.
func Refused(err error) bool {
	return errors.Is(err, ErrMalformed) || errors.Is(err, ErrUnauthenticated) ||
		errors.Is(err, ErrUnknownIdentity) || len(refusal.All(err)) > 0
}

// trail remembers what is known of a message by the time it is refused.
type trail struct {
	action     string
	enrollment mdm.EnrollmentID
	hash       string
}

func (s *Service) handle(ctx context.Context, r Request, t *trail) ([]byte, error) {
	identity, err := s.authenticate(r)
	if err != nil {
		return nil, err
	}
	t.hash = identity.Hash
	ctx = audit.WithActor(ctx, "phone:"+identity.Hash)
	m, k, err := decode(r.Body)
	if err != nil {
		return nil, err
	}
	if k == kindCheckin && m.MessageType == "Authenticate" {
		t.action = "mdm.authenticate"
		message, err := m.authenticate()
		if err != nil {
			return nil, err
		}
		return nil, s.Admitter.Authenticate(ctx, identity, message)
	}
	if k == kindCheckin {
		e, err := s.Admitter.Pinned(ctx, identity.Hash)
		if err != nil {
			return nil, err
		}
		if ctx, err = t.belongs(ctx, e, m); err != nil {
			return nil, err
		}
		if e.State == mdm.Retired {
			return nil, retired(m)
		}
		return nil, s.checkin(ctx, e, identity, m, t)
	}
	v, err := s.Planner.Visit(ctx, identity)
	if err != nil {
		return nil, err
	}
	if ctx, err = t.belongs(ctx, v.Enrollment(), m); err != nil {
		return nil, err
	}
	if v.Enrollment().State == mdm.Retired {
		return nil, retired(m)
	}
	return s.poll(ctx, v, m, t)
}

// belongs refuses a message of another phone than the one that its certificate
// is pinned to. From here on the trail, and the context, name the enrolment.
func (t *trail) belongs(ctx context.Context, e mdm.Enrollment, m message) (context.Context, error) {
	t.enrollment = e.ID
	if !strings.EqualFold(m.UDID, e.UDID) {
		return nil, refusal.New(ErrUnauthenticated, "UDID", "is not the phone that this identity certificate belongs to", "")
	}
	return audit.WithActor(ctx, "phone:"+string(e.ID)), nil
}

// retired answers the phone of an enrolment that an admin has ended: it shall
// leave, unless it says that it just did.
func retired(m message) error {
	if m.MessageType == "CheckOut" {
		return nil
	}
	return ErrRetired
}

// checkin answers the check-in messages of an enrolment on record.
func (s *Service) checkin(ctx context.Context, e mdm.Enrollment, identity Identity, m message, t *trail) error {
	if m.Topic != e.Topic {
		return malformed("Topic", "is not the push topic of this enrolment")
	}
	switch m.MessageType {
	case "TokenUpdate":
		t.action = "mdm.token_update"
		update, err := m.tokenUpdate()
		if err != nil {
			return err
		}
		if e, err = s.current(ctx, e, identity); err != nil {
			return err
		}
		return s.Admitter.TokenUpdate(ctx, e, update)
	case "CheckOut":
		t.action = "mdm.check_out"
		e, err := s.current(ctx, e, identity)
		if err != nil {
			return err
		}
		return s.Admitter.CheckOut(ctx, e)
	case "DeclarativeManagement", "GetBootstrapToken", "GetToken", "ReturnToService", "SetBootstrapToken", "UserAuthenticate":
		return malformed("MessageType", m.MessageType+" is not supported")
	}
	return malformed("MessageType", "is not a check-in message that we know")
}

// current is the enrolment pinned to the identity that its phone has shown, which
// may be the first use of a new one.
func (s *Service) current(ctx context.Context, e mdm.Enrollment, identity Identity) (mdm.Enrollment, error) {
	if e.CertificateHash == identity.Hash || !e.State.Active() {
		return e, nil
	}
	return s.Admitter.Succeed(ctx, e, identity)
}

// poll takes note of a result and answers with the next command. An enrolment
// that has ended, has not begun, or is held, is told nothing and never refused.
func (s *Service) poll(ctx context.Context, v Visit, m message, t *trail) ([]byte, error) {
	t.action = "mdm.poll"
	contact, err := m.contact(s.now())
	if err != nil {
		return nil, err
	}
	if !v.Enrollment().State.Active() {
		return nil, nil
	}
	if contact.Status == mdm.StatusAcknowledged && contact.Result.IsZero() {
		s.log().InfoContext(ctx, "result too large to be kept", logkey.Enrollment, t.enrollment, logkey.Command, contact.CommandID, "bytes", len(m.body))
	}
	order, err := v.Next(ctx, contact)
	if err != nil || order == nil {
		return nil, err
	}
	return s.send(ctx, v.Enrollment(), *order) // its rights may be others by now
}

// send encodes a command. It is the last of three locks on EraseDevice: whatever
// the rooms above decided, none leaves for an enrolment that may not be erased,
// and the phone is told nothing.
func (s *Service) send(ctx context.Context, e mdm.Enrollment, o Order) ([]byte, error) {
	dict, err := dictionary(o.Command)
	if err != nil {
		return nil, fmt.Errorf("enrolment %s: encode command: %w", e.ID, err)
	}
	requestType := o.Command.RequestType()
	if erases(dict) && !e.MayErase() {
		s.log().ErrorContext(ctx, "EraseDevice held back", logkey.Enrollment, e.ID, logkey.Command, o.ID, logkey.RequestType, requestType)
		s.append(ctx, audit.New(ctx, s.now(), "mdm.command", string(e.ID), audit.Refused,
			"reason", "EraseDevice is for corporate devices whose enrolment granted the right to erase", "command", string(o.ID)))
		return nil, nil
	}
	body, err := marshal(o.ID, dict)
	if err != nil {
		return nil, fmt.Errorf("enrolment %s: %w", e.ID, err)
	}
	s.log().DebugContext(ctx, "command sent", logkey.Enrollment, e.ID, logkey.Command, o.ID, logkey.RequestType, requestType)
	return body, nil
}

// refused leaves an audit row, also for a caller who has hung up meanwhile. One
// that cannot be written is logged: the refusal stands either way.
func (s *Service) refused(ctx context.Context, r Request, t *trail, err error) {
	target, actor := string(t.enrollment), "phone:"+string(t.enrollment)
	if target == "" {
		target, actor = t.hash, "address:"+r.RemoteAddr
	}
	s.append(ctx, audit.New(audit.WithActor(ctx, actor), s.now(), t.action, target, audit.Refused,
		"reason", reason(err), "address", r.RemoteAddr))
}

func (s *Service) append(ctx context.Context, entry audit.Entry) {
	ctx = context.WithoutCancel(ctx)
	if failure := s.Audit.Append(ctx, entry); failure != nil {
		s.log().ErrorContext(ctx, "audit row of a refusal not written", logkey.Error, failure)
	}
}

// reason is the refusal in words of ours: the texts of libraries may quote what
// the sender chose.
func reason(err error) string {
	if all := refusal.All(err); len(all) > 0 {
		return strings.TrimSpace(all[0].Field + " " + all[0].Reason)
	}
	for _, known := range []error{
		cms.ErrMalformed, cms.ErrSignature, cms.ErrUntrusted, cms.ErrUnsupported,
		ErrMalformed, ErrUnauthenticated, ErrUnknownIdentity, ErrRetired,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "refused"
}

func (s *Service) now() time.Time {
	if s.Now == nil {
		return time.Now().UTC().Truncate(time.Microsecond)
	}
	return s.Now().UTC().Truncate(time.Microsecond)
}

func (s *Service) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}
