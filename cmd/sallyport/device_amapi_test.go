package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// robot is an Android phone that has taken its policy, but for its mail app.
func robot() deviceShown {
	at := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	var d deviceShown
	d.ID, d.Platform, d.User, d.Product, d.Model, d.OSVersion = "0190", "android", "alice@example.test", "Pixel 8", "Google Pixel 8", "16"
	d.EASDeviceID = "sply0123456789abcdef0123456789ab"
	d.Enrollment.State, d.Enrollment.Ownership, d.Enrollment.LastSeenAt = "enrolled", "personal", at
	d.Report = mdm.Report{
		Device:   &mdm.DeviceFacts{At: at, Supervised: new(bool)},
		Security: &mdm.SecurityFacts{At: at, Posture: mdm.PostureAtRisk, Risks: []string{"UNKNOWN_OS"}},
		Profiles: &mdm.ProfileFacts{At: at, Items: []mdm.ProfileOnFile{{Identifier: "sallyport.mail.1", UUID: "U", DisplayName: "mail"}}},
		Policy: &mdm.PolicyFacts{At: at, Broken: []mdm.Nonconformity{
			{Setting: "passwordPolicies", Reason: "USER_ACTION", Plain: "the user has to do something"},
			{Setting: "applications", Package: "com.google.android.gm", Reason: "APP_NOT_INSTALLED", Plain: "the app is not installed"},
		}, AppStates: []mdm.AppState{{Package: "com.google.android.gm", Key: "email_address", Error: true, Message: "is no\x1b[31m address"}}},
	}
	d.Android = &adminapi.AndroidGiven{Policy: "d-1", Version: 5, Applied: "d-1", AppliedVersion: 4, ReportedAt: at}
	d.mail = []adminapi.MailProfile{{
		Template: "mail", DisplayName: "Gmail", Package: "com.google.android.gm", State: "refused", Reason: "the app is not installed",
		Accounts: []adminapi.MailAccount{{Name: "Company mail", Rows: []adminapi.MailRow{{Label: "email_address", Value: "alice@example.test"}, {Label: "exchange_ssl_required", Value: "true"}}}},
	}}
	d.LeftOut = []adminapi.LeftTemplate{{Template: "plain", App: "Gmail", Package: "com.google.android.gm", Winner: "mail",
		Reason: "Gmail takes one account on Android, that of mail\x1b[31m", Remedy: "give this one a higher priority"}}
	return d
}

// inColumns fails on a line that is wider than a terminal.
func inColumns(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 80 {
			t.Errorf("more than 80 columns: %s", line)
		}
	}
}

func TestPrintAndroid(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printDevice(&program{stdout: &out}, robot()); err != nil {
		t.Fatal(err)
	}
	want := `ID                   0190
User                 alice@example.test
Product              Google Pixel 8
OS                   16
ActiveSync DeviceId  sply0123456789abcdef0123456789ab
Enrolment            enrolled, personal
Last seen            2026-11-22 09:00:00Z
Managed              work profile
Posture              at risk (UNKNOWN_OS)
Policy at Google     version 5
Policy applied       version 4: the newer one is on its way
Last report          2026-11-22 09:00:00Z
Mail apps
  Gmail (com.google.android.gm), template mail
    not applied: the phone complains
Does not keep of the policy
  passwordPolicies: the user has to do something
  applications of com.google.android.gm: the app is not installed
  com.google.android.gm says of email_address: is no�[31m address
Templates left out
  plain, for Gmail (com.google.android.gm)
    Gmail takes one account on Android, that of mail�[31m
    -> give this one a higher priority
verdict: not_evaluated
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	inColumns(t, out.String())
}

func TestPrintAppMail(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := printMailProfile(&program{stdout: &out}, robot().mail[0]); err != nil {
		t.Fatal(err)
	}
	want := `
Gmail (com.google.android.gm), template mail
  not applied: the phone complains
  the app is not installed
  email_address          alice@example.test
  exchange_ssl_required  true
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	inColumns(t, out.String())
}

func TestPolicyFacts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		given           adminapi.AndroidGiven
		wanted, applied string
	}{
		{adminapi.AndroidGiven{}, "none of its own yet", "none that it told of"},
		{adminapi.AndroidGiven{Policy: "d-1", Version: 3, Applied: "sallyport-base-v1", AppliedVersion: 9}, "version 3", "another one: sallyport-base-v1"},
		{adminapi.AndroidGiven{Policy: "d-1", Version: 3, Applied: "d-1", AppliedVersion: 3}, "version 3", "version 3"},
	}
	for _, tt := range tests {
		got := policyFacts(tt.given)
		if got[0].value != tt.wanted || got[1].value != tt.applied {
			t.Errorf("%+v: got %+v", tt.given, got)
		}
	}
}
