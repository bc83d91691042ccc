package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

func play(t *testing.T, p *Phone, s Script) {
	t.Helper()
	if err := p.Play(s); err != nil {
		t.Fatal(err)
	}
}

// statuses of all results, in the order in which the server took them.
func statuses(f *fakeServer) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, r := range f.results {
		out = append(out, r["Status"].(string))
	}
	return strings.Join(out, " ")
}

func TestScriptedNotNow(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "notnow=2", "notnow=1:CertificateList")
	for _, name := range []string{"DeviceInformation", "SecurityInfo", "SecurityInfo", "SecurityInfo", "CertificateList", "CertificateList"} {
		f.order(name, m{"Queries": []string{"UDID"}})
	}
	connect(t, p)
	if got, want := statuses(f), "Acknowledged NotNow NotNow Acknowledged NotNow Acknowledged"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if s := show(t, p); s.Executions != 3 || len(s.Script.NotNow) != 0 {
		t.Errorf("%d executions, left %+v", s.Executions, s.Script)
	}
}

func TestScriptedRefusal(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	play(t, p, Script{Refuse: []Refusal{
		{RequestType: "SecurityInfo", Chain: []ChainItem{{"Outer", 1, "It failed."}, {"Inner", 2, "Because."}}, Times: 2},
		{RequestType: "ProfileList", Status: statusFormatError, Times: Always},
	}})
	for range 3 {
		f.order("SecurityInfo", nil)
		f.order("ProfileList", nil)
	}
	connect(t, p)
	if got, want := statuses(f), "Error CommandFormatError Error CommandFormatError Acknowledged CommandFormatError"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	chain := f.results[0]["ErrorChain"].([]any)
	if last := chain[1].(m); len(chain) != 2 || last["ErrorDomain"] != "Inner" || last["ErrorCode"] != uint64(2) || last["USEnglishDescription"] != "Because." {
		t.Errorf("chain %v", chain)
	}
	set(t, p, "script=off", "refuse=SecurityInfo:MCEASErrorDomain:21004")
	ask(t, f, p, "SecurityInfo", nil)
	if domain, code := rootCause(t, f); domain != domainEAS || code != 21004 {
		t.Errorf("got %s %d", domain, code)
	}
}

func TestLostAnswers(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, told := enrolled(t, f)
	play(t, p, Script{LoseAnswers: 3})
	f.order("SecurityInfo", nil)
	connect(t, p)
	told.has(t, "the answer to poll is lost")
	if s := show(t, p); statuses(f) != statusAcknowledged || s.Executions != 1 || s.Script.LoseAnswers != 0 {
		t.Errorf("%s, %+v", statuses(f), s)
	}
	if sent := len(f.requests); sent < 2+3 {
		t.Errorf("%d requests", sent)
	}
}

func TestLostAnswersWhileEnrolling(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := newPhone(t, f)
	play(t, p, Script{LoseAnswers: 2})
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(f.checkedIn, " "); got != "Authenticate Authenticate Authenticate TokenUpdate" {
		t.Errorf("checked in: %s", got)
	}
}

// A result that never arrives makes a server ask again; the phone counts it.
func TestLostResult(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "lose-results=1")
	f.order("SecurityInfo", nil)
	connect(t, p)
	if statuses(f) != "" {
		t.Errorf("arrived: %s", statuses(f))
	}
	connect(t, p)
	s := show(t, p)
	if statuses(f) != statusAcknowledged || s.Executions != 2 || s.ExecutedTwice != 1 || s.Executed[0].Times != 2 {
		t.Errorf("%s, %+v", statuses(f), s.Executed)
	}
}

func TestLostResultOfErase(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "lose-results=1")
	f.order("EraseDevice", nil)
	connect(t, p)
	if s := show(t, p); s.State != StageNone || s.Erasures != 1 || statuses(f) != "" {
		t.Errorf("%+v", s)
	}
}

func TestRepeatedResults(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "repeat-results=2")
	f.order("SecurityInfo", nil)
	f.order("DeviceInformation", m{"Queries": []string{"UDID"}})
	before := len(f.requests)
	connect(t, p)
	if got := len(f.requests) - before; got != 5 { // a poll, and two results twice
		t.Errorf("%d requests", got)
	}
	if s := show(t, p); s.Executions != 2 || statuses(f) != "Acknowledged Acknowledged" {
		t.Errorf("%s, %+v", statuses(f), s.Executed)
	}
}

func TestHeldResults(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "hold-results=2")
	for range 2 {
		f.order("SecurityInfo", nil)
		connect(t, p)
		f.mu.Lock() // the server takes up the next one all the same
		f.commands = nil
		f.mu.Unlock()
	}
	var arrived []string
	f.heard = func(message m) {
		if id, ok := message["CommandUUID"].(string); ok {
			arrived = append(arrived, id[len(id)-1:])
		}
	}
	f.order("ProfileList", nil)
	connect(t, p)
	if got := strings.Join(arrived, " "); got != "3 2 1" {
		t.Errorf("arrived in the order %s", got)
	}
}

func TestLostCheckOut(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "lose-checkout=on")
	if err := p.Unenroll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if slices.Contains(f.checkedIn, "CheckOut") || show(t, p).State != StageNone {
		t.Errorf("checked in: %v", f.checkedIn)
	}
	// Another enrolment of the same phone.
	if err := p.Enroll(context.Background(), f.invitation()); err != nil {
		t.Fatal(err)
	}
}

func TestNewTokenAndRestoredBackup(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, told := enrolled(t, f, ownKeys)
	first := f.token
	set(t, p, "token=new")
	connect(t, p)
	connect(t, p)
	told.has(t, "checked in  TokenUpdate accepted")
	if string(f.token) == string(first) || strings.Join(f.checkedIn, " ") != "Authenticate TokenUpdate TokenUpdate" {
		t.Errorf("checked in: %v", f.checkedIn)
	}
	install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
	connect(t, p)
	kept, err := p.Backup()
	if err != nil {
		t.Fatal(err)
	}
	f.order("RemoveProfile", m{"Identifier": "test.example.mail"})
	connect(t, p)
	second := f.token
	if err := p.Restore(kept); err != nil {
		t.Fatal(err)
	}
	ask(t, f, p, "ProfileList", nil)
	if s := show(t, p); len(s.Accounts) != 1 || len(s.Profiles) != 2 || s.Executions != 3 || string(f.token) == string(second) {
		t.Errorf("restored: %+v", s)
	}
	other, _ := newPhone(t, f)
	if err := other.Restore(kept); !errors.Is(err, ErrInvalid) {
		t.Errorf("on another phone: %v", err)
	}
	if err := other.NewToken(); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("token without management: %v", err)
	}
}

func TestWrongClock(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t)
	p, _ := enrolled(t, f)
	set(t, p, "clock=9000h")
	if err := p.Connect(context.Background()); !errors.Is(err, ErrUntrusted) {
		t.Errorf("a year ahead: %v", err)
	}
	if show(t, p).Clock != "9000h0m0s" {
		t.Error("the clock is not shown")
	}
	set(t, p, "clock=0s")
	connect(t, p)
}

// 21005, until the account that was made by hand is gone.
func TestAccountByHand(t *testing.T) {
	t.Parallel()
	for _, account := range []string{"Alice@example.test", "alice@example.test@MAIL.example.test"} {
		f := newFakeServer(t)
		p, _ := enrolled(t, f)
		set(t, p, "account="+account)
		install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
		connect(t, p)
		if domain, code := rootCause(t, f); domain != domainEAS || code != 21005 {
			t.Errorf("%s: got %s %d", account, domain, code)
		}
		if account == "Alice@example.test" {
			set(t, p, "account=removed")
		} else if err := p.RemoveAccount("alice@example.test"); err != nil {
			t.Fatal(err)
		}
		install(f, f.encrypted(f.mailProfile(easUUID, "mail.example.test")))
		connect(t, p)
		if f.lastResult()["Status"] != statusAcknowledged {
			t.Errorf("%s: after it was removed: %v", account, f.lastResult())
		}
		set(t, p, "profile=removed:test.example.mail")
		if s := show(t, p); len(s.Accounts) != 0 || len(s.Profiles) != 1 {
			t.Errorf("removed by hand: %+v", s)
		}
		for _, name := range []string{"test.example.enrol", "nobody"} {
			if err := p.RemoveProfile(name); !errors.Is(err, ErrInvalid) {
				t.Errorf("%s removed by hand: %v", name, err)
			}
		}
	}
}

func TestUnrecognized(t *testing.T) {
	t.Parallel()
	const word = "com.apple.unrecognized.device"
	for _, tt := range []struct {
		name, os, body string
		want           error
	}{
		{"JSON", "17.0", `{"code":"` + word + `"}`, ErrDismissed},
		{"property list", "26.1", `<plist version="1.0"><dict><key>code</key><string>` + word + `</string></dict></plist>`, ErrDismissed},
		{"before iOS 17", "16.7", `{"code":"` + word + `"}`, ErrRefused},
		{"another word", "26.1", `{"code":"com.apple.other"}`, ErrRefused},
		{"no word", "26.1", ``, ErrRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeServer(t)
			p, _ := enrolled(t, f)
			set(t, p, "os="+tt.os)
			f.answerWith, f.answerBody = 403, tt.body
			if err := p.Connect(context.Background()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if left := show(t, p).State == StageNone; left != (tt.want == ErrDismissed) {
				t.Errorf("left: %v", left)
			}
		})
	}
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	p, err := New(Options{PIN: secret.New("")})
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"clock=tomorrow", "clock=900000h", "accounts=some", "account=alice", "account=a@b@c@d", "account=a@example.test@ho st", "profile=x", "profile=removed:x",
		"token=old", "notnow=0", "notnow=x", "lose-answers=-1", "lose-results=", "repeat-results=many", "hold-results=1.5", "lose-checkout=perhaps",
		"script=on", "refuse=x", "refuse=A:B:c", "refuse=:B:1", "refuse=A:B:1:0", "refuse=A:B:1:2:3",
	} {
		if err := p.Set("name=x", bad); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if show(t, p).Name != "iPhone" {
		t.Error("a refused set changed something")
	}
}
