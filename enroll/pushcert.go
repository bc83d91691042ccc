package enroll

import (
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// pushFresh is how long the push certificate that was read counts: an import
// through another process on the same database is known after that.
const pushFresh = 5 * time.Second

// Pusher keeps the push certificate and tells what push can do. It is safe for
// concurrent use.
type Pusher struct {
	Keys         certs.KeyStore
	Wakes        WakeStore
	Pushes       PushStore
	Devices      DeviceStore
	Sender       Sender           // for Send
	Placeholder  string           // topic until a certificate is imported
	Organization string           // in the name of a request
	Changed      func()           // called when another certificate counts than before; may be nil
	Now          func() time.Time // nil means time.Now
	Log          *slog.Logger     // nil means no log

	mu     sync.Mutex
	held   pushKeys
	readAt time.Time
}

// pushKeys is what the key store holds for push.
type pushKeys struct {
	certificate apns.Certificate // the newest; zero when there is none
	key         crypto.Signer    // its key
	keys        []crypto.Signer  // of all requests and certificates
	requestedAt time.Time        // of the newest request
}

func (k pushKeys) there() bool { return k.certificate.Certificate != nil }

// fingerprint names the certificate.
func (k pushKeys) fingerprint() string {
	if !k.there() {
		return ""
	}
	sum := sha256.Sum256(k.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

// read returns what counts now. While the store is away that is what was read
// last; only who never read anything gets an error.
func (p *Pusher) read(ctx context.Context) (pushKeys, error) {
	p.mu.Lock()
	held, at, now := p.held, p.readAt, p.now()
	p.mu.Unlock()
	if age := now.Sub(at); !at.IsZero() && age >= 0 && age < pushFresh {
		return held, nil
	}
	fresh, err := p.load(ctx)
	if err == nil {
		p.take(fresh, now)
		return fresh, nil
	}
	if at.IsZero() {
		return pushKeys{}, err
	}
	p.log().WarnContext(ctx, "push certificate cannot be read again", slog.Any(logkey.Error, err))
	p.take(held, now) // the next one to ask need not wait for the store again
	return held, nil
}

func (p *Pusher) load(ctx context.Context) (pushKeys, error) {
	records, err := p.Keys.Keys(ctx)
	if err != nil {
		return pushKeys{}, fmt.Errorf("read push certificate: %w", err)
	}
	return parsePushKeys(records)
}

// take puts keys to use.
func (p *Pusher) take(held pushKeys, now time.Time) {
	p.mu.Lock()
	changed := !p.readAt.IsZero() && held.fingerprint() != p.held.fingerprint()
	p.held, p.readAt = held, now
	p.mu.Unlock()
	if changed && p.Changed != nil {
		p.Changed()
	}
}

func parsePushKeys(records []certs.KeyRecord) (pushKeys, error) {
	var held pushKeys
	for _, r := range records { // newest first within a role
		if r.Role != certs.RolePush && r.Role != certs.RolePushRequest {
			continue
		}
		parsed, err := x509.ParsePKCS8PrivateKey(r.Key)
		if err != nil {
			return held, fmt.Errorf("read %s key: not PKCS#8", r.Role)
		}
		key, ok := parsed.(crypto.Signer)
		if !ok {
			return held, fmt.Errorf("read %s key: a %T does not sign", r.Role, parsed)
		}
		held.keys = append(held.keys, key)
		switch {
		case r.Role == certs.RolePushRequest && r.CreatedAt.After(held.requestedAt):
			held.requestedAt = r.CreatedAt
		case r.Role == certs.RolePush && !held.there():
			if held.certificate, err = apns.Parse(r.Certificate); err != nil {
				return held, fmt.Errorf("read push certificate: %w", err)
			}
			held.key = key
		}
	}
	return held, nil
}

// Load reads the push certificate for the first time.
func (p *Pusher) Load(ctx context.Context) error {
	_, err := p.read(ctx)
	return err
}

// Topic is what goes into enrolment profiles: the push certificate's, also when
// that has expired, as its renewal has the same; or the placeholder.
func (p *Pusher) Topic() (topic string, placeholder bool) {
	// Whoever asks has no context; the store has time limits of its own.
	held, err := p.read(context.Background())
	if err != nil || !held.there() {
		return p.Placeholder, true
	}
	return held.certificate.Topic, false
}

// Current is Waker.Topic: the topic, and which certificate it is of; empty
// while there is none that is valid.
func (p *Pusher) Current(ctx context.Context) (topic, certificate string) {
	held, err := p.read(ctx)
	if err != nil || !held.there() || !p.now().Before(held.certificate.NotAfter) {
		return "", ""
	}
	return held.certificate.Topic, held.fingerprint()
}

// Identity is apns.Client.Identity.
func (p *Pusher) Identity(ctx context.Context) (tls.Certificate, error) {
	held, err := p.read(ctx)
	if err != nil {
		return tls.Certificate{}, err
	}
	if !held.there() {
		return tls.Certificate{}, apns.ErrNoCertificate
	}
	return tls.Certificate{Certificate: [][]byte{held.certificate.Raw}, PrivateKey: held.key, Leaf: held.certificate.Certificate}, nil
}

// Request makes a key and returns a certificate request for it in PEM. The key
// stays here, sealed. Earlier requests stay good: whichever of them Apple
// answers can be imported.
func (p *Pusher) Request(ctx context.Context) ([]byte, error) {
	key, request, err := apns.NewRequest(p.Organization)
	if err != nil {
		return nil, err
	}
	if err := p.save(ctx, certs.RolePushRequest, request, key, "push.request"); err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: request}), nil
}

// save adds a record, and counts it at once.
func (p *Pusher) save(ctx context.Context, role string, der []byte, key crypto.Signer, action string, detail ...string) error {
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encode push key: %w", err)
	}
	now := p.now()
	sum := sha256.Sum256(der)
	record := certs.KeyRecord{Role: role, Certificate: der, Key: encoded, CreatedAt: now}
	entry := audit.New(ctx, now, action, "push", audit.Done, append(detail, "sha256", hex.EncodeToString(sum[:]))...)
	if err := p.Keys.SaveKeys(ctx, []certs.KeyRecord{record}, entry); err != nil {
		return fmt.Errorf("save push key: %w", err)
	}
	held, err := p.load(ctx)
	if err != nil {
		return err
	}
	p.take(held, now)
	return nil
}

// PushImport is a push certificate on its way in.
type PushImport struct {
	Certificate  []byte // PEM or DER, as identity.apple.com gave it
	ReplaceTopic int    // how many phones its importer means to lose; they must enrol again
	DryRun       bool   // check only
}

// Import checks a push certificate and puts it to use at once. What phones hold
// decides: one with another topic than theirs would lose them, and nobody would
// be told.
func (p *Pusher) Import(ctx context.Context, in PushImport) (PushStatus, error) {
	c, err := apns.Parse(in.Certificate)
	if err != nil {
		return PushStatus{}, err
	}
	held, err := p.read(ctx)
	if err != nil {
		return PushStatus{}, err
	}
	key, err := c.Fits(held.keys, p.now())
	if err != nil {
		return PushStatus{}, err
	}
	if held.there() && c.Topic == held.certificate.Topic && c.NotAfter.Before(held.certificate.NotAfter) {
		return PushStatus{}, refusal.New(apns.ErrInvalid, "certificate",
			"is older than the one in use, which ends on "+held.certificate.NotAfter.UTC().Format(time.DateOnly), "import the newest file of identity.apple.com")
	}
	fleet, err := p.Wakes.PushState(ctx, c.Topic)
	if err != nil {
		return PushStatus{}, fmt.Errorf("count phones by topic: %w", err)
	}
	if err := replaces(c.Topic, fleet.OtherTopic, in.ReplaceTopic); err != nil {
		return PushStatus{}, err
	}
	next := pushKeys{certificate: c, key: key, keys: held.keys, requestedAt: held.requestedAt}
	if !in.DryRun && next.fingerprint() != held.fingerprint() {
		if err := p.save(ctx, certs.RolePush, c.Raw, key, "push.import", "topic", c.Topic, "lost", fmt.Sprint(fleet.OtherTopic)); err != nil {
			return PushStatus{}, err
		}
	}
	return p.status(next, fleet), nil
}

// replaces refuses a topic that enrolled phones do not hold, unless the number
// of those that are lost was given.
func replaces(topic string, lost, accepted int) error {
	if lost == accepted {
		return nil
	}
	if lost == 0 {
		return refusal.New(ErrConflict, "replace_topic", "no enrolled phone holds another topic, so none would be lost", "leave it out")
	}
	phones := fmt.Sprintf("%d enrolled phones hold", lost)
	if lost == 1 {
		phones = "1 enrolled phone holds"
	}
	return refusal.New(ErrConflict, "certificate",
		fmt.Sprintf("its topic is %s, but %s another: no push would reach them ever again, and Apple would not say so", topic, phones),
		fmt.Sprintf("in identity.apple.com renew the entry that they were enrolled under, with the account that made it, and import that. To give them up, so that each must be enrolled anew: --replace-topic %d", lost))
}

// Send wakes one phone now, whatever is due, and has it tell everything anew when
// it comes, however fresh that is. What fails for a while is tried again by the Waker.
func (p *Pusher) Send(ctx context.Context, id mdm.DeviceID) (apns.Result, error) {
	row, err := p.Devices.DeviceByID(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return apns.Result{}, refusal.New(ErrNotFound, "id", "no such device", "see: sallyport device list")
	}
	if err != nil {
		return apns.Result{}, fmt.Errorf("look up device %s: %w", id, err)
	}
	if err := p.reachable(ctx, row.Enrollment); err != nil {
		return apns.Result{}, err
	}
	push, err := p.Pushes.Push(ctx, row.Enrollment.ID)
	if err != nil {
		return apns.Result{}, fmt.Errorf("push to device %s: %w", id, err)
	}
	if err := p.Pushes.RequestReport(ctx, row.Enrollment.ID, p.now()); err != nil {
		return apns.Result{}, fmt.Errorf("ask for a report of device %s: %w", id, err)
	}
	r := p.Sender.Push(ctx, push)
	if r.Outcome != apns.Accepted {
		if _, err := p.Wakes.RequestWake(ctx, []mdm.EnrollmentID{row.Enrollment.ID}, p.now()); err != nil {
			return r, fmt.Errorf("ask for another push to device %s: %w", id, err)
		}
	}
	return r, nil
}

// reachable refuses a push that could not arrive.
func (p *Pusher) reachable(ctx context.Context, e mdm.Enrollment) error {
	topic, certificate := p.Current(ctx)
	const again = "remove the management profile from the phone and enrol it again with a new invitation"
	switch {
	case !e.State.Active():
		return refusal.New(ErrConflict, "id", "this phone is not enrolled (any more)", "invite its user again")
	case e.PollOnly:
		return refusal.New(ErrConflict, "id", "this phone enrolled before a push certificate was imported, so no push can ever reach it", again)
	case certificate == "":
		return refusal.New(ErrConflict, "", "there is no valid push certificate", "sallyport push status says what to do; docs/push-certificate.md tells how to get one")
	case e.Topic != topic:
		return refusal.New(ErrConflict, "id", "this phone enrolled under another push certificate's topic, so no push can reach it", again)
	}
	return nil
}

func (p *Pusher) now() time.Time { return moment(p.Now) }

func (p *Pusher) log() *slog.Logger { return logger(p.Log) }
