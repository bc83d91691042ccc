package app_test

import (
	"crypto/x509"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// changeScenarios are about what changes while phones are busy.
var changeScenarios = []scenario{
	{name: "template changed while the old one is put off", play: changedWhilePutOff, own: true},
	{name: "template changed while a result is away", play: changedWhileAway, set: trusting1Day},
	{name: "template assigned to nobody", play: unassigned, own: true},
	{name: "user renamed", play: userChanged},
	{name: "user removed", play: userRemoved},
	{name: "user removed while commands are under way", play: userRemovedInFlight},
	{name: "two servers on one database", play: twoServers},
}

func (s *scene) host(n string) {
	s.Helper()
	s.apply(strings.Replace(mailTemplate, "mail.example.test", n, 1))
	s.settle()
}

// changedWhilePutOff: a locked phone is spared the revisions in between.
func changedWhilePutOff(s *scene) {
	p := s.enrol()
	must(s.T, p.Set("locked=on"))
	for _, host := range []string{"two.example.test", "three.example.test", "four.example.test"} {
		s.host(host)
		s.because(p, access.Block, "mail_profile", "")
		s.connect(p)
	}
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
	is(s, "account", show(s.T, p).Accounts[0].Host, "four.example.test")
	is(s, "installations", s.times(p, "InstallProfile"), 2)
	is(s, "changes of the account", show(s.T, p).Accounts[0].Updates, 1)
}

// changedWhileAway: a late word of a revision that is none any more opens nothing.
func changedWhileAway(s *scene) {
	p := s.enrol()
	s.host("two.example.test")
	must(s.T, p.Play(agent.Script{HoldResults: 1}))
	s.connect(p)
	is(s, "account", show(s.T, p).Accounts[0].Host, "two.example.test")
	s.host("three.example.test")
	s.mail(p, access.Block)
	s.connect(p)
	is(s, "account", show(s.T, p).Accounts[0].Host, "three.example.test")
	s.configured(p)
	is(s, "installations", s.times(p, "InstallProfile"), 3)
	is(s, "accounts made anew", show(s.T, p).Recreated, 0)
}

func unassigned(s *scene) {
	p := s.enrol()
	s.apply(strings.Replace(mailTemplate, "assign: everyone", "assign: {users: [somebody@example.test]}", 1))
	s.mail(p, access.Block)
	s.connect(p)
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	is(s, "profiles", len(show(s.T, p).Profiles), 1)
	s.apply(mailTemplate)
	s.connect(p)
	s.configured(p)
}

func userChanged(s *scene) {
	p := s.enrol()
	s.post("/api/v1/users", adminapi.UserInput{UPN: s.user, Email: "new-" + s.user, DisplayName: "A User"}, &struct{}{})
	s.mail(p, access.Block)
	s.connect(p)
	is(s, "address", show(s.T, p).Accounts[0].Email, "new-"+s.user)
	s.configured(p)
	is(s, "installations", s.times(p, "InstallProfile"), 2)
}

func (s *scene) removeUser() {
	s.Helper()
	is(s, "removing the user", s.call(http.MethodDelete, "/api/v1/users/"+s.user, "", nil, nil), http.StatusNoContent)
	is(s, "mail at once, without a phone", s.decide(s.user, "NOBODYS").Effect, access.Block)
	s.settle()
}

func userRemoved(s *scene) {
	p := s.enrol()
	s.removeUser()
	s.mail(p, access.Block)
	before := len(s.commands(p))
	s.connect(p)
	is(s, "commands", len(s.commands(p)), before)
	is(s, "user", s.device(p).User, "")
	act := s.order(p, adminapi.ActionRequest{Kind: "selective_wipe"}) // what is left can still be cleared
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
}

func userRemovedInFlight(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{HoldResults: 2}))
	s.enrolAs(p, s.user)
	s.removeUser()
	for range 3 {
		s.connect(p)
	}
	s.mail(p, access.Block)
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	is(s, "executed twice", show(s.T, p).ExecutedTwice, 0)
}

// elsewhere sends a phone to another server than its profile says, as a load
// balancer does.
type elsewhere struct {
	next  http.RoundTripper
	host  string // empty: where the profile says
	turns bool   // and each second request there all the same
	sent  int
}

func (e *elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	if e.sent++; e.host != "" && (!e.turns || e.sent%2 == 0) {
		r = r.Clone(r.Context())
		r.URL.Host = e.host
	}
	return e.next.RoundTrip(r)
}

// twoServers: what is ordered through one is in the very next poll at the other.
func twoServers(s *scene) {
	s, p, two, other, way := s.onTwo()
	path := "/api/v1/devices/" + s.device(p).ID + "/actions"
	hosts := map[bool]string{true: strings.TrimPrefix(other.URL(), "https://")}
	done := 0
	for i := range 60 {
		by := s.client
		if i%2 == 1 {
			by = two
		}
		by.post(path, adminapi.ActionRequest{Kind: "query", Query: "InstalledApplicationList"}, &adminapi.ActionOrdered{})
		way.host = hosts[i%2 == 0] // always the one that did not take the order
		must(s.T, p.Connect(s.ctx))
		if now := s.times(p, "InstalledApplicationList"); now != done+1 {
			s.Fatalf("order %d: %d of them carried out, want %d", i, now, done+1)
		}
		done++
	}
	way.host = ""
	s.connect(p)
	s.configured(p)
}

// onTwo is the scene on two servers of one database, with a phone whose way to
// either of them can be set.
func (s *scene) onTwo() (_ *scene, p *agent.Phone, two *client, other *app.App, way *elsewhere) {
	s.Helper()
	if engine.cluster == nil {
		s.Skip("needs PostgreSQL: TestOnPostgres does it")
	}
	dir := s.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	engine.share(first, second)
	one := &stage{clock: &clock{}}
	one.start(s.T, first, trusting1Day)
	key, err := os.ReadFile(filepath.Join(first, app.KeyFile))
	must(s.T, err)
	must(s.T, os.MkdirAll(second, 0o700))
	must(s.T, os.WriteFile(filepath.Join(second, app.KeyFile), key, 0o600))
	cfg := testConfig(second, "127.0.0.1:0")
	trusting1Day(&cfg)
	other = one.serve(s.T, cfg)
	two = newClient(s.T, second)

	s = newScene(s.T, one, s.user)
	way = &elsewhere{next: s.http.Transport}
	p, err = agent.New(agent.Options{CA: []*x509.Certificate{s.root}, Keys: phoneKeys, Now: one.clock.now, HTTP: &http.Client{Transport: way, Timeout: patience}})
	must(s.T, err)
	s.enrolAs(p, s.user)
	s.configured(p)
	return s, p, two, other, way
}
