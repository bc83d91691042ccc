package enroll

import (
	"strings"
	"testing"
	"time"

	"sallyport/mdm"
)

// due is when a phone is to be woken; zero when nobody asked for it.
func (h *house) due(p *phone) time.Time {
	defer h.lock()()
	return h.wakes[p.enrollmentID()]
}

// TestNotNowWasNotTheLastWord: only a phone whose last word was NotNow polls
// again by itself.
func TestNotNowWasNotTheLastWord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.locked = true
	p.connect(t) // InstallProfile is declined, the lists are answered after it
	first := h.due(p)
	if wait := first.Sub(h.clock); first.IsZero() || wait < 30*time.Second || wait > time.Minute {
		t.Fatalf("woken in %v, want in about a minute", wait)
	}
	delete(h.wakes, p.enrollmentID())
	sameTypes(t, p.connect(t), []string{installProfile})
	if due := h.due(p); !due.IsZero() {
		t.Errorf("woken at %v though NotNow was the last word", due)
	}
	h.enroll.InquiryMaxAge = 0
	p.connect(t)
	if wait := h.due(p).Sub(h.clock); wait < 2*time.Minute || wait > 4*time.Minute {
		t.Errorf("the third time woken in %v, want in about four minutes", wait)
	}
	p.locked = false
	delete(h.wakes, p.enrollmentID())
	p.connect(t)
	if due := h.due(p); !due.IsZero() || p.enrollment(t).State != mdm.Configured {
		t.Errorf("woken at %v though everything is done", due)
	}
}

// TestHandmadeAccount: 21005 is named to user and admin, tried again after
// pauses, and ours installs by itself once the account is gone.
func TestHandmadeAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = 24 * time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.join(t)
	p.fails = installProfile
	p.connect(t)
	due := h.due(p)
	if wait := due.Sub(h.clock); wait <= 0 || wait > time.Minute {
		t.Errorf("woken in %v, want within a minute", wait)
	}
	expected, _, err := h.enroll.Expected(t.Context(), p.enrollment(t).ID)
	if err != nil || !strings.Contains(expected.Mail[0].Refused, "on the phone already") || !strings.Contains(expected.Mail[0].Fix, "remove that account") {
		t.Errorf("got %+v, %v", expected.Mail, err)
	}
	m, err := h.enroll.MailSettings(t.Context(), p.enrollment(t).DeviceID)
	if err != nil || m.Profiles[0].State != MailRefused || !strings.Contains(m.Profiles[0].Reason, "21005") || !strings.Contains(m.Profiles[0].Fix, "by itself") {
		t.Errorf("got %+v, %v", m.Profiles, err)
	}
	sameTypes(t, p.connect(t), nil) // within the pause
	for range 4 {
		h.sleep(10 * time.Minute)
		sameTypes(t, p.connect(t), []string{installProfile})
	}
	p.fails = "" // the user has removed the account
	h.sleep(time.Hour)
	sameTypes(t, p.connect(t), []string{installProfile, askProfiles})
	if p.enrollment(t).State != mdm.Configured {
		t.Errorf("got %s", p.enrollment(t).State)
	}
	m, err = h.enroll.MailSettings(t.Context(), p.enrollment(t).DeviceID)
	if err != nil || m.Profiles[0].State != MailInstalled || m.Profiles[0].Fix != "" {
		t.Errorf("got %+v, %v", m.Profiles, err)
	}
}

// TestAwaitingConfiguration: the set-up assistant goes on once the mail is there.
func TestAwaitingConfiguration(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.awaiting, p.locked = true, true
	p.join(t)
	sameTypes(t, p.connect(t), everything) // nothing is confirmed: it waits
	p.locked = false
	sameTypes(t, p.connect(t), []string{askDevice, askSecurity, installProfile, askProfiles, deviceConfigured, askCertificates, askRestrictions})
	sameTypes(t, p.connect(t), questions)
}

// TestMailSettings: what a support desk compares.
func TestMailSettings(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.enroll.InquiryMaxAge = time.Hour
	p := h.newPhone(t, h.alice.UPN, udidA, 0)
	p.accountsLocked = true
	p.join(t)
	id := p.enrollment(t).DeviceID
	settings := func() MailSettings {
		m, err := h.enroll.MailSettings(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := settings(); m.Profiles[0].State != MailUnknown || len(m.Warnings) != 0 {
		t.Errorf("before the first report: got %+v", m)
	}
	p.connect(t)
	m := settings()
	if m.UPN != h.alice.UPN || m.Profiles[0].State != MailInstalled || len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], "resend") {
		t.Errorf("got %+v", m)
	}
	rows := map[string]MailRow{}
	for _, row := range m.Profiles[0].Accounts[0].Rows {
		rows[row.Label] = row
	}
	if rows["Email"].Value != h.alice.Email || rows["Server"].Value != "mail.example.test" || rows["Use SSL"].Value != "on" || rows["Mail Days to Sync"].Value != "1 Week" ||
		!rows["Server"].Fixed || rows["Contacts"].Fixed {
		t.Errorf("got %+v", rows)
	}
	h.revisions[0].Spec.Accounts[0].Host = "mail2.example.test"
	if m := settings(); m.Profiles[0].State != MailOutdated {
		t.Errorf("got %+v", m.Profiles)
	}
	h.revisions[0].Spec.Accounts[0].Host = "%nothing%"
	if m := settings(); m.Profiles[0].State != MailUnmade || len(m.Profiles[0].Faults) == 0 {
		t.Errorf("got %+v", m.Profiles)
	}
	p.ask(t, p.request(t, mdm.ActionSelectiveWipe))
	if m := settings(); len(m.Profiles) != 0 || m.Withheld != mdm.WithholdEverything || !strings.Contains(m.Warnings[0], "took the mail away") {
		t.Errorf("got %+v", m)
	}
}
