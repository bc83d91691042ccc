package app_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
	"sallyport/mdm/agent"
)

// gateTemplate has the phone sign in as people sign in at SOGo.
const gateTemplate = androidTemplate + `    user_name: "%username%"
`

// TestAndroidGate: what happens to an Android phone is felt at nginx, whichever
// database it is in. The mail server is a stand-in here; TestNginxGate has SOGo.
func TestAndroidGate(t *testing.T) {
	t.Parallel()
	mailbox := startMailbox(t)
	needs(t, "nginx")
	androidAtTheGate(t, mailbox.site, "pw", func(t *testing.T, m mailClient) {
		t.Helper()
		if a := folders(t, m); a.status != http.StatusOK {
			t.Errorf("status %d: %q", a.status, a.body)
		}
	})
	if len(mailbox.odd) > 0 {
		t.Errorf("the mail server got to see %q", mailbox.odd)
	}
}

// gatedAndroid is an Android phone of alice's, and the gate between its Gmail and a
// mail server.
type gatedAndroid struct {
	c     *client
	phone *agent.Phone
	mail  mailClient
}

// androidAtTheGate leads one from an invitation to its mail, and to the end of its
// work profile. reads says whether a client gets mail.
func androidAtTheGate(t *testing.T, mail site, password string, reads func(*testing.T, mailClient)) {
	g, c := withGoogle(t)
	c.callIf(`"1"`, http.MethodPost, "/api/v1/templates", "application/yaml", []byte(gateTemplate), &adminapi.TemplateApplied{})
	gate := c.gateSite(t).before(mail).start(t)
	s := gatedAndroid{c: c, phone: g.phone(c, "")}
	s.mail = mailClient{t: t, url: gate.url, http: gate.client(), login: "alice", password: password, user: "alice", app: gmail}

	must(t, s.phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	shown := settledPhone(t, s.phone, "mail", func(shown agent.Snapshot) bool { return len(shown.Accounts) == 1 })
	account := shown.Accounts[0]
	if !strings.HasPrefix(account.DeviceID, "sply") || account.User != "alice" {
		t.Fatalf("the policy makes the account %+v", account)
	}
	s.mail.device, s.mail.user = account.DeviceID, account.User
	s.strangers(t)
	c.decided(alice, account.DeviceID, access.Allow)
	reads(t, s.mail)

	s.brokenInto(t)
	reads(t, s.mail)
	s.retired(t)
	if text := gate.log(t); strings.Contains(text, "alice") || strings.Contains(text, account.DeviceID) {
		t.Errorf("the gate's log names somebody:\n%s", text)
	}
}

// strangers are clients that say they are Gmail, too.
func (s gatedAndroid) strangers(t *testing.T) {
	t.Helper()
	for what, change := range map[string]func(*mailClient){
		"a Gmail that nobody configured": func(m *mailClient) { m.device = "android1762689000000" },
		"a made-up ID of ours":           func(m *mailClient) { m.device = "sply" + strings.Repeat("0", 28) },
		"the phone's ID with more":       func(m *mailClient) { m.device = m.device[:31] },
	} {
		m := s.mail
		change(&m)
		if a := folders(t, m); a.status != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", what, a.status)
		}
	}
}

// brokenInto is the story: Google finds that the phone's system was changed and tells
// us, and the next request of Gmail's is refused; it is let in again as soon as Google
// vouches for the phone.
func (s gatedAndroid) brokenInto(t *testing.T) {
	t.Helper()
	refused := s.felt(t, "posture=COMPROMISED_OS", http.StatusForbidden)
	if refused.header.Get("X-Sallyport-Decision") != "block" || !strings.Contains(string(refused.body), "may not read this mailbox") {
		t.Errorf("answer %v\n%s", refused.header, refused.body)
	}
	link := refused.header.Get("X-Sallyport-Reason")
	s.c.opens(t, link, "en", http.StatusOK, "No mail on this device for now", "system may have been broken into", "Ask your administrator")
	s.c.opens(t, link, "de-DE", http.StatusOK, "Vorerst keine Mail auf diesem Gerät",
		"In das System des Telefons wurde womöglich eingegriffen", "Fragen Sie Ihre Administration")
	s.felt(t, "posture=SECURE", http.StatusOK)
	s.c.opens(t, link, "de-DE", http.StatusOK, "Ihre Mail funktioniert auf diesem Gerät")
}

// felt changes the phone, has it report to Google, and waits until nginx answers
// Gmail so. The time is more than that from Google's notification: it begins with the
// report that causes it.
func (s gatedAndroid) felt(t *testing.T, fact string, want int) mailAnswer {
	t.Helper()
	must(t, s.phone.Set(fact))
	begun := time.Now()
	must(t, s.phone.Connect(t.Context()))
	answer := until(t, s.mail, want)
	took := time.Since(begun)
	t.Logf("%s: Gmail gets %d at nginx %v after the phone began to report", fact, want, took.Round(time.Millisecond))
	if soaking() && took > time.Second {
		t.Errorf("%s: felt after %v, want at most 1s", fact, took)
	}
	return answer
}

// retired is the end: mail stays shut from the order on, and the work profile goes,
// and nothing else of the person's phone.
func (s gatedAndroid) retired(t *testing.T) {
	t.Helper()
	if a := s.c.order(s.c.theDevice().ID, adminapi.ActionRequest{Kind: "retire"}); a.State == "failed" {
		t.Errorf("retire: %+v", a)
	}
	until(t, s.mail, http.StatusForbidden)
	shown := settledPhone(t, s.phone, "work profile", func(shown agent.Snapshot) bool { return shown.Android.ProfilesRemoved == 1 })
	if shown.Android.Resets != 0 || len(shown.Accounts) != 0 || slices.Contains(shown.Android.Installed, "com.google.android.gm") {
		t.Errorf("left on the phone: %+v %+v", shown.Accounts, shown.Android)
	}
	if a := folders(t, s.mail); a.status != http.StatusForbidden {
		t.Errorf("after its end: status %d, want 403", a.status)
	}
}
