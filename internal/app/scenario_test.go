package app_test

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/audit"
	"sallyport/internal/config"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
	"sallyport/internal/work"
	"sallyport/mdm/agent"
)

// scenario is one thing that happens to phones. It says what the phone holds
// then, and what the server says of it.
type scenario struct {
	name string
	play func(s *scene)
	// set makes settings of its own, and with them a server of its own. Without,
	// the scenario shares a server with others: each has its own user.
	set func(c *config.Config)
	// own asks for a server of its own: the scenario moves the clock, changes what
	// is for everybody, or needs a push service.
	own  bool
	push bool // beside a stand-in for Apple's push service, with a certificate for it
}

// TestScenarios plays them all, side by side. Nothing in them waits for time to
// pass: what time changes comes by moving the server's clock, and what happens
// behind an answer by waiting for the commit that it ends with.
func TestScenarios(t *testing.T) {
	t.Parallel()
	all := slices.Concat(enrolScenarios, statusScenarios, wireScenarios, againScenarios, actScenarios, wipeScenarios, pushScenarios, endScenarios, changeScenarios, renewalScenarios, smimeScenarios)
	common := newStage(t, nil)
	names := map[string]bool{}
	for i, sc := range all {
		if names[sc.name] {
			t.Errorf("two scenarios are called %q", sc.name)
		}
		names[sc.name] = true
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			st := common
			switch {
			case sc.push:
				st = newPushStage(t, sc.set)
			case sc.own || sc.set != nil:
				st = newStage(t, sc.set)
			}
			sc.play(newScene(t, st, fmt.Sprintf("user%d@example.test", i)))
		})
	}
	t.Logf("%d scenarios", len(all))
}

// clock is a server's time, which a test moves.
type clock struct {
	ahead atomic.Int64
	stood atomic.Pointer[time.Time] // nil: it goes
}

func (c *clock) now() time.Time {
	now := time.Now()
	if stood := c.stood.Load(); stood != nil {
		now = *stood
	}
	return now.Add(time.Duration(c.ahead.Load()))
}

// stand stops the clock, so that nothing but the test moves it: for what must not
// happen within seconds, which a slow machine may need for the steps in between.
// Nobody is woken by a clock that stands.
func (c *clock) stand() {
	now := time.Now()
	c.stood.Store(&now)
}

// goOn ends that: the clock is as far ahead again as the test has moved it.
func (c *clock) goOn() { c.stood.Store(nil) }

// stage is a server with a sample organisation.
type stage struct {
	*client
	app     *app.App
	clock   *clock
	commits work.Wake        // told of each one
	before  func(a *app.App) // a server begins to run; may be nil

	standIn   *agent.PushService // nil without
	authority *agent.PushAuthority
}

func newStage(t *testing.T, set func(*config.Config)) *stage {
	t.Helper()
	st := &stage{clock: &clock{}}
	st.start(t, filepath.Join(t.TempDir(), "data"), set)
	return st
}

func newPushStage(t *testing.T, set func(*config.Config)) *stage {
	t.Helper()
	st := &stage{clock: &clock{}}
	dir := filepath.Join(t.TempDir(), "apns")
	var err error
	st.authority, err = agent.OpenPushAuthority(dir, nil)
	must(t, err)
	st.standIn, err = agent.NewPushService(t.Context(), agent.PushServiceOptions{Authority: st.authority, Now: st.clock.now})
	must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- st.standIn.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		must(t, <-ended)
	})
	st.start(t, filepath.Join(t.TempDir(), "data"), func(c *config.Config) {
		c.APNsURL, c.APNsCA = st.standIn.URL(), filepath.Join(dir, "ca.pem")
		if set != nil {
			set(c)
		}
	})
	st.certify(t)
	return st
}

// certify takes the server through the portal, as an administrator would.
func (st *stage) certify(t *testing.T) {
	t.Helper()
	var request adminapi.PushRequest
	st.call(http.MethodPost, "/api/v1/push/csr", "", nil, &request)
	file, _, err := st.authority.Sign([]byte(request.CSR), false)
	must(t, err)
	st.post("/api/v1/push/certificate", adminapi.PushCertificate{Certificate: string(file)}, &struct{}{})
}

func (st *stage) start(t *testing.T, data string, set func(*config.Config)) {
	t.Helper()
	cfg := testConfig(data, "127.0.0.1:0")
	if set != nil {
		set(&cfg)
	}
	st.app = st.serve(t, cfg)
	st.client = newClient(t, data)
	st.organise()
}

// organise makes the sample organisation, but for its users.
func (st *stage) organise() {
	st.t.Helper()
	st.call(http.MethodPost, "/api/v1/templates", "application/yaml", []byte(mailTemplate), &adminapi.TemplateApplied{})
	st.call(http.MethodPost, "/api/v1/compliance/policies", "application/yaml", []byte(baseline), &adminapi.PolicyApplied{})
}

// serve runs a server by the stage's clock until the test ends.
func (st *stage) serve(t *testing.T, cfg config.Config) *app.App {
	t.Helper()
	a, stop := st.run(t, cfg)
	t.Cleanup(stop)
	return a
}

// run is serve with an end of one's own.
func (st *stage) run(t *testing.T, cfg config.Config) (a *app.App, stop func()) {
	t.Helper()
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Now: st.clock.now, StoreHook: func(_ string, at store.Phase) {
		if at == store.AfterCommit {
			st.commits.Notify()
		}
	}})
	must(t, err)
	if st.before != nil {
		st.before(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return a, func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

// scene is a scenario under way: a server, and a user of its own.
type scene struct {
	*testing.T
	*client
	app   *app.App
	stage *stage
	user  string
	ctx   context.Context
}

func newScene(t *testing.T, st *stage, user string) *scene {
	t.Helper()
	c := *st.client
	c.t = t
	s := &scene{T: t, client: &c, app: st.app, stage: st, user: user, ctx: t.Context()}
	s.addUser(user)
	return s
}

func (s *scene) addUser(upn string) {
	s.Helper()
	s.post("/api/v1/users", adminapi.UserInput{UPN: upn, Email: upn, DisplayName: "A User"}, &struct{}{})
}

// is fails the scenario where what is differs from what should be, and goes on.
func is[V comparable](s *scene, what string, got, want V) {
	s.Helper()
	if got != want {
		s.Errorf("%s: %v, want %v", what, got, want)
	}
}

// told fails where a text does not hold what it should.
func (s *scene) told(what, got, want string) {
	s.Helper()
	if !strings.Contains(got, want) {
		s.Errorf("%s: %q, want something with %q", what, got, want)
	}
}

// phone is a new phone, in memory, with keys of the process's pool.
func (s *scene) phone() *agent.Phone {
	s.Helper()
	p, err := agent.New(agent.Options{
		CA: []*x509.Certificate{s.root}, Keys: phoneKeys, Now: s.stage.clock.now, HTTP: s.http,
		Story: func(step, text string) { s.Log("phone:", step, text) },
		Retry: agent.Retry{First: time.Millisecond, Max: 20 * time.Millisecond, Attempts: 1000, Total: patience},
	})
	must(s.T, err)
	s.Cleanup(p.Close)
	return p
}

// enrol is a phone of the scene's user, corporate, that has enrolled.
func (s *scene) enrol(with ...string) *agent.Phone {
	s.Helper()
	p := s.phone()
	must(s.T, p.Set(with...))
	s.enrolAs(p, s.user)
	return p
}

func (s *scene) enrolAs(p *agent.Phone, user string) {
	s.Helper()
	must(s.T, p.Enroll(s.ctx, s.invite(adminapi.InvitationRequest{User: user, Ownership: "corporate"}).URL))
	s.settle()
}

// connect is one round of the phone, and what follows from it.
func (s *scene) connect(p *agent.Phone) {
	s.Helper()
	must(s.T, p.Connect(s.ctx))
	s.settle()
}

// until waits for something that happens behind an answer. It is asked again
// after every commit. Each wait has the test's patience, and not the scene as a
// whole: how many steps a machine does in a minute is no matter of the server's.
func (s *scene) until(what string, condition func() bool) {
	s.Helper()
	late := time.After(patience)
	for {
		committed := s.stage.commits.Wait() // before the question: see work.Wake
		if condition() {
			return
		}
		select {
		case <-committed:
		case <-time.After(20 * time.Millisecond): // who passes events commits nothing
		case <-late:
			s.Fatalf("never came: %s", what)
		}
	}
}

// settle waits until what follows from the answers so far is done.
func (s *scene) settle() {
	s.Helper()
	s.until("the end of the events", func() bool {
		done, err := s.app.Handled(s.ctx)
		must(s.T, err)
		return done
	})
}

// pass moves the clock, and does what only time makes necessary.
func (s *scene) pass(d time.Duration) {
	s.Helper()
	s.stage.clock.ahead.Add(int64(d))
	must(s.T, s.app.Pass(s.ctx))
	s.settle()
}

// device is what the server says of a phone.
func (s *scene) device(p *agent.Phone) accessapi.DeviceDetail {
	s.Helper()
	var found accessapi.DeviceDetail
	s.call(http.MethodGet, "/api/v1/devices/"+s.idOf(tapped{Phone: p}), "", nil, &found)
	return found
}

func (s *scene) commands(p *agent.Phone) []adminapi.Command {
	s.Helper()
	var list adminapi.Commands
	s.call(http.MethodGet, "/api/v1/devices/"+s.idOf(tapped{Phone: p})+"/commands?limit=1000", "", nil, &list)
	return list.Commands
}

// of are the commands of a kind, newest first.
func (s *scene) of(p *agent.Phone, requestType string) []adminapi.Command {
	s.Helper()
	return slices.DeleteFunc(s.commands(p), func(c adminapi.Command) bool { return c.RequestType != requestType })
}

// order asks for an act upon a phone; where it needs the device's name, that is given.
func (s *scene) order(p *agent.Phone, r adminapi.ActionRequest) adminapi.Action {
	s.Helper()
	path := "/api/v1/devices/" + s.idOf(tapped{Phone: p}) + "/actions"
	var out adminapi.ActionOrdered
	dry := r
	dry.DryRun = true
	s.post(path, dry, &out)
	r.Confirm = out.Plan.Device
	out = adminapi.ActionOrdered{}
	s.post(path, r, &out)
	s.settle()
	if out.Action == nil {
		return adminapi.Action{}
	}
	return *out.Action
}

// refused asks for an act that must be refused.
func (s *scene) refused(p *agent.Phone, r adminapi.ActionRequest, want int) {
	s.Helper()
	body, err := json.Marshal(r)
	must(s.T, err)
	is(s, r.Kind+" is answered", s.call(http.MethodPost, "/api/v1/devices/"+s.idOf(tapped{Phone: p})+"/actions", "application/json", body, nil), want)
}

// act is where an act stands.
func (s *scene) act(p *agent.Phone, a adminapi.Action) adminapi.ActionDetail {
	s.Helper()
	var out adminapi.ActionDetail
	s.call(http.MethodGet, "/api/v1/devices/"+s.idOf(tapped{Phone: p})+"/actions/"+a.ID, "", nil, &out)
	return out
}

// mail is the decision about the phone's mail, once everything has settled.
func (s *scene) mail(p *agent.Phone, want access.Effect) access.Decision {
	s.Helper()
	s.settle()
	d := s.decide(s.user, show(s.T, p).EASDeviceID)
	if d.Effect != want {
		s.Errorf("mail is decided %s, want %s: %+v", d.Effect, want, d.Reasons)
	}
	return d
}

// because is mail with the rule and the words that it must give.
func (s *scene) because(p *agent.Phone, want access.Effect, rule, fact string) {
	s.Helper()
	d := s.mail(p, want)
	for _, r := range d.Reasons {
		if r.Rule == rule && strings.Contains(r.Fact, fact) {
			return
		}
	}
	s.Errorf("mail is decided %s for %+v, want %s: %q", d.Effect, d.Reasons, rule, fact)
}

// trail are the audit entries of an action upon a target; all targets when empty.
func (s *scene) trail(action, target string) []audit.Entry {
	s.Helper()
	var list adminapi.AuditEntries
	s.call(http.MethodGet, "/api/v1/audit?limit=1000&action="+action+"&target="+target, "", nil, &list)
	return list.Entries
}

// configured checks a phone with which everything is in order.
func (s *scene) configured(p *agent.Phone) {
	s.Helper()
	s.settle()
	shot, d := show(s.T, p), s.device(p)
	is(s, "accounts", len(shot.Accounts), 1)
	is(s, "enrolment", d.Enrollment.State, "configured")
	is(s, "compliance", d.Compliance, "compliant")
	is(s, "user", d.User, s.user)
	is(s, "executed twice", shot.ExecutedTwice, 0)
	s.mail(p, access.Allow)
}

// times counts what the phone carried out of a kind.
func (s *scene) times(p *agent.Phone, requestType string) (n int) {
	s.Helper()
	for _, e := range show(s.T, p).Executed {
		if e.RequestType == requestType {
			n += e.Times
		}
	}
	return n
}
