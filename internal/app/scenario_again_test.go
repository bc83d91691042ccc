package app_test

import (
	"net/http"
	"strings"

	"sallyport/access"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// againScenarios are about phones that come again: for their user, for another
// one, out of a backup, with another token.
var againScenarios = []scenario{
	{name: "enrolled again after a CheckOut", play: againAfterCheckOut},
	{name: "enrolled again without a CheckOut", play: againWithoutCheckOut},
	{name: "act open while it enrols again", play: againWithOpenAct},
	{name: "taken over by another user, admitted", play: takeoverAdmitted},
	{name: "taken over by another user, refused", play: takeoverRefused},
	{name: "given to another user after a CheckOut", play: handedOver},
	{name: "push token changed", play: tokenChanged},
	{name: "phone restored from its backup", play: phoneRestored, own: true},
	{name: "backup from before the act", play: phoneRestoredBeforeAct},
	{name: "profile of a used invitation", play: usedInvitation},
}

func againAfterCheckOut(s *scene) {
	p := s.enrol()
	first := s.device(p)
	must(s.T, p.Unenroll(s.ctx))
	s.mail(p, access.Block)
	is(s, "after the CheckOut", s.device(p).Enrollment.State, "checked_out")
	s.enrolAs(p, s.user)
	s.configured(p)
	again := s.device(p)
	is(s, "device", again.ID, first.ID)
	is(s, "another enrolment", again.Enrollment.ID != first.Enrollment.ID, true)
	is(s, "audit of the CheckOut", len(s.trail("enrollment.check_out", first.Enrollment.ID)), 1)
}

// leave has the phone lose its management without a word to the server.
func (s *scene) leave(p *agent.Phone) {
	s.Helper()
	must(s.T, p.Play(agent.Script{LoseCheckOut: true}))
	must(s.T, p.Unenroll(s.ctx))
}

func againWithoutCheckOut(s *scene) {
	p := s.enrol()
	first := s.device(p)
	s.leave(p)
	is(s, "we do not know yet", s.device(p).Enrollment.State, "configured")
	s.enrolAs(p, s.user)
	s.configured(p)
	is(s, "device", s.device(p).ID, first.ID)
	var list accessapi.Devices
	s.call(http.MethodGet, "/api/v1/devices?user="+s.user, "", nil, &list)
	is(s, "devices", len(list.Devices), 1)
}

// againWithOpenAct: what was ordered of the old enrolment is not done to the new one.
func againWithOpenAct(s *scene) {
	p := s.enrol()
	lock := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	wipe := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	s.mail(p, access.Block)
	s.leave(p)
	s.enrolAs(p, s.user)
	s.connect(p)
	s.configured(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
	is(s, "locks", s.times(p, "DeviceLock"), 0)
	for _, act := range []adminapi.Action{lock, wipe} {
		got := s.act(p, act)
		if got.State == "pending" || got.State == "sent" || got.DoneAt.IsZero() {
			s.Errorf("%s is %s though its enrolment is over", got.Kind, got.State)
		}
	}
}

// takeover has a phone that its user holds come under another one. It returns
// the phone as its holder still has it, and the one who asks.
func (s *scene) takeover(p *agent.Phone) (holders *agent.Backup, asks string) {
	s.Helper()
	holders, err := p.Backup()
	must(s.T, err)
	s.leave(p)
	asks = "mallory-" + s.user
	s.addUser(asks)
	s.enrolAs(p, asks)
	return holders, asks
}

// held is the one enrolment of a user that waits for an admin.
func (s *scene) held(user string) adminapi.HeldEnrollment {
	s.Helper()
	var list adminapi.HeldEnrollments
	s.call(http.MethodGet, "/api/v1/held-enrollments?limit=1000", "", nil, &list)
	for _, h := range list.Held {
		if h.User == user {
			return h
		}
	}
	s.Fatalf("nothing is held for %s: %+v", user, list.Held)
	return adminapi.HeldEnrollment{}
}

// untouched: the held phone was told nothing, and nothing of its holder changed.
func (s *scene) untouched(p *agent.Phone, before accessapi.DeviceDetail, asks string) {
	s.Helper()
	now := s.device(p)
	is(s, "enrolment of the holder", now.Enrollment, before.Enrollment)
	is(s, "user of the device", now.User, s.user)
	is(s, "name of the device", now.Name, before.Name)
	is(s, "accounts on the held phone", len(show(s.T, p).Accounts), 0)
	is(s, "profiles on the held phone", len(show(s.T, p).Profiles), 1)
	is(s, "who asks for the mail", s.decide(asks, show(s.T, p).EASDeviceID).Effect == access.Allow, false)
	s.mail(p, access.Allow)
}

func takeoverAdmitted(s *scene) {
	p := s.enrol()
	lock := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	before := s.device(p)
	done := s.times(p, "DeviceInformation")
	_, asks := s.takeover(p)
	s.untouched(p, before, asks)
	s.connect(p)
	is(s, "commands carried out while held", s.times(p, "DeviceInformation"), done)
	is(s, "the holder's act", s.act(p, lock).State, "pending")
	h := s.held(asks)
	is(s, "holder", h.Holder, s.user)
	is(s, "device", h.DeviceID, before.ID)

	s.post("/api/v1/held-enrollments/"+h.ID+"/admit", struct{}{}, nil)
	s.settle()
	is(s, "mail of the former holder", s.decide(s.user, show(s.T, p).EASDeviceID).Effect == access.Allow, false)
	s.user = asks
	s.connect(p)
	s.configured(p)
	is(s, "device", s.device(p).ID, before.ID)
	is(s, "locks", s.times(p, "DeviceLock"), 0) // that was the other one's
	is(s, "audit", len(s.trail("enrollment.admit", h.ID)), 1)
	is(s, "admitted twice", s.call(http.MethodPost, "/api/v1/held-enrollments/"+h.ID+"/admit", "", nil, nil), http.StatusConflict)
}

func takeoverRefused(s *scene) {
	p := s.enrol()
	lock := s.order(p, adminapi.ActionRequest{Kind: "lock", Message: "Call us"})
	before := s.device(p)
	holders, asks := s.takeover(p)
	h := s.held(asks)
	s.post("/api/v1/held-enrollments/"+h.ID+"/refuse", struct{}{}, nil)
	s.settle()
	s.untouched(p, before, asks)
	s.connect(p) // it is told nothing, and never refused
	s.untouched(p, before, asks)
	is(s, "admitted afterwards", s.call(http.MethodPost, "/api/v1/held-enrollments/"+h.ID+"/admit", "", nil, nil), http.StatusConflict)
	is(s, "audit", len(s.trail("enrollment.refuse", h.ID)), 1)

	must(s.T, p.Restore(holders))
	s.connect(p)
	is(s, "the holder's act", s.act(p, lock).State, "acknowledged")
	is(s, "message on the lock screen", show(s.T, p).LockMessage, "Call us")
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
}

func handedOver(s *scene) {
	p := s.enrol()
	first := s.device(p)
	must(s.T, p.Unenroll(s.ctx))
	s.user = "next-" + s.user
	s.addUser(s.user)
	s.enrolAs(p, s.user)
	s.configured(p)
	is(s, "device", s.device(p).ID, first.ID)
	is(s, "mail of the former user", s.decide(strings.TrimPrefix(s.user, "next-"), show(s.T, p).EASDeviceID).Effect == access.Allow, false)
}

func tokenChanged(s *scene) {
	p := s.enrol()
	id := s.device(p).Enrollment.ID
	before, err := s.app.PushOf(s.ctx, id)
	must(s.T, err)
	must(s.T, p.NewToken())
	s.connect(p)
	after, err := s.app.PushOf(s.ctx, id)
	must(s.T, err)
	is(s, "the same token", after.Token.Reveal() == before.Token.Reveal(), false)
	is(s, "the same magic", after.Magic.Reveal() == before.Magic.Reveal(), true)
	is(s, "enrolment", s.device(p).Enrollment.ID, id)
	s.configured(p)
	// The token that clears the passcode is that of the newest TokenUpdate.
	act := s.order(p, adminapi.ActionRequest{Kind: "clear_passcode"})
	s.connect(p)
	is(s, "clear passcode", s.act(p, act).State, "acknowledged")
}

// phoneRestored: a phone out of a backup from before a change is brought up to
// date again, and the mailbox is shut until then.
func phoneRestored(s *scene) {
	p := s.enrol()
	old, err := p.Backup()
	must(s.T, err)
	s.apply(strings.Replace(mailTemplate, "mail.example.test", "mail2.example.test", 1))
	s.connect(p)
	s.configured(p)
	must(s.T, p.Restore(old))
	is(s, "account out of the backup", show(s.T, p).Accounts[0].Host, "mail.example.test")
	s.connect(p)
	s.because(p, access.Block, "mail_profile", "out of date")
	s.pass(3 * 60e9)
	s.connect(p)
	s.configured(p)
	is(s, "account", show(s.T, p).Accounts[0].Host, "mail2.example.test")
	is(s, "accounts made anew", show(s.T, p).Recreated, 0)
}

// phoneRestoredBeforeAct: an act that was done stays done for the server; it is
// not repeated upon a phone that has forgotten it.
func phoneRestoredBeforeAct(s *scene) {
	p := s.enrol()
	old, err := p.Backup()
	must(s.T, err)
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	is(s, "lock", s.act(p, act).State, "acknowledged")
	must(s.T, p.Restore(old))
	is(s, "locked", show(s.T, p).Locked, false)
	s.connect(p)
	is(s, "locks", s.times(p, "DeviceLock"), 1)
	s.configured(p)
}

func usedInvitation(s *scene) {
	url := s.invite(adminapi.InvitationRequest{User: s.user, Ownership: "corporate"}).URL
	p := s.phone()
	must(s.T, p.Enroll(s.ctx, url))
	second := s.phone()
	if err := second.Enroll(s.ctx, url); err == nil {
		s.Error("a second phone enrolled with a used invitation")
	}
	is(s, "profiles on the second phone", len(show(s.T, second).Profiles), 0)
	s.mail(second, access.Quarantine)
	s.configured(p)
}
