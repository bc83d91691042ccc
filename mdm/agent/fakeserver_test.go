package agent

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/smallstep/pkcs7"
	"howett.net/plist"

	"sallyport/internal/appleschema"
)

const (
	goodCode = "ABCD2345"
	mdmUUID  = "11111111-1111-5111-8111-111111111111"
	scepUUID = "22222222-2222-5222-8222-222222222222"
	topic    = "com.apple.mgmt.External.33333333-3333-5333-8333-333333333333"
)

// fakeServer speaks the server's half strictly: whatever a phone must not send
// fails the test.
type fakeServer struct {
	t      testing.TB
	ca     *fakeCA
	http   *httptest.Server
	schema *appleschema.Schema // nil when the schema is not at hand

	mu         sync.Mutex
	pin        string
	challenges map[string]string // challenge -> transaction and key that used it
	issued     map[string]*x509.Certificate
	renewable  func(message []byte) bool // who signed it may renew; nil: nobody
	caps       string
	identity   *x509.Certificate // pinned by the last Authenticate
	known      map[string]bool   // all that were
	greeting   func() []m        // commands that wait for every phone that enrols; nil: none
	greetings  map[string][]m    // by identity
	unlock     []byte            // UnlockToken of the last TokenUpdate
	token      []byte            // its Token
	checkedIn  []string
	signers    []string         // of every message, by SHA-256
	successors bool             // identities are known that never authenticated
	commands   []map[string]any // waiting
	sent       map[string]map[string]any
	results    []map[string]any
	answerWith int                                // status of every MDM answer; 0: the proper one
	answerBody string                             // goes with it
	heard      func(message m)                    // every message of a poll; nil: nobody listens
	profile    func(der []byte) []byte            // changes the signed profile on its way out
	fault      func(phase, what string) faultKind // injects failures
	limited    func() string                      // Retry-After of the enrolment page; "": not limited
	requests   []string
	callers    map[string]int             // X-Forwarded-For
	bodies     map[string]map[string]bool // what -> distinct bodies seen
}

type faultKind int

const (
	noFault faultKind = iota
	drop              // cut the connection
	fail503           // answer 503
)

func newFakeServer(t testing.TB) *fakeServer {
	t.Helper()
	f := &fakeServer{
		t: t, ca: newFakeCA(t), challenges: map[string]string{}, issued: map[string]*x509.Certificate{},
		caps: "AES\nSHA-256\nSHA-512\nPOSTPKIOperation\nSCEPStandard\n", sent: map[string]map[string]any{}, bodies: map[string]map[string]bool{},
		callers: map[string]int{}, known: map[string]bool{}, greetings: map[string][]m{},
	}
	f.http = httptest.NewUnstartedServer(http.HandlerFunc(f.serve))
	f.http.TLS = &tls.Config{Certificates: []tls.Certificate{f.ca.tls}}
	f.http.Config.ErrorLog = nil
	f.http.EnableHTTP2 = true
	f.http.StartTLS()
	t.Cleanup(f.http.Close)
	return f
}

// fail ends the request, from whatever goroutine it runs in.
func (f *fakeServer) fail(format string, args ...any) {
	f.t.Errorf(format, args...)
	panic(http.ErrAbortHandler)
}

func (f *fakeServer) invitation() string { return f.http.URL + "/enroll/" + goodCode }

func (f *fakeServer) what(r *http.Request) string {
	switch {
	case strings.HasSuffix(r.URL.Path, "/enroll.mobileconfig"):
		return "download"
	case strings.HasPrefix(r.URL.Path, "/enroll/"):
		return "page"
	case r.URL.Path == "/scep":
		return r.URL.Query().Get("operation")
	case r.Header.Get("Content-Type") == checkInType:
		return "checkin"
	}
	return "command"
}

// serve wraps the handlers with faults before and after the work is done.
func (f *fakeServer) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	what := f.what(r)
	f.requests = append(f.requests, what)
	f.callers[r.Header.Get("X-Forwarded-For")]++
	if f.bodies[what] == nil {
		f.bodies[what] = map[string]bool{}
	}
	f.bodies[what][string(body)] = true
	if f.inject(w, "before", what) {
		return
	}
	rec := httptest.NewRecorder()
	f.route(rec, r, body)
	if f.inject(w, "after", what) {
		return
	}
	for k, v := range rec.Header() {
		w.Header()[k] = v
	}
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

func (f *fakeServer) inject(w http.ResponseWriter, phase, what string) bool {
	if f.fault == nil {
		return false
	}
	switch f.fault(phase, what) {
	case drop:
		panic(http.ErrAbortHandler)
	case fail503:
		http.Error(w, "down", http.StatusServiceUnavailable)
		return true
	}
	return false
}

func (f *fakeServer) route(w http.ResponseWriter, r *http.Request, body []byte) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/enroll/"+goodCode):
		f.enrolment(w, r, body)
	case strings.HasPrefix(r.URL.Path, "/enroll/"):
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, "<!doctype html><title>x</title><h1>This invitation has expired</h1>")
	case r.URL.Path == "/scep":
		f.scep(w, r, body)
	case r.URL.Path == "/mdm":
		f.mdm(w, r, body)
	default:
		f.t.Errorf("request for %s", r.URL.Path)
		http.NotFound(w, r)
	}
}

func (f *fakeServer) enrolment(w http.ResponseWriter, r *http.Request, body []byte) {
	if !strings.Contains(r.UserAgent(), "iPhone") || !strings.Contains(r.UserAgent(), "Safari") {
		f.t.Errorf("the page was asked by %q", r.UserAgent())
	}
	if f.limited != nil {
		if after := f.limited(); after != "" {
			w.Header().Set("Retry-After", after)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
	}
	if r.URL.Path == "/enroll/"+goodCode {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, f.page())
		return
	}
	if f.pin != "" {
		form, _ := url.ParseQuery(string(body))
		if r.Method != http.MethodPost || form.Get("token") != "t1" || r.Header.Get("Origin") != f.http.URL {
			f.t.Errorf("PIN form sent as %s %v", r.Method, form)
		}
		if form.Get("pin") != f.pin {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, f.page())
			return
		}
	}
	challenge := randomText()
	f.challenges[challenge] = ""
	der := f.ca.signed(f.t, f.enrolmentProfile(challenge))
	if f.profile != nil {
		der = f.profile(der)
	}
	w.Header().Set("Content-Type", profileType)
	_, _ = w.Write(der)
}

func (f *fakeServer) page() string {
	download := "/enroll/" + goodCode + "/enroll.mobileconfig"
	if f.pin == "" {
		return `<!doctype html><title>Sallyport</title><h1>Hello Alice</h1><p>IT invites <b>alice@example.test</b></p><a href="` + download + `">Download</a>`
	}
	return `<!doctype html><title>Sallyport</title><h1>Enter your PIN</h1><p>IT invites alice@example.test</p>
		<form method="post" action="` + download + `"><input type="hidden" name="token" value="t1"><input name="pin" inputmode="numeric"><button>Go</button></form>`
}

// rights makes the enrolment profile ask for others than 7999.
func (f *fakeServer) rights(rights string) {
	f.profile = func([]byte) []byte {
		challenge := randomText()
		f.challenges[challenge] = ""
		return f.ca.signed(f.t, []byte(strings.Replace(string(f.enrolmentProfile(challenge)), "7999", rights, 1)))
	}
}

func randomText() string { return base64.RawURLEncoding.EncodeToString(randomBytes(32)) }

func (f *fakeServer) encode(v any) []byte {
	f.t.Helper()
	out, err := plist.MarshalIndent(v, plist.XMLFormat, " ")
	if err != nil {
		f.fail("%v", err)
	}
	return out
}

type m = map[string]any

func (f *fakeServer) mdm(w http.ResponseWriter, r *http.Request, body []byte) {
	if r.Method != http.MethodPut {
		f.t.Errorf("MDM message by %s", r.Method)
	}
	signer := f.verify(r.Header.Get("Mdm-Signature"), body)
	f.signers = append(f.signers, fingerprint(signer))
	if f.successors {
		f.known[string(signer.Raw)] = true
	}
	var message m
	if _, err := plist.Unmarshal(body, &message); err != nil {
		f.fail("MDM message: %v", err)
	}
	if f.answerWith != 0 {
		w.WriteHeader(f.answerWith)
		_, _ = io.WriteString(w, f.answerBody)
		return
	}
	if r.Header.Get("Content-Type") == checkInType {
		f.checkIn(signer, message)
		return
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-apple-aspen-mdm;") {
		f.t.Errorf("content type %q", r.Header.Get("Content-Type"))
	}
	if !f.known[string(signer.Raw)] {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if f.heard != nil {
		f.heard(message)
	}
	waiting := f.greetings[string(signer.Raw)]
	if len(waiting) > 0 && waiting[0]["CommandUUID"] == message["CommandUUID"] {
		waiting = waiting[1:]
		f.greetings[string(signer.Raw)] = waiting
		f.results = append(f.results, message)
	} else {
		f.result(message)
	}
	switch {
	case len(waiting) > 0:
		_, _ = w.Write(f.encode(waiting[0]))
	case len(f.commands) > 0:
		_, _ = w.Write(f.encode(f.commands[0]))
	}
}

// verify checks the header as mdm/apple must: one signer, SHA-256, raw body.
func (f *fakeServer) verify(header string, body []byte) *x509.Certificate {
	der, err := base64.StdEncoding.DecodeString(header)
	if err != nil {
		f.fail("Mdm-Signature: %v", err)
	}
	p7, err := pkcs7.Parse(der)
	if err != nil {
		f.fail("Mdm-Signature: %v", err)
	}
	if len(p7.Content) != 0 {
		f.t.Error("Mdm-Signature is not detached")
	}
	p7.Content = body
	roots := x509.NewCertPool()
	roots.AddCert(f.ca.root)
	if err := p7.VerifyWithChainAtTime(roots, time.Now()); err != nil {
		f.fail("Mdm-Signature: %v", err)
	}
	return p7.GetOnlySigner()
}

func (f *fakeServer) checkIn(signer *x509.Certificate, message m) {
	kind, _ := message["MessageType"].(string)
	f.checkedIn = append(f.checkedIn, kind)
	if f.schema != nil {
		f.schema.CheckCheckin(f.t, message)
	}
	if message["Topic"] != topic {
		f.t.Errorf("topic %v", message["Topic"])
	}
	switch kind {
	case "Authenticate":
		f.identity = signer
		f.known[string(signer.Raw)] = true
		if f.greeting != nil {
			f.greetings[string(signer.Raw)] = f.greeting()
		}
	case "TokenUpdate", "CheckOut":
		if kind == "TokenUpdate" {
			f.unlock, _ = message["UnlockToken"].([]byte)
			f.token, _ = message["Token"].([]byte)
		}
		if !f.known[string(signer.Raw)] {
			f.t.Errorf("%s from an unknown identity", kind)
		}
	}
}

func (f *fakeServer) result(message m) {
	id, _ := message["CommandUUID"].(string)
	if message["Status"] == statusIdle {
		return
	}
	command := f.sent[id]
	if command == nil {
		f.t.Errorf("result of unknown command %q", id)
		return
	}
	name := command["Command"].(m)["RequestType"].(string)
	if f.schema != nil && message["Status"] == statusAcknowledged {
		f.schema.CheckResult(f.t, name, message)
	}
	if len(f.commands) > 0 && f.commands[0]["CommandUUID"] == id { // else: told before
		f.commands = f.commands[1:]
		f.results = append(f.results, message)
	}
}

// order queues a command and returns where its result will be.
func (f *fakeServer) order(name string, args m) {
	f.mu.Lock()
	defer f.mu.Unlock()
	command := m{"RequestType": name}
	for k, v := range args {
		command[k] = v
	}
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", len(f.sent)+1)
	f.sent[id] = m{"CommandUUID": id, "Command": command}
	f.commands = append(f.commands, f.sent[id])
}

func (f *fakeServer) lastResult() m {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.results) == 0 {
		f.t.Fatal("no result")
	}
	return f.results[len(f.results)-1]
}

func mustRSA(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
