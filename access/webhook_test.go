package access_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/work"
)

// receiver takes messages only as Standard Webhooks 1.0 says, and remembers them.
type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	key    string
	now    func() time.Time
	refuse func(device string) int // status; 0: take it
	seen   map[string]string       // bodies by ID
	told   []string
	got    chan string // may be nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		r.t.Error(err)
	}
	id, stamp := req.Header.Get("webhook-id"), req.Header.Get("webhook-timestamp")
	at, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || r.now().Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		r.t.Errorf("timestamp %q", stamp)
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(r.key, "whsec_"))
	if err != nil || len(key) < 24 || len(key) > 64 || !strings.HasPrefix(r.key, "whsec_") {
		r.t.Errorf("secret of %d bytes, %v", len(key), err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); req.Header.Get("webhook-signature") != want {
		r.t.Errorf("signature %q, want %q", req.Header.Get("webhook-signature"), want)
	}
	if req.Method != "POST" || req.Header.Get("Content-Type") != "application/json" || id == "" {
		r.t.Errorf("%s of %s, ID %q", req.Method, req.Header.Get("Content-Type"), id)
	}
	if before, again := r.seen[id]; again && before != string(body) {
		r.t.Errorf("message %s has two bodies", id)
	}
	r.seen[id] = string(body)
	var m struct {
		Type string        `json:"type"`
		Data access.Change `json:"data"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Error(err)
	}
	device := string(m.Data.DeviceID)
	if status := r.refuse(device); status != 0 {
		http.Redirect(w, req, "/elsewhere", status)
		return
	}
	r.told = append(r.told, fmt.Sprintf("%s %s %d", m.Type, device, m.Data.Seq))
	if r.got != nil {
		r.got <- fmt.Sprint(device, " ", m.Data.Seq)
	}
}

// take returns what was told since the last time.
func (r *receiver) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.told = nil }()
	return r.told
}

// post is the storage of webhooks, in memory, beside the feed of the press.
type post struct {
	*press
	box     sync.Mutex
	hooks   []access.Webhook
	keys    map[string]secret.Value
	pauses  map[string]time.Time
	took    chan struct{} // closes with the next message that is taken; may be nil
	waiting []struct {
		access.Delivery
		next time.Time
	}
}

func (p *post) AddWebhook(_ context.Context, w access.Webhook, key secret.Value, e audit.Entry) error {
	w.Position = int64(len(p.rows))
	p.hooks, p.keys[w.ID] = append(p.hooks, w), key
	return p.write(e)
}

func (p *post) Webhooks(context.Context) ([]access.Webhook, error) {
	p.box.Lock()
	defer p.box.Unlock()
	return slices.Clone(p.hooks), nil
}

func (p *post) Changes(ctx context.Context, after int64, limit int) ([]access.Change, error) {
	p.box.Lock()
	defer p.box.Unlock()
	return p.press.Changes(ctx, after, limit)
}

func (p *post) WebhookSecret(_ context.Context, id string) (secret.Value, error) {
	return p.keys[id], nil
}

func (p *post) hook(id string) *access.Webhook {
	for i := range p.hooks {
		if p.hooks[i].ID == id {
			return &p.hooks[i]
		}
	}
	return nil
}

func (p *post) RemoveWebhook(context.Context, string, audit.Entry) error { return access.ErrWebhook }

func (p *post) SwitchWebhook(_ context.Context, id string, at time.Time, e audit.Entry) error {
	p.hook(id).DisabledAt = at
	return p.write(e)
}

func (p *post) Enqueue(_ context.Context, id string, from, to int64, list []access.Delivery) error {
	p.box.Lock()
	defer p.box.Unlock()
	w := p.hook(id)
	if w.Position != from {
		return errors.New("from elsewhere")
	}
	w.Position = to
	for _, d := range list {
		p.waiting = append(p.waiting, struct {
			access.Delivery
			next time.Time
		}{d, d.CreatedAt})
	}
	return nil
}

func (p *post) DueDeliveries(_ context.Context, id string, now time.Time, _ int) (due []access.Delivery, err error) {
	p.box.Lock()
	defer p.box.Unlock()
	heads := map[access.DeviceID]bool{}
	for _, d := range p.waiting {
		if d.WebhookID != id {
			continue
		}
		if !heads[d.DeviceID] && !d.next.After(now) && !p.pauses[d.WebhookID].After(now) {
			due = append(due, d.Delivery)
		}
		heads[d.DeviceID] = true
	}
	return due, nil
}

func (p *post) Delivered(_ context.Context, d access.Delivery, at time.Time) error {
	p.box.Lock()
	defer p.box.Unlock()
	w := p.hook(d.WebhookID)
	w.DeliveredAt, w.Failures, w.FailingSince, w.Trouble = at, 0, time.Time{}, ""
	delete(p.pauses, w.ID)
	p.drop(d)
	if p.took != nil {
		close(p.took)
		p.took = nil
	}
	return nil
}

func (p *post) drop(d access.Delivery) {
	for i := range p.waiting {
		if p.waiting[i].WebhookID == d.WebhookID && p.waiting[i].Seq == d.Seq && p.waiting[i].Event == d.Event {
			p.waiting = slices.Delete(p.waiting, i, i+1)
			return
		}
	}
}

func (p *post) Undelivered(_ context.Context, d access.Delivery, at, next, pause time.Time, trouble string) error {
	p.box.Lock()
	defer p.box.Unlock()
	w := p.hook(d.WebhookID)
	if w.Failures++; w.FailingSince.IsZero() {
		w.FailingSince = at
	}
	w.Trouble, p.pauses[w.ID] = trouble, pause
	if next.IsZero() {
		p.drop(d)
		return nil
	}
	for i := range p.waiting {
		if p.waiting[i].WebhookID == d.WebhookID && p.waiting[i].Seq == d.Seq && p.waiting[i].Event == d.Event {
			p.waiting[i].Attempts, p.waiting[i].next = d.Attempts+1, next
		}
	}
	return nil
}

// posting is a service with one webhook, and its receiver over TLS.
func posting(t *testing.T) (*post, *receiver, *access.Webhooks, string) {
	t.Helper()
	w, _ := newPress()
	p := &post{press: w, keys: map[string]secret.Value{}, pauses: map[string]time.Time{}}
	r := &receiver{t: t, now: func() time.Time { return w.now }, refuse: func(string) int { return 0 }, seen: map[string]string{}}
	server := httptest.NewTLSServer(r)
	t.Cleanup(server.Close)
	transport := server.Client().Transport.(*http.Transport).Clone()
	s := &access.Webhooks{Store: p, Deliveries: p, Changes: p, Send: access.NewSender(true, transport), Now: func() time.Time { return w.now }, Log: slog.New(slog.DiscardHandler)}
	t.Cleanup(s.Send.Close)
	hook, err := s.Add(boss(t), server.URL+"/in", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.key = hook.Secret
	return p, r, s, hook.ID
}

// says appends a row to the feed.
func (p *post) says(d access.DeviceID, before, after access.Effect) {
	p.box.Lock()
	defer p.box.Unlock()
	p.rows = append(p.rows, access.Change{Seq: int64(len(p.rows) + 1), At: p.now, DeviceID: d, Before: before, Decision: access.Decision{Effect: after}})
}

func steps(t *testing.T, s *access.Webhooks) {
	t.Helper()
	for range 50 {
		more, err := s.Step(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
	t.Fatal("never rests")
}

func TestWebhooksTellOfChanges(t *testing.T) {
	t.Parallel()
	p, r, s, id := posting(t)
	if trouble, err := s.Test(t.Context(), id); trouble != "" || err != nil {
		t.Fatalf("test: %q, %v", trouble, err)
	}
	r.take()
	p.says("d1", "", access.Allow)
	p.says("d1", access.Allow, access.Allow) // nothing to tell
	p.rows[1].Compliance, p.rows[1].ComplianceBefore = "in_grace", "compliant"
	p.says("d1", access.Allow, access.Block)
	steps(t, s)
	want := []string{"decision.changed d1 1", "compliance.changed d1 2", "decision.changed d1 3"}
	if got := r.take(); !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if len(p.waiting) != 0 || p.hook(id).DeliveredAt.IsZero() || p.trail[0].Action != "webhook.add" || strings.Contains(fmt.Sprint(p.trail), "/in") {
		t.Errorf("%+v, %+v, %+v", p.waiting, p.hooks, p.trail)
	}
}

// A message that is not taken is tried again, and holds up its device alone.
// TestWebhooksOfOneThatHangs: a receiver that does not answer holds up nobody else,
// not even of what happens while it hangs.
func TestWebhooksOfOneThatHangs(t *testing.T) {
	t.Parallel()
	p, r, s, _ := posting(t)
	hangs, release := make(chan struct{}, 100), make(chan struct{})
	slow := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hangs <- struct{}{}; <-release }))
	t.Cleanup(slow.Close)
	if _, err := s.Add(boss(t), slow.URL, nil); err != nil {
		t.Fatal(err)
	}
	wake := &work.Wake{}
	r.got, s.Woken = make(chan string, 100), wake.Wait
	for i := range 10 {
		p.says(access.DeviceID(fmt.Sprint("d", i)), "", access.Allow)
	}
	stepped := make(chan error, 1)
	go func() {
		var err error
		for more := true; more && err == nil; {
			more, err = s.Step(t.Context())
		}
		stepped <- err
	}()
	<-hangs
	for range 10 {
		<-r.got
	}
	for seq := 11; seq <= 13; seq++ {
		p.says("d1", access.Allow, access.Block)
		wake.Notify()
		if got, want := <-r.got, fmt.Sprint("d1 ", seq); got != want {
			t.Errorf("told of %s, want %s", got, want)
		}
	}
	select {
	case err := <-stepped:
		t.Errorf("the step is over while a receiver hangs: %v", err)
	default:
	}
	close(release)
	if err := <-stepped; err != nil {
		t.Error(err)
	}
	if len(p.waiting) != 0 {
		t.Errorf("%d messages are left", len(p.waiting))
	}
}

func TestWebhooksTryAgain(t *testing.T) {
	t.Parallel()
	p, r, s, id := posting(t)
	r.refuse = func(device string) int {
		if device == "d1" {
			return http.StatusTemporaryRedirect // is not followed
		}
		return 0
	}
	p.says("d1", "", access.Allow)
	p.says("d1", access.Allow, access.Block)
	p.says("d2", "", access.Allow)
	for range 20 {
		steps(t, s)
		p.now = p.now.Add(5 * time.Second)
	}
	if got := r.take(); !slices.Equal(got, []string{"decision.changed d2 3"}) || !strings.Contains(p.hook(id).Trouble, "307") {
		t.Errorf("told %v, trouble %q", got, p.hook(id).Trouble)
	}
	r.refuse = func(string) int { return 0 }
	p.now = p.now.Add(time.Hour)
	steps(t, s)
	if got := r.take(); !slices.Equal(got, []string{"decision.changed d1 1", "decision.changed d1 2"}) {
		t.Errorf("told %v", got)
	}
}

func TestWebhooksGiveUp(t *testing.T) {
	t.Parallel()
	p, r, s, id := posting(t)
	r.refuse = func(string) int { return http.StatusSeeOther }
	p.says("d1", "", access.Allow)
	begin := p.now
	for p.now.Sub(begin) < 25*time.Hour {
		steps(t, s)
		p.now = p.now.Add(10 * time.Minute)
	}
	if len(p.waiting) != 0 || len(r.seen) != 1 || !p.hook(id).DisabledAt.IsZero() {
		t.Errorf("after a day: %+v", p.waiting)
	}
	for p.now.Sub(begin) < 6*24*time.Hour && p.hook(id).DisabledAt.IsZero() {
		p.says("d1", access.Allow, access.Block)
		steps(t, s)
		p.now = p.now.Add(time.Hour)
	}
	if took := p.hook(id).DisabledAt.Sub(begin); took < 5*24*time.Hour || took > 5*24*time.Hour+8*time.Hour || p.trail[len(p.trail)-1].Action != "webhook.disable" {
		t.Errorf("disabled after %s", took)
	}
}

// TestWebhooksOfOneThatRecovers: after days of silence several messages are sent at
// once. Where it takes one, another that it refuses does not switch it off.
func TestWebhooksOfOneThatRecovers(t *testing.T) {
	t.Parallel()
	p, r, s, id := posting(t)
	p.hook(id).FailingSince = p.now.Add(-6 * 24 * time.Hour)
	p.hook(id).Failures = 50
	taken := make(chan struct{})
	r.refuse = nil
	slow := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		if strings.Contains(string(body), `"d1"`) {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		<-taken
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	server := httptest.NewTLSServer(slow)
	t.Cleanup(server.Close)
	p.hook(id).URL = server.URL
	p.took = taken
	p.says("d1", "", access.Allow)
	p.says("d2", "", access.Allow)
	if _, err := s.Step(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := p.hook(id); !h.DisabledAt.IsZero() {
		t.Errorf("disabled at %s, and it had taken a message", h.DisabledAt)
	}
}

func TestWebhooksRefuseAddresses(t *testing.T) {
	t.Parallel()
	p, _, s, _ := posting(t)
	s.Send = access.NewSender(false, nil)
	for _, address := range []string{"", "x", "http://siem.example.com/", "https://u:p@siem.example.com/", "https://10.0.0.1/", "https://[::1]/", "https://[::ffff:192.168.0.1]/",
		"ftp://siem.example.com/", "https://169.254.169.254/latest", "https:///x", "https://a.test/#x", "https://a.test/" + strings.Repeat("x", 2048)} {
		if _, err := s.Add(boss(t), address, nil); !errors.Is(err, access.ErrInvalid) || fields(err) != "url" {
			t.Errorf("%.60s: %v", address, err)
		}
	}
	if _, err := s.Add(boss(t), "https://a.test/", []access.WebhookEvent{"x"}); fields(err) != "events" {
		t.Errorf("unknown event: %v", err)
	}
	if _, err := s.Add(boss(t), "https://siem.example.com/x", []access.WebhookEvent{access.EventDecisionChanged}); err != nil {
		t.Error(err)
	}
	// What DNS says is looked at when it is connected to.
	p.hooks[0].URL = strings.Replace(p.hooks[0].URL, "127.0.0.1", "localhost", 1)
	if trouble, err := s.Test(t.Context(), p.hooks[0].ID); err != nil || !strings.Contains(trouble, "private network") {
		t.Errorf("localhost: %q, %v", trouble, err)
	}
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"8.8.8.8": true, "2606:4700::1111": true, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "127.0.0.1": false, "0.0.0.0": false,
		"100.64.0.1": false, "169.254.169.254": false, "224.0.0.1": false, "255.255.255.255": false, "::": false, "::1": false, "fe80::1": false, "fd00::1": false,
		"::ffff:10.0.0.1": false, "64:ff9b::a00:1": false, "2002:a00:1::": false, "2001::1": false, "fec0::1": false, "fe80::1%eth0": false,
	} {
		if got := access.Public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
