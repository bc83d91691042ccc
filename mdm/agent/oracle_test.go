package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/micromdm/nanomdm/cryptoutil"
	nano "github.com/micromdm/nanomdm/mdm"
	"howett.net/plist"

	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// secondOpinion stands between a phone and our own service: nanomdm, written by
// others, decodes every message, verifies its signature and decodes every
// command, and must understand what we understand.
type secondOpinion struct {
	t       testing.TB
	service *apple.Service
	fake    http.RoundTripper // everything but MDM

	mu       sync.Mutex
	identity mdm.Enrollment
	orders   []apple.Order // waiting
	contact  mdm.Contact   // the last one, as our service reads it
	token    apple.TokenUpdate
	seen     map[string]int // check-in messages, statuses, commands
}

func newSecondOpinion(t testing.TB, f *fakeServer) *secondOpinion {
	t.Helper()
	o := &secondOpinion{t: t, fake: f.http.Client().Transport, seen: map[string]int{}}
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.root)
	o.service = &apple.Service{Admitter: o, Planner: o, Audit: o, Trust: func() cms.Trust { return cms.Trust{Roots: roots} }}
	return o
}

// Append implements audit.Log: a phone of ours is never refused.
func (o *secondOpinion) Append(_ context.Context, e audit.Entry) error {
	o.t.Errorf("refused: %+v", e)
	return nil
}

func (*secondOpinion) List(context.Context, audit.Filter) ([]audit.Entry, error) { return nil, nil }

func (o *secondOpinion) Pinned(_ context.Context, hash string) (mdm.Enrollment, error) {
	if hash != o.identity.CertificateHash {
		return mdm.Enrollment{}, apple.ErrUnknownIdentity
	}
	return o.identity, nil
}

func (o *secondOpinion) Succeed(_ context.Context, e mdm.Enrollment, _ apple.Identity) (mdm.Enrollment, error) {
	return e, nil
}

func (o *secondOpinion) Authenticate(_ context.Context, id apple.Identity, a apple.Authenticate) error {
	o.identity = mdm.Enrollment{ID: "E", State: mdm.Authenticated, UDID: a.UDID, Topic: a.Topic, CertificateHash: id.Hash,
		Ownership: mdm.Corporate, AccessRights: 7999}
	return nil
}

func (o *secondOpinion) TokenUpdate(_ context.Context, _ mdm.Enrollment, u apple.TokenUpdate) error {
	o.identity.State, o.token = mdm.Enrolled, u
	return nil
}

func (o *secondOpinion) CheckOut(context.Context, mdm.Enrollment) error {
	o.identity.State = mdm.CheckedOut
	return nil
}

func (o *secondOpinion) Visit(ctx context.Context, id apple.Identity) (apple.Visit, error) {
	if _, err := o.Pinned(ctx, id.Hash); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *secondOpinion) Enrollment() mdm.Enrollment { return o.identity }

func (o *secondOpinion) Next(_ context.Context, c mdm.Contact) (*apple.Order, error) {
	o.contact = c
	if len(o.orders) == 0 {
		return nil, nil
	}
	next := o.orders[0]
	o.orders = o.orders[1:]
	return &next, nil
}

func (o *secondOpinion) order(commands ...apple.Command) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range commands {
		o.orders = append(o.orders, apple.Order{ID: mdm.CommandID(fmt.Sprintf("C%d", len(o.orders))), Command: c})
	}
}

// RoundTrip implements http.RoundTripper.
func (o *secondOpinion) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/mdm" {
		return o.fake.RoundTrip(r)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	signature := r.Header.Get("Mdm-Signature")
	answer, err := o.service.Handle(r.Context(), apple.Request{Body: body, Signature: signature, RemoteAddr: "192.0.2.1"})
	if err != nil {
		o.t.Errorf("our service: %v", err)
	}
	o.signer(signature, body)
	if r.Header.Get("Content-Type") == checkInType {
		o.checkin(body)
	} else {
		o.result(body)
	}
	if len(answer) > 0 {
		o.command(answer)
	}
	return &http.Response{StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		ContentLength: int64(len(answer)), Body: io.NopCloser(bytes.NewReader(answer))}, nil
}

func (o *secondOpinion) signer(signature string, body []byte) {
	signer, err := cryptoutil.VerifyMdmSignature(signature, body)
	if err != nil {
		o.t.Errorf("nanomdm: Mdm-Signature: %v", err)
		return
	}
	if sum := sha256.Sum256(signer.Raw); hex.EncodeToString(sum[:]) != o.identity.CertificateHash {
		o.t.Error("nanomdm sees another signer than we do")
	}
	if _, err := cryptoutil.VerifyMdmSignature(signature, append(slices.Clone(body), ' ')); err == nil {
		o.t.Error("the signature fits another body too")
	}
}

func (o *secondOpinion) checkin(body []byte) {
	message, err := nano.DecodeCheckin(body)
	if err != nil {
		o.t.Errorf("nanomdm: check-in: %v", err)
		return
	}
	var who nano.Enrollment
	var kind, topic string
	switch m := message.(type) {
	case *nano.Authenticate:
		who, kind, topic = m.Enrollment, m.MessageType.MessageType, m.Topic
	case *nano.TokenUpdate:
		who, kind, topic = m.Enrollment, m.MessageType.MessageType, m.Topic
		if !bytes.Equal(m.Token, o.token.Token) || m.PushMagic != o.token.PushMagic || !bytes.Equal(m.UnlockToken, o.token.UnlockToken) {
			o.t.Error("nanomdm reads other tokens than we do")
		}
	case *nano.CheckOut:
		who, kind, topic = m.Enrollment, m.MessageType.MessageType, o.identity.Topic
	default:
		o.t.Errorf("nanomdm reads a %T", message)
	}
	o.device(who)
	o.seen[kind]++
	if topic != o.identity.Topic {
		o.t.Errorf("nanomdm reads topic %q", topic)
	}
}

func (o *secondOpinion) device(who nano.Enrollment) {
	if id := who.Resolved(); id == nil || id.Type != nano.Device || id.DeviceChannelID != o.identity.UDID || id.Validate() != nil {
		o.t.Errorf("nanomdm reads enrolment %+v", id)
	}
}

func (o *secondOpinion) result(body []byte) {
	result, err := nano.DecodeCommandResults(body)
	if err != nil {
		o.t.Errorf("nanomdm: result: %v", err)
		return
	}
	o.device(result.Enrollment)
	o.seen[result.Status]++
	if string(o.contact.Status) != result.Status || string(o.contact.CommandID) != result.CommandUUID || len(o.contact.Errors) != len(result.ErrorChain) {
		o.t.Errorf("nanomdm reads %s of %s, %v; we read %+v", result.Status, result.CommandUUID, result.ErrorChain, o.contact)
		return
	}
	for i, link := range result.ErrorChain {
		if ours := o.contact.Errors[i]; ours.Code != link.ErrorCode || ours.Domain != link.ErrorDomain || !strings.HasPrefix(link.USEnglishDescription, ours.Description) {
			o.t.Errorf("nanomdm reads %+v, we read %+v", link, ours)
		}
	}
}

func (o *secondOpinion) command(answer []byte) {
	command, err := nano.DecodeCommand(answer)
	if err != nil {
		o.t.Errorf("nanomdm: command: %v", err)
		return
	}
	var ours struct {
		CommandUUID string
		Command     struct{ RequestType string }
	}
	if _, err := plist.Unmarshal(answer, &ours); err != nil || ours.CommandUUID != command.CommandUUID || ours.Command.RequestType != command.Command.RequestType {
		o.t.Errorf("nanomdm reads %s %s, we wrote %+v (%v)", command.CommandUUID, command.Command.RequestType, ours, err)
	}
	o.seen[command.Command.RequestType]++
}

// everyCommand is one of each kind that leaves a phone in management.
func everyCommand(t testing.TB, f *fakeServer) []apple.Command {
	t.Helper()
	raw, err := apple.ParseRaw(f.encode(m{"RequestType": "AvailableOSUpdates"}))
	if err != nil {
		t.Fatal(err)
	}
	mail := f.ca.signed(t, f.encode(f.mailProfile("99999999-9999-5999-8999-999999999999", "mail.example.test")))
	return []apple.Command{
		apple.InstallProfile{Payload: mail},
		apple.InstallProfile{Payload: []byte("not a profile")},
		apple.DeviceInformation{Queries: apple.DeviceQueriesFor(7999)}, apple.SecurityInfo{}, apple.ProfileList{},
		apple.ProfileList{ManagedOnly: true}, apple.CertificateList{}, apple.CertificateList{ManagedOnly: true},
		apple.InstalledApplicationList{}, apple.InstalledApplicationList{ManagedAppsOnly: true, Identifiers: []string{"a"}, Items: []string{"Name"}},
		apple.ManagedApplicationList{}, apple.ManagedApplicationList{Identifiers: []string{"a"}},
		apple.Restrictions{}, apple.Restrictions{ProfileRestrictions: true},
		apple.Settings{DeviceName: "Alice's phone"}, apple.DeviceConfigured{}, raw,
		apple.RemoveProfile{Identifier: "test.example.mail"}, apple.RemoveProfile{Identifier: "test.example.none"},
		apple.DeviceLock{Message: "Found? <&> ümläut", PhoneNumber: "+49 30 1"}, // last: a locked phone puts most things off
	}
}

// listenedTo enrols a phone while nanomdm listens.
func listenedTo(t testing.TB) (*Phone, *fakeServer, *secondOpinion) {
	t.Helper()
	f := newFakeServer(t)
	o := newSecondOpinion(t, f)
	p, _ := newPhone(t, f, func(options *Options) { options.HTTP = &http.Client{Transport: o} })
	if err := p.Enroll(t.Context(), f.invitation()); err != nil {
		t.Fatal(err)
	}
	return p, f, o
}

// TestSecondOpinion: nanomdm reads every message of a phone's life, and every
// command, as we do.
func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	p, f, o := listenedTo(t)
	if err := p.Set("supervised=yes"); err != nil {
		t.Fatal(err)
	}
	commands := everyCommand(t, f)
	o.order(commands...)
	o.order(apple.ClearPasscode{UnlockToken: secret.New(string(o.token.UnlockToken))})
	if err := p.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Set("locked=on"); err != nil {
		t.Fatal(err)
	}
	o.order(commands[0])
	if err := p.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Unenroll(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range append(commands, apple.ClearPasscode{}) {
		if o.seen[c.RequestType()] == 0 {
			t.Errorf("%s never reached the phone", c.RequestType())
		}
	}
	for _, name := range []string{"Authenticate", "TokenUpdate", "CheckOut", statusIdle, statusAcknowledged, statusError, statusNotNow} {
		if o.seen[name] == 0 {
			t.Errorf("the phone never said %s", name)
		}
	}
}

// TestSecondOpinionOfTheEnd: a phone that is erased, or whose management is removed.
func TestSecondOpinionOfTheEnd(t *testing.T) {
	t.Parallel()
	for _, last := range []apple.Command{apple.EraseDevice{PreserveDataPlan: true}, apple.RemoveProfile{Identifier: "test.example.enrol"}} {
		t.Run(last.RequestType(), func(t *testing.T) {
			t.Parallel()
			p, _, o := listenedTo(t)
			o.order(last)
			if err := p.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if o.seen[last.RequestType()] != 1 || o.seen[statusAcknowledged]+o.seen[statusError] != 1 {
				t.Errorf("got %v", o.seen)
			}
		})
	}
}
