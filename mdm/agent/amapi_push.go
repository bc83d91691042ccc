package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// message is one message of Pub/Sub, until somebody has taken it.
type message struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"` // attribute notificationType
	Data      []byte    `json:"data"`
	Topic     string    `json:"topic"`
	Published time.Time `json:"published"`
	Due       time.Time `json:"due"`
	Tries     int       `json:"tries,omitempty"`
}

// pusher pushes. Its fields belong to AMAPI.mu.
type pusher struct {
	wake      chan struct{}
	held      []*message // until as many are there as are to change places
	delivered int
	failed    int
}

const (
	pushTimeout = 10 * time.Second // of Pub/Sub's acknowledgement deadline
	mostBackoff = 64               // times the first pause
)

func validPush(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// publish puts a message in line, where the enterprise has a topic and wants
// messages of that kind. It checks that the message is one of Google's. The
// caller holds a.mu.
func (a *AMAPI) publish(enterprise, kind, typ string, doc object) {
	e := a.s.Enterprises[enterprise]
	if e == nil || str(e.Doc, "pubsubTopic") == "" || !slices.Contains(texts(e.Doc, "enabledNotificationTypes"), kind) {
		return
	}
	doc = a.schema.stored(typ, plain(doc))
	if no := a.schema.checkMessage(typ, doc, ""); no != nil {
		a.breach = append(a.breach, Violation{kind, "the stand-in's own message: " + no.message})
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return // it came from JSON
	}
	now := a.o.Now()
	a.s.Next++
	m := &message{ID: strconv.FormatInt(now.UnixMicro()/1000, 10) + strconv.Itoa(10_000+a.s.Next), Kind: kind, Data: data, Topic: str(e.Doc, "pubsubTopic"), Published: now, Due: now}
	again := use(&a.script.Duplicate)
	if a.script.Reorder > 0 {
		a.push.held = append(a.push.held, m)
		if a.script.Reorder--; a.script.Reorder == 0 {
			slices.Reverse(a.push.held)
			a.s.Queue = append(a.s.Queue, a.push.held...)
			a.push.held = nil
		}
	} else {
		a.s.Queue = append(a.s.Queue, m)
	}
	if again {
		twin := *m
		a.s.Queue = append(a.s.Queue, &twin)
	}
	a.wakePusher()
}

func (a *AMAPI) wakePusher() {
	select {
	case a.push.wake <- struct{}{}:
	default:
	}
}

// pushAll pushes what is due, one after the other, until ctx ends. What is not
// answered with 2xx comes again, later each time.
func (a *AMAPI) pushAll(ctx context.Context) {
	roots := ""
	client := a.pushClient(roots)
	defer func() { client.CloseIdleConnections() }()
	for {
		m, to, pause := a.nextPush()
		if m != nil {
			if to.CA != roots {
				client.CloseIdleConnections()
				roots, client = to.CA, a.pushClient(to.CA)
			}
			a.pushed(m, pushOne(ctx, client, to.Push, m))
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-a.push.wake:
			timer.Stop()
		case <-timer.C:
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// nextPush is the first message that is due, with the script that says where to, and
// else how long to wait for one.
func (a *AMAPI) nextPush() (*message, AMAPIScript, time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	pause := time.Hour
	if a.script.Push == "" {
		return nil, AMAPIScript{}, pause
	}
	now := a.o.Now()
	for _, m := range a.s.Queue {
		wait := m.Due.Sub(now)
		if wait <= 0 {
			return m, a.script, 0
		}
		pause = min(pause, wait)
	}
	return nil, AMAPIScript{}, pause
}

func (a *AMAPI) pushed(m *message, taken bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if taken {
		a.push.delivered++
		if i := slices.Index(a.s.Queue, m); i >= 0 {
			a.s.Queue = slices.Delete(a.s.Queue, i, i+1)
		}
	} else {
		a.push.failed++
		pause := a.o.Backoff << min(m.Tries, 20)
		m.Tries++
		m.Due = a.o.Now().Add(min(pause, a.o.Backoff*mostBackoff))
	}
	_ = a.keep() // in memory it is kept
}

// envelope is what Pub/Sub posts to a push endpoint
// (https://cloud.google.com/pubsub/docs/push#receive_push): it writes the ID and
// the time in both spellings.
func (m *message) envelope() ([]byte, error) {
	project, topic, _ := strings.Cut(strings.TrimPrefix(m.Topic, "projects/"), "/topics/")
	published := timestamp(m.Published)
	return json.Marshal(object{
		"message": object{
			"attributes": object{"notificationType": m.Kind}, "data": base64.StdEncoding.EncodeToString(m.Data),
			"messageId": m.ID, "message_id": m.ID, "publishTime": published, "publish_time": published,
		},
		"subscription": "projects/" + project + "/subscriptions/" + topic,
	})
}

// pushClient trusts the system's roots and those that were given by hand, more is PEM.
func (a *AMAPI) pushClient(more string) *http.Client {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	for _, c := range a.o.CA {
		pool.AddCert(c)
	}
	pool.AppendCertsFromPEM([]byte(more))
	return &http.Client{
		Timeout: pushTimeout, Transport: &http.Transport{Proxy: nil, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func pushOne(ctx context.Context, client *http.Client, address string, m *message) (taken bool) {
	body, err := m.envelope()
	if err != nil {
		return false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return false
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "CloudPubSub-Google")
	answer, err := client.Do(r)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode >= 200 && answer.StatusCode < 300
}
