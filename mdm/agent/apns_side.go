package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Limits of the side port.
const (
	longestWait  = 60 * time.Second
	maxSide      = 16 << 10
	maxRemarks   = 1000
	maxPostboxes = 200_000
)

// postbox keeps the last push of each token until its phone has it: pushes
// coalesce, as with the real service. A token that nobody has waited with is
// taken as well, since a server may push before the phone is there.
type postbox struct {
	mu       sync.Mutex
	boxes    map[string]*box // by token
	script   []PushAnswer
	accepted int
	remarks  []string // what servers did wrong
}

type box struct {
	topic string
	magic string        // waiting to be fetched; empty: nothing
	rang  chan struct{} // closed when something comes; nil while nobody waits
}

func newPostbox() *postbox { return &postbox{boxes: map[string]*box{}} }

// PushAnswer is what the stand-in answers instead of delivering.
type PushAnswer struct {
	Token      string `json:"token,omitempty"` // hex; empty: any
	Status     int    `json:"status"`
	Reason     string `json:"reason,omitempty"`      // in Apple's word; empty: the usual one
	Timestamp  int64  `json:"timestamp,omitempty"`   // milliseconds since 1970, for 410; 0: now
	RetryAfter int    `json:"retry_after,omitempty"` // seconds
	Times      int    `json:"times,omitempty"`       // 0: until the script is replaced
}

// usualReasons are Apple's words for a status.
var usualReasons = map[int]string{
	http.StatusBadRequest: "BadDeviceToken", http.StatusForbidden: "BadCertificate", http.StatusGone: "Unregistered",
	http.StatusTooManyRequests: "TooManyRequests", http.StatusInternalServerError: "InternalServerError", http.StatusServiceUnavailable: "ServiceUnavailable",
}

// Script replaces what the stand-in answers instead of delivering; nothing
// means that it delivers everything. The first that fits counts.
func (s *PushService) Script(answers ...PushAnswer) error {
	for i, a := range answers {
		if a.Status < 400 || a.Status > 599 {
			return fmt.Errorf("%w: status %d is no refusal", ErrInvalid, a.Status)
		}
		if a.Reason == "" {
			answers[i].Reason = usualReasons[a.Status]
		}
		if a.Status == http.StatusGone && a.Timestamp == 0 {
			answers[i].Timestamp = s.now().UnixMilli()
		}
	}
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	s.post.script = answers
	return nil
}

// PushLog is what a stand-in saw.
type PushLog struct {
	Accepted int      `json:"accepted"`
	Remarks  []string `json:"remarks"` // what servers did wrong; a good one leaves none
}

// Log tells what the stand-in saw so far.
func (s *PushService) Log() PushLog {
	s.post.mu.Lock()
	defer s.post.mu.Unlock()
	return PushLog{s.post.accepted, append([]string{}, s.post.remarks...)}
}

func (p *postbox) note(f fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.remarks) < maxRemarks {
		p.remarks = append(p.remarks, fmt.Sprintf("%d %s: %s", f.status, f.reason, f.note))
	}
}

func (p *postbox) scripted(token string) (PushAnswer, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.script {
		a := &p.script[i]
		if a.Token != "" && a.Token != token || a.Times < 0 {
			continue
		}
		if a.Times > 0 {
			if a.Times--; a.Times == 0 {
				a.Times = -1
			}
		}
		return *a, true
	}
	return PushAnswer{}, false
}

// at finds or makes the box of a token. The caller holds p.mu.
func (p *postbox) at(token string) *box {
	b := p.boxes[token]
	if b == nil && len(p.boxes) < maxPostboxes {
		b = &box{}
		p.boxes[token] = b
	}
	return b
}

// deliver reports false when the token belongs to another topic.
func (p *postbox) deliver(token, topic, magic string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.at(token)
	if b == nil {
		return true // accepted and dropped: nothing is promised
	}
	if b.topic != "" && b.topic != topic {
		return false
	}
	b.topic, b.magic = topic, magic
	p.accepted++
	if b.rang != nil {
		close(b.rang)
		b.rang = nil
	}
	return true
}

// fetch returns the magic of the next push for a token, or nothing when ctx ends.
func (p *postbox) fetch(ctx context.Context, token, topic string) string {
	for {
		p.mu.Lock()
		b := p.at(token)
		if b == nil {
			p.mu.Unlock()
			return ""
		}
		if topic != "" {
			b.topic = topic
		}
		if magic := b.magic; magic != "" {
			b.magic = ""
			p.mu.Unlock()
			return magic
		}
		if b.rang == nil {
			b.rang = make(chan struct{})
		}
		rang := b.rang
		p.mu.Unlock()
		select {
		case <-rang:
		case <-ctx.Done():
			return ""
		}
	}
}

// waitRequest is what a phone asks at the side port.
type waitRequest struct {
	Token   string `json:"token"` // hex
	Topic   string `json:"topic"`
	Seconds int    `json:"seconds"`
}

// sidePort serves POST /wait, POST /script and GET /log on loopback.
func (s *PushService) sidePort() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /wait", func(w http.ResponseWriter, r *http.Request) {
		var in waitRequest
		if !readSide(w, r, &in) {
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), min(max(time.Duration(in.Seconds)*time.Second, 0), longestWait))
		defer cancel()
		magic := s.post.fetch(ctx, in.Token, in.Topic)
		if magic == "" {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		writeSide(w, map[string]string{"mdm": magic})
	})
	mux.HandleFunc("POST /script", func(w http.ResponseWriter, r *http.Request) {
		var in []PushAnswer
		if !readSide(w, r, &in) {
			return
		}
		if err := s.Script(in...); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, _ *http.Request) { writeSide(w, s.Log()) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page in a browser on this machine must not reach in, whatever name it
		// has given to 127.0.0.1.
		host, _, err := net.SplitHostPort(r.Host)
		if ip := net.ParseIP(host); err != nil || r.Header.Get("Origin") != "" || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			http.Error(w, "for phones in software on this machine", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func readSide(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxSide))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		http.Error(w, "not the JSON that is expected here", http.StatusBadRequest)
	}
	return err == nil
}

func writeSide(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the caller may be gone
}
