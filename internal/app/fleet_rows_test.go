package app_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/internal/app"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// silentPhones writes rows of enrolled phones that have reported, each of a user
// of its own, into the database of a server that has stopped.
func silentPhones(t *testing.T, data string, count int) {
	t.Helper()
	db := openStore(t, data)
	users := saveUsers(t, db, "silent", "", count)
	for n, u := range users {
		now := time.Now()
		d, e := silentPhone(u, n, now)
		e, err := db.Enrollments().Admit(t.Context(), d, e, audit.New(t.Context(), now, "device.admit", d.UDID, audit.Done))
		must(t, err)
		push := mdm.Push{Topic: e.Topic, Token: secret.New(strings.Repeat("t", 32)), Magic: secret.New(uuid.NewString()),
			UnlockToken: secret.New(strings.Repeat("u", 64)), UpdatedAt: now}
		must(t, db.Enrollments().Activate(t.Context(), e.ID, push, now, audit.New(t.Context(), now, "device.enrol", d.UDID, audit.Done)))
		must(t, db.Plans().SaveContact(t.Context(), e.ID, mdm.Contact{At: now, Status: mdm.StatusIdle, Report: silentReport(d, n, now)}))
	}
	must(t, db.Close())
}

func openStore(t *testing.T, data string) *store.DB {
	t.Helper()
	keys, err := secret.LoadKeys(filepath.Join(data, app.KeyFile))
	must(t, err)
	sealer, err := secret.NewSealer(keys[0])
	must(t, err)
	db, err := store.Open(t.Context(), store.Options{Path: filepath.Join(data, app.DatabaseFile), Sealer: sealer})
	must(t, err)
	return db
}

// saveUsers makes count users called NAME-0 and so on, in batches.
func saveUsers(t *testing.T, db *store.DB, name, group string, count int) (all []directory.User) {
	t.Helper()
	const batch = 1000
	for len(all) < count {
		var some []directory.User
		for n := len(all); n < min(len(all)+batch, count); n++ {
			upn := fmt.Sprintf("%s-%d@example.test", name, n)
			u := directory.User{UPN: upn, Email: upn, Username: upn, DisplayName: upn, CreatedAt: time.Now(), UpdatedAt: time.Now()}
			if group != "" {
				u.Groups = []string{group}
			}
			some = append(some, u)
		}
		saved, err := db.Users().SaveUsers(t.Context(), some, nil)
		must(t, err)
		all = append(all, saved...)
	}
	return all
}

func silentPhone(u directory.User, n int, now time.Time) (mdm.Device, mdm.Enrollment) {
	d := mdm.Device{
		ID: mdm.DeviceID(uuid.Must(uuid.NewV7()).String()), Platform: mdm.Apple, UDID: fmt.Sprintf("00008110-%016X", n), Serial: fmt.Sprintf("S%09d", n),
		Product: "iPhone14,5", Model: "iPhone 13", Name: "iPhone", CreatedAt: now,
	}
	e := mdm.Enrollment{
		ID: mdm.EnrollmentID(uuid.Must(uuid.NewV7()).String()), UserID: u.ID, InvitationID: uuid.Must(uuid.NewV7()).String(), Platform: mdm.Apple,
		Ownership: mdm.Corporate, State: mdm.Authenticated, UDID: d.UDID, CertificateHash: fmt.Sprintf("%x", secret.Hash(d.UDID)),
		AccessRights: 7999, Topic: "com.apple.mgmt.example", PollOnly: true, CreatedAt: now, LastSeenAt: now,
	}
	return d, e
}

func silentReport(d mdm.Device, n int, now time.Time) mdm.Report {
	yes, caps := true, 3
	items := []mdm.CertificateOnFile{}
	for i := range 3 {
		items = append(items, mdm.CertificateOnFile{CommonName: d.Serial, Identity: i > 0, SHA256: fmt.Sprintf("%064x", n*3+i), NotAfter: now.AddDate(1, 0, 0)})
	}
	return mdm.Report{
		Device: &mdm.DeviceFacts{At: now, UDID: d.UDID, Serial: d.Serial, Name: d.Name, Product: d.Product, Model: d.Model, OSVersion: "26.1",
			Build: "23B85", EASDeviceID: fmt.Sprintf("%026d", n), Supervised: new(bool)},
		Security:     &mdm.SecurityFacts{At: now, PasscodePresent: &yes, PasscodeCompliant: &yes, PasscodeCompliantWithProfiles: &yes, HardwareEncryptionCaps: &caps},
		Profiles:     &mdm.ProfileFacts{At: now, Items: []mdm.ProfileOnFile{{Identifier: "sallyport.enroll", UUID: strings.ToUpper(uuid.NewString()), Managed: &yes, Encrypted: true}}},
		Certificates: &mdm.CertificateFacts{At: now, Items: items},
	}
}
