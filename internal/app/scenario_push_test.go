package app_test

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// pushScenarios are about waking phones, and about a push service in trouble:
// what it says is no word about anybody's management.
var pushScenarios = []scenario{
	{name: "woken for an act", play: wokenForAct, push: true},
	{name: "woken after a not now that was not the last word", play: wokenAfterNotNow, push: true},
	{name: "woken when it is silent", play: wokenForSilence, push: true},
	{name: "woken by an admin who wants to know", play: wokenToTell, push: true, set: trusting1Day},
	{name: "woken for a renewal", play: wokenForRenewal, push: true},
	{name: "new token is woken", play: newTokenWoken, push: true},
	{name: "push service says 410", play: pushDead, push: true},
	{name: "push service says 429", play: pushTooMany, push: true},
	{name: "push service says 503", play: pushUnavailable, push: true},
	{name: "push service says wrong topic", play: pushWrongTopic, push: true},
	{name: "push service silent", play: pushSilent, push: true},
	{name: "no push certificate", play: noPushCertificate},
}

// awaits returns when the phone has been woken.
func (s *scene) awaits(p *agent.Phone) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, patience)
	defer cancel()
	if err := p.AwaitPush(ctx, s.stage.standIn.SideURL()); err != nil {
		s.Fatalf("no push: %v; the stand-in saw %+v", err, s.stage.standIn.Log())
	}
}

func (s *scene) push() (status enroll.PushStatus) {
	s.Helper()
	s.call(http.MethodGet, "/api/v1/push", "", nil, &status)
	return status
}

// woken is a phone that has enrolled and answered the push for that.
func (s *scene) woken() *agent.Phone {
	s.Helper()
	p := s.enrol()
	s.awaits(p)
	s.connect(p)
	s.until("nothing due", func() bool { return s.push().Phones.Due == 0 })
	return p
}

// clean: the stand-in found nothing wrong with our pushes.
func (s *scene) clean() {
	s.Helper()
	if remarks := s.stage.standIn.Log().Remarks; len(remarks) != 0 {
		s.Errorf("the stand-in found wrong: %q", remarks)
	}
}

func wokenForAct(s *scene) {
	p := s.woken()
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.awaits(p)
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	s.clean()
}

func wokenAfterNotNow(s *scene) {
	p := s.woken()
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.awaits(p)
	must(s.T, p.Play(agent.Script{NotNow: []agent.Deferral{{RequestType: "InstallProfile"}}}))
	s.connect(p)
	is(s, "due", s.push().Phones.Due, 1) // later, not now
	before := s.stage.standIn.Log().Accepted
	s.pass(30 * time.Second)
	is(s, "pushes before its time", s.stage.standIn.Log().Accepted, before)
	s.pass(time.Minute)
	s.awaits(p)
	s.connect(p)
	is(s, "installations", s.times(p, "InstallProfile"), 2)
	s.configured(p)
	s.clean()
}

func wokenForSilence(s *scene) {
	p := s.woken()
	s.pass(3 * time.Hour)
	is(s, "due before the interval is over", s.push().Phones.Due, 0)
	s.pass(time.Hour + time.Minute)
	s.awaits(p)
	must(s.T, p.Set("passcode=off"))
	s.connect(p)
	s.because(p, access.Block, "passcode", "no passcode")
	s.clean()
}

func newTokenWoken(s *scene) {
	p := s.woken()
	must(s.T, p.NewToken())
	s.connect(p)
	s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.awaits(p)
	s.connect(p)
	is(s, "locked", show(s.T, p).Locked, true)
	s.clean()
}

func pushDead(s *scene) {
	p := s.woken()
	must(s.T, s.stage.standIn.Script(agent.PushAnswer{Status: http.StatusGone, Timestamp: time.Now().Add(time.Hour).UnixMilli()}))
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.until("the token is set aside", func() bool { return s.push().Phones.Dead == 1 })
	is(s, "active all the same", s.push().Phones.Active, 1)
	is(s, "enrolment", s.device(p).Enrollment.State, "configured")
	s.mail(p, access.Allow)
	s.connect(p)
	is(s, "act, at its own poll", s.act(p, act).State, "acknowledged")
	// Another token brings it back.
	must(s.T, s.stage.standIn.Script())
	must(s.T, p.Set("locked=off"))
	must(s.T, p.NewToken())
	s.connect(p)
	is(s, "dead", s.push().Phones.Dead, 0)
	is(s, "reachable", s.push().Phones.Reachable, 1)
	s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.awaits(p)
}

func pushTooMany(s *scene) {
	p := s.woken()
	must(s.T, s.stage.standIn.Script(agent.PushAnswer{Status: http.StatusTooManyRequests, RetryAfter: 600, Times: 1}))
	s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.until("the refusal is noted", func() bool { return s.refusedPush(p) })
	before := s.stage.standIn.Log().Accepted
	s.pass(9 * time.Minute)
	is(s, "pushes before its time", s.stage.standIn.Log().Accepted, before)
	is(s, "due", s.push().Phones.Due, 1)
	s.pass(2 * time.Minute)
	s.awaits(p)
	s.connect(p)
	s.clean()
}

// refusedPush: the stand-in's script is used up, and the phone is still due.
func (s *scene) refusedPush(p *agent.Phone) bool {
	s.Helper()
	next, err := s.app.NextPush(s.ctx, s.device(p).Enrollment.ID)
	must(s.T, err)
	return next.After(s.stage.clock.now())
}

func pushUnavailable(s *scene) {
	p := s.woken()
	must(s.T, s.stage.standIn.Script(agent.PushAnswer{Status: http.StatusServiceUnavailable, Times: 1}))
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.until("the refusal is noted", func() bool { return s.refusedPush(p) })
	s.mail(p, access.Allow)
	s.pass(2 * time.Minute)
	s.awaits(p)
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	s.clean()
}

func pushWrongTopic(s *scene) {
	p := s.woken()
	must(s.T, s.stage.standIn.Script(agent.PushAnswer{Status: http.StatusBadRequest, Reason: "DeviceTokenNotForTopic", Times: 1}))
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.until("given up", func() bool { return s.push().Phones.Due == 0 })
	is(s, "dead", s.push().Phones.Dead, 0)
	is(s, "enrolment", s.device(p).Enrollment.State, "configured")
	s.connect(p)
	is(s, "act, at its own poll", s.act(p, act).State, "acknowledged")
	s.order(p, adminapi.ActionRequest{Kind: "lock"}) // and the next reason is a try again
	s.awaits(p)
}

// pushSilent: a push service that takes connections and says nothing keeps no
// phone from its work, no admin from his, and no server from its end.
func pushSilent(s *scene) {
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	must(s.T, err)
	s.Cleanup(func() { _ = deaf.Close() })
	data := filepath.Join(s.TempDir(), "data")
	st := &stage{clock: &clock{}, authority: s.stage.authority}
	st.start(s.T, data, func(c *config.Config) { c.APNsURL = "https://" + deaf.Addr().String() })
	st.certify(s.T)
	s = newScene(s.T, st, s.user)
	p := s.enrol()
	s.configured(p)
	lock := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	is(s, "act, at its own poll", s.act(p, lock).State, "acknowledged")
	is(s, "enrolment", s.device(p).Enrollment.State, "configured")
	s.mail(p, access.Allow)
	is(s, "dead", s.push().Phones.Dead, 0)
	is(s, "due", s.push().Phones.Due, 1)
}

// wokenToTell: what the phone said may be a day old, but not for who asks now.
func wokenToTell(s *scene) {
	p := s.woken()
	must(s.T, p.Set("passcode=off"))
	s.connect(p)
	s.mail(p, access.Allow) // nobody asked
	is(s, "a push by hand", s.call(http.MethodPost, "/api/v1/devices/"+s.device(p).ID+"/push", "", nil, nil), http.StatusOK)
	s.awaits(p)
	s.connect(p)
	s.because(p, access.Block, "passcode", "")
	asked := s.times(p, "SecurityInfo")
	s.connect(p)
	is(s, "asked a connection later", s.times(p, "SecurityInfo"), asked)
	s.clean()
}

// wokenForRenewal: a phone that never polls by itself is told when it is due.
func wokenForRenewal(s *scene) {
	p := s.woken()
	own, _ := s.identities(p)
	s.personal(p)
	s.awaits(p)
	s.connect(p)
	next, _ := s.identities(p)
	s.renewed("identity of the management", own, next, true)
	s.quiet(p)
	s.clean()
}

func noPushCertificate(s *scene) {
	p := s.enrol()
	d := s.device(p)
	is(s, "poll only", d.Enrollment.PollOnly, true)
	status := s.push()
	is(s, "ready", status.Ready, false)
	is(s, "something is said to be lacking", len(status.Lacks) > 0, true)
	if got := s.call(http.MethodPost, "/api/v1/devices/"+d.ID+"/push", "", nil, nil); got < 400 {
		s.Errorf("a push without a certificate is answered %d", got)
	}
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	is(s, "act, at its own poll", s.act(p, act).State, "acknowledged")
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
}
