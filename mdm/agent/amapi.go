package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// AMAPI stands in for the Android Management API
// (https://developers.google.com/android/management/reference/rest): the token
// exchange of a service account, sign-up, enrolment tokens, policies, devices,
// commands, the app catalogue, and Pub/Sub's pushes. It is built from Google's
// discovery document and is stricter than the real one: whatever a server has no
// reason to send is refused in Google's words and noted as a Violation. It has
// never met the real one.
//
// Phones in software enrol and report at the same address, below /phone/, by a
// protocol of its own: Google's is not public.
type AMAPI struct {
	o      AMAPIOptions
	schema *amapiSchema
	apps   map[string]*storeApp
	listen net.Listener
	server *http.Server
	ending chan struct{} // closed when Run ends

	mu      sync.Mutex
	account *serviceAccount
	deleted map[string]bool // IDs of keys that it had before
	s       *amapiState
	calls   map[string]int // by method
	breach  []Violation
	script  AMAPIScript
	minute  quotaMinute
	push    pusher
	changed chan struct{} // closed, and made anew, when something changes
}

// AMAPIOptions say where a stand-in listens and what it keeps.
type AMAPIOptions struct {
	Dir     string              // for its service account (service-account.json), and its state with Keep
	Keep    bool                // keep the state in Dir, and go on with what is there
	Listen  string              // on loopback; empty: a free port
	Project string              // Google Cloud project that it knows; empty: "sallyport-rehearsal"
	Push    string              // URL that Pub/Sub pushes to; empty: messages wait until Play names one
	Quota   int                 // requests a minute; 0: no limit
	Breach  func(Violation)     // hears of each as it happens; nil: nobody listens
	Now     func() time.Time    // nil: time.Now
	CA      []*x509.Certificate // roots that pushes trust besides the system's
	Backoff time.Duration       // before the second push of a message, doubled up to 64 times that; 0: 100 ms
}

// Files in the folder of a stand-in.
const (
	accountFile    = "service-account.json"
	amapiStateFile = "amapi.json"
)

// NewAMAPI binds the address and writes the service account. Run serves it.
func NewAMAPI(ctx context.Context, o AMAPIOptions) (*AMAPI, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Breach == nil {
		o.Breach = func(Violation) {}
	}
	if o.Project == "" {
		o.Project = "sallyport-rehearsal"
	}
	if o.Backoff <= 0 {
		o.Backoff = 100 * time.Millisecond
	}
	if o.Dir == "" {
		return nil, fmt.Errorf("%w: the stand-in needs a folder for its service account", ErrInvalid)
	}
	a := &AMAPI{
		o: o, calls: map[string]int{}, deleted: map[string]bool{}, changed: make(chan struct{}), ending: make(chan struct{}),
		script: AMAPIScript{Push: o.Push, Quota: o.Quota}, push: pusher{wake: make(chan struct{}, 1)},
	}
	var err error
	if a.schema, err = readSchema(amapiExtract); err != nil {
		return nil, err
	}
	if a.apps, err = readStore(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the stand-in: %w", err)
	}
	if err := a.load(); err != nil {
		return nil, err
	}
	return a, a.bind(ctx)
}

func (a *AMAPI) bind(ctx context.Context) error {
	var lc net.ListenConfig
	var err error
	if a.listen, err = lc.Listen(ctx, "tcp", orFree(a.o.Listen)); err != nil {
		return fmt.Errorf("stand-in of the Android Management API: %w", err)
	}
	if address, ok := a.listen.Addr().(*net.TCPAddr); !ok || !address.IP.IsLoopback() {
		_ = a.listen.Close()
		return fmt.Errorf("%w: the stand-in manages phones for everybody who reaches it, and listens on loopback only", ErrInvalid)
	}
	if a.account, err = openAccount(filepath.Join(a.o.Dir, accountFile), a.o.Project, a.URL()+"/token"); err != nil {
		_ = a.listen.Close()
		return err
	}
	a.server = &http.Server{
		Handler: http.HandlerFunc(a.serve), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10, ErrorLog: log.New(io.Discard, "", 0),
	}
	return nil
}

// URL is what a server is given as amapi_url, and a phone as its AMAPI.
func (a *AMAPI) URL() string { return "http://" + localAddress(a.listen) }

// Account is the file of the service account.
func (a *AMAPI) Account() string { return filepath.Join(a.o.Dir, accountFile) }

// Run serves, and pushes, until ctx ends.
func (a *AMAPI) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pushed, served := make(chan struct{}), make(chan error, 1)
	go func() { defer close(pushed); a.pushAll(ctx) }()
	go func() { served <- a.server.Serve(a.listen) }()
	var err error
	select {
	case <-ctx.Done():
		close(a.ending)
		_ = a.server.Close()
		err = <-served
	case err = <-served:
		close(a.ending)
	}
	stop()
	<-pushed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// serve tells Google's doors from ours.
func (a *AMAPI) serve(w http.ResponseWriter, r *http.Request) {
	if !fromHere(r) {
		http.Error(w, "for programs on this machine", http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path == "/token":
		a.exchange(w, r)
	case strings.HasPrefix(r.URL.Path, "/v1/"):
		a.api(w, r)
	case strings.HasPrefix(r.URL.Path, "/signup/"):
		a.admin(w, r)
	case strings.HasPrefix(r.URL.Path, "/phone/"), strings.HasPrefix(r.URL.Path, "/control/"):
		a.side().ServeHTTP(w, r)
	default:
		a.note(r.Method+" "+firstPart(r.URL.Path), "no such path")
		http.NotFound(w, r)
	}
}

// fromHere: a page in a browser on this machine must not reach in, whatever name
// it has given to 127.0.0.1.
func fromHere(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.Host)
	ip := net.ParseIP(host)
	return err == nil && r.Header.Get("Origin") == "" && (host == "localhost" || ip != nil && ip.IsLoopback())
}

func firstPart(path string) string {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + first
}

const maxViolations = 1000

// note puts a violation on the list.
func (a *AMAPI) note(method, text string) {
	v := Violation{Method: method, Text: text}
	a.mu.Lock()
	if len(a.breach) < maxViolations {
		a.breach = append(a.breach, v)
	}
	a.mu.Unlock()
	a.o.Breach(v)
}

// AMAPILog is what a stand-in saw.
type AMAPILog struct {
	Calls      map[string]int `json:"calls"` // by method of the API, refused ones too
	Violations []Violation    `json:"violations"`
	Delivered  int            `json:"delivered"` // pushes that were answered with 2xx
	Failed     int            `json:"failed"`    // that were not, and come again
	Waiting    int            `json:"waiting"`   // messages without an answer so far
}

// Log tells what the stand-in saw so far.
func (a *AMAPI) Log() AMAPILog {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := AMAPILog{Calls: map[string]int{}, Violations: append([]Violation{}, a.breach...), Delivered: a.push.delivered, Failed: a.push.failed, Waiting: len(a.s.Queue)}
	for method, n := range a.calls {
		l.Calls[method] = n
	}
	return l
}
