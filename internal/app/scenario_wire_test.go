package app_test

import (
	"net/http"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/internal/config"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// wireScenarios are about messages that are lost, repeated, late, or somebody else's.
var wireScenarios = []scenario{
	{name: "answers lost", play: answersLost},
	{name: "results lost", play: resultsLost},
	{name: "result of an installation lost", play: installResultLost, set: trusting1Day},
	{name: "every result twice", play: resultsTwice},
	{name: "results late and in another order", play: resultsReordered},
	{name: "result of an act late", play: actResultLate},
	{name: "unknown CommandUUID", play: unknownCommand},
	{name: "CommandUUID of another phone", play: foreignCommand},
	{name: "UDID spelled otherwise", play: udidSpellings},
	{name: "UDID of another phone", play: foreignUDID},
}

// trusting1Day asks for no fact twice a day: a connection brings nothing but what changed.
func trusting1Day(c *config.Config) { c.InquiryMaxAge = 24 * time.Hour }

func answersLost(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{LoseAnswers: 12})) // more than an enrolment has messages that count
	s.enrolAs(p, s.user)
	s.configured(p)
	is(s, "answers left to be lost", show(s.T, p).Script.LoseAnswers, 0)
	is(s, "installations", s.times(p, "InstallProfile"), 1)
}

func resultsLost(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{LoseResults: 6}))
	s.enrolAs(p, s.user)
	for range 8 {
		s.connect(p)
	}
	s.configured(p)
	is(s, "changes of the account", show(s.T, p).Accounts[0].Updates, 0)
	is(s, "installations", s.times(p, "InstallProfile"), 1)
}

// installResultLost: we look before we send it again, since a phone asks for a
// new certificate with every installation.
func installResultLost(s *scene) {
	p := s.enrol()
	s.apply(strings.Replace(mailTemplate, "mail.example.test", "mail2.example.test", 1))
	must(s.T, p.Play(agent.Script{LoseResults: 1}))
	s.connect(p)
	is(s, "account", show(s.T, p).Accounts[0].Host, "mail2.example.test")
	is(s, "installation", s.of(p, "InstallProfile")[0].State, "sent")
	s.mail(p, access.Block) // we cannot know yet
	s.connect(p)
	s.configured(p)
	is(s, "installation", s.of(p, "InstallProfile")[0].State, "superseded")
	is(s, "changes of the account", show(s.T, p).Accounts[0].Updates, 1)
	is(s, "installations", s.times(p, "InstallProfile"), 2)
}

func resultsTwice(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{RepeatResults: agent.Always}))
	s.enrolAs(p, s.user)
	act := s.order(p, adminapi.ActionRequest{Kind: "lock", Message: "Call us"})
	s.connect(p)
	is(s, "lock", s.act(p, act).State, "acknowledged")
	is(s, "locks", s.times(p, "DeviceLock"), 1)
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
	is(s, "audited ends of the act", len(s.trail("action.acknowledge", act.ID)), 1)
	is(s, "results of unknown commands", len(s.trail("command.result", s.device(p).Enrollment.ID)), 0)
}

func resultsReordered(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{HoldResults: 3}))
	s.enrolAs(p, s.user)
	for range 5 {
		s.connect(p)
	}
	s.configured(p)
	is(s, "results of unknown commands", len(s.trail("command.result", s.device(p).Enrollment.ID)), 0)
}

func actResultLate(s *scene) {
	p := s.enrol()
	act := s.order(p, adminapi.ActionRequest{Kind: "lock", Message: "Call us"})
	must(s.T, p.Play(agent.Script{HoldResults: 1}))
	s.connect(p)
	is(s, "locked", show(s.T, p).Locked, true)
	is(s, "while the result is away", s.act(p, act).State, "sent")
	s.connect(p) // the lock goes out again under its CommandUUID; then comes the late result
	is(s, "after it came", s.act(p, act).State, "acknowledged")
	is(s, "commands", len(s.of(p, "DeviceLock")), 1)
}

// spoken is a phone on disk, in whose name a test can speak.
func (s *scene) spoken() (enrolled, func(fields map[string]any) (int, string)) {
	s.Helper()
	e := s.client.enrol(s.user)
	s.settle()
	return e, func(fields map[string]any) (int, string) {
		s.Helper()
		body := encoded(s.T, fields)
		status, answer := put(s.T, s.http, s.app.PublicURL(), body, signedBy(s.T, e.said[0], body, e.id))
		s.settle()
		return status, string(answer)
	}
}

func unknownCommand(s *scene) {
	e, say := s.spoken()
	id := s.device(e.phone).Enrollment.ID
	before := len(s.commands(e.phone))
	status, answer := say(map[string]any{
		"UDID": show(s.T, e.phone).UDID, "Status": "Acknowledged", "CommandUUID": "0E1C1D5F-3A2B-4C4D-8E6F-1234567890AB",
		"SecurityInfo": map[string]any{"PasscodePresent": false},
	})
	is(s, "status", status, http.StatusOK)
	is(s, "answer", answer, "")
	is(s, "commands", len(s.commands(e.phone)), before)
	trail := s.trail("command.result", id)
	if len(trail) != 1 || trail[0].Outcome != "refused" || trail[0].Detail["command"] != "0E1C1D5F-3A2B-4C4D-8E6F-1234567890AB" {
		s.Errorf("audit %+v, want the refused result", trail)
	}
	s.configured(e.phone) // and nothing is believed of what came with it
}

func foreignCommand(s *scene) {
	victim := s.enrol()
	act := s.order(victim, adminapi.ActionRequest{Kind: "lock"})
	must(s.T, victim.Play(agent.Script{LoseResults: 1}))
	s.connect(victim)
	is(s, "the act", s.act(victim, act).State, "sent")

	s.user = "mallory-" + s.user
	s.addUser(s.user)
	e, say := s.spoken()
	status, answer := say(map[string]any{
		"UDID": show(s.T, e.phone).UDID, "Status": "Error", "CommandUUID": s.act(victim, act).CommandID,
		"ErrorChain": []any{map[string]any{"ErrorCode": 1, "ErrorDomain": "x", "LocalizedDescription": "y"}},
	})
	is(s, "status", status, http.StatusOK)
	is(s, "answer", answer, "")
	is(s, "the act afterwards", s.act(victim, act).State, "sent")
	is(s, "the other phone's commands of that kind", len(s.of(e.phone, "DeviceLock")), 0)
	is(s, "audit", len(s.trail("command.result", s.device(e.phone).Enrollment.ID)), 1)
	s.connect(victim)
	is(s, "the act in the end", s.act(victim, act).State, "acknowledged")
}

// udidSpellings: one phone is one device, however it spells itself.
func udidSpellings(s *scene) {
	e, say := s.spoken()
	udid := show(s.T, e.phone).UDID
	for spelling, want := range map[string]int{
		strings.ToLower(udid):                              http.StatusOK,
		" " + udid:                                         http.StatusBadRequest,
		udid + " ":                                         http.StatusBadRequest,
		strings.Replace(udid, "-", ":", 1):                 http.StatusBadRequest,
		strings.Replace(udid, "-", "", 1):                  http.StatusBadRequest,
		strings.Replace(udid, "0", "\u041e", 1):            http.StatusBadRequest, // a Cyrillic O
		strings.Replace(udid, "0", "O", 1):                 http.StatusBadRequest,
		strings.Replace(udid, "-", "\u2010", 1):            http.StatusBadRequest, // another hyphen
		strings.Replace(strings.ToLower(udid), "-", "", 1): http.StatusBadRequest,
	} {
		status, _ := say(map[string]any{"Status": "Idle", "UDID": spelling})
		is(s, "Idle of "+spelling, status, want)
		status, _ = say(map[string]any{"MessageType": "Authenticate", "Topic": show(s.T, e.phone).Topic, "UDID": spelling})
		is(s, "Authenticate of "+spelling, status, want)
	}
	var list accessapi.Devices
	s.call(http.MethodGet, "/api/v1/devices?user="+s.user, "", nil, &list)
	is(s, "devices", len(list.Devices), 1)
	must(s.T, e.phone.Connect(s.ctx))
	s.configured(e.phone)
}

func foreignUDID(s *scene) {
	other := s.enrol()
	was := s.device(other)
	s.user = "mallory-" + s.user
	s.addUser(s.user)
	e, say := s.spoken()
	for what, m := range map[string]map[string]any{
		"Idle":         {"Status": "Idle"},
		"CheckOut":     {"MessageType": "CheckOut", "Topic": show(s.T, e.phone).Topic},
		"Authenticate": {"MessageType": "Authenticate", "Topic": show(s.T, e.phone).Topic},
		"TokenUpdate":  {"MessageType": "TokenUpdate", "Topic": show(s.T, e.phone).Topic, "Token": []byte("stolen"), "PushMagic": "x"},
	} {
		m["UDID"] = was.UDID
		status, _ := say(m)
		is(s, what+" in another's name", status, http.StatusBadRequest)
	}
	is(s, "the other's enrolment", s.device(other).Enrollment, was.Enrollment)
	s.configured(e.phone)
	s.user = strings.TrimPrefix(s.user, "mallory-")
	s.connect(other)
	s.configured(other)
}
