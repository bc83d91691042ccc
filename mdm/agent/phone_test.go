package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/appleschema"
	"sallyport/internal/secret"
)

// quick keeps tests with a failing server short.
var quick = Retry{First: time.Millisecond, Max: 5 * time.Millisecond, Total: time.Minute, Attempts: 20}

type story struct {
	mu    sync.Mutex
	lines []string
}

func (s *story) tell(step, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, step+"  "+text)
}

func (s *story) has(t *testing.T, want string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, line := range s.lines {
		if strings.Contains(line, want) {
			return
		}
	}
	t.Errorf("the story does not say %q:\n%s", want, strings.Join(s.lines, "\n"))
}

// manyKeys are those of all phones here, each another one: to find primes costs more
// than the rest of a test.
var manyKeys = NewKeyPool()

// ownKeys are kept in files, as those of a phone that is alone are.
func ownKeys(o *Options) { o.Keys = nil }

func newPhone(t testing.TB, f *fakeServer, change ...func(*Options)) (*Phone, *story) {
	t.Helper()
	s := &story{}
	o := Options{Dir: t.TempDir(), CA: []*x509.Certificate{f.ca.root}, Keys: manyKeys, Story: s.tell, Retry: quick}
	for _, c := range change {
		c(&o)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p, s
}

func enrolled(t *testing.T, f *fakeServer, change ...func(*Options)) (*Phone, *story) {
	t.Helper()
	p, s := newPhone(t, f, change...)
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Fatal(err)
	}
	return p, s
}

func connect(t *testing.T, p *Phone) {
	t.Helper()
	if err := p.Connect(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func show(t *testing.T, p *Phone) Snapshot {
	t.Helper()
	s, err := p.Show()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnrol(t *testing.T) {
	f := newFakeServer(t)
	p, told := enrolled(t, f)
	told.has(t, "page fetched  "+f.http.URL+"/enroll/… (invites alice@example.test)")
	told.has(t, "profile verified  signed by CN=Example Profiles, 3 payloads")
	told.has(t, "certificate issued  CN=phone, valid until ")
	told.has(t, "checked in  Authenticate, TokenUpdate accepted")
	told.has(t, "done  nothing more to do")
	for _, line := range told.lines {
		if strings.Contains(line, goodCode) {
			t.Errorf("the story gives the code away: %s", line)
		}
	}
	s := show(t, p)
	if s.State != StageEnrolled || len(s.Profiles) != 1 || len(s.Certificates) != 2 {
		t.Errorf("after enrolment: %+v", s)
	}
	id := s.Certificates[1]
	if !id.Identity || len(id.UPN) != 1 || id.UPN[0] != "alice@example.test" {
		t.Errorf("identity: %+v", id)
	}
	if got := strings.Join(f.checkedIn, " "); got != "Authenticate TokenUpdate" {
		t.Errorf("checked in with %s", got)
	}
	if err := p.Enroll(context.Background(), f.invitation()); !errors.Is(err, ErrAlreadyEnrolled) {
		t.Errorf("second enrolment: %v", err)
	}
}

func TestFactsLookLikeApples(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := show(t, p)
	for what, pattern := range map[string]string{
		a.UDID: `^00008110-[0-9A-F]{16}$`, a.EASDeviceID: `^[A-Z0-9]{26}$`, a.Serial: `^[0-9A-Z]{10}$`, a.Product: `^iPhone14,5$`, a.Build: `^23B\d+$`,
	} {
		if !regexp.MustCompile(pattern).MatchString(what) {
			t.Errorf("%q is not %s", what, pattern)
		}
	}
	if q, err := New(Options{}); err != nil || show(t, q).UDID == a.UDID || show(t, q).EASDeviceID == a.EASDeviceID {
		t.Errorf("two phones are the same phone (%v)", err)
	}
}

func TestEnrolmentWithPIN(t *testing.T) {
	f := newFakeServer(t)
	f.pin = "314159"
	for pin, want := range map[string]error{"": ErrPINNeeded, "000000": ErrPINNeeded, "314159": nil} {
		p, _ := newPhone(t, f, func(o *Options) { o.PIN = secret.New(pin) })
		if err := p.Enroll(context.Background(), f.invitation()); !errors.Is(err, want) {
			t.Errorf("PIN %q: %v, want %v", pin, err, want)
		}
	}
}

// A server that says how long to wait is not one that cannot be reached.
func TestTooManyTries(t *testing.T) {
	for _, tt := range []struct {
		after, says string
		want        error
	}{
		{"599", "wait 10 minutes", ErrTooMany},
		{"86400", "wait 24 hours", ErrTooMany},
		{"61", "wait 61 seconds", ErrTooMany},
		{"1", "", nil}, // within the minute of the test's limit
	} {
		f := newFakeServer(t)
		asked, limited := time.Time{}, true
		f.limited = func() string {
			if !limited {
				return ""
			}
			asked, limited = time.Now(), false
			return tt.after
		}
		p, _ := newPhone(t, f)
		err := p.Enroll(context.Background(), f.invitation())
		if !errors.Is(err, tt.want) || errors.Is(err, ErrUnreachable) || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Retry-After %s: %v, want %v that says %q", tt.after, err, tt.want, tt.says)
		}
		if took := time.Since(asked); tt.want == nil && took < time.Second {
			t.Errorf("asked again before the second was over: %s", took)
		}
	}
}

// Whatever a phone would not accept leaves it as it was: nothing is sent to the
// CA or the MDM server.
func TestEnrolmentRefused(t *testing.T) {
	other := newFakeCA(t)
	tests := []struct {
		name   string
		server func(*fakeServer)
		phone  func(*Options)
		url    func(*fakeServer) string
		want   error
		says   string
	}{
		{name: "TLS of an unknown CA", phone: func(o *Options) { o.CA = []*x509.Certificate{other.root} }, want: ErrUntrusted},
		{name: "profile signed by a stranger", want: ErrUntrusted, says: "1004", server: func(f *fakeServer) {
			f.profile = func([]byte) []byte { return other.signed(t, f.enrolmentProfile("x")) }
		}},
		{name: "profile changed after signing", want: ErrUntrusted, says: "1004", server: func(f *fakeServer) {
			f.profile = func(der []byte) []byte { return tampered(der, "7999", "8191") }
		}},
		{name: "profile not signed", want: ErrUntrusted, says: "1004", server: func(f *fakeServer) {
			f.profile = func([]byte) []byte { return f.enrolmentProfile("x") }
		}},
		{name: "no MDM payload", want: ErrProfile, server: func(f *fakeServer) {
			f.profile = func([]byte) []byte {
				return f.ca.signed(t, f.encode(profileOf("a", "b", f.scepPayload("c", "d", "x"))))
			}
		}},
		{name: "bad topic", want: ErrProfile, says: "12022", server: func(f *fakeServer) {
			f.profile = func([]byte) []byte {
				return f.ca.signed(t, []byte(strings.Replace(string(f.enrolmentProfile("x")), topic, "com.example.topic", 1)))
			}
		}},
		{name: "rights that need others", want: ErrProfile, says: "12000", server: func(f *fakeServer) {
			f.profile = func([]byte) []byte {
				return f.ca.signed(t, []byte(strings.Replace(string(f.enrolmentProfile("x")), "7999", "2", 1)))
			}
		}},
		{name: "weak CA", want: ErrProtocol, says: "22006", server: func(f *fakeServer) { f.caps = "POSTPKIOperation\nSHA-1\nDES3\n" }},
		{name: "challenge not accepted", want: ErrRefused, says: "badRequest", server: func(f *fakeServer) {
			f.profile = func([]byte) []byte { return f.ca.signed(t, f.enrolmentProfile("never issued")) }
		}},
		{name: "expired invitation", want: ErrRefused, says: "This invitation has expired", url: func(f *fakeServer) string { return f.http.URL + "/enroll/ZZZZ9999" }},
		{name: "no TLS at all", want: ErrInvalid, url: func(f *fakeServer) string { return "http://127.0.0.1/enroll/" + goodCode }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			if tt.server != nil {
				tt.server(f)
			}
			p, _ := newPhone(t, f, func(o *Options) {
				if tt.phone != nil {
					tt.phone(o)
				}
			})
			address := f.invitation()
			if tt.url != nil {
				address = tt.url(f)
			}
			err := p.Enroll(context.Background(), address)
			if !errors.Is(err, tt.want) || !strings.Contains(fmt.Sprint(err), tt.says) {
				t.Fatalf("got %v, want %v saying %q", err, tt.want, tt.says)
			}
			if strings.Contains(err.Error(), goodCode) {
				t.Errorf("the error gives the code away: %v", err)
			}
			if len(f.checkedIn) > 0 || len(f.issued) > 0 {
				t.Errorf("checked in %v, issued %d", f.checkedIn, len(f.issued))
			}
			if s := show(t, p); len(s.Profiles)+len(s.Certificates) > 0 {
				t.Errorf("left on the phone: %+v", s)
			}
		})
	}
}

// A server that dies before or after it did what each request asked for is
// asked again with the same bytes, and the phone ends enrolled with one certificate.
func TestServerDiesAtEveryStep(t *testing.T) {
	for kind, phases := range map[faultKind][]string{drop: {"before", "after"}, fail503: {"before"}} {
		for _, phase := range phases {
			for _, step := range []string{"page", "download", "GetCACaps", "GetCACert", "PKIOperation", "checkin", "command"} {
				t.Run(fmt.Sprintf("%s %s %d", phase, step, kind), func(t *testing.T) {
					t.Parallel()
					f := newFakeServer(t)
					failures := 0
					f.fault = func(ph, what string) faultKind {
						if ph == phase && what == step && failures < 2 {
							failures++
							return kind
						}
						return noFault
					}
					f.order("DeviceInformation", m{"Queries": []string{"EASDeviceIdentifier"}})
					p, told := enrolled(t, f)
					told.has(t, "waiting  ")
					if s := show(t, p); s.State != StageEnrolled {
						t.Errorf("state %s", s.State)
					}
					if len(f.issued) != 1 {
						t.Errorf("%d certificates were issued", len(f.issued))
					}
					if n := len(f.bodies["PKIOperation"]); n != 1 {
						t.Errorf("%d different certificate requests", n)
					}
					if n := len(f.bodies["checkin"]); n != 2 {
						t.Errorf("%d different check-in messages", n)
					}
					if len(f.results) != 1 {
						t.Errorf("%d results", len(f.results))
					}
				})
			}
		}
	}
}

// A phone that stops at any request continues from its directory: a new
// process finishes, with the same certificate request.
func TestPhoneDiesAtEveryStep(t *testing.T) {
	for _, phase := range []string{"before", "after"} {
		for _, step := range []string{"page", "download", "GetCACaps", "GetCACert", "PKIOperation", "checkin", "command"} {
			t.Run(phase+" "+step, func(t *testing.T) {
				t.Parallel()
				f := newFakeServer(t)
				down := true
				f.fault = func(ph, what string) faultKind {
					if down && ph == phase && what == step {
						return drop
					}
					return noFault
				}
				f.order("SecurityInfo", nil)
				dir := t.TempDir()
				first, _ := newPhone(t, f, func(o *Options) { o.Keys, o.Dir, o.Retry = nil, dir, Retry{Attempts: 1} })
				if err := first.Enroll(context.Background(), f.invitation()); !errors.Is(err, ErrUnreachable) {
					t.Fatalf("with a dead server: %v", err)
				}
				f.mu.Lock()
				down = false
				f.mu.Unlock()
				second, err := New(Options{Dir: dir, Existing: true, Retry: quick}) // no --ca: the state knows it
				if err != nil {
					t.Fatal(err)
				}
				defer second.Close()
				if step == "command" {
					err = second.Connect(context.Background())
				} else {
					err = second.Enroll(context.Background(), f.invitation())
				}
				if err != nil {
					t.Fatalf("second process: %v", err)
				}
				if len(f.issued) != 1 || len(f.bodies["PKIOperation"]) != 1 || len(f.results) != 1 {
					t.Errorf("%d certificates, %d different requests, %d results", len(f.issued), len(f.bodies["PKIOperation"]), len(f.results))
				}
				if keys, _ := os.ReadDir(filepath.Join(dir, keyFolder)); len(keys) != 1 {
					t.Errorf("%d key files", len(keys))
				}
			})
		}
	}
}

func TestFilesAreTheOwnersOnly(t *testing.T) {
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	err := filepath.WalkDir(p.o.Dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if info, err := d.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v (%v)", path, info.Mode(), err)
		}
		data, err := os.ReadFile(path)
		if strings.Contains(string(data), goodCode) {
			t.Errorf("%s holds the code", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A server must never answer 401: it makes every phone leave.
func TestDismissal(t *testing.T) {
	f := newFakeServer(t)
	p, told := enrolled(t, f)
	f.answerWith = 401
	if err := p.Connect(context.Background()); !errors.Is(err, ErrDismissed) {
		t.Errorf("after 401: %v", err)
	}
	told.has(t, "management removed")
	if s := show(t, p); s.State != StageNone || len(s.Profiles)+len(s.Certificates) > 0 {
		t.Errorf("after 401: %+v", s)
	}
	q, _ := newPhone(t, f)
	f.answerWith = 400
	if err := q.Enroll(context.Background(), f.invitation()); !errors.Is(err, ErrRefused) {
		t.Errorf("after 400: %v", err)
	}
	if s := show(t, q); s.State != StageIdentity {
		t.Errorf("after 400: %s", s.State)
	}
}

func TestUnenroll(t *testing.T) {
	f := newFakeServer(t)
	p, told := enrolled(t, f, ownKeys)
	if err := p.Unenroll(context.Background()); err != nil {
		t.Fatal(err)
	}
	told.has(t, "check-out  accepted")
	if got := f.checkedIn[len(f.checkedIn)-1]; got != "CheckOut" {
		t.Errorf("last check-in: %s", got)
	}
	if s := show(t, p); s.State != StageNone || len(s.Profiles)+len(s.Certificates) > 0 {
		t.Errorf("left: %+v", s)
	}
	if keys, _ := os.ReadDir(filepath.Join(p.o.Dir, keyFolder)); len(keys) != 0 {
		t.Errorf("%d keys left", len(keys))
	}
	if err := p.Connect(context.Background()); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("connect: %v", err)
	}
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Errorf("enrolling again: %v", err)
	}
}

func TestLoad(t *testing.T) {
	if _, err := Load(t.TempDir()); !errors.Is(err, ErrNoPhone) {
		t.Errorf("empty directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil || errors.Is(err, ErrNoPhone) {
		t.Errorf("damaged state: %v", err)
	}
}

func TestSet(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set("passcode=off", "os=16.1", "name=Alice's phone", "supervised=yes", "locked=on"); err != nil {
		t.Fatal(err)
	}
	s := show(t, p)
	if s.Passcode || s.OSVersion != "16.1" || s.Build != "20B81" || s.Name != "Alice's phone" || !s.Supervised || !s.Locked {
		t.Errorf("got %+v", s)
	}
	for _, bad := range []string{"passcode", "passcode=maybe", "os=sixteen", "os=", "name=", "colour=red"} {
		if err := p.Set("passcode=on", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if show(t, p).Passcode {
		t.Error("a refused set changed something")
	}
}

func TestAnswersFollowApplesSchema(t *testing.T) {
	f := newFakeServer(t)
	f.schema = appleschema.Open(t)
	p, _ := newPhone(t, f)
	every := []string{}
	for _, q := range queries {
		every = append(every, q.name)
	}
	f.order("DeviceInformation", m{"Queries": every})
	f.order("SecurityInfo", nil)
	f.order("CertificateList", nil)
	f.order("ProfileList", m{"ManagedOnly": false})
	f.order("InstalledApplicationList", nil)
	f.order("ManagedApplicationList", nil)
	f.order("Restrictions", m{"ProfileRestrictions": true})
	f.order("DeviceLock", m{"Message": "Found?", "PhoneNumber": "+49 30 1"})
	f.order("EraseDevice", nil)
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Fatal(err)
	}
	if len(f.results) != 9 {
		t.Errorf("%d results", len(f.results))
	}
	for _, r := range f.results {
		if r["Status"] != statusAcknowledged {
			t.Errorf("%v", r)
		}
	}
	if asked, told := len(every), len(f.results[0]["QueryResponses"].(m)); told < asked-10 || told < 35 {
		t.Errorf("DeviceInformation answers %d of %d", told, asked)
	}
}

func TestCheckOutFollowsApplesSchema(t *testing.T) {
	f := newFakeServer(t)
	f.schema = appleschema.Open(t)
	p, _ := enrolled(t, f)
	if err := p.Unenroll(context.Background()); err != nil || f.checkedIn[2] != "CheckOut" {
		t.Errorf("%v, %v", f.checkedIn, err)
	}
}
