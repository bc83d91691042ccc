package app

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/mdm"
)

// TestAndroidMailSettings: what a support desk sees of an Android phone's mail.
func TestAndroidMailSettings(t *testing.T) {
	t.Parallel()
	a, g := emptyServer(t)
	r := robots(t, a, g, 1)[0]
	e, err := a.db.Enrollments().EnrollmentByID(t.Context(), r.id)
	done(t, err)
	settings := func() (enroll.MailSettings, enroll.MailProfile) {
		t.Helper()
		m, err := a.rooms.enroll.MailSettings(t.Context(), e.DeviceID)
		done(t, err)
		if len(m.Profiles) != 1 || m.Android == nil {
			t.Fatalf("got %+v", m)
		}
		return m, m.Profiles[0]
	}
	says := func(p mdm.PolicyFacts) {
		t.Helper()
		p.At = time.Now().UTC().Truncate(time.Microsecond)
		done(t, a.db.Android().SaveAndroidReport(t.Context(), r.id, p.At, mdm.Report{Policy: &p}))
	}
	m, p := settings()
	left := enroll.LeftTemplate{Template: "mail", App: "Gmail", Package: "com.google.android.gm", Winner: "pilots",
		Reason: "Gmail takes one account on Android, that of the template pilots, whose priority is higher: 10 against 0",
		Remedy: "give this one a higher priority or another android.app, or assign only one of both to the user"}
	if len(m.LeftOut) != 1 || m.LeftOut[0] != left || len(m.Warnings) != 0 {
		t.Errorf("left out: %+v, warnings %q", m.LeftOut, m.Warnings)
	}
	policy := m.Android.Policy
	if m.Android.Version != 1 || m.Android.Applied != policy || m.Android.AppliedVersion != 1 || m.Android.ReportedAt.IsZero() || m.Android.Trouble != "" {
		t.Errorf("got %+v", m.Android)
	}
	if p.State != enroll.MailInstalled || p.Package != "com.google.android.gm" || p.DisplayName != "Gmail" || len(p.Accounts) != 1 {
		t.Errorf("got %+v", p)
	}
	rows := map[string]string{}
	for _, row := range p.Accounts[0].Rows {
		rows[row.Label] = row.Value
	}
	if rows["email_address"] != "robot000000@example.test" || rows["exchange_host"] != "mail.example.test" || !strings.HasPrefix(rows["exchange_device_id"], "sply") {
		t.Errorf("got %+v", rows)
	}

	says(mdm.PolicyFacts{Applied: policy, Version: 1, Broken: []mdm.Nonconformity{{Setting: "applications", Package: p.Package, Reason: "APP_NOT_INSTALLED", Plain: "the app is not there"}}})
	if _, p = settings(); p.State != enroll.MailRefused || p.Reason != "the app is not there" {
		t.Errorf("got %+v", p)
	}
	says(mdm.PolicyFacts{Applied: policy, Version: 1})
	changedMail(t, a, fmt.Sprintf(pilotsMail, "SECOND"))
	settleRobots(t, a)
	changedMail(t, a, "name: spare\npriority: -1\nassign: everyone\naccounts:\n  - {name: Mail, host: mail.example.test, domain: SECOND}\n")
	if m, _ = settings(); len(m.LeftOut) != 2 || m.LeftOut[1].Template != "spare" || !strings.Contains(m.LeftOut[1].Reason, "mail.example.test, and its priority is higher: 10 against -1") {
		t.Errorf("a second template for the same mailbox: %+v", m.LeftOut)
	}
	if m, p = settings(); p.State != enroll.MailMissing || m.Android.Version != 2 || m.Android.AppliedVersion != 1 {
		t.Errorf("got %+v, %+v", p, m.Android)
	}
}
