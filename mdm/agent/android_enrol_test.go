package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// TestWorkProfile: from an invitation's page to a work profile on a personal
// phone, and what Google tells of it.
func TestWorkProfile(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p, told := s.phone()
	if err := p.Enroll(context.Background(), s.url()); err != nil {
		t.Fatal(err)
	}
	told.has(t, "work profile on a personal phone")
	a := androidOf(t, p)
	if a.Mode != profileOwner || a.Ownership != personallyOwned || a.Policy != "base" || a.Version != 1 || len(a.SpecificID) != 16 {
		t.Errorf("%+v", a)
	}
	first := s.ear.wait("ENROLLMENT", 1)[0].data
	if first["enrollmentTokenData"] != "ticket" || str(first, "policyName") != s.enterprise+"/policies/base" || first["appliedPolicyName"] != nil || str(first, "state") != stateActive {
		t.Errorf("ENROLLMENT: %v", first)
	}
	report := s.ear.wait("STATUS_REPORT", 1)[0].data
	settings := inner(report, "deviceSettings")
	if !yes(report, "policyCompliant") || str(report, "appliedPolicyVersion") != "1" || !yes(settings, "isDeviceSecure") || str(settings, "encryptionStatus") != "ACTIVE_PER_USER" ||
		str(inner(report, "securityPosture"), "devicePosture") != "SECURE" || str(inner(report, "hardwareInfo"), "serialNumber") != a.SpecificID ||
		str(inner(report, "softwareInfo"), "androidVersion") != "16" || number(report, "apiLevel") != 36 {
		t.Errorf("STATUS_REPORT: %v", report)
	}
	if err := p.Enroll(context.Background(), s.url()); !errors.Is(err, ErrAlreadyEnrolled) {
		t.Errorf("again: %v", err)
	}
	list := s.call("GET", s.enterprise+"/enrollmentTokens", "")
	if list["enrollmentTokens"] != nil {
		t.Errorf("a used token is listed: %v", list)
	}
	s.clean()
}

// TestWaysIn: what a page, a link and a QR code lead to.
func TestWaysIn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pin = "123456"
	signin := list(s.call("GET", s.enterprise, ""), "signinDetails")[0]
	s.call("PATCH", s.enterprise+"?updateMask=signinDetails", `{"signinDetails":[{"signinUrl":"`+s.page.URL+`/android/signin","allowPersonalUsage":"PERSONAL_USAGE_ALLOWED"}]}`)
	own := list(s.call("GET", s.enterprise, ""), "signinDetails")[0]
	if str(own, "signinEnrollmentToken") == str(signin, "signinEnrollmentToken") || str(own, "qrCode") == "" {
		t.Errorf("sign-in details %v", own)
	}
	link := "https://enterprise.google.com/android/enroll?et="
	tests := []struct {
		name, usage string
		set         []string
		where       func() string
		mode, owner string
		err         error
	}{
		{name: "page with a PIN", where: s.url, mode: profileOwner, owner: personallyOwned},
		{name: "link", where: func() string { return link + str(s.mint(), "value") }, mode: profileOwner, owner: personallyOwned},
		{name: "sign-in page by link", where: func() string { return link + str(own, "signinEnrollmentToken") }, mode: profileOwner, owner: personallyOwned},
		{name: "sign-in page by QR code", set: []string{"owner=company", "fresh=yes"}, where: func() string { return str(own, "qrCode") }, mode: profileOwner, owner: companyOwned},
		{name: "QR code on the page", usage: "PERSONAL_USAGE_DISALLOWED", set: []string{"owner=company"}, where: s.url, err: ErrInvalid}, // not fresh
		{name: "QR code, fully managed", usage: "PERSONAL_USAGE_DISALLOWED", set: []string{"owner=company", "fresh=yes"}, where: func() string { return str(s.mint(), "qrCode") }, mode: deviceOwner, owner: companyOwned},
		{name: "QR code, work profile", set: []string{"owner=company", "fresh=yes"}, where: func() string { return str(s.mint(), "qrCode") }, mode: profileOwner, owner: companyOwned},
		{name: "company's token on a personal phone", usage: "PERSONAL_USAGE_DISALLOWED", where: func() string { return link + str(s.mint(), "value") }, err: ErrRefused},
		{name: "page on a phone that was just reset", set: []string{"fresh=yes"}, where: s.url, err: ErrInvalid},
		{name: "unknown token", where: func() string { return link + "X" }, err: ErrRefused},
		{name: "no page for a phone", where: func() string { return s.page.URL + "/lost" }, err: ErrProtocol},
		{name: "page that leads away", where: func() string { return s.page.URL + "/away" }, err: ErrProtocol},
		{name: "no page at all", where: func() string { return s.page.URL + "/none" }, err: ErrRefused},
		{name: "no QR code", where: func() string { return `{"a":1}` }, err: ErrInvalid},
		{name: "no address", where: func() string { return "http://mdm.example.test/" }, err: ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s.mu.Lock()
			s.usage = orText(tt.usage, "PERSONAL_USAGE_ALLOWED")
			s.mu.Unlock()
			p, _ := s.phone(tt.set...)
			err := p.Enroll(context.Background(), tt.where())
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if a := androidOf(t, p); a.Mode != tt.mode || a.Ownership != tt.owner {
				t.Errorf("%+v", a)
			}
		})
	}
	s.clean()
}

func TestWrongPINAndCode(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.pin = "654321"
	p, _ := s.phone()
	if err := p.Enroll(context.Background(), s.url()); !errors.Is(err, ErrPINNeeded) || !strings.Contains(err.Error(), "not right") {
		t.Errorf("wrong PIN: %v", err)
	}
	p.o.PIN = secret.Value{}
	if err := p.Enroll(context.Background(), s.url()); !errors.Is(err, ErrPINNeeded) {
		t.Errorf("no PIN: %v", err)
	}
	s.call("PATCH", s.enterprise+"?updateMask=signinDetails", `{"signinDetails":[{"signinUrl":"`+s.page.URL+`/android/signin"}]}`)
	token := str(list(s.call("GET", s.enterprise, ""), "signinDetails")[0], "signinEnrollmentToken")
	p.o.Code = secret.New("WRONG234")
	if err := p.Enroll(context.Background(), "https://enterprise.google.com/android/enroll?et="+token); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "may not enrol") {
		t.Errorf("wrong code: %v", err)
	}
	p.o.Code = secret.Value{}
	if err := p.Enroll(context.Background(), "https://enterprise.google.com/android/enroll?et="+token); !errors.Is(err, ErrInvalid) {
		t.Errorf("no code: %v", err)
	}
	if s.minted != 0 {
		t.Errorf("%d tokens minted", s.minted)
	}
}

// TestOneTimeToken: a token is good for one phone, for its time, and until it is
// deleted.
func TestOneTimeToken(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	token := s.mint()
	link := "https://enterprise.google.com/android/enroll?et=" + str(token, "value")
	first, _ := s.phone()
	if err := first.Enroll(context.Background(), link); err != nil {
		t.Fatal(err)
	}
	second, _ := s.phone()
	if err := second.Enroll(context.Background(), link); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "used already") {
		t.Errorf("second phone: %v", err)
	}
	deleted := s.mint()
	s.call("DELETE", str(deleted, "name"), "")
	if err := second.Enroll(context.Background(), str(deleted, "qrCode")); !errors.Is(err, ErrInvalid) {
		t.Errorf("QR code on a running phone: %v", err)
	}
	if err := second.Enroll(context.Background(), "https://enterprise.google.com/android/enroll?et="+str(deleted, "value")); !errors.Is(err, ErrRefused) {
		t.Errorf("deleted token: %v", err)
	}
}

// TestSamePhoneAgain: a new name, the old ones beside it, and the same ID.
func TestSamePhoneAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.worker()
	before := androidOf(t, p)
	if err := p.Unenroll(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := p.Enroll(context.Background(), s.url()); err != nil {
		t.Fatal(err)
	}
	after := androidOf(t, p)
	if got := texts(s.device(p), "previousDeviceNames"); !slices.Equal(got, []string{before.Device}) || after.Device == before.Device || after.SpecificID != before.SpecificID {
		t.Errorf("previous %v, before %+v, after %+v", got, before, after)
	}
}

func TestIPhoneStaysIPhone(t *testing.T) {
	t.Parallel()
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	if kind, err := p.Kind(); err != nil || kind != IPhone {
		t.Errorf("%q %v", kind, err)
	}
	if err := p.Set("posture=SECURE"); !errors.Is(err, ErrInvalid) {
		t.Errorf("posture of an iPhone: %v", err)
	}
	p, err = New(Options{As: Android})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set("supervised=yes"); !errors.Is(err, ErrInvalid) {
		t.Errorf("supervised Android: %v", err)
	}
	if err := p.Connect(context.Background()); !errors.Is(err, ErrNotEnrolled) {
		t.Errorf("connect: %v", err)
	}
	if err := p.Enroll(context.Background(), "https://mdm.example.test/enroll/A"); !errors.Is(err, ErrInvalid) {
		t.Errorf("without a stand-in: %v", err)
	}
}
