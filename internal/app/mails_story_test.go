package app_test

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/notify/notifytest"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

const (
	ops   = "ops@example.test"
	stood = time.Minute // longer than a word must stand before anybody is told
	later = 2 * time.Hour
	// ownTexts is the policy of the first installation, with an admin's own words.
	ownTexts = `name: standard
assign: everyone
mode: enforce
require: [enrolled, compliant]
block_text: "Our own words of a block: call 4711."
quarantine_text: "Our own words of a quarantine: call 4712."
`
)

// mailScene is a scene with a mail server.
type mailScene struct {
	*restartable
	smtp *notifytest.Server
	step func(ctx context.Context) (began bool, err error)
}

func newMailScene(t *testing.T) *mailScene {
	t.Helper()
	s := &mailScene{smtp: &notifytest.Server{T: t}}
	address := s.smtp.Start("")
	t.Cleanup(s.smtp.Stop)
	s.restartable = newRestartable(t, func(a *app.App) { s.step = a.MailsByHand() }, func(c *config.Config) {
		c.SMTPURL, c.MailFrom, c.MailAdmins = "smtp://"+address, "mdm@example.test", []string{ops}
	})
	s.applyAccess(ownTexts)
	for began := false; !began; { // nobody is told of what was before the server looked at everybody once
		s.settle()
		var err error
		began, err = s.step(s.ctx)
		must(t, err)
	}
	return s
}

// applyAccess saves a conditional-access policy.
func (s *scene) applyAccess(source string) {
	s.Helper()
	is(s, "access policy", s.call("POST", "/api/v1/access/policies", "application/yaml", []byte(source), &adminapi.AccessPolicyApplied{}), 200)
}

// mails lets time pass, and sends what is to be sent then.
func (s *mailScene) mails(d time.Duration) {
	s.Helper()
	s.pass(d)
	_, err := s.step(s.ctx)
	must(s.T, err)
}

// got are the mails that an address got, and fails where they are not so many.
func (s *mailScene) got(when, address string, want int) []notifytest.Taken {
	s.Helper()
	list := slices.DeleteFunc(s.smtp.Got(), func(m notifytest.Taken) bool { return m.To != address })
	if len(list) != want {
		s.Fatalf("%s: %s got %d mails, want %d", when, address, len(list), want)
	}
	return list
}

// newest is the newest mail to an address, which must hold the words.
func (s *mailScene) newest(list []notifytest.Taken, words ...string) notifytest.Taken {
	s.Helper()
	m := list[len(list)-1]
	for _, word := range words {
		s.told("mail", m.Body, word)
	}
	return m
}

var whyLink = regexp.MustCompile(`(?m)^https://\S+` + access.WhyPath + `\S+$`)

// TestMails: whoever becomes blocked or quarantined hears of it once, by a mail
// whose link says why, and admins by their digest.
func TestMails(t *testing.T) {
	t.Parallel()
	s := newMailScene(t)
	p := s.enrol()
	s.configured(p)
	s.mails(stood)
	s.got("let in", s.user, 0)
	s.got("let in", ops, 0)

	link := s.blockedOnce(p)
	must(s.T, p.Set("passcode=on"))
	s.connect(p)
	s.mails(later)
	s.got("unblocked", s.user, 1)
	s.opens(s.T, link, "de", 200, "Ihre Mail funktioniert auf diesem Gerät")
	s.opens(s.T, link, "en", 200, "Your mail works on this device")
	must(s.T, p.Set("passcode=off"))
	s.connect(p)
	s.mails(stood)
	if again := whyLink.FindString(s.newest(s.got("blocked again", s.user, 2)).Body); again != link {
		t.Errorf("the device's page has moved from %s to %s", link, again)
	}

	waits := s.quarantinedOnce()
	s.restarted(waits)
}

// blockedOnce: one mail, with a link that says why; whatever the phone and its mail
// client do then, there is no other.
func (s *mailScene) blockedOnce(p *agent.Phone) (link string) {
	s.Helper()
	must(s.T, p.Set("passcode=off"))
	s.stage.clock.stand()
	s.connect(p)
	s.mail(p, access.Block)
	s.mails(time.Second)
	s.got("just blocked", s.user, 0)
	s.stage.clock.goOn()
	s.mails(stood)
	m := s.newest(s.got("blocked", s.user, 1), "may not read the mailbox now", "darf das Postfach zurzeit nicht lesen", "Our own words of a block: call 4711.",
		"No passcode is set", "Es ist kein Code eingerichtet", s.cfg.Organization)
	is(s.scene, "sender", m.From, s.cfg.MailFrom)
	link = whyLink.FindString(m.Body)
	s.opens(s.T, link, "de-AT", 200, "Vorerst keine Mail auf diesem Gerät", "Es ist kein Code eingerichtet", "Richten Sie einen Code ein")
	s.opens(s.T, link, "en-GB", 200, "No mail on this device for now", "No passcode is set", "Set a passcode")
	s.opens(s.T, link, "pt", 200, "No mail on this device for now")
	for range 3 {
		s.connect(p)
		s.mail(p, access.Block)
		s.mails(later)
	}
	must(s.T, p.Set("os=15.0")) // one more reason for the same word
	s.connect(p)
	s.told("reasons", reasonsText(s.mail(p, access.Block)), "15.0")
	s.mails(later)
	must(s.T, p.Set("os=26.1"))
	s.connect(p)
	s.mails(later)
	s.got("repeated reports", s.user, 1)
	return link
}

func reasonsText(d access.Decision) string {
	var lines []string
	for _, r := range d.Reasons {
		lines = append(lines, r.Rule+": "+r.Fact)
	}
	return strings.Join(lines, "\n")
}

// quarantinedOnce: a mail client that nobody knows.
func (s *mailScene) quarantinedOnce() (id access.DeviceID) {
	s.Helper()
	before := len(slices.DeleteFunc(s.smtp.Got(), func(m notifytest.Taken) bool { return m.To != ops }))
	meet := func() {
		if d := s.decide(s.user, "STRANGER1"); d.Effect != access.Quarantine {
			s.Fatalf("a stranger is answered %+v", d)
		}
		s.settle()
	}
	meet()
	s.mails(stood)
	m := s.newest(s.got("quarantined", s.user, 3), "may not read the mailbox yet", "darf das Postfach noch nicht lesen", "Our own words of a quarantine: call 4712.")
	s.opens(s.T, whyLink.FindString(m.Body), "de", 200, "Ihre Mail wartet auf diesem Gerät")
	for range 5 {
		meet()
		s.mails(later)
	}
	s.got("quarantined, and came again", s.user, 3)
	var list adminapi.AccessDeviceList
	s.call("GET", "/api/v1/access/devices?decision=quarantine", "", nil, &list)
	if len(list.Devices) != 1 {
		s.Fatalf("%d devices wait", len(list.Devices))
	}
	id = list.Devices[0].ID
	s.mails(24 * time.Hour) // of the digest before, where there was one
	s.newest(s.got("digest", ops, before+1), "sallyport access device approve "+string(id)+" --reason TEXT", "STRANGER1")
	s.mails(49 * time.Hour)
	s.got("nothing new", ops, before+1)
	return id
}

// restarted: another server on the same data goes on, and sends by itself.
func (s *mailScene) restarted(waits access.DeviceID) {
	s.Helper()
	had := len(s.smtp.Got())
	s.stage.before = nil
	s.restart()
	s.post("/api/v1/access/devices/deny", adminapi.AccessVerdictInput{Devices: []string{string(waits)}, Reason: "not ours"}, &adminapi.AccessShifts{})
	s.settle()
	s.stage.clock.ahead.Add(int64(stood))
	s.until("the mail about a no", func() bool { return len(s.smtp.Got()) > had })
	s.newest(s.got("denied", s.user, 4), "may not read the mailbox now")
}
