package access

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// WebhookEvent names what a webhook may be told of.
type WebhookEvent string

const (
	EventDecisionChanged   WebhookEvent = "decision.changed"
	EventComplianceChanged WebhookEvent = "compliance.changed"
	eventTest              WebhookEvent = "webhook.test"
)

// Webhook is an address that is told of changes.
type Webhook struct {
	ID           string         `json:"id"` // UUIDv7
	URL          string         `json:"url"`
	Events       []WebhookEvent `json:"events"`
	CreatedBy    string         `json:"created_by"`
	CreatedAt    time.Time      `json:"created_at"`
	Position     int64          `json:"position"` // of the feed: up to here, deliveries were made of it
	Failures     int            `json:"failures"` // in a row
	FailingSince time.Time      `json:"failing_since,omitzero"`
	DeliveredAt  time.Time      `json:"delivered_at,omitzero"` // the newest that was taken
	DisabledAt   time.Time      `json:"disabled_at,omitzero"`
	NextAt       time.Time      `json:"next_at,omitzero"`  // nothing is sent before, as the newest was not taken
	Trouble      string         `json:"trouble,omitempty"` // of the newest that was not taken
}

// Delivery is one message that a webhook has not taken yet.
type Delivery struct {
	WebhookID string
	Seq       int64 // of the Change
	Event     WebhookEvent
	DeviceID  DeviceID
	Body      string
	Attempts  int
	CreatedAt time.Time
}

// ErrWebhook says that there is no such webhook.
var ErrWebhook = errors.New("no such webhook")

// WebhookStore keeps webhooks, their secrets sealed. internal/store implements it.
type WebhookStore interface {
	// AddWebhook begins after the newest row of the feed.
	AddWebhook(ctx context.Context, w Webhook, key secret.Value, entry audit.Entry) error
	Webhooks(ctx context.Context) ([]Webhook, error)
	// WebhookSecret returns ErrWebhook when there is none of that ID.
	WebhookSecret(ctx context.Context, id string) (secret.Value, error)
	// RemoveWebhook forgets it and what was not delivered; ErrWebhook.
	RemoveWebhook(ctx context.Context, id string, entry audit.Entry) error
	// SwitchWebhook disables it, forgetting what was not delivered, or lets it begin
	// anew after the newest row of the feed (at is zero); ErrWebhook.
	SwitchWebhook(ctx context.Context, id string, at time.Time, entry audit.Entry) error
}

// DeliveryStore keeps what is to be sent.
type DeliveryStore interface {
	// Enqueue moves the webhook from a position of the feed to another, and adds
	// deliveries; where it stands elsewhere by now, nothing is done.
	Enqueue(ctx context.Context, id string, from, to int64, list []Delivery) error
	// DueDeliveries returns the oldest of each device that is due, of a webhook that is
	// neither disabled nor paused.
	DueDeliveries(ctx context.Context, webhook string, now time.Time, limit int) ([]Delivery, error)
	// Delivered takes it off the list, and ends what was failing.
	Delivered(ctx context.Context, d Delivery, at time.Time) error
	// Undelivered notes another attempt, and when there may be the next: of this one,
	// and of any of the webhook. next is zero: it is given up.
	Undelivered(ctx context.Context, d Delivery, at, next, pause time.Time, trouble string) error
}

const (
	// givenUp is for how long one message is tried, and silent for how long a
	// webhook may take nothing before it is disabled.
	givenUp = 24 * time.Hour
	silent  = 5 * 24 * time.Hour

	maxWebhooks = 20
	maxURL      = 2048
	// deliverAtOnce bounds what one webhook is given at a time, deliverers how much of
	// that at once, and fillAtOnce what is taken from the feed.
	deliverAtOnce = 64
	deliverers    = 4
	fillAtOnce    = 500
)

// Webhooks tells addresses of what the feed says. A device's next message waits
// for the one before; another device's does not. Everything is in storage: it
// survives restarts, and any server goes on where another stopped.
type Webhooks struct {
	Store      WebhookStore
	Deliveries DeliveryStore
	Changes    ChangeStore
	Send       Sender
	Woken      func() <-chan struct{} // closes when there may be something new; may be nil
	Now        func() time.Time
	Log        *slog.Logger
}

// NewWebhook is a Webhook with its secret, which is shown only now.
type NewWebhook struct {
	Webhook
	Secret string `json:"secret"`
}

// Add makes a webhook for the events, or for both where none is named.
func (s *Webhooks) Add(ctx context.Context, address string, events []WebhookEvent) (NewWebhook, error) {
	if len(events) == 0 {
		events = []WebhookEvent{EventComplianceChanged, EventDecisionChanged}
	}
	if err := s.check(ctx, address, events); err != nil {
		return NewWebhook{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return NewWebhook{}, fmt.Errorf("make webhook ID: %w", err)
	}
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // never fails: it stops the program instead
	text := secretPrefix + base64.StdEncoding.EncodeToString(raw)
	w := Webhook{ID: id.String(), URL: address, Events: events, CreatedBy: audit.Actor(ctx), CreatedAt: s.now()}
	entry := audit.New(ctx, w.CreatedAt, "webhook.add", w.ID, audit.Done, "host", hostOf(address))
	if err := s.Store.AddWebhook(ctx, w, secret.New(text), entry); err != nil {
		return NewWebhook{}, fmt.Errorf("add webhook: %w", err)
	}
	return NewWebhook{Webhook: w, Secret: text}, nil
}

func (s *Webhooks) check(ctx context.Context, address string, events []WebhookEvent) error {
	var faults refusal.List
	faults.Add(s.checkURL(address))
	for i, e := range events {
		if e != EventDecisionChanged && e != EventComplianceChanged || slices.Contains(events[:i], e) {
			faults.Add(refusal.New(ErrInvalid, "events", "is not an event, or stands there twice", "use decision.changed, compliance.changed, or both"))
		}
	}
	if err := faults.OrNil(); err != nil {
		return fmt.Errorf("add webhook: %w", err)
	}
	list, err := s.Store.Webhooks(ctx)
	if err != nil {
		return fmt.Errorf("add webhook: %w", err)
	}
	if len(list) >= maxWebhooks {
		return refusal.New(ErrInvalid, "url", fmt.Sprintf("would be webhook %d", len(list)+1), fmt.Sprintf("there may be %d: remove one first", maxWebhooks))
	}
	return nil
}

func (s *Webhooks) checkURL(address string) *refusal.Error {
	u, err := url.Parse(address)
	switch {
	case err != nil || len(address) > maxURL || u.Hostname() == "" || u.Fragment != "":
		return refusal.New(ErrInvalid, "url", "is not the address of a web page", "for example https://siem.example.com/sallyport")
	case u.User != nil:
		return refusal.New(ErrInvalid, "url", "holds a user name", "the receiver knows us by the signature")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return refusal.New(ErrInvalid, "url", "does not begin with https://", "give the receiver a certificate")
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !s.Send.Private && !public(ip) {
		return refusal.New(ErrInvalid, "url", "is an address of a private network", "set webhook_private: true if that is meant")
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// hostOf is what of an address may stand in logs and trails: paths hold keys.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// List returns all webhooks, the oldest first.
func (s *Webhooks) List(ctx context.Context) ([]Webhook, error) { return s.Store.Webhooks(ctx) }

// Remove ends one; what it has not taken is forgotten.
func (s *Webhooks) Remove(ctx context.Context, id string) error {
	return s.Store.RemoveWebhook(ctx, id, audit.New(ctx, s.now(), "webhook.remove", id, audit.Done))
}

// Enable lets one begin anew that was disabled. What happened meanwhile it reads
// from the feed.
func (s *Webhooks) Enable(ctx context.Context, id string) error {
	return s.Store.SwitchWebhook(ctx, id, time.Time{}, audit.New(ctx, s.now(), "webhook.enable", id, audit.Done))
}

// Test sends a message that says nothing, and returns what became of it: an empty
// trouble means that it was taken.
func (s *Webhooks) Test(ctx context.Context, id string) (trouble string, err error) {
	list, err := s.Store.Webhooks(ctx)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(list, func(w Webhook) bool { return w.ID == id })
	if i < 0 {
		return "", ErrWebhook
	}
	body, err := message(eventTest, s.now(), struct{}{})
	if err != nil {
		return "", err
	}
	return s.attempt(ctx, list[i], Delivery{WebhookID: id, Seq: s.now().UnixMicro(), Event: eventTest, Body: body})
}

// attempt sends a message once.
func (s *Webhooks) attempt(ctx context.Context, w Webhook, d Delivery) (trouble string, err error) {
	key, err := s.Store.WebhookSecret(ctx, w.ID)
	if err != nil {
		return "", err
	}
	id := "msg_" + w.ID + "_" + strconv.FormatInt(d.Seq, 10) + "_" + string(d.Event)
	if err := s.Send.Post(ctx, w.URL, key, id, s.now(), d.Body); err != nil {
		return err.Error(), nil
	}
	return "", nil
}

// message is a body as Standard Webhooks suggests it.
func message(e WebhookEvent, at time.Time, data any) (string, error) {
	text, err := json.Marshal(struct {
		Type      WebhookEvent `json:"type"`
		Timestamp time.Time    `json:"timestamp"`
		Data      any          `json:"data"`
	}{e, at, data})
	return string(text), err
}

func (s *Webhooks) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }
