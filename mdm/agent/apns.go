package agent

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// PushService stands in for Apple's push service: HTTP/2 alone, a client
// certificate of its own authority, and an answer in Apple's words to whatever
// Apple documents as wrong
// (https://developer.apple.com/documentation/usernotifications/sending-notification-requests-to-apns).
// It is stricter than the real one where an MDM server has nothing to choose:
// one payload, one priority, one push type. It has never met the real one.
//
// Phones learn of their pushes at a side port on the loopback interface.
type PushService struct {
	authority *PushAuthority
	now       func() time.Time
	main      net.Listener
	side      net.Listener
	post      *postbox
	servers   []*http.Server
}

// PushServiceOptions say where a stand-in listens.
type PushServiceOptions struct {
	Authority *PushAuthority
	Listen    string           // for the MDM server; empty: a free port on loopback
	Side      string           // for phones; loopback only; empty: a free port
	Now       func() time.Time // nil: time.Now
}

// NewPushService binds both addresses. Run serves them.
func NewPushService(ctx context.Context, o PushServiceOptions) (*PushService, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	certificate, err := o.Authority.server()
	if err != nil {
		return nil, err
	}
	s := &PushService{authority: o.Authority, now: o.Now, post: newPostbox()}
	var lc net.ListenConfig
	if s.side, err = lc.Listen(ctx, "tcp", orFree(o.Side)); err != nil {
		return nil, fmt.Errorf("side port: %w", err)
	}
	if address, ok := s.side.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		_ = s.side.Close()
		return nil, fmt.Errorf("%w: the side port knows push magics and answers on loopback only", ErrInvalid)
	}
	if s.main, err = lc.Listen(ctx, "tcp", orFree(o.Listen)); err != nil {
		_ = s.side.Close()
		return nil, fmt.Errorf("push service: %w", err)
	}
	var only http.Protocols
	only.SetHTTP2(true)
	quiet := log.New(io.Discard, "", 0)
	s.servers = []*http.Server{
		{
			Handler: http.HandlerFunc(s.push), Protocols: &only, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: quiet,
			TLSConfig: &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate},
				ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: o.Authority.Pool(), Time: o.Now,
			},
		},
		{Handler: s.sidePort(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: quiet},
	}
	return s, nil
}

func orFree(address string) string {
	if address == "" {
		return "127.0.0.1:0"
	}
	return address
}

func loopback() []net.IP { return []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback} }

// URL is what a server is given as apns_url.
func (s *PushService) URL() string { return "https://" + localAddress(s.main) }

// SideURL is what phones wait at.
func (s *PushService) SideURL() string { return "http://" + localAddress(s.side) }

func localAddress(l net.Listener) string {
	host, port, err := net.SplitHostPort(l.Addr().String())
	if ip := net.ParseIP(host); err == nil && ip != nil && ip.IsUnspecified() {
		return net.JoinHostPort("localhost", port)
	}
	return l.Addr().String()
}

// Run serves until ctx ends.
func (s *PushService) Run(ctx context.Context) error {
	ended := make(chan error, len(s.servers))
	go func() { ended <- s.servers[0].ServeTLS(s.main, "", "") }()
	go func() { ended <- s.servers[1].Serve(s.side) }()
	var err error
	left := len(s.servers)
	select {
	case <-ctx.Done():
	case err = <-ended:
		left--
	}
	for _, server := range s.servers {
		_ = server.Close()
	}
	for range left {
		<-ended
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// fault is an answer that says no.
type fault struct {
	status int
	reason string
	note   string // what was wrong, for the log; never a token
}

func (s *PushService) push(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Apns-Id")
	if id == "" {
		id = strings.ToUpper(uuid.NewString())
	}
	w.Header().Set("Apns-Id", id)
	token, topic, magic, wrong := s.read(r)
	if wrong != nil {
		s.post.note(*wrong)
		refusePush(w, *wrong, 0, 0)
		return
	}
	if a, ok := s.post.scripted(token); ok {
		refusePush(w, fault{status: a.Status, reason: a.Reason}, a.Timestamp, a.RetryAfter)
		return
	}
	if !s.post.deliver(token, topic, magic) {
		refusePush(w, fault{status: http.StatusBadRequest, reason: "DeviceTokenNotForTopic"}, 0, 0)
		return
	}
	w.WriteHeader(http.StatusOK)
}

// refusePush answers as Apple documents it: the reason in JSON, with 410 the
// moment since which the token is dead.
func refusePush(w http.ResponseWriter, f fault, timestamp int64, retryAfter int) {
	if f.status == http.StatusOK {
		w.WriteHeader(f.status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	w.WriteHeader(f.status)
	body := struct {
		Reason    string `json:"reason"`
		Timestamp int64  `json:"timestamp,omitempty"`
	}{f.reason, timestamp}
	_ = json.NewEncoder(w).Encode(body) // the caller may be gone
}

const (
	tokenBytes = 32
	maxPayload = 4096 // of a push
)

// read checks everything that Apple asks of a push for MDM.
func (s *PushService) read(r *http.Request) (token, topic, magic string, wrong *fault) {
	no := func(status int, reason, note string) (string, string, string, *fault) {
		return "", "", "", &fault{status, reason, note}
	}
	hexToken, ok := strings.CutPrefix(r.URL.Path, "/3/device/")
	switch {
	case !ok || r.URL.RawQuery != "":
		return no(http.StatusNotFound, "BadPath", "the path is not /3/device/TOKEN")
	case r.Method != http.MethodPost:
		return no(http.StatusMethodNotAllowed, "MethodNotAllowed", "the method is "+r.Method)
	case hexToken == "":
		return no(http.StatusBadRequest, "MissingDeviceToken", "no token in the path")
	}
	raw, err := hex.DecodeString(hexToken)
	if err != nil || len(raw) != tokenBytes || hexToken != strings.ToLower(hexToken) {
		return no(http.StatusBadRequest, "BadDeviceToken", "the token is not 64 hex digits in lower case")
	}
	if wrong := s.headers(r); wrong != nil {
		return "", "", "", wrong
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxPayload+1))
	if err != nil || len(body) > maxPayload {
		return no(http.StatusRequestEntityTooLarge, "PayloadTooLarge", "the payload has more than 4096 bytes")
	}
	var payload struct {
		MDM string `json:"mdm"`
	}
	if json.Unmarshal(body, &payload) != nil || payload.MDM == "" {
		return no(http.StatusBadRequest, "PayloadEmpty", "the payload holds no push magic")
	}
	if exact, err := json.Marshal(payload); err != nil || string(exact) != string(body) {
		return no(http.StatusBadRequest, "PayloadEmpty", `the payload is not exactly {"mdm":"MAGIC"}`)
	}
	return hexToken, r.Header.Get("Apns-Topic"), payload.MDM, nil
}

func (s *PushService) headers(r *http.Request) *fault {
	h := r.Header
	expiration, err := strconv.ParseInt(h.Get("Apns-Expiration"), 10, 64)
	left := time.Unix(expiration, 0).Sub(s.now())
	switch topic := h.Get("Apns-Topic"); {
	case h.Get("Authorization") != "":
		return &fault{http.StatusForbidden, "InvalidProviderToken", "a provider token: MDM takes the certificate alone"}
	case topic == "":
		return &fault{http.StatusBadRequest, "MissingTopic", "no apns-topic"}
	case topic != userID(r.TLS.PeerCertificates[0]):
		return &fault{http.StatusBadRequest, "TopicDisallowed", "apns-topic is not that of the certificate"}
	case h.Get("Apns-Push-Type") != "mdm":
		return &fault{http.StatusBadRequest, "InvalidPushType", "apns-push-type is not mdm"}
	case h.Get("Apns-Priority") != "10":
		return &fault{http.StatusBadRequest, "BadPriority", "apns-priority is not 10"}
	case err != nil || left <= 0 || left > 30*24*time.Hour:
		return &fault{http.StatusBadRequest, "BadExpirationDate", "apns-expiration is not within the next 30 days"}
	}
	for name, values := range h {
		known := strings.HasPrefix(name, "Apns-") && strings.Contains(" Apns-Topic Apns-Push-Type Apns-Priority Apns-Expiration Apns-Id ", " "+name+" ")
		if len(values) != 1 || strings.HasPrefix(name, "Apns-") && !known {
			return &fault{http.StatusBadRequest, "BadMessageId", "the header " + strings.ToLower(name) + " is unknown, or there twice"}
		}
	}
	return nil
}

// userID is the topic in a certificate's subject.
func userID(c *x509.Certificate) string {
	for _, name := range c.Subject.Names {
		if text, ok := name.Value.(string); ok && name.Type.Equal(oidUserID) {
			return text
		}
	}
	return ""
}
