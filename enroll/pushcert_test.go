package enroll_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/internal/lapse"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// pushWorld is everything beside a Pusher: its stores, and Apple's portal.
type pushWorld struct {
	enroll.WakeStore
	enroll.DeviceStore

	mu      sync.Mutex
	records []certs.KeyRecord
	trail   []audit.Entry
	err     error
	fleet   enroll.PushState
	topic   string // PushState was asked for
	row     enroll.DeviceRow
	pushed  []mdm.Push
	asked   []string // for a report: of whom, and when
	answer  apns.Result
	woken   int
	now     time.Time
	changes int

	issuerKey *rsa.PrivateKey
	issuer    *x509.Certificate
}

func newPushWorld(t *testing.T) (*pushWorld, *enroll.Pusher) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	w := &pushWorld{now: wakeNoon, issuerKey: key, issuer: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test Push CA"}, NotBefore: wakeNoon, NotAfter: wakeNoon.AddDate(9, 0, 0), IsCA: true, BasicConstraintsValid: true,
	}}
	return w, w.pusher()
}

func (w *pushWorld) pusher() *enroll.Pusher {
	return &enroll.Pusher{
		Keys: w, Wakes: w, Pushes: pushData{world: w}, Devices: w, Sender: w, Placeholder: "com.apple.mgmt.External.placeholder",
		Organization: "Example", Changed: func() { w.changes++ }, Now: func() time.Time { return w.now },
	}
}

func (w *pushWorld) Keys(context.Context) ([]certs.KeyRecord, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.records, w.err
}

func (w *pushWorld) SaveKeys(_ context.Context, records []certs.KeyRecord, e audit.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.records, w.trail = append(append([]certs.KeyRecord{}, records...), w.records...), append(w.trail, e)
	}
	return w.err
}

func (w *pushWorld) PushState(_ context.Context, topic string) (enroll.PushState, error) {
	w.topic = topic
	return w.fleet, w.err
}

func (w *pushWorld) RequestWake(_ context.Context, ids []mdm.EnrollmentID, _ time.Time) (int, error) {
	w.woken += len(ids)
	return len(ids), nil
}

func (w *pushWorld) DeviceByID(_ context.Context, id mdm.DeviceID) (enroll.DeviceRow, error) {
	if id != w.row.Device.ID {
		return enroll.DeviceRow{}, enroll.ErrNotFound
	}
	return w.row, nil
}

func (w *pushWorld) Push(_ context.Context, p mdm.Push) apns.Result {
	w.pushed = append(w.pushed, p)
	return w.answer
}

// pushData is a PushStore: its method has the name of Sender's.
type pushData struct {
	enroll.PushStore
	world *pushWorld
}

func (p pushData) RequestReport(_ context.Context, id mdm.EnrollmentID, at time.Time) error {
	p.world.asked = append(p.world.asked, string(id)+" "+at.Format(time.TimeOnly))
	return p.world.err
}

func (pushData) Push(context.Context, mdm.EnrollmentID) (mdm.Push, error) {
	return mdm.Push{Topic: pushTopic, Token: secret.New("token"), Magic: secret.New("magic")}, nil
}

// portal answers a request as identity.apple.com would.
func (w *pushWorld) portal(t *testing.T, request []byte, topic string, end time.Time) []byte {
	t.Helper()
	r, err := apns.ParseRequest(request)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<40))
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, NotBefore: wakeNoon.AddDate(0, 0, -1), NotAfter: end,
		Subject: pkix.Name{ExtraNames: []pkix.AttributeTypeAndValue{{Type: asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}, Value: topic}}},
	}, w.issuer, r.PublicKey, w.issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func request(t *testing.T, p *enroll.Pusher) []byte {
	t.Helper()
	csr, err := p.Request(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func TestFromRequestToCertificate(t *testing.T) {
	t.Parallel()
	w, p := newPushWorld(t)
	if topic, placeholder := p.Topic(); topic != "com.apple.mgmt.External.placeholder" || !placeholder {
		t.Errorf("before: got %s, %t", topic, placeholder)
	}
	if _, err := p.Identity(t.Context()); !errors.Is(err, apns.ErrNoCertificate) {
		t.Errorf("before: got %v", err)
	}
	before, err := p.Status(t.Context())
	if err != nil || before.Ready || len(before.Lacks) != 2 || !strings.Contains(before.Next, "push csr") || w.topic != p.Placeholder {
		t.Errorf("before: got %+v, %v", before, err)
	}
	first, second := request(t, p), request(t, p)
	file := w.portal(t, first, pushTopic, wakeNoon.AddDate(1, 0, 0)) // the earlier one was uploaded
	if s, err := p.Import(t.Context(), enroll.PushImport{Certificate: file, DryRun: true}); err != nil || !s.Ready || s.Topic != pushTopic {
		t.Errorf("dry run: got %+v, %v", s, err)
	}
	if _, placeholder := p.Topic(); !placeholder || w.changes != 0 {
		t.Error("a dry run counts")
	}
	for range 2 { // the second time changes nothing
		s, err := p.Import(t.Context(), enroll.PushImport{Certificate: file})
		if err != nil || !s.Ready || s.Stage != lapse.Fine || s.DaysLeft != 365 || len(s.Lacks) != 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	}
	if topic, placeholder := p.Topic(); topic != pushTopic || placeholder || w.changes != 1 {
		t.Errorf("after: got %s, %t, %d changes", topic, placeholder, w.changes)
	}
	identity, err := p.Identity(t.Context())
	if err != nil || identity.Leaf.Subject.Names[0].Value != pushTopic {
		t.Errorf("after: got %v", err)
	}
	if len(w.trail) != 3 || w.trail[2].Action != "push.import" || w.trail[2].Detail["topic"] != pushTopic {
		t.Errorf("got trail %+v", w.trail)
	}

	// The renewal: another request, the same topic. An older file is refused.
	renewed := w.portal(t, second, pushTopic, wakeNoon.AddDate(2, 0, 0))
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: renewed}); err != nil {
		t.Error(err)
	}
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: file}); !errors.Is(err, apns.ErrInvalid) {
		t.Errorf("an older file: got %v", err)
	}
	for _, r := range w.records {
		if r.Role != certs.RolePush && r.Role != certs.RolePushRequest {
			t.Errorf("wrote a record of %s", r.Role)
		}
	}
}

func TestOtherTopicIsRefused(t *testing.T) {
	t.Parallel()
	w, p := newPushWorld(t)
	file := w.portal(t, request(t, p), pushTopic, wakeNoon.AddDate(1, 0, 0))
	w.fleet = enroll.PushState{Active: 50, PollOnly: 8, OtherTopic: 42}
	for _, accepted := range []int{0, 41, 50, -1} {
		_, err := p.Import(t.Context(), enroll.PushImport{Certificate: file, ReplaceTopic: accepted})
		said := refusal.All(err)
		if !errors.Is(err, enroll.ErrConflict) || len(said) != 1 || !strings.Contains(said[0].Reason, "42 enrolled phones") || !strings.Contains(said[0].Remedy, "--replace-topic 42") {
			t.Errorf("accepting %d: got %v", accepted, err)
		}
	}
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: file, ReplaceTopic: 42}); err != nil {
		t.Error(err)
	}
	if got := w.trail[len(w.trail)-1].Detail["lost"]; got != "42" {
		t.Errorf("the trail says %q phones, want 42", got)
	}
	w.fleet = enroll.PushState{Active: 8, PollOnly: 8} // placeholders do not count
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: file, ReplaceTopic: 3}); !errors.Is(err, enroll.ErrConflict) {
		t.Errorf("giving up phones that nobody loses: got %v", err)
	}
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: file}); err != nil {
		t.Error(err)
	}
}

// Two processes share the store: what one imports the other knows in seconds,
// and while the store is away both go on with what they know.
func TestImportIsKnownElsewhere(t *testing.T) {
	t.Parallel()
	w, here := newPushWorld(t)
	there := w.pusher()
	if err := there.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Import(t.Context(), enroll.PushImport{Certificate: w.portal(t, request(t, here), pushTopic, wakeNoon.AddDate(1, 0, 0))}); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(5 * time.Second)
	if topic, placeholder := there.Topic(); topic != pushTopic || placeholder {
		t.Errorf("after five seconds: got %s, %t", topic, placeholder)
	}
	w.err = errors.New("away")
	w.now = w.now.Add(time.Hour)
	if topic, certificate := there.Current(t.Context()); topic != pushTopic || certificate == "" {
		t.Errorf("without the store: got %q, %q", topic, certificate)
	}
	if topic, placeholder := w.pusher().Topic(); !placeholder || topic == pushTopic {
		t.Errorf("who never read anything: got %s, %t", topic, placeholder)
	}
	if err := w.pusher().Load(t.Context()); !errors.Is(err, w.err) {
		t.Errorf("load: got %v", err)
	}
}

func TestExpiredCertificate(t *testing.T) {
	t.Parallel()
	w, p := newPushWorld(t)
	end := wakeNoon.AddDate(1, 0, 0)
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: w.portal(t, request(t, p), pushTopic, end)}); err != nil {
		t.Fatal(err)
	}
	for left, want := range map[time.Duration]lapse.Stage{59 * 24 * time.Hour: lapse.Days60, 20 * 24 * time.Hour: lapse.Days30, time.Hour: lapse.Days7, 0: lapse.Expired} {
		w.now = end.Add(-left)
		s, err := p.Status(t.Context())
		if err != nil || s.Stage != want || len(s.Lacks) != 1 || !strings.Contains(s.Next, "renew the same entry") || s.Ready != (left > 0) {
			t.Errorf("%s left: got %+v, %v", left, s, err)
		}
	}
	w.now = end
	if _, certificate := p.Current(t.Context()); certificate != "" {
		t.Error("pushes go out under an expired certificate")
	}
	if topic, placeholder := p.Topic(); topic != pushTopic || placeholder {
		t.Errorf("profiles: got %s, %t; its renewal will have the same topic", topic, placeholder)
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	w, p := newPushWorld(t)
	good := enroll.DeviceRow{Device: mdm.Device{ID: "d1"}, Enrollment: mdm.Enrollment{ID: "e1", State: mdm.Configured, Topic: pushTopic}}
	w.row = good
	if _, err := p.Send(t.Context(), "d1"); !errors.Is(err, enroll.ErrConflict) {
		t.Errorf("without a certificate: got %v", err)
	}
	if _, err := p.Import(t.Context(), enroll.PushImport{Certificate: w.portal(t, request(t, p), pushTopic, wakeNoon.AddDate(1, 0, 0))}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Send(t.Context(), "d2"); !errors.Is(err, enroll.ErrNotFound) {
		t.Errorf("an unknown device: got %v", err)
	}
	for name, change := range map[string]func(*mdm.Enrollment){
		"ended":       func(e *mdm.Enrollment) { e.State = mdm.CheckedOut },
		"held":        func(e *mdm.Enrollment) { e.State = mdm.Held },
		"poll-only":   func(e *mdm.Enrollment) { e.PollOnly = true },
		"other topic": func(e *mdm.Enrollment) { e.Topic = "com.apple.mgmt.External.other" },
	} {
		w.row = good
		change(&w.row.Enrollment)
		if _, err := p.Send(t.Context(), "d1"); !errors.Is(err, enroll.ErrConflict) || len(w.pushed) != 0 {
			t.Errorf("%s: got %v", name, err)
		}
	}
	w.row = good
	w.answer = apns.Result{Outcome: apns.Accepted, Status: 200}
	if r, err := p.Send(t.Context(), "d1"); err != nil || r != w.answer || len(w.pushed) != 1 || w.woken != 0 || len(w.asked) != 1 || w.asked[0] != "e1 "+w.now.Format(time.TimeOnly) {
		t.Errorf("got %+v, %v, %d wake-ups, asked %v", r, err, w.woken, w.asked)
	}
	w.answer = apns.Result{Outcome: apns.Later, Status: 503}
	if r, err := p.Send(t.Context(), "d1"); err != nil || r != w.answer || w.woken != 1 {
		t.Errorf("got %+v, %v; want it left to the waker", r, err)
	}
}
