package app_test

import (
	"net/http"
	"strings"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
	"sallyport/templates"
)

// enrolScenarios are about phones that come and have what they need.
var enrolScenarios = []scenario{
	{name: "first enrolment", play: firstEnrolment},
	{name: "idle again and again", play: idleAgain},
	{name: "set-up assistant that waits", play: waitingSetUp},
	{name: "account made by hand, then removed", play: handmadeAccount, own: true},
	{name: "accounts fixed", play: accountsFixed},
	{name: "mail profile removed by hand", play: mailRemovedByHand, own: true},
	{name: "passcode taken off and set again", play: passcodeOff},
}

func firstEnrolment(s *scene) {
	p := s.enrol()
	s.configured(p)
	shot, d := show(s.T, p), s.device(p)
	is(s, "profiles", len(shot.Profiles), 2)
	is(s, "account", shot.Accounts[0].Email+" on "+shot.Accounts[0].Host, s.user+" on mail.example.test")
	is(s, "EAS device ID", d.EASDeviceID, shot.EASDeviceID)
	is(s, "installations", s.times(p, "InstallProfile"), 1)
	for _, c := range s.commands(p) {
		is(s, c.RequestType, c.State, "acknowledged")
	}
	// The binding of the mailbox is known before there is an account.
	is(s, "first command", shot.Executed[0].RequestType, "DeviceInformation")
	is(s, "audit of Authenticate", len(s.trail("enrollment.authenticate", d.Enrollment.ID)), 1)
	is(s, "audit of TokenUpdate", len(s.trail("enrollment.enroll", d.Enrollment.ID)), 1)
}

func idleAgain(s *scene) {
	p := s.enrol()
	for range 5 {
		s.connect(p)
	}
	s.configured(p)
	is(s, "installations", s.times(p, "InstallProfile"), 1)
	is(s, "changes of the account", show(s.T, p).Accounts[0].Updates, 0)
}

func waitingSetUp(s *scene) {
	p := s.enrol("supervised=on", "awaiting=on")
	is(s, "waiting", show(s.T, p).Awaiting, false)
	is(s, "DeviceConfigured", s.times(p, "DeviceConfigured"), 1)
	s.configured(p)
	list := s.commands(p) // newest first
	var installed, released int
	for i, c := range list {
		switch c.RequestType {
		case "InstallProfile":
			installed = i
		case "DeviceConfigured":
			released = i
		}
	}
	if released > installed {
		s.Error("the phone was let go before it had its mail")
	}
}

// handmadeAccount: 21005, in words, and by itself once the account is gone.
func handmadeAccount(s *scene) {
	p := s.phone()
	must(s.T, p.AddAccount(s.user, s.user, "mail.example.test"))
	s.enrolAs(p, s.user)
	s.because(p, access.Block, "mail_profile", "21005")
	failed := s.of(p, "InstallProfile")
	is(s, "installation", failed[0].State, "failed")
	if last := failed[0].Errors[len(failed[0].Errors)-1]; last.Code != 21005 || len(failed[0].Errors) != 2 {
		s.Errorf("ErrorChain %+v, want the whole of it with 21005 last", failed[0].Errors)
	}
	var settings adminapi.MailSettings
	s.call(http.MethodGet, "/api/v1/devices/"+s.device(p).ID+"/mail", "", nil, &settings)
	is(s, "profile", settings.Profiles[0].State, "refused")
	s.told("what to do", settings.Profiles[0].Fix, "remove that account")

	must(s.T, p.RemoveAccount(s.user))
	s.connect(p)
	is(s, "installations before the pause is over", len(s.of(p, "InstallProfile")), 1)
	s.pass(time.Minute)
	s.connect(p)
	s.configured(p)
	is(s, "installations", len(s.of(p, "InstallProfile")), 2)
}

func accountsFixed(s *scene) {
	p := s.enrol()
	mail := func() (m adminapi.MailSettings) {
		s.call(http.MethodGet, "/api/v1/devices/"+s.device(p).ID+"/mail", "", nil, &m)
		return m
	}
	is(s, "warnings", len(mail().Warnings), 0)
	must(s.T, p.Set("accounts=fixed"))
	s.connect(p)
	s.configured(p)
	s.told("warning", strings.Join(mail().Warnings, " "), "resend")
	var plan adminapi.ActionOrdered
	s.post("/api/v1/devices/"+s.device(p).ID+"/actions", adminapi.ActionRequest{Kind: "resend", DryRun: true}, &plan)
	s.told("effects of a resend", strings.Join(plan.Plan.Effects, " "), "once")
	must(s.T, p.Set("accounts=free"))
	s.connect(p)
	is(s, "warnings afterwards", len(mail().Warnings), 0)
}

// mailRemovedByHand: the mailbox is shut as soon as the phone's own list shows
// it, and the profile comes back after the pause that a failure gets, or a phone
// on which something else removes it would be sent profiles without end.
func mailRemovedByHand(s *scene) {
	p := s.enrol()
	must(s.T, p.RemoveProfile(profileOf(s.T, show(s.T, p), templates.IdentifierPrefix).Identifier))
	s.connect(p)
	s.because(p, access.Block, "mail_profile", "is not installed")
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	s.pass(time.Minute)
	s.connect(p)
	s.configured(p)
	is(s, "installations", s.times(p, "InstallProfile"), 2)
}

func passcodeOff(s *scene) {
	p := s.enrol()
	must(s.T, p.Set("passcode=off"))
	s.connect(p)
	s.because(p, access.Block, "passcode", "no passcode")
	is(s, "compliance", s.device(p).Compliance, "not_compliant")
	must(s.T, p.Set("passcode=on"))
	s.connect(p)
	s.configured(p)
}

// statusScenarios are about what a phone may answer to a command.
var statusScenarios = []scenario{
	{name: "installation refused with a chain", play: refusedWithChain, own: true},
	{name: "installation refused for good backs off", play: failuresBackOff, own: true},
	{name: "command format error", play: formatError, own: true},
	{name: "not now, then yes", play: notNowOnce},
	{name: "storm of not now, then unlocked", play: notNowStorm},
	{name: "not now to an act", play: notNowToAnAct},
	{name: "query refused", play: queryRefused},
	{name: "every query refused for ever", play: everythingRefused, own: true},
}

func declining(request, status string, times int) agent.Script {
	return agent.Script{Refuse: []agent.Refusal{{RequestType: request, Status: status, Times: times, Chain: []agent.ChainItem{
		{Domain: "MCInstallationErrorDomain", Code: 4001, Text: "Profile Installation Failed"},
		{Domain: "MCProfileErrorDomain", Code: 1008, Text: "The moon is full"},
	}}}}
}

func refusedWithChain(s *scene) {
	p := s.phone()
	must(s.T, p.Play(declining("InstallProfile", "", 1)))
	s.enrolAs(p, s.user)
	failed := s.of(p, "InstallProfile")[0]
	is(s, "state", failed.State, "failed")
	s.told("root cause", failed.Error, "The moon is full")
	if len(failed.Errors) != 2 || failed.Errors[0].Code != 4001 || failed.Errors[1].Code != 1008 {
		s.Errorf("chain %+v", failed.Errors)
	}
	s.because(p, access.Block, "mail_profile", "The moon is full")
	is(s, "enrolment", s.device(p).Enrollment.State, "enrolled")
	s.pass(time.Minute)
	s.connect(p)
	s.configured(p)
}

// failuresBackOff: however often a phone calls, a profile that it refuses is
// offered after 1, 2, 4, 8 minutes, and at last every 6 hours.
func failuresBackOff(s *scene) {
	p := s.phone()
	must(s.T, p.Play(declining("InstallProfile", "", agent.Always)))
	s.stage.clock.stand()
	s.enrolAs(p, s.user)
	tries := 1
	for _, pause := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute} {
		s.pass(pause - 10*time.Second)
		s.connect(p)
		is(s, "tries before "+pause.String()+" are over", s.times(p, "InstallProfile"), tries)
		s.pass(10 * time.Second)
		s.connect(p)
		tries++
		is(s, "tries after "+pause.String(), s.times(p, "InstallProfile"), tries)
	}
	s.because(p, access.Block, "mail_profile", "The moon is full")
	must(s.T, p.Play(agent.Script{}))
	s.pass(6 * time.Hour)
	s.connect(p)
	s.configured(p)
}

func formatError(s *scene) {
	p := s.phone()
	must(s.T, p.Play(declining("InstallProfile", "CommandFormatError", 1)))
	s.enrolAs(p, s.user)
	is(s, "state", s.of(p, "InstallProfile")[0].State, "failed")
	s.mail(p, access.Block)
	s.pass(time.Minute)
	s.connect(p)
	s.configured(p)
}

func notNowOnce(s *scene) {
	p := s.phone()
	must(s.T, p.Play(agent.Script{NotNow: []agent.Deferral{{RequestType: "InstallProfile"}}}))
	s.enrolAs(p, s.user)
	is(s, "given in one connection", len(s.of(p, "InstallProfile")), 1)
	is(s, "state", s.of(p, "InstallProfile")[0].State, "not_now")
	is(s, "accounts", len(show(s.T, p).Accounts), 0)
	s.connect(p)
	s.configured(p)
	is(s, "carried out", s.times(p, "InstallProfile"), 1)
}

// notNowStorm: a locked phone is asked again at each Idle and never twice in one
// connection, and has everything in the first one after it is unlocked.
func notNowStorm(s *scene) {
	const storm = 25
	p := s.phone()
	must(s.T, p.Set("locked=on"))
	s.enrolAs(p, s.user)
	for range storm - 1 {
		s.connect(p)
	}
	given := s.of(p, "InstallProfile")
	is(s, "given in as many connections", len(given) <= storm, true)
	for _, c := range given {
		is(s, "state", c.State, "not_now")
	}
	s.mail(p, access.Block)
	must(s.T, p.Set("locked=off"))
	s.connect(p)
	s.configured(p)
	is(s, "carried out", s.times(p, "InstallProfile"), 1)
}

// notNowToAnAct: it stays pending, can still be cancelled, and is tried again.
func notNowToAnAct(s *scene) {
	p := s.enrol("supervised=on")
	act := s.order(p, adminapi.ActionRequest{Kind: "rename", Name: "Reception"})
	must(s.T, p.Play(agent.Script{NotNow: []agent.Deferral{{RequestType: "Settings"}}}))
	s.connect(p)
	is(s, "after a not now", s.act(p, act).State, "pending")
	is(s, "carried out", s.times(p, "Settings"), 0)
	s.connect(p)
	is(s, "at the next idle", s.act(p, act).State, "acknowledged")
	is(s, "name", show(s.T, p).Name, "Reception")
	s.configured(p)
}

func queryRefused(s *scene) {
	p := s.enrol()
	must(s.T, p.Play(declining("SecurityInfo", "", 1)))
	s.connect(p)
	is(s, "state", s.of(p, "SecurityInfo")[0].State, "failed")
	s.configured(p) // what was told before still counts
}

// everythingRefused: a phone that answers nothing but errors is asked less and
// less, keeps its mail shut, and is healed by its first good answers.
func everythingRefused(s *scene) {
	p := s.phone()
	var all []agent.Refusal
	for _, request := range []string{"DeviceInformation", "SecurityInfo", "ProfileList", "CertificateList", "Restrictions", "InstallProfile"} {
		all = append(all, declining(request, "", agent.Always).Refuse...)
	}
	must(s.T, p.Play(agent.Script{Refuse: all}))
	s.enrolAs(p, s.user)
	before := len(s.commands(p))
	for range 5 {
		s.connect(p)
	}
	is(s, "commands in five connections at once", len(s.commands(p)), before)
	s.mail(p, access.Quarantine) // nobody knows whose mail client it is
	must(s.T, p.Play(agent.Script{}))
	s.pass(time.Minute)
	s.connect(p)
	s.configured(p)
}
