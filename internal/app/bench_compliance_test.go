//go:build unix

package app

import (
	"database/sql"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
)

const (
	benchTemplate = "name: mail\ndisplay_name: Mail\nassign: everyone\naccounts:\n  - {name: Mail, host: mail.example.test, email: '%email%'}\n"
	benchPolicy   = `name: standard
assign: everyone
rules:
  mail_profile: true
  passcode: true
  minimum_os: %q
  identity_certificate: true
  reported_within: 48h
grace: 2h
`
)

// BenchmarkReevaluate is what a change of the policy costs, the dearest one there
// is: each asks for another version, so that every verdict names the new revision and
// what is expected now. All of them are read, judged, written and told of in the
// outbox, for each phone of a fleet in a database on disk; the phones comply before and
// after. What follows from the events is not in it. It tells microseconds of CPU time per phone, with the users'
// profiles in memory and without, and what 100,000 phones come to. SALLYPORT_SOAK
// takes so many indeed.
func BenchmarkReevaluate(b *testing.B) {
	phones := 10_000
	if os.Getenv("SALLYPORT_SOAK") != "" {
		phones = 100_000
	}
	a := prepared(b)
	ctx := b.Context()
	if _, _, err := a.rooms.templates.Apply(ctx, []byte(benchTemplate)); err != nil {
		b.Fatal(err)
	}
	fleet(b, a, phones)
	version := 0
	change := func() {
		version++
		if _, _, err := a.rooms.compliance.Apply(ctx, fmt.Appendf(nil, benchPolicy, fmt.Sprintf("15.%d", version))); err != nil {
			b.Fatal(err)
		}
	}
	run := func() time.Duration {
		events := a.db.Outbox()
		pending, err := events.Pending(ctx, "bench", 1000)
		for len(pending) > 0 && err == nil {
			for _, e := range pending {
				if e.EnrollmentID == "" {
					_, err = a.rooms.compliance.Handle(ctx, e)
				}
			}
			if err == nil {
				err = events.Done(ctx, "bench", pending[len(pending)-1].ID)
			}
			if err == nil {
				pending, err = events.Pending(ctx, "bench", 1000)
			}
		}
		if err != nil {
			b.Fatal(err)
		}
		before := cpu(b)
		for more := true; more; {
			if more, err = a.rooms.compliance.Step(ctx); err != nil {
				b.Fatal(err)
			}
		}
		spent := cpu(b) - before
		if r, err := a.rooms.compliance.Progress(ctx); err != nil || r.Done != phones || r.Total != phones || r.Open() {
			b.Fatalf("run %+v, %v", r, err)
		}
		return spent
	}
	change()
	first := run() // every profile is rendered, every verdict is new and becomes an event
	var warm time.Duration
	n := 0
	b.ResetTimer()
	for b.Loop() {
		change()
		warm += run()
		n++
	}
	b.StopTimer()
	// What is evaluated without any change is not written. The event is newer than all.
	if err := a.rooms.compliance.Runs.RequestRun(ctx, mdm.Event{ID: math.MaxInt64, Kind: mdm.EventTemplateChange}, time.Now()); err != nil {
		b.Fatal(err)
	}
	unchanged := run()
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(phones) }
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each(first), "first-cpu-µs/phone")
	b.ReportMetric(each(warm)/float64(n), "cpu-µs/phone")
	b.ReportMetric(each(unchanged), "unchanged-cpu-µs/phone")
	b.ReportMetric(each(warm)/float64(n)/10, "cpu-s/100000")
}

// fleet writes enrolled phones that comply, each of a user of its own.
func fleet(b *testing.B, a *App, count int) {
	b.Helper()
	ctx, now := b.Context(), time.Now().UTC().Truncate(time.Microsecond)
	yes, caps := true, 3
	check := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	for done := 0; done < count; {
		var users []directory.User
		for n := done; n < min(done+1000, count); n++ {
			upn := fmt.Sprintf("user-%06d@example.test", n)
			users = append(users, directory.User{UPN: upn, Email: upn, Username: upn, DisplayName: upn, FirstName: "F", LastName: "L", Groups: []string{"staff", "sales"}, CreatedAt: now, UpdatedAt: now})
		}
		saved, err := a.db.Users().SaveUsers(ctx, users, nil)
		check(err)
		for i, u := range saved {
			n := done + i
			udid := fmt.Sprintf("00008110-%016X", n)
			d := mdm.Device{ID: mdm.DeviceID(uuid.Must(uuid.NewV7()).String()), Platform: mdm.Apple, UDID: udid, Serial: fmt.Sprintf("S%09d", n), Product: "iPhone14,5", Model: "iPhone 13", Name: "Anna’s iPhone", CreatedAt: now}
			e := mdm.Enrollment{ID: mdm.EnrollmentID(uuid.Must(uuid.NewV7()).String()), UserID: u.ID, InvitationID: uuid.NewString(), Platform: mdm.Apple, Ownership: mdm.Corporate,
				State: mdm.Authenticated, UDID: udid, CertificateHash: fmt.Sprintf("%x", secret.Hash(udid)), AccessRights: 7999, Topic: "com.apple.mgmt.example", PollOnly: true, CreatedAt: now, LastSeenAt: now}
			e, err := a.db.Enrollments().Admit(ctx, d, e, audit.New(ctx, now, "device.admit", udid, audit.Done))
			check(err)
			check(a.db.Enrollments().Activate(ctx, e.ID, mdm.Push{Topic: e.Topic, Token: secret.New("t"), Magic: secret.New("m"), UpdatedAt: now}, now, audit.New(ctx, now, "device.enrol", udid, audit.Done)))
			expected, _, err := a.rooms.enroll.Expected(ctx, e.ID)
			check(err)
			items := []mdm.ProfileOnFile{{Identifier: "sallyport.enroll", UUID: uuid.NewString(), Managed: &yes, Encrypted: true}}
			for _, p := range expected.Mail {
				c := mdm.Command{ID: mdm.CommandID(uuid.NewString()), EnrollmentID: e.ID, RequestType: "InstallProfile", Subject: p.Identifier, Revision: p.UUID, State: mdm.Sent, SentAt: now}
				check(a.db.Plans().SaveCommand(ctx, c, nil))
				check(a.db.Plans().SaveContact(ctx, e.ID, mdm.Contact{At: now, Status: mdm.StatusAcknowledged, CommandID: c.ID}))
				items = append(items, mdm.ProfileOnFile{Identifier: p.Identifier, UUID: p.UUID, DisplayName: "Mail", Managed: &yes, Encrypted: true})
			}
			certificates := []mdm.CertificateOnFile{}
			for i := range 3 {
				certificates = append(certificates, mdm.CertificateOnFile{CommonName: d.Serial, Identity: i > 0, SHA256: fmt.Sprintf("%064x", n*3+i), NotAfter: now.AddDate(1, 0, 0)})
			}
			at := now.Add(time.Second)
			check(a.db.Plans().SaveContact(ctx, e.ID, mdm.Contact{At: at, Status: mdm.StatusIdle, Report: mdm.Report{
				Device:       &mdm.DeviceFacts{At: at, UDID: udid, Serial: d.Serial, Name: d.Name, Product: d.Product, Model: d.Model, OSVersion: "26.1", Build: "23B85", EASDeviceID: fmt.Sprintf("%026d", n), Supervised: new(bool)},
				Security:     &mdm.SecurityFacts{At: at, PasscodePresent: &yes, PasscodeCompliant: &yes, PasscodeCompliantWithProfiles: &yes, HardwareEncryptionCaps: &caps},
				Profiles:     &mdm.ProfileFacts{At: at, Items: items},
				Certificates: &mdm.CertificateFacts{At: at, Items: certificates},
			}}))
		}
		done += len(saved)
	}
	// Each phone has its identity on record, which nobody has to sign for this.
	db, err := sql.Open("sqlite", filepath.Join(a.dir, DatabaseFile)+"?_pragma=busy_timeout(60000)")
	check(err)
	defer db.Close()
	_, err = db.ExecContext(ctx, `INSERT INTO certs_certificates (sha256, der, serial, rule, user_id, invitation_id, enrollment_id, not_before, not_after, issued_at, revoked_at)
		SELECT certificate_hash, zeroblob(900), certificate_hash, 'mdm-identity', user_id, '', id, 0, ?, 0, 0 FROM enroll_enrollments`, now.AddDate(1, 0, 0).UnixMicro())
	check(err)
}
