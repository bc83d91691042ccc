package app_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/server/accessapi"
	"sallyport/mdm/agent"
)

// hookMessage is what came to a receiver of webhooks.
type hookMessage struct {
	id   string
	body string
	Type string         `json:"type"`
	Data map[string]any `json:"data"`
}

// device and seq say which row of the feed the message is about.
func (m hookMessage) device() string { return m.Data["device_id"].(string) }
func (m hookMessage) seq() int64     { return int64(m.Data["seq"].(float64)) }

// hookReceiver checks what comes as Standard Webhooks 1.0 says, with lines of its own.
type hookReceiver struct {
	t      *testing.T
	secret []byte
	now    func() time.Time

	mu      sync.Mutex
	moved   time.Time // what it was when the clock was moved last: a message may have been on its way
	refuses int       // so many more; below zero: all
	refused []hookMessage
	taken   []hookMessage
}

func (r *hookReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the server has ended in between
	}
	m := hookMessage{id: req.Header.Get("webhook-id"), body: string(body)}
	if err := json.Unmarshal(body, &m); err != nil {
		r.t.Errorf("%v: %s", err, body)
	}
	stamp := req.Header.Get("webhook-timestamp")
	at, err := strconv.ParseInt(stamp, 10, 64)
	fresh := func(now time.Time) bool { return now.Sub(time.Unix(at, 0)).Abs() <= 5*time.Minute }
	if err != nil || !fresh(r.now()) && !fresh(r.moved) {
		r.t.Errorf("signed at %q, and it is %v", stamp, r.now())
	}
	mac := hmac.New(sha256.New, r.secret)
	mac.Write([]byte(m.id + "." + stamp + "." + m.body))
	version, signature, _ := strings.Cut(req.Header.Get("webhook-signature"), ",")
	if sum, err := base64.StdEncoding.DecodeString(signature); err != nil || version != "v1" || !hmac.Equal(sum, mac.Sum(nil)) {
		r.t.Errorf("signature %q of %s", req.Header.Get("webhook-signature"), body)
	}
	if r.refuses != 0 {
		r.refuses--
		r.refused = append(r.refused, m)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.taken = append(r.taken, m)
	w.WriteHeader(http.StatusNoContent)
}

// all are the messages that were refused, and those that were taken.
func (r *hookReceiver) all() (refused, taken []hookMessage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.refused), slices.Clone(r.taken)
}

func (r *hookReceiver) refuse(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuses = n
}

// hookScene is a scene with a receiver of webhooks, and two phones of one user.
type hookScene struct {
	*restartable
	receiver      *hookReceiver
	address       string
	server        *http.Server // nil: nobody listens
	first, second *agent.Phone
	cursor        string               // where the feed stood when the webhook was added
	said          map[string][2]string // decision and compliance of devices, up to there
	pokes         int
}

func newHookScene(t *testing.T) *hookScene {
	t.Helper()
	s := &hookScene{address: freeAddress(t), said: map[string][2]string{}}
	s.restartable = newRestartable(t, nil, func(c *config.Config) { c.WebhookPrivate = true })
	s.receiver = &hookReceiver{t: t, now: s.stage.clock.now}
	s.listen()
	t.Cleanup(s.leave)
	s.first, s.second = s.enrol(), s.enrol()
	s.configured(s.first)
	s.configured(s.second)
	s.register()
	return s
}

// listen lets the receiver come back, and leave go away.
func (s *hookScene) listen() {
	s.Helper()
	l, err := net.Listen("tcp", s.address)
	must(s.T, err)
	s.server = &http.Server{Handler: s.receiver, ReadHeaderTimeout: patience}
	go func(server *http.Server) { _ = server.Serve(l) }(s.server)
}

func (s *hookScene) leave() {
	if s.server != nil {
		_ = s.server.Close()
		s.server = nil
	}
}

// register adds the webhook, and notes where the feed stands.
func (s *hookScene) register() {
	s.Helper()
	var feed accessapi.Changes
	s.call(http.MethodGet, "/api/v1/compliance", "", nil, &feed)
	s.cursor = feed.Cursor
	for _, c := range feed.Changes {
		s.said[string(c.DeviceID)] = [2]string{string(c.Decision.Effect), string(c.Compliance)}
	}
	is(s.scene, "devices in the feed", len(s.said), 2)
	var added access.NewWebhook
	s.post("/api/v1/webhooks", accessapi.WebhookInput{URL: "http://" + s.address + "/hook"}, &added)
	key, ok := strings.CutPrefix(added.Secret, "whsec_")
	raw, err := base64.StdEncoding.DecodeString(key)
	must(s.T, err)
	is(s.scene, "secret as the specification wants it", ok && len(raw) >= 24 && len(raw) <= 64, true)
	s.receiver.secret = raw
}

// passcode changes a fact on a phone, which reports it.
func (s *hookScene) passcode(p *agent.Phone, state string, want access.Effect) {
	s.Helper()
	must(s.T, p.Set("passcode="+state))
	s.connect(p)
	s.mail(p, want)
}

// due lets time pass, and wakes what waits for it: a user who has nothing to do
// with the rest is an event.
func (s *hookScene) due(d time.Duration) {
	s.Helper()
	s.receiver.mu.Lock()
	s.receiver.moved = s.receiver.now()
	s.receiver.mu.Unlock()
	s.pass(d)
	s.pokes++
	s.addUser(fmt.Sprintf("nobody%d@example.test", s.pokes))
}

// feed is what the server tells since the webhook was added.
func (s *hookScene) feed() []map[string]any {
	s.Helper()
	var page struct {
		Changes []map[string]any `json:"changes"`
		More    bool             `json:"more"`
	}
	s.call(http.MethodGet, "/api/v1/compliance?limit=1000&cursor="+s.cursor, "", nil, &page)
	is(s.scene, "another page of the feed", page.More, false)
	for i := range page.Changes {
		page.Changes[i] = withoutEnd(page.Changes[i])
	}
	return page.Changes
}

// wanted are the messages that the feed makes: one for each thing that a row changes.
func (s *hookScene) wanted(rows []map[string]any) (want []string) {
	for _, row := range rows {
		m := hookMessage{Data: row}
		before := s.said[m.device()]
		state, _ := row["compliance"].(string)
		now := [2]string{row["decision"].(map[string]any)["decision"].(string), state}
		if now[1] != before[1] {
			want = append(want, m.key(access.EventComplianceChanged))
		}
		if now[0] != before[0] {
			want = append(want, m.key(access.EventDecisionChanged))
		}
		s.said[m.device()] = now
	}
	return want
}

func (m hookMessage) key(e access.WebhookEvent) string {
	return fmt.Sprintf("%s %d %s", m.device(), m.seq(), e)
}

// complete waits until the receiver has taken what the feed tells: each message
// once, as the feed shows it, in the order of its device.
func (s *hookScene) complete(least int) {
	s.Helper()
	rows := s.feed()
	want := s.wanted(rows)
	is(s.scene, "enough messages", len(want) >= least, true)
	for begun, waited := time.Now(), time.Now(); ; time.Sleep(20 * time.Millisecond) {
		if _, taken := s.receiver.all(); len(taken) >= len(want) {
			break
		}
		if time.Since(begun) > patience {
			s.Fatal("never came: all messages")
		}
		if time.Since(waited) > 5*time.Second { // one that was on its way when time passed waits once more
			s.due(5 * time.Hour)
			waited = time.Now()
		}
	}
	refused, taken := s.receiver.all()
	var got []string
	ids, newest := map[string]hookMessage{}, map[string]int64{}
	for _, m := range taken {
		got = append(got, m.key(access.WebhookEvent(m.Type)))
		if m.seq() < newest[m.device()] {
			s.Errorf("%s came after row %d", got[len(got)-1], newest[m.device()])
		}
		ids[m.id], newest[m.device()] = m, m.seq()
		row := rows[slices.IndexFunc(rows, func(row map[string]any) bool { return row["seq"] == m.Data["seq"] })]
		if data := withoutEnd(m.Data); !reflect.DeepEqual(data, row) {
			s.Errorf("the receiver was told %v, the feed tells %v", data, row)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		s.Errorf("the receiver took\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	s.again(refused, taken, ids)
}

// again checks what was refused: it came again under its name, unchanged, and no
// later one of the device was sent before it was taken.
func (s *hookScene) again(refused, taken []hookMessage, ids map[string]hookMessage) {
	s.Helper()
	for _, m := range refused {
		if later, ok := ids[m.id]; !ok || later.body != m.body {
			s.Errorf("%s was refused as %s, and taken as %s", m.id, m.body, later.body)
		}
		first := taken[slices.IndexFunc(taken, func(t hookMessage) bool { return t.device() == m.device() })]
		if m.id != first.id {
			s.Errorf("%s was sent before %s was taken", m.id, first.id)
		}
	}
}

// withoutEnd takes away what the feed writes anew whenever it is asked.
func withoutEnd(data map[string]any) map[string]any {
	delete(data["decision"].(map[string]any), "valid_until")
	return data
}

// TestWebhookRefusedAtFirst: a receiver that answers 500 is asked again, and is
// told of each device in order.
func TestWebhookRefusedAtFirst(t *testing.T) {
	t.Parallel()
	s := newHookScene(t)
	s.receiver.refuse(-1)
	s.passcode(s.first, "off", access.Block)
	s.until("the first try", func() bool { refused, _ := s.receiver.all(); return len(refused) > 0 })
	s.passcode(s.second, "off", access.Block)
	s.passcode(s.first, "on", access.Allow)
	for range 3 {
		before, _ := s.receiver.all()
		s.due(time.Hour) // the longer it all takes, the more tries there were, and the longer is the pause
		s.until("another try", func() bool { refused, _ := s.receiver.all(); return len(refused) > len(before) })
	}
	s.receiver.refuse(0)
	s.due(time.Hour)
	s.complete(6)
	if refused, _ := s.receiver.all(); len(refused) < 4 {
		t.Errorf("refused %d times, want 4 and more", len(refused))
	}
}

// TestWebhookReceiverGone: what happens while nobody listens, and while Sallyport
// itself begins anew, reaches the receiver once it is back.
func TestWebhookReceiverGone(t *testing.T) {
	t.Parallel()
	s := newHookScene(t)
	s.leave()
	for range 3 {
		s.passcode(s.first, "off", access.Block)
		s.due(time.Hour)
		s.passcode(s.second, "off", access.Block)
		s.passcode(s.first, "on", access.Allow)
		s.due(time.Hour)
		s.passcode(s.second, "on", access.Allow)
	}
	s.restart()
	s.passcode(s.first, "off", access.Block)
	s.listen()
	s.due(5 * time.Hour) // longer than between two tries
	s.complete(26)
}
