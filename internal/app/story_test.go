package app_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/access"
	"sallyport/internal/cms/openssltest"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/adminapi"
	"sallyport/profiles/mobileconfig"
)

// TestStory is the main job: enrol, block, unblock, leave.
func TestStory(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	invitation := c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate", PIN: true})
	phone := newPhone(t, t.TempDir(), c.root, invitation.PIN)

	if d := c.decide(alice, show(t, phone).EASDeviceID); d.Effect != access.Quarantine || len(d.Reasons) == 0 || d.Reasons[0].Fix == "" {
		t.Errorf("a known user's unknown device: got %+v, want quarantine with a reason and a fix", d)
	}
	must(t, phone.Enroll(t.Context(), invitation.URL))
	s := show(t, phone)
	if len(s.Accounts) != 1 || s.Accounts[0].Email != alice || s.Accounts[0].User != alice || s.Accounts[0].Host != "mail.example.test" || !s.Accounts[0].SSL || !s.Accounts[0].Certificate {
		t.Fatalf("accounts: %+v", s.Accounts)
	}
	if len(s.Profiles) != 2 || !s.Profiles[1].Encrypted || s.Profiles[1].SignedBy == "" {
		t.Errorf("profiles: %+v, want the enrolment profile and an encrypted, signed mail profile", s.Profiles)
	}
	c.decided(alice, s.EASDeviceID, access.Allow)
	c.decided(strings.ToUpper(alice), strings.ToLower(s.EASDeviceID), access.Allow)

	checkFacts(t, c, phone.Set, func() error { return phone.Connect(t.Context()) }, s.EASDeviceID)

	if d := c.decide("mallory@example.test", s.EASDeviceID); d.Effect != access.Block {
		t.Errorf("an unknown user: got %s, want block", d.Effect)
	}
	if again := show(t, phone); again.Recreated != 0 || again.Accounts[0].Updates != 0 {
		t.Errorf("an unchanged profile was sent again: %+v", again.Accounts)
	}
	if got := c.call(http.MethodDelete, "/api/v1/users/"+alice, "", nil, nil); got != http.StatusNoContent {
		t.Errorf("removing the user: status %d", got)
	}
	if d := c.decide(alice, s.EASDeviceID); d.Effect != access.Block {
		t.Errorf("after the user was removed: got %s, want block at once", d.Effect)
	}
}

// checkFacts turns one fact after the other bad and good again.
func checkFacts(t *testing.T, c *client, set func(...string) error, connect func() error, device string) {
	t.Helper()
	for _, fact := range []struct{ bad, good, rule string }{
		{"passcode=off", "passcode=on", "passcode"},
		{"os=15.8", "os=26.1", "minimum_os"},
	} {
		must(t, set(fact.bad))
		must(t, connect())
		began := time.Now()
		d := c.decided(alice, device, access.Block)
		t.Logf("%s: blocked %v after the end of connect", fact.bad, time.Since(began).Round(time.Millisecond))
		if len(d.Reasons) != 1 || d.Reasons[0].Rule != fact.rule || d.Reasons[0].Fix == "" || d.Reasons[0].Fact == "" || d.Reasons[0].Since.IsZero() {
			t.Errorf("%s: reasons %+v, want one for %s with fact, since and fix", fact.bad, d.Reasons, fact.rule)
		}
		must(t, set(fact.good))
		must(t, connect())
		c.decided(alice, device, access.Allow)
	}
}

// TestTemplateChange sends the changed profile once, in place.
func TestTemplateChange(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	device := show(t, phone).EASDeviceID
	c.decided(alice, device, access.Allow)

	moved := strings.Replace(mailTemplate, "mail.example.test", "mail2.example.test", 1)
	c.apply(moved)
	d := c.decided(alice, device, access.Block)
	if d.Reasons[0].Rule != "mail_profile" {
		t.Errorf("reasons %+v, want mail_profile", d.Reasons)
	}
	must(t, phone.Connect(t.Context()))
	c.decided(alice, device, access.Allow)
	s := show(t, phone)
	if len(s.Accounts) != 1 || s.Accounts[0].Host != "mail2.example.test" || s.Accounts[0].Updates != 1 || s.Recreated != 0 {
		t.Errorf("accounts %+v, %d made anew; want the one account changed in place", s.Accounts, s.Recreated)
	}
	must(t, phone.Connect(t.Context()))
	if again := show(t, phone); again.Accounts[0].Updates != 1 {
		t.Errorf("an unchanged profile was sent again")
	}
}

// TestLeave: a phone that leaves loses the mailbox, and may come back.
func TestLeave(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	device := show(t, phone).EASDeviceID
	c.decided(alice, device, access.Allow)
	must(t, phone.Unenroll(t.Context()))
	if s := show(t, phone); len(s.Accounts) != 0 {
		t.Errorf("accounts left behind: %+v", s.Accounts)
	}
	c.decided(alice, device, access.Block)
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	c.decided(alice, device, access.Allow)
	var list accessapi.Devices
	c.call(http.MethodGet, "/api/v1/devices?user="+alice, "", nil, &list)
	if len(list.Devices) != 1 || list.Devices[0].Enrollment.State != "configured" {
		t.Errorf("devices %+v, want the one device, configured", list.Devices)
	}
}

// TestSecondPhoneOnOneInvitation: the first certificate burns the invitation.
func TestSecondPhoneOnOneInvitation(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	invitation := c.invite(adminapi.InvitationRequest{User: alice}).URL
	must(t, newPhone(t, t.TempDir(), c.root, "").Enroll(t.Context(), invitation))
	second := newPhone(t, t.TempDir(), c.root, "")
	if err := second.Enroll(t.Context(), invitation); err == nil {
		t.Fatal("a second phone enrolled with a used invitation")
	}
	if d := c.decide(alice, show(t, second).EASDeviceID); d.Effect != access.Quarantine {
		t.Errorf("the second phone: got %s, want quarantine", d.Effect)
	}
}

// TestProfileVerifiesWithOpenSSL: an independent implementation accepts the
// handed-out profile against the exported CA, and refuses a changed one.
func TestProfileVerifiesWithOpenSSL(t *testing.T) {
	box := openssltest.Open(t)
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	resp, err := c.http.Get(c.invite(adminapi.InvitationRequest{User: alice}).URL + "/enroll.mobileconfig")
	must(t, err)
	defer resp.Body.Close()
	signed, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != mobileconfig.ContentType {
		t.Fatalf("download: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	ca := box.File("ca.pem", c.authorities())
	verify := func(der []byte) ([]byte, error) {
		return box.Command("cms", "-verify", "-inform", "DER", "-in", box.File("enroll.mobileconfig", der), "-CAfile", ca).Output()
	}
	content, err := verify(signed)
	if err != nil || !bytes.Contains(content, []byte("com.apple.mdm")) {
		t.Errorf("openssl cms -verify refuses our profile: %v", err)
	}
	at := bytes.Index(signed, []byte("com.apple.mdm"))
	if at < 0 {
		t.Fatal("the profile's content is not in the signed bytes")
	}
	signed[at] ^= 1
	if _, err := verify(signed); err == nil {
		t.Error("openssl cms -verify accepts a changed profile")
	}
}

func parsePEM(t testing.TB, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatal("no PEM block")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return cert
}

// TestHandmadeAccount: the phone's own reason reaches the decision.
func TestHandmadeAccount(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.AddAccount(alice, alice, "mail.example.test"))
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	d := c.decided(alice, show(t, phone).EASDeviceID, access.Block)
	if len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0].Fact, "21005") || !strings.Contains(d.Reasons[0].Fix, "remove that account") {
		t.Errorf("reasons %+v, want the phone's own 21005 and what to do", d.Reasons)
	}
}

// TestTemplateGivesWay: a template that loses its mailbox to another one leaves
// the phone before the winner comes, and one that nobody has any more leaves for good.
func TestTemplateGivesWay(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice}).URL))
	device := show(t, phone).EASDeviceID
	c.decided(alice, device, access.Allow)

	apply := func(source string) {
		c.apply(source)
		must(t, phone.Connect(t.Context()))
	}
	winner := strings.Replace(mailTemplate, "name: mail\n", "name: vip\npriority: 5\n", 1)
	apply(strings.Replace(winner, "- name: Company mail", "- name: VIP mail", 1))
	if s := show(t, phone); len(s.Accounts) != 1 || s.Accounts[0].Name != "VIP mail" || len(s.Profiles) != 2 {
		t.Errorf("accounts %+v, %d profiles; want the winner's account alone", s.Accounts, len(s.Profiles))
	}
	c.decided(alice, device, access.Allow)

	nobody := strings.Replace(winner, "assign: everyone", "assign: {groups: [nobody]}", 1)
	apply(strings.Replace(mailTemplate, "assign: everyone", "assign: {groups: [nobody]}", 1))
	apply(nobody)
	if s := show(t, phone); len(s.Accounts) != 0 || len(s.Profiles) != 1 {
		t.Errorf("accounts %+v, %d profiles; want none but the enrolment profile", s.Accounts, len(s.Profiles))
	}
	c.decided(alice, device, access.Block)
}
