package agent

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"sallyport/internal/secret"
)

// scene is an organisation with a stand-in of Google's, a page of its own, and
// an ear for Pub/Sub.
type scene struct {
	*standIn
	enterprise string
	page       *httptest.Server
	ear        *ear

	mu     sync.Mutex
	usage  string // of the tokens that the page mints
	pin    string // that the page asks for
	minted int
}

func newScene(t *testing.T) *scene {
	t.Helper()
	e := newEar(t)
	s := &scene{standIn: newStandIn(t, func(o *AMAPIOptions) { o.Push = e.url() }), ear: e, usage: "PERSONAL_USAGE_ALLOWED"}
	s.login()
	s.page = newPage(t, s)
	s.enterprise = s.standIn.enterprise()
	return s
}

func newPage(t *testing.T, s *scene) *httptest.Server {
	page := httptest.NewTLSServer(http.HandlerFunc(s.serve))
	t.Cleanup(page.Close)
	return page
}

// mint is what an enrolment page does when its button is pressed.
func (s *scene) mint() object {
	s.mu.Lock()
	usage := s.usage
	s.minted++
	s.mu.Unlock()
	return s.enrolToken(s.enterprise, `,"allowPersonalUsage":"`+usage+`"`)
}

func (s *scene) serve(w http.ResponseWriter, r *http.Request) {
	const form = `<!doctype html><h1>Set up your mail</h1>%s<form method="get" action="/language"><select name=lang></select></form>
<form method="post" action="%s"><input type=hidden name=csrf value=x>%s<button name=go value=1>Set up this phone</button></form>`
	_ = r.ParseForm()
	s.mu.Lock()
	pin, usage := s.pin, s.usage
	s.mu.Unlock()
	ask := ""
	if pin != "" {
		ask = `<input name="pin" inputmode=numeric>`
	}
	switch r.Method + " " + r.URL.Path {
	case "GET /enroll/ABCD2345":
		fmt.Fprintf(w, form, "", "", ask)
	case "POST /enroll/ABCD2345":
		switch {
		case r.Form.Get("csrf") != "x" || r.Form.Get("go") != "1":
			http.Error(w, "the form was not posted as it is", http.StatusBadRequest)
		case r.Form.Get("pin") != pin:
			fmt.Fprintf(w, form, `<p role=alert>The PIN is not right.</p>`, "", ask)
		case usage == "PERSONAL_USAGE_ALLOWED":
			http.Redirect(w, r, "https://enterprise.google.com/android/enroll?et="+str(s.mint(), "value"), http.StatusSeeOther)
		default:
			fmt.Fprintf(w, `<h1>Scan this</h1><div data-qr="%s"></div>`, html.EscapeString(str(s.mint(), "qrCode")))
		}
	case "GET /android/signin":
		info := s.call("GET", "provisioningInfo/"+r.Form.Get("provisioningInfo"), "")
		fmt.Fprintf(w, form, "<p>"+str(info, "model")+" "+str(info, "ownership")+"</p>", "?provisioningInfo="+r.Form.Get("provisioningInfo"), `<input name=code><input name=pin>`)
	case "POST /android/signin":
		if r.Form.Get("code") != "ABCD2345" {
			http.Redirect(w, r, "https://enterprise.google.com/android/enroll/invalid", http.StatusSeeOther)
			return
		}
		http.Redirect(w, r, "https://enterprise.google.com/android/enroll?et="+str(s.mint(), "value"), http.StatusSeeOther)
	case "GET /lost":
		fmt.Fprint(w, `<h1>Nothing for you here</h1><form method=post action="https://evil.example/"><button>x</button></form>`)
	case "GET /away":
		http.Redirect(w, r, "https://evil.example/android/enroll?et=X", http.StatusSeeOther)
	default:
		http.NotFound(w, r)
	}
}

func (s *scene) url() string { return s.page.URL + "/enroll/ABCD2345" }

// phone is a new Android phone, changed as Set would.
func (s *scene) phone(set ...string) (*Phone, *story) {
	s.t.Helper()
	told := &story{}
	p, err := New(Options{
		Dir: s.t.TempDir(), As: Android, AMAPI: s.URL(), CA: []*x509.Certificate{s.page.Certificate()}, Story: told.tell, Retry: quick,
		PIN: secret.New("123456"), Code: secret.New("ABCD2345"),
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(p.Close)
	if len(set) > 0 {
		setAll(s.t, p, set...)
	}
	return p, told
}

func setAll(t testing.TB, p *Phone, set ...string) {
	t.Helper()
	if err := p.Set(set...); err != nil {
		t.Fatal(err)
	}
}

// worker is a personal phone with a work profile.
func (s *scene) worker(set ...string) *Phone {
	s.t.Helper()
	p, _ := s.phone(set...)
	if err := p.Enroll(context.Background(), s.url()); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// corporate is a company's phone; usage of PERSONAL_USAGE_DISALLOWED makes the
// whole of it managed.
func (s *scene) corporate(usage string) *Phone {
	s.t.Helper()
	s.usage = usage
	p, _ := s.phone("owner=company", "fresh=yes")
	if err := p.Enroll(context.Background(), str(s.mint(), "qrCode")); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *scene) device(p *Phone) object {
	s.t.Helper()
	return s.call("GET", androidOf(s.t, p).Device, "")
}

func androidOf(t testing.TB, p *Phone) ShownAndroid {
	t.Helper()
	shot, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	return *shot.Android
}

func reconnect(t testing.TB, p *Phone) {
	t.Helper()
	if err := p.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// heard is one message of Pub/Sub.
type heard struct {
	kind, id string
	data     object
}

// ear is a push endpoint.
type ear struct {
	t      testing.TB
	server *httptest.Server

	mu   sync.Mutex
	all  []heard
	fail int // so many pushes are answered with 503
	came chan struct{}
}

func newEar(t testing.TB) *ear {
	e := &ear{t: t, came: make(chan struct{}, 1000)}
	e.server = httptest.NewServer(http.HandlerFunc(e.serve))
	t.Cleanup(e.server.Close)
	return e
}

func (e *ear) url() string { return e.server.URL + "/android/notifications/secret" }

func (e *ear) serve(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever pushed is gone: the test is over
	}
	var in struct {
		Message struct {
			Attributes map[string]string `json:"attributes"`
			Data       string            `json:"data"`
			ID         string            `json:"messageId"`
		} `json:"message"`
		Subscription string `json:"subscription"`
	}
	if err := json.Unmarshal(body, &in); err != nil || in.Subscription == "" || r.URL.Path != "/android/notifications/secret" {
		e.t.Errorf("push %s: %v %s", r.URL, err, body)
	}
	data, err := base64.StdEncoding.DecodeString(in.Message.Data)
	if err != nil {
		e.t.Error(err)
	}
	doc, err := readObject(data)
	if err != nil {
		e.t.Error(err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fail > 0 {
		e.fail--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	e.all = append(e.all, heard{in.Message.Attributes["notificationType"], in.Message.ID, doc})
	w.WriteHeader(http.StatusNoContent)
	e.came <- struct{}{}
}

// wait returns the messages once there are n of that kind.
func (e *ear) wait(kind string, n int) []heard {
	e.t.Helper()
	for {
		e.mu.Lock()
		var out []heard
		for _, h := range e.all {
			if h.kind == kind {
				out = append(out, h)
			}
		}
		e.mu.Unlock()
		if len(out) >= n {
			return out
		}
		<-e.came // the test's own time limit ends a wait that is in vain
	}
}

func (e *ear) kinds() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, h := range e.all {
		out = append(out, h.kind)
	}
	return slices.Clip(out)
}
