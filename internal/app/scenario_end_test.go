package app_test

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// endScenarios are about phones that go, and servers that come back.
var endScenarios = []scenario{
	{name: "left with a CheckOut", play: leftWithCheckOut},
	{name: "left without a CheckOut", play: leftInSilence, own: true},
	{name: "in a drawer for a week", play: inADrawer, own: true},
	{name: "identity certificate expired", play: certificateExpired, own: true},
	{name: "phone's clock wrong", play: clockWrong},
	{name: "server's clock set back", play: clockSetBack, own: true},
	{name: "server restored from its backup", play: serverRestored},
	{name: "credentials of before a restore", play: credentialsRestored},
}

func leftWithCheckOut(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	must(s.T, p.Unenroll(s.ctx))
	s.because(p, access.Block, "device", "management was removed")
	shot := show(s.T, p)
	is(s, "profiles and accounts", len(shot.Profiles)+len(shot.Accounts), 0)
	d := s.device(p)
	is(s, "enrolment", d.Enrollment.State, "checked_out")
	is(s, "ended", d.Enrollment.EndedAt.IsZero(), false)
	is(s, "open act", s.act(p, act).State, "cancelled")
	s.refused(p, adminapi.ActionRequest{Kind: "lock"}, http.StatusConflict)
	if err := p.Connect(s.ctx); !errors.Is(err, agent.ErrNotEnrolled) {
		s.Errorf("got %v", err)
	}
}

// leftInSilence: nobody tells us, so the mailbox is shut when what we know is
// older than the policy allows.
func leftInSilence(s *scene) {
	p := s.enrol()
	s.leave(p)
	s.mail(p, access.Allow)
	s.pass(23 * time.Hour)
	s.mail(p, access.Allow)
	s.pass(2 * time.Hour)
	s.because(p, access.Block, "reported_within", "")
	is(s, "compliance", s.device(p).Compliance, "unknown")
	is(s, "enrolment", s.device(p).Enrollment.State, "configured")
	s.enrolAs(p, s.user)
	s.configured(p)
}

func inADrawer(s *scene) {
	p := s.enrol()
	s.pass(7 * 24 * time.Hour)
	is(s, "compliance", s.device(p).Compliance, "unknown")
	s.connect(p)
	s.configured(p)
	is(s, "installations", s.times(p, "InstallProfile"), 1)
}

// certificateExpired: the phone is refused, but never told to leave, and a new
// enrolment is the way back.
func certificateExpired(s *scene) {
	var issued adminapi.TokenIssued
	s.post("/api/v1/tokens", adminapi.TokenRequest{Role: "admin", Owner: "two years", TTL: "17000h"}, &issued)
	s.client.local.Token = secret.New(issued.Text) // the one of the first start ends sooner than the certificate
	p := s.enrol()
	eas := show(s.T, p).EASDeviceID
	s.pass(365*24*time.Hour + time.Hour)
	if err := p.Connect(s.ctx); !errors.Is(err, agent.ErrRefused) {
		s.Errorf("got %v, want a refusal that leaves the management alone", err)
	}
	s.settle()
	shot := show(s.T, p)
	is(s, "phone", shot.State, agent.StageEnrolled)
	is(s, "accounts", len(shot.Accounts), 1)
	is(s, "mail", s.decide(s.user, eas).Effect == access.Allow, false)
	is(s, "enrolment", s.device(p).Enrollment.State, "configured")
	must(s.T, p.Unenroll(s.ctx)) // its CheckOut is refused as well
	is(s, "enrolment after it left", s.device(p).Enrollment.State, "configured")
	s.enrolAs(p, s.user)
	s.configured(p)
}

// clockWrong: a phone whose clock is behind works all the same: we go by ours.
func clockWrong(s *scene) {
	p := s.enrol()
	must(s.T, p.Set("clock=-30m"))
	s.connect(p)
	act := s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	s.configured(p)
}

// clockSetBack: moments that have not come yet stop nothing. By more than the hour
// that certificates begin in the past, new phones would wait for theirs to begin.
func clockSetBack(s *scene) {
	s.pass(50 * time.Minute)
	p := s.enrol()
	s.configured(p)
	s.pass(-50 * time.Minute)
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	// Until the clock has caught up facts are asked every ten minutes, not at every Idle.
	for _, now := range []struct {
		set  string
		mail access.Effect
	}{{"passcode=off", access.Block}, {"passcode=on", access.Allow}} {
		must(s.T, p.Set("locked=off", now.set))
		s.pass(11 * time.Minute)
		s.connect(p)
		s.mail(p, now.mail)
	}
	is(s, "installations", s.times(p, "InstallProfile"), 1)
}

// serverRestored: what was open in the backup is not done any more, and what was
// done since is news to the server, which takes it without a word.
func serverRestored(s *scene) {
	dir, address := s.TempDir(), freeAddress(s.T)
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	st := &stage{clock: &clock{}}
	stop := st.startAt(s.T, old, address)
	s = newScene(s.T, st, s.user)
	p := s.enrol()
	wipe := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	stop()
	copied := backUp(s.T, old, dir)

	stop = st.startAt(s.T, old, address)
	s = s.again()
	is(s, "cancel", s.cancel(p, wipe), http.StatusOK)
	since := s.order(p, adminapi.ActionRequest{Kind: "query", Query: "InstalledApplicationList"})
	must(s.T, p.Play(agent.Script{HoldResults: 1}))
	s.connect(p)
	is(s, "query", s.act(p, since).State, "sent")
	stop()

	restore(s.T, old, fresh, copied)
	s.Cleanup(st.startAt(s.T, fresh, address))
	s = s.again()
	got := s.act(p, wipe)
	is(s, "wipe that was open in the backup", got.State, "failed")
	s.told("why", got.Error, "restored")
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
	trail := s.trail("command.result", s.device(p).Enrollment.ID)
	is(s, "results of unknown commands", len(trail), 1)
	s.because(p, access.Block, "mail_withdrawn", "") // until an admin says otherwise
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	s.configured(p)
}

// credentialsRestored: a link that was used or withdrawn since the backup enrols no
// phone, and a token that was revoked since lets nobody in. Gates go on.
func credentialsRestored(s *scene) {
	dir, address := s.TempDir(), freeAddress(s.T)
	old, fresh := filepath.Join(dir, "old"), filepath.Join(dir, "fresh")
	st := &stage{clock: &clock{}}
	stop := st.startAt(s.T, old, address)
	s = newScene(s.T, st, s.user)
	personal := adminapi.InvitationRequest{User: s.user, Ownership: "personal"}
	used, withdrawn := s.invite(personal), s.invite(personal)
	mallory, gate := s.token("admin", "mallory"), s.token("engine", "gate")
	stop()
	copied := backUp(s.T, old, dir)

	stop = st.startAt(s.T, old, address)
	s = s.again()
	is(s, "revoke token", s.call(http.MethodDelete, "/api/v1/tokens/"+mallory.ID, "", nil, nil), http.StatusNoContent)
	is(s, "revoke invitation", s.call(http.MethodDelete, "/api/v1/invitations/"+withdrawn.ID, "", nil, nil), http.StatusNoContent)
	must(s.T, s.phone().Enroll(s.ctx, used.URL))
	stop()

	restore(s.T, old, fresh, copied)
	s.Cleanup(st.startAt(s.T, fresh, address))
	s = s.again()
	is(s, "token that was revoked", s.with(mallory).call(http.MethodGet, "/api/v1/tokens", "", nil, nil), http.StatusUnauthorized)
	is(s, "token of a gate", s.with(gate).call(http.MethodGet, "/api/v1/compliance", "", nil, nil), http.StatusOK)
	for name, link := range map[string]string{"used": used.URL, "withdrawn": withdrawn.URL} {
		s.opens(s.T, link, "en", http.StatusGone, "This invitation was withdrawn")
		if err := s.phone().Enroll(s.ctx, link); err == nil {
			s.Errorf("a phone enrolled by the link that was %s", name)
		}
	}
	is(s, "own token", s.call(http.MethodGet, "/api/v1/tokens", "", nil, nil), http.StatusOK)
}

// token is a new one, as its holder sees it.
func (s *scene) token(role, owner string) adminapi.TokenIssued {
	s.Helper()
	var issued adminapi.TokenIssued
	s.post("/api/v1/tokens", adminapi.TokenRequest{Role: role, Owner: owner, TTL: "1h"}, &issued)
	return issued
}

// with is the scene's client with another token than the data directory's.
func (s *scene) with(token adminapi.TokenIssued) *client {
	c := *s.client
	c.local.Token = secret.New(token.Text)
	return &c
}

// startAt starts a server at an address of its own choice; the first one has the
// sample organisation to make.
func (st *stage) startAt(t *testing.T, data, address string) (stop func()) {
	t.Helper()
	first := st.client == nil
	st.app, stop = st.run(t, testConfig(data, address))
	st.client = newClient(t, data)
	if first {
		st.organise()
	}
	return stop
}

// again is the same scene on the server that runs now.
func (s *scene) again() *scene {
	next := *s
	c := *s.stage.client
	c.t = s.T
	next.client, next.app = &c, s.stage.app
	return &next
}

// backUp copies the database of a server that has stopped, by the means of its engine.
func backUp(t *testing.T, data, dir string) (file string) {
	t.Helper()
	if engine.cluster != nil {
		copied := filepath.Join(dir, "dump")
		engine.copied(t, data, copied)
		return copied
	}
	content, err := os.ReadFile(filepath.Join(data, app.DatabaseFile))
	must(t, err)
	file = filepath.Join(dir, "backup.db")
	must(t, os.WriteFile(file, content, 0o600))
	return file
}

// restore puts the copy into a new data directory, with the key of the old one.
func restore(t *testing.T, old, fresh, copied string) {
	t.Helper()
	if engine.cluster == nil {
		_, err := app.Restore(t.Context(), testConfig(fresh, "127.0.0.1:0"), copied, filepath.Join(old, app.KeyFile), false)
		must(t, err)
		return
	}
	engine.share(copied, fresh)
	must(t, os.MkdirAll(fresh, 0o700))
	key, err := os.ReadFile(filepath.Join(old, app.KeyFile))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(fresh, app.KeyFile), key, 0o600))
	_, err = app.Restored(t.Context(), testConfig(fresh, "127.0.0.1:0"), "pg_restore", false)
	must(t, err)
}
