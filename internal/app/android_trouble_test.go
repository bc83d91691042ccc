package app_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
	"sallyport/mdm/agent"
)

// rehearsal is a server that is signed up at a stand-in of Google's, which can be
// stopped and started again, later too. Pub/Sub is in the hands of the test.
type rehearsal struct {
	*client
	g      *google
	pubsub *pubsub
	cfg    config.Config
	stop   func()
	later  time.Duration // the server's clock is ahead of ours by that
}

func newRehearsal(t *testing.T) *rehearsal {
	t.Helper()
	g, cfg := googled(t)
	r := &rehearsal{g: g, cfg: cfg}
	r.start(t)
	t.Cleanup(func() { r.stop() })
	g.equip(r.client)
	r.pubsub = newPubSub(t, r.g, r.client)
	return r
}

func (r *rehearsal) start(t *testing.T) {
	t.Helper()
	a, err := app.New(t.Context(), r.cfg, app.Options{Version: "test", Now: func() time.Time { return time.Now().Add(r.later) }})
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	r.client = newClient(t, r.cfg.Data)
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		must(t, a.Close())
	})
}

// again stops the server and starts it later by so much.
func (r *rehearsal) again(t *testing.T, by time.Duration) {
	t.Helper()
	r.stop()
	r.later += by
	r.start(t)
}

// script is what goes wrong at Google; where it pushes to stays.
func (r *rehearsal) script(t *testing.T, troubles ...agent.AMAPITrouble) {
	t.Helper()
	must(t, r.g.Play(agent.AMAPIScript{Push: r.g.Script().Push, Troubles: troubles}))
}

// detail is what is on record of a device.
func (c *client) detail(id string) accessapi.DeviceDetail {
	c.t.Helper()
	var d accessapi.DeviceDetail
	c.call(http.MethodGet, "/api/v1/devices/"+id, "", nil, &d)
	return d
}

// given is how far that user's phone has its policy.
func (c *client) given(user string) adminapi.AndroidGiven {
	c.t.Helper()
	for _, d := range c.devices() {
		if d.User == user {
			var mail adminapi.MailSettings
			c.call(http.MethodGet, "/api/v1/devices/"+d.ID+"/mail", "", nil, &mail)
			return *mail.Android
		}
	}
	c.t.Fatalf("%s has no phone", user)
	return adminapi.AndroidGiven{}
}

// finding is one of the doctor's.
func (c *client) finding(name string) (f struct {
	OK         bool
	Text, Next string
},
) {
	c.t.Helper()
	var found adminapi.AndroidFindings
	c.call(http.MethodGet, "/api/v1/android/doctor", "", nil, &found)
	for _, one := range found.Findings {
		if one.Name == name {
			f.OK, f.Text, f.Next = one.OK, one.Text, one.Next
		}
	}
	return f
}

// comesTrue waits for what happens behind the requests.
func comesTrue(t testing.TB, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// pubsub takes what Google publishes, and delivers of it what the test says, when
// it says so, and as often.
type pubsub struct {
	to string // the server's address; a secret
	c  *client

	mu  sync.Mutex
	got []notification
}

// notification is one message as it was pushed.
type notification struct {
	body []byte
	kind string
	data map[string]any
}

func newPubSub(t *testing.T, g *google, c *client) *pubsub {
	t.Helper()
	p := &pubsub{to: g.Script().Push, c: c}
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var envelope struct {
			Message struct {
				Attributes map[string]string
				Data       []byte
			}
		}
		n := notification{body: body}
		if json.Unmarshal(body, &envelope) != nil || json.Unmarshal(envelope.Message.Data, &n.data) != nil {
			return
		}
		n.kind = envelope.Message.Attributes["notificationType"]
		p.mu.Lock()
		defer p.mu.Unlock()
		p.got = append(p.got, n)
	}))
	t.Cleanup(s.Close)
	must(t, g.Play(agent.AMAPIScript{Push: s.URL}))
	return p
}

// next waits for the next one that is like that, and takes it and all before it
// off the line.
func (p *pubsub) next(t *testing.T, what string, is func(notification) bool) notification {
	t.Helper()
	var found notification
	comesTrue(t, what, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		for i, n := range p.got {
			if is(n) {
				found, p.got = n, p.got[i+1:]
				return true
			}
		}
		return false
	})
	return found
}

// post delivers a body to the server's address.
func (p *pubsub) post(t *testing.T, body []byte) int {
	t.Helper()
	return postTo(t, p.c, p.to, body)
}

func postTo(t *testing.T, c *client, address string, body []byte) int {
	t.Helper()
	resp, err := c.http.Post(address, "application/json", bytes.NewReader(body))
	must(t, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
	return resp.StatusCode
}

// deliver delivers messages in that order.
func (p *pubsub) deliver(t *testing.T, list ...notification) {
	t.Helper()
	for _, n := range list {
		if status := p.post(t, n.body); status != http.StatusNoContent {
			t.Errorf("notification %s: status %d", n.kind, status)
		}
	}
}

// flow delivers all that is there. What the server does not take yet stays on the
// line, as it does with Google: a phone may be done with a command before it is on
// record under which name Google has it.
func (p *pubsub) flow(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	list := p.got
	p.got = nil
	p.mu.Unlock()
	var again []notification
	for _, n := range list {
		switch status := p.post(t, n.body); status {
		case http.StatusNoContent:
		case http.StatusServiceUnavailable:
			again = append(again, n)
		default:
			t.Errorf("notification %s: status %d", n.kind, status)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(again, p.got...)
}

// envelope is a message of one's own.
func envelope(kind, data string) []byte {
	return []byte(`{"message":{"attributes":{"notificationType":"` + kind + `"},"data":"` + data + `","messageId":"1"},"subscription":"projects/p/subscriptions/s"}`)
}

func inBase64(data string) string { return base64.StdEncoding.EncodeToString([]byte(data)) }

// settles has the phone connect, and Google's notifications through, until what is true.
func (r *rehearsal) settles(t *testing.T, p *agent.Phone, what string, is func(agent.Snapshot) bool) agent.Snapshot {
	t.Helper()
	var s agent.Snapshot
	comesTrue(t, what, func() bool {
		must(t, p.Connect(t.Context()))
		r.pubsub.flow(t)
		s = show(t, p)
		return is(s)
	})
	return s
}

// mailed is a phone of alice's with its mail, and which device it is on record as.
func (r *rehearsal) mailed(t *testing.T) (*agent.Phone, string, string) {
	t.Helper()
	return r.mailedAs(t, "personal")
}

func (r *rehearsal) mailedAs(t *testing.T, ownership string) (*agent.Phone, string, string) {
	t.Helper()
	before := map[string]bool{}
	for _, d := range r.devices() {
		before[d.ID] = true
	}
	p := r.g.phone(r.client, "")
	if ownership == "corporate" {
		must(t, p.Set("owner=company", "fresh=yes"))
	}
	must(t, p.Enroll(t.Context(), r.invite(adminapi.InvitationRequest{User: alice, Ownership: ownership}).URL))
	if ownership == "corporate" {
		must(t, p.Set("passcode=on"))
	}
	s := r.settles(t, p, "mail", func(s agent.Snapshot) bool { return len(s.Accounts) == 1 })
	comesTrue(t, "the phone's report", func() bool {
		r.pubsub.flow(t)
		return r.decide(alice, s.EASDeviceID).Effect == "allow"
	})
	for _, d := range r.devices() {
		if !before[d.ID] {
			comesTrue(t, "the end of its set-up", func() bool { return r.detail(d.ID).Enrollment.State == string(mdm.Configured) })
			return p, d.ID, s.EASDeviceID
		}
	}
	t.Fatal("the new phone is not on record")
	return nil, "", ""
}

// posture says what a report tells of the system's integrity.
func posture(want string) func(notification) bool {
	return func(n notification) bool {
		text, _ := json.Marshal(n.data["securityPosture"])
		return n.kind == "STATUS_REPORT" && strings.Contains(string(text), `"`+want+`"`)
	}
}
