package notify_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/notify"
	"sallyport/internal/notify/notifytest"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/internal/web"
)

// story is a server with its database, its mail server, and a clock that it is
// told the time by.
type story struct {
	*testing.T
	db      *store.DB
	smtp    *notifytest.Server
	address string
	clock   time.Time
	log     *bytes.Buffer
	notices *access.Notices
	postman *notify.Postman
	ready   bool
	user    directory.User
}

func newStory(t *testing.T) *story {
	s := &story{T: t, clock: noon, log: &bytes.Buffer{}, ready: true}
	sealer, err := secret.NewSealer(make([]byte, 32))
	s.ok(err)
	s.db, err = store.Open(t.Context(), store.Options{Path: filepath.Join(t.TempDir(), "sallyport.db"), Sealer: sealer, Now: s.now})
	s.ok(err)
	t.Cleanup(func() { s.ok(s.db.Close()) })
	s.smtp = &notifytest.Server{T: t, Secret: "canary-4711"}
	s.address = s.smtp.Start("")
	t.Cleanup(s.smtp.Stop)
	s.restart()
	users, err := s.db.Users().SaveUsers(t.Context(), []directory.User{{UPN: "alice@corp.test", Email: "alice@example.test", CreatedAt: noon, UpdatedAt: noon}}, nil)
	s.ok(err)
	s.user = users[0]
	_, _, err = s.db.Access().SavePolicy(t.Context(), access.Policy{Name: "standard", Source: "x", CreatedAt: noon, CreatedBy: "admin",
		Spec: access.Spec{Name: "standard", Assign: directory.Audience{Everyone: true}, Mode: access.Enforce, Require: []access.Requirement{access.RequireEnrolled},
			QuarantineText: "Call the help desk: 4711.\nBring the phone.", BlockText: "Not this one."}}, audit.Entry{Action: "x"})
	s.ok(err)
	return s
}

func (s *story) now() time.Time { return s.clock }

func (s *story) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// restart forgets all that is not in the database.
func (s *story) restart() {
	pages, err := web.New()
	s.ok(err)
	log := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	books := s.db.Access()
	s.notices = &access.Notices{Store: s.db.Mails(), Changes: books, Devices: books, Source: books, Users: s.db.Users(), Pages: pages, Organization: "Example Org",
		Links:  access.Links{Base: "https://mdm.example.test", MAC: func(string, []byte) []byte { return make([]byte, 32) }},
		Admins: []string{"ops@example.test"}, Ready: func() bool { return s.ready }, Now: s.now, Log: log}
	s.postman = &notify.Postman{Store: s.db.Mails(), Now: s.now, Log: log,
		Carrier: &notify.Sender{Server: at(s, "smtp", s.address), User: "sallyport", Password: secret.New("canary-4711"), From: "mdm@example.test", Now: s.now}}
}

// pass lets time pass, with all that happens in it.
func (s *story) pass(d time.Duration) {
	s.Helper()
	s.clock = s.clock.Add(d)
	s.work()
}

func (s *story) work() {
	s.Helper()
	_, err := s.notices.Step(s.Context())
	s.ok(err)
	_, err = s.postman.Step(s.Context())
	s.ok(err)
}

func (s *story) meet(id string) access.DeviceID {
	s.Helper()
	d, err := s.db.Access().Meet(s.Context(), access.Sighting{UserID: s.user.ID, Key: access.Canonical(id), At: s.clock,
		Client: access.Client{User: s.user.UPN, DeviceID: id, DeviceType: "iPhone"}}, "")
	s.ok(err)
	return d.ID
}

// say has an admin say what makes the decision, and the feed tell it.
func (s *story) say(id access.DeviceID, e access.Effect) {
	s.Helper()
	books := s.db.Access()
	row, err := books.Device(s.Context(), id)
	s.ok(err)
	kind := map[access.Effect]access.PersonalKind{access.Allow: access.PersonalAllow, access.Block: access.PersonalBlock}[e]
	if kind == "" {
		for _, k := range []access.PersonalKind{access.PersonalAllow, access.PersonalBlock} {
			_ = books.RemovePersonal(s.Context(), row.UserID, row.Key, k, audit.Entry{Action: "x"})
		}
	} else {
		s.ok(books.SavePersonal(s.Context(), []access.Personal{{UserID: row.UserID, Key: row.Key, Kind: kind, Note: access.Note{By: "admin", At: s.clock, Reason: "x"}}}, []audit.Entry{{Action: "x"}}))
	}
	_, err = books.Publish(s.Context(), []access.Change{{At: s.clock, DeviceID: id, UserID: row.UserID, User: row.UPN, Key: row.Key, Spellings: row.Spellings, Before: row.Effect,
		Decision: access.Decision{Effect: e, Reasons: []access.Reason{{Rule: "device", Fact: "this device is not enrolled for this mailbox", Fix: "x"}}}}})
	s.ok(err)
}

// to are the mails that somebody got.
func (s *story) to(address string) []notifytest.Taken {
	var list []notifytest.Taken
	for _, m := range s.smtp.Got() {
		if m.To == address {
			list = append(list, m)
		}
	}
	return list
}

func (s *story) count(address string, want int, when string) {
	s.Helper()
	if got := s.to(address); len(got) != want {
		s.Errorf("%s: %s got %d mails, want %d", when, address, len(got), want)
	}
}

const (
	alice = "alice@example.test"
	ops   = "ops@example.test"
)

func TestOneMailPerChange(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	before := s.meet("BEFORE1")
	s.say(before, access.Quarantine)
	s.ready = false
	s.work()
	s.say(before, access.Allow)
	s.say(before, access.Block)
	s.ready = true
	s.pass(time.Hour)
	s.pass(time.Hour)
	s.count(alice, 0, "what was before an upgrade")

	phone := s.meet("PHONE1")
	s.say(phone, access.Quarantine)
	s.work()
	s.count(alice, 0, "before it has settled")
	s.pass(time.Minute)
	s.count(alice, 1, "quarantined")
	s.restart()
	for range 3 {
		s.pass(2 * time.Hour)
	}
	s.say(phone, access.Block)
	s.pass(2 * time.Hour)
	s.count(alice, 2, "no longer waiting but blocked, after a restart")
	s.say(phone, access.Allow)
	s.pass(time.Hour)
	s.say(phone, access.Block)
	s.pass(time.Minute)
	s.count(alice, 3, "let in, and blocked again")

	s.say(phone, access.Allow)
	s.work()
	s.say(phone, access.Quarantine)
	s.pass(10 * time.Minute)
	s.say(phone, access.Allow)
	s.work()
	s.say(phone, access.Block)
	s.pass(time.Minute)
	s.count(alice, 3, "flapping within the hour")
	s.pass(time.Hour)
	s.count(alice, 4, "flapping, an hour later")
	if last := s.to(alice)[3]; !strings.Contains(last.Body, "may not read the mailbox now") {
		t.Errorf("the last state does not win: %s", last.Body)
	}
	s.say(phone, access.Allow)
	s.work()
	s.say(phone, access.Block)
	s.work()
	s.say(phone, access.Allow)
	s.pass(2 * time.Hour)
	s.count(alice, 4, "blocked for a moment")
	s.checkWords(s.to(alice)[0])
}

func (s *story) checkWords(m notifytest.Taken) {
	s.Helper()
	for _, words := range []string{
		"may not read the mailbox yet", "darf das Postfach noch nicht lesen", "Call the help desk: 4711.\nBring the phone.", "Device: iPhone", "Gerät: iPhone",
		"This device is not enrolled for this mailbox", "What to do: Enrol the phone", "Was Sie tun können: ", "https://mdm.example.test/access/why/", "Example Org",
	} {
		if !strings.Contains(m.Body, words) {
			s.Errorf("the mail lacks %q:\n%s", words, m.Body)
		}
	}
	if got := m.Header.Get("Content-Language"); got != "en, de" {
		s.Errorf("Content-Language %q", got)
	}
}

func TestDigest(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.work()
	first := s.meet("PHONE1")
	s.say(first, access.Quarantine)
	s.work()
	s.pass(time.Minute)
	s.count(ops, 1, "the first after a quiet day")
	if m := s.to(ops)[0]; !strings.Contains(m.Body, "sallyport access device approve "+string(first)+" --reason TEXT") || !strings.Contains(m.Body, "alice@corp.test, PHONE1") {
		t.Errorf("digest: %s", m.Body)
	}
	for i := range 3 {
		s.say(s.meet(fmt.Sprint("OTHER", i)), access.Quarantine)
	}
	gone := s.meet("GONE1")
	s.say(gone, access.Quarantine)
	s.pass(time.Hour)
	s.say(gone, access.Allow)
	s.pass(time.Hour)
	s.restart()
	s.ok(s.notices.Notify(t.Context(), compliance.Notice{Key: "n1", Kind: compliance.NoticeAdmins, UPN: "bob@corp.test", At: s.clock}))
	s.ok(s.notices.Notify(t.Context(), compliance.Notice{Key: "n1", Kind: compliance.NoticeAdmins, UPN: "bob@corp.test", At: s.clock}))
	s.pass(21 * time.Hour)
	s.count(ops, 1, "within the day")
	s.pass(2 * time.Hour)
	s.count(ops, 2, "a day later")
	m := s.to(ops)[1]
	if strings.Contains(m.Body, "PHONE1") || strings.Contains(m.Body, "GONE1") || strings.Count(m.Body, ", OTHER") != 6 || strings.Count(m.Body, "bob@corp.test, ") != 2 {
		t.Errorf("digest in two languages: %s", m.Body)
	}
	s.pass(48 * time.Hour)
	s.count(ops, 2, "nothing new")
	s.say(gone, access.Block)
	s.pass(time.Minute)
	s.pass(time.Hour)
	s.count(ops, 2, "blocked, nobody waits")
	s.pass(24 * time.Hour)
	s.count(ops, 3, "blocked, the day after")
}

func TestServerDownThenUp(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.work()
	s.smtp.Stop()
	s.say(s.meet("PHONE1"), access.Quarantine)
	_, err := s.notices.Step(t.Context())
	s.ok(err)
	for range 10 {
		s.clock = s.clock.Add(time.Minute)
		_, err = s.notices.Step(t.Context())
		s.ok(err)
		if _, err := s.postman.Step(t.Context()); err == nil {
			continue // none was due
		} else if strings.Contains(err.Error(), "canary") {
			t.Error(err)
		}
	}
	st, err := s.db.Mails().MailStatus(t.Context())
	s.ok(err)
	if st.Waiting != 2 || st.Tried != 2 || st.Sent != 0 || !strings.Contains(st.Reply, "refused") {
		t.Errorf("while it is down: %+v", st)
	}
	s.smtp.Start(s.address)
	s.restart()
	s.pass(time.Hour)
	s.count(alice, 1, "up again")
	s.count(ops, 1, "up again")
	s.pass(time.Hour)
	s.count(alice, 1, "later")
	if text := s.log.String(); strings.Contains(text, "canary") || strings.Contains(text, alice) {
		t.Errorf("the log tells what it must not: %s", text)
	}
}

func TestRefusedForGoodAndForNow(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.smtp.Answers = map[string]string{"RCPT " + alice: "550 5.1.1 no such mailbox", "RCPT " + ops: "451 4.7.1 later"}
	s.work()
	s.say(s.meet("PHONE1"), access.Quarantine)
	s.work()
	s.pass(time.Minute)
	st, err := s.db.Mails().MailStatus(t.Context())
	s.ok(err)
	if st.Lost != 1 || st.Waiting != 1 || st.Tried != 1 {
		t.Errorf("after one try: %+v", st)
	}
	for range 80 {
		s.pass(time.Hour)
	}
	s.count(alice, 0, "refused for good")
	if st, err = s.db.Mails().MailStatus(t.Context()); err != nil || st.Lost != 2 || st.Waiting != 0 || !strings.Contains(st.Reply, "451 4.7.1 later") {
		t.Errorf("after three days: %+v, %v", st, err)
	}
	if text := s.log.String(); strings.Contains(text, alice) || !strings.Contains(text, "outcome=refused") || !strings.Contains(text, "outcome=expired") {
		t.Errorf("log: %s", text)
	}
}

func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.work()
	var list []notify.Mail
	for i := range notify.MaxWaiting {
		list = append(list, notify.Mail{Key: fmt.Sprint(i), To: ops, Subject: "s", Text: "t"})
	}
	s.ok(s.db.Mails().Enqueue(t.Context(), list))
	s.ok(s.db.Mails().Enqueue(t.Context(), list)) // nothing new
	s.say(s.meet("PHONE1"), access.Quarantine)
	s.clock = s.clock.Add(time.Minute)
	_, err := s.notices.Step(t.Context())
	s.ok(err)
	s.clock = s.clock.Add(time.Minute)
	_, err = s.notices.Step(t.Context())
	s.ok(err)
	user := compliance.Notice{Key: "k", Kind: compliance.NoticeUser, UserID: s.user.ID, At: s.clock}
	if err := s.notices.Notify(context.Background(), user); err == nil {
		t.Error("took more than the bound")
	}
	for range notify.MaxWaiting/20 + 2 {
		s.work()
	}
	s.count(alice, 1, "when there is room")
	s.ok(s.notices.Notify(t.Context(), user))
	s.ok(s.notices.Notify(t.Context(), user))
	s.work()
	s.count(alice, 2, "a notice that came twice")
}

func TestRestoreDropsWhatWaits(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.work()
	s.say(s.meet("PHONE1"), access.Quarantine)
	s.clock = s.clock.Add(time.Minute)
	_, err := s.notices.Step(t.Context())
	s.ok(err)
	s.ok(s.db.Mails().Enqueue(t.Context(), []notify.Mail{{Key: "k", To: alice, Subject: "s", Text: "t"}}))
	s.ok(s.db.Mails().BeginNotices(t.Context(), 100))
	s.pass(48 * time.Hour)
	s.count(alice, 0, "after a restore")
	s.count(ops, 0, "after a restore")
	s.ok(s.db.Mails().ForgetNotices(t.Context()))
	if _, begun, err := s.db.Mails().NoticeCursor(t.Context()); err != nil || begun {
		t.Errorf("still begun: %v", err)
	}
}
