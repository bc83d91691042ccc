package app_test

import (
	"errors"
	"net/http"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/templates"
)

// wipeScenarios are about what admins take away.
var wipeScenarios = []scenario{
	{name: "wipe of a corporate phone", play: wiped},
	{name: "wipe while locked", play: wipedLocked},
	{name: "wipe whose result is lost", play: wipeUnheard, own: true},
	{name: "wipe of a personal phone", play: wipeOfPersonal},
	{name: "wipe under another name", play: wipeMisnamed},
	{name: "corporate to personal with a wipe under way", play: ownershipChanged},
	{name: "selective wipe, then resend", play: selectiveWipe},
	{name: "selective wipe of a locked phone", play: selectiveWipeLocked},
	{name: "policies removed, then resend", play: policiesRemoved},
	{name: "retire", play: retired},
	{name: "retire by force", play: retiredByForce},
	{name: "retired phone enrols again", play: retiredComesAgain},
}

// wiped: the mailbox is shut before the phone comes, and what comes back is a new phone.
func wiped(s *scene) {
	p := s.enrol()
	eas := show(s.T, p).EASDeviceID
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	s.because(p, access.Block, "mail_withdrawn", "")
	is(s, "erased before it came", show(s.T, p).Erasures, 0)
	s.connect(p)
	shot := show(s.T, p)
	is(s, "erasures", shot.Erasures, 1)
	is(s, "profiles left", len(shot.Profiles)+len(shot.Accounts)+len(shot.Certificates), 0)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "enrolment", s.device(p).Enrollment.State, "retired")
	is(s, "mail", s.decide(s.user, eas).Effect, access.Block)
	s.refused(p, adminapi.ActionRequest{Kind: "lock"}, http.StatusConflict)
	must(s.T, p.Set("passcode=on"))
	s.enrolAs(p, s.user)
	s.configured(p)
}

func wipedLocked(s *scene) {
	p := s.enrol("locked=on")
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 1)
	is(s, "act", s.act(p, act).State, "acknowledged")
}

// wipeUnheard: erased without a word. We cannot know, keep the mailbox shut, and
// say after a month that it never answered.
func wipeUnheard(s *scene) {
	p := s.enrol()
	eas := show(s.T, p).EASDeviceID
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	must(s.T, p.Play(agent.Script{LoseResults: 1}))
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 1)
	is(s, "act", s.act(p, act).State, "sent")
	s.pass(31 * 24 * time.Hour)
	is(s, "act after a month", s.act(p, act).State, "expired")
	is(s, "mail", s.decide(s.user, eas).Effect, access.Block)
	must(s.T, p.Set("passcode=on"))
	s.enrolAs(p, s.user)
	s.configured(p)
	is(s, "erasures in the end", show(s.T, p).Erasures, 1)
}

func (s *scene) enrolPersonal() *agent.Phone {
	s.Helper()
	p := s.phone()
	must(s.T, p.Enroll(s.ctx, s.invite(adminapi.InvitationRequest{User: s.user, Ownership: "personal"}).URL))
	s.settle()
	return p
}

func wipeOfPersonal(s *scene) {
	p := s.enrolPersonal()
	s.refused(p, adminapi.ActionRequest{Kind: "wipe", Confirm: "iPhone"}, http.StatusConflict)
	s.refused(p, adminapi.ActionRequest{Kind: "command", Raw: rawCommand("<key>RequestType</key><string>EraseDevice</string>")}, http.StatusBadRequest)
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
	s.configured(p)
	is(s, "becomes corporate by a word", s.own(p, "corporate"), http.StatusConflict)
}

func wipeMisnamed(s *scene) {
	p := s.enrol("name=Right")
	for _, name := range []string{"", "Wrong", "right"} {
		s.refused(p, adminapi.ActionRequest{Kind: "wipe", Confirm: name}, http.StatusBadRequest)
	}
	s.connect(p)
	s.configured(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
}

// own says whose phone it is, and returns the status of the answer.
func (s *scene) own(p *agent.Phone, ownership string) int {
	s.Helper()
	status := s.call(http.MethodPut, "/api/v1/devices/"+s.device(p).ID+"/ownership", "application/json", []byte(`{"ownership":"`+ownership+`"}`), nil)
	s.settle()
	return status
}

// ownershipChanged: also a wipe that the phone was told but has not answered is
// not told again once the phone is personal.
func ownershipChanged(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	is(s, "becomes personal", s.own(p, "personal"), http.StatusNoContent)
	got := s.act(p, act)
	is(s, "act", got.State, "failed")
	s.told("why", got.Error, "never erased")
	s.because(p, access.Block, "mail_withdrawn", "")
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	s.refused(p, adminapi.ActionRequest{Kind: "wipe", Confirm: "iPhone"}, http.StatusConflict)
	is(s, "and back", s.own(p, "corporate"), http.StatusConflict)
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	s.configured(p)
	is(s, "audit", len(s.trail("device.ownership", s.device(p).ID)), 2)
}

func selectiveWipe(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "selective_wipe"})
	s.because(p, access.Block, "mail_withdrawn", "")
	is(s, "withheld", s.device(p).Enrollment.Withheld, "everything")
	s.connect(p)
	shot := show(s.T, p)
	is(s, "accounts", len(shot.Accounts), 0)
	is(s, "profiles", len(shot.Profiles), 1) // it stays enrolled
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "enrolment", s.device(p).Enrollment.State, "enrolled")
	s.connect(p)
	s.because(p, access.Block, "mail_withdrawn", "")
	is(s, "installations while withheld", s.times(p, "InstallProfile"), 1)

	again := s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.mail(p, access.Block) // not before the phone has it
	s.connect(p)
	is(s, "resend", s.act(p, again).State, "acknowledged")
	is(s, "withheld afterwards", s.device(p).Enrollment.Withheld, "")
	s.configured(p)
}

// selectiveWipeLocked: a locked phone puts RemoveProfile off; the mailbox does
// not wait for it.
func selectiveWipeLocked(s *scene) {
	p := s.enrol("locked=on")
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	must(s.T, p.Set("locked=on"))
	act := s.order(p, adminapi.ActionRequest{Kind: "selective_wipe"})
	for range 3 {
		s.connect(p)
		s.because(p, access.Block, "mail_withdrawn", "")
		is(s, "act", s.act(p, act).State, "sent")
	}
	is(s, "cancel", s.cancel(p, act), http.StatusConflict)
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	is(s, "act in the end", s.act(p, act).State, "acknowledged")
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
}

func policiesRemoved(s *scene) {
	s.applySecurity("name: for-" + s.user[:5] + "\nassign: {users: [" + s.user + "]}\nsettings: {require_passcode: true, minimum_length: 6}\n")
	p := s.enrol()
	policy := profileOf(s.T, show(s.T, p), templates.SecurityIdentifierPrefix)
	act := s.order(p, adminapi.ActionRequest{Kind: "remove_policies"})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "profiles", len(show(s.T, p).Profiles), 2)
	is(s, "accounts", len(show(s.T, p).Accounts), 1)
	s.connect(p)
	is(s, "profiles later", len(show(s.T, p).Profiles), 2)
	s.mail(p, access.Allow)
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	is(s, "policy", profileOf(s.T, show(s.T, p), templates.SecurityIdentifierPrefix).UUID, policy.UUID)
	s.configured(p)
}

func retired(s *scene) {
	p := s.enrol()
	eas := show(s.T, p).EASDeviceID
	act := s.order(p, adminapi.ActionRequest{Kind: "retire"})
	s.because(p, access.Block, "mail_withdrawn", "")
	if err := p.Connect(s.ctx); err != nil && !errors.Is(err, agent.ErrDismissed) {
		s.Fatal(err)
	}
	s.settle()
	shot := show(s.T, p)
	is(s, "phone", shot.State, agent.StageNone)
	is(s, "profiles and accounts", len(shot.Profiles)+len(shot.Accounts), 0)
	is(s, "erasures", shot.Erasures, 0)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "enrolment", s.device(p).Enrollment.State, "retired")
	is(s, "mail", s.decide(s.user, eas).Effect, access.Block)
}

// retiredByForce: the one 403 that there is, and the phone leaves by it.
func retiredByForce(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "retire", Force: true})
	is(s, "act", act.State, "acknowledged")
	is(s, "enrolment", s.device(p).Enrollment.State, "retired")
	s.mail(p, access.Block)
	is(s, "accounts before it comes", len(show(s.T, p).Accounts), 1)
	if err := p.Connect(s.ctx); !errors.Is(err, agent.ErrDismissed) {
		s.Errorf("got %v, want to be told to leave", err)
	}
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	is(s, "phone", show(s.T, p).State, agent.StageNone)
}

func retiredComesAgain(s *scene) {
	e, say := s.spoken()
	first := s.device(e.phone)
	s.order(e.phone, adminapi.ActionRequest{Kind: "retire", Force: true})
	// Its certificate is revoked: nothing begins anew with it.
	status, _ := say(map[string]any{"MessageType": "Authenticate", "Topic": show(s.T, e.phone).Topic, "UDID": first.UDID})
	is(s, "Authenticate with the revoked certificate", status, http.StatusBadRequest)
	status, _ = say(map[string]any{"MessageType": "TokenUpdate", "Topic": show(s.T, e.phone).Topic, "UDID": first.UDID, "Token": []byte("t"), "PushMagic": "m"})
	is(s, "TokenUpdate of the retired enrolment", status, http.StatusForbidden)
	is(s, "enrolment", s.device(e.phone).Enrollment.State, "retired")
	if err := e.phone.Connect(s.ctx); !errors.Is(err, agent.ErrDismissed) {
		s.Errorf("got %v, want to be told to leave", err)
	}
	s.enrolAs(e.phone, s.user)
	s.configured(e.phone)
	is(s, "device", s.device(e.phone).ID, first.ID)
}
