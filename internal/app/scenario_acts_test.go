package app_test

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/internal/auth"
	"sallyport/internal/config"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/templates"
)

// actScenarios are about what admins do to phones, but for taking things away.
var actScenarios = []scenario{
	{name: "lock with a message", play: lockWithMessage},
	{name: "lock without a passcode", play: lockWithoutPasscode},
	{name: "rename", play: renamed},
	{name: "rename of a supervised phone", play: renamedSupervised},
	{name: "clear passcode", play: clearedPasscode},
	{name: "every query", play: queried},
	{name: "command in an admin's own words", play: ownWords},
	{name: "command that no phone knows", play: unknownWords},
	{name: "resend", play: resent},
	{name: "act refused by the phone", play: actRefused},
	{name: "cancelled in time", play: cancelled},
	{name: "cancelled too late", play: cancelledTooLate},
	{name: "act that nobody came for", play: actExpired, own: true},
	{name: "acts in their order", play: actsInOrder},
	{name: "operator may not", play: operatorMayNot},
	{name: "two owners", play: twoOwners, set: func(c *config.Config) { c.SecondOwner = true }},
}

func lockWithMessage(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "lock", Message: "Please call", PhoneNumber: "+49 30 1234"})
	is(s, "before the phone comes", s.act(p, act).State, "pending")
	s.connect(p)
	got := s.act(p, act)
	is(s, "afterwards", got.State, "acknowledged")
	is(s, "times in order", got.RequestedAt.Before(got.SentAt) && !got.DoneAt.Before(got.SentAt), true)
	shot := show(s.T, p)
	is(s, "lock screen", fmt.Sprint(shot.Locked, shot.LockMessage, shot.LockNumber), "true"+"Please call"+"+49 30 1234")
	is(s, "audit of the order", len(s.trail("action.order", act.ID)), 1)
	is(s, "audit of the end", len(s.trail("action.acknowledge", act.ID)), 1)
	s.connect(p)
	is(s, "locks", s.times(p, "DeviceLock"), 1)
}

func lockWithoutPasscode(s *scene) {
	p := s.enrol("passcode=off")
	act := s.order(p, adminapi.ActionRequest{Kind: "lock", Message: "Please call"})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "locked", show(s.T, p).Locked, false)
}

// renamed: our label at once; the phone keeps its own name.
func renamed(s *scene) {
	p := s.enrol("name=Mine")
	act := s.order(p, adminapi.ActionRequest{Kind: "rename", Name: "Reception"})
	is(s, "act", act.ID, "")
	is(s, "label", s.device(p).Label, "Reception")
	s.connect(p)
	is(s, "name", s.device(p).Name, "Mine")
	is(s, "Settings", s.times(p, "Settings"), 0)
}

func renamedSupervised(s *scene) {
	p := s.enrol("supervised=on")
	act := s.order(p, adminapi.ActionRequest{Kind: "rename", Name: "Reception"})
	is(s, "label", s.device(p).Label, "Reception")
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "on the phone", show(s.T, p).Name, "Reception")
	s.connect(p)
	is(s, "as reported", s.device(p).Name, "Reception")
	s.configured(p)
}

func clearedPasscode(s *scene) {
	p := s.enrol("locked=on")
	act := s.order(p, adminapi.ActionRequest{Kind: "clear_passcode"})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "passcode", show(s.T, p).Passcode, false)
	is(s, "locked", show(s.T, p).Locked, false)
	s.connect(p)
	s.because(p, access.Block, "passcode", "no passcode")
}

func queried(s *scene) {
	p := s.enrol()
	for query, want := range map[string]string{
		"DeviceInformation": "QueryResponses", "SecurityInfo": "PasscodePresent", "ProfileList": templates.IdentifierPrefix,
		"CertificateList": "IsIdentity", "Restrictions": "GlobalRestrictions", "InstalledApplicationList": "InstalledApplicationList",
		"ManagedApplicationList": "ManagedApplicationList",
	} {
		act := s.order(p, adminapi.ActionRequest{Kind: "query", Query: query})
		s.connect(p)
		got := s.act(p, act)
		is(s, query, got.State, "acknowledged")
		s.told("answer to "+query, got.Result, want)
	}
	s.configured(p)
}

func rawCommand(body string) string {
	return `<plist version="1.0"><dict>` + body + `</dict></plist>`
}

func ownWords(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "command", Raw: rawCommand("<key>RequestType</key><string>DeviceLock</string><key>Message</key><string>Raw</string>")})
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "message", show(s.T, p).LockMessage, "Raw")
	for what, body := range map[string]string{
		"erase":              "<key>RequestType</key><string>EraseDevice</string>",
		"remove our profile": "<key>RequestType</key><string>RemoveProfile</string><key>Identifier</key><string>" + profileOf(s.T, show(s.T, p), templates.IdentifierPrefix).Identifier + "</string>",
		"nothing":            "",
	} {
		s.Log(what)
		s.refused(p, adminapi.ActionRequest{Kind: "command", Raw: rawCommand(body)}, http.StatusBadRequest)
	}
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
}

func unknownWords(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "command", Raw: rawCommand("<key>RequestType</key><string>DeviceFly</string>")})
	s.connect(p)
	got := s.act(p, act)
	is(s, "act", got.State, "failed")
	s.told("why", got.Error, "12021")
	s.configured(p)
}

func resent(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.mail(p, access.Allow)
	s.connect(p)
	is(s, "act", s.act(p, act).State, "acknowledged")
	is(s, "installations", s.times(p, "InstallProfile"), 2)
	is(s, "changes of the account", show(s.T, p).Accounts[0].Updates, 1)
	is(s, "accounts made anew", show(s.T, p).Recreated, 0)
	s.connect(p)
	is(s, "installations afterwards", s.times(p, "InstallProfile"), 2)
	s.configured(p)
}

func actRefused(s *scene) {
	p := s.enrol()
	must(s.T, p.Play(declining("DeviceLock", "", 1)))
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	got := s.act(p, act)
	is(s, "act", got.State, "failed")
	s.told("why", got.Error, "The moon is full")
	s.connect(p)
	is(s, "locked", show(s.T, p).Locked, false)
	is(s, "audit", len(s.trail("action.fail", act.ID)), 1)
	s.configured(p)
}

// cancel takes an act back, and returns the status of the answer.
func (s *scene) cancel(p *agent.Phone, act adminapi.Action) int {
	s.Helper()
	status := s.call(http.MethodDelete, "/api/v1/devices/"+s.device(p).ID+"/actions/"+act.ID, "", nil, nil)
	s.settle()
	return status
}

func cancelled(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	s.because(p, access.Block, "mail_withdrawn", "")
	is(s, "cancel", s.cancel(p, act), http.StatusOK)
	s.connect(p)
	is(s, "act", s.act(p, act).State, "cancelled")
	is(s, "erasures", show(s.T, p).Erasures, 0)
	s.configured(p)
	is(s, "cancel twice", s.cancel(p, act), http.StatusConflict)
}

func cancelledTooLate(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	must(s.T, p.Play(agent.Script{LoseResults: 1}))
	s.connect(p)
	is(s, "act", s.act(p, act).State, "sent")
	is(s, "cancel once it is sent", s.cancel(p, act), http.StatusConflict)
	s.connect(p)
	is(s, "act in the end", s.act(p, act).State, "acknowledged")
	is(s, "cancel once it is done", s.cancel(p, act), http.StatusConflict)
}

// actExpired: a week later the lock is not wanted any more, a wipe is, for a month.
func actExpired(s *scene) {
	p := s.enrol()
	lock := s.order(p, adminapi.ActionRequest{Kind: "lock"})
	wipe := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	s.pass(7*24*time.Hour + time.Minute)
	is(s, "lock after a week", s.act(p, lock).State, "expired")
	is(s, "wipe after a week", s.act(p, wipe).State, "pending")
	s.because(p, access.Block, "mail_withdrawn", "")
	s.pass(23 * 24 * time.Hour)
	is(s, "wipe after a month", s.act(p, wipe).State, "expired")
	s.connect(p)
	is(s, "erasures", show(s.T, p).Erasures, 0)
	is(s, "locks", s.times(p, "DeviceLock"), 0)
	is(s, "audit", len(s.trail("action.expire", "")), 2)
	// A lost phone that nobody could wipe in time does not get its mail back by itself.
	s.because(p, access.Block, "mail_withdrawn", "")
	s.order(p, adminapi.ActionRequest{Kind: "resend"})
	s.connect(p)
	s.configured(p)
}

// actsInOrder: oldest first, before anything else.
func actsInOrder(s *scene) {
	p := s.enrol("supervised=on")
	before := len(show(s.T, p).Executed)
	s.order(p, adminapi.ActionRequest{Kind: "rename", Name: "One"})
	s.order(p, adminapi.ActionRequest{Kind: "query", Query: "InstalledApplicationList"})
	s.order(p, adminapi.ActionRequest{Kind: "lock"})
	s.connect(p)
	var got []string
	for _, e := range show(s.T, p).Executed[before:] {
		got = append(got, e.RequestType)
	}
	s.told("order", strings.Join(got, " "), "Settings InstalledApplicationList DeviceLock")
	is(s, "first", got[0], "Settings")
}

func operatorMayNot(s *scene) {
	p := s.enrol()
	operator := *s
	operator.client = s.as(auth.Operator, "op-"+s.user)
	for kind, want := range map[string]int{
		"wipe": http.StatusForbidden, "retire": http.StatusForbidden, "selective_wipe": http.StatusForbidden,
		"clear_passcode": http.StatusForbidden, "command": http.StatusForbidden, "lock": http.StatusCreated,
	} {
		operator.refused(p, adminapi.ActionRequest{Kind: kind, Confirm: "iPhone"}, want)
	}
	s.connect(p)
	is(s, "locks", s.times(p, "DeviceLock"), 1)
	is(s, "passcode", show(s.T, p).Passcode, true)
	is(s, "erasures", show(s.T, p).Erasures, 0)
}

func twoOwners(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "wipe"})
	is(s, "act", act.State, "unapproved")
	s.connect(p)
	is(s, "erasures before consent", show(s.T, p).Erasures, 0)
	s.configured(p)
	approve := "/api/v1/devices/" + s.device(p).ID + "/actions/" + act.ID + "/approve"
	is(s, "who ordered approves", s.call(http.MethodPost, approve, "", nil, nil), http.StatusConflict)
	second := s.as(auth.Admin, "second owner")
	is(s, "a second owner approves", second.call(http.MethodPost, approve, "", nil, nil), http.StatusOK)
	s.because(p, access.Block, "mail_withdrawn", "")
	eas := show(s.T, p).EASDeviceID
	must(s.T, p.Connect(s.ctx))
	s.settle()
	is(s, "erasures", show(s.T, p).Erasures, 1)
	got := s.act(p, act)
	is(s, "act", got.State, "acknowledged")
	is(s, "approved by", got.ApprovedBy, "second owner")
	is(s, "mail", s.decide(s.user, eas).Effect, access.Block)
}
