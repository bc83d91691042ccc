package app

import (
	"path"
	"testing"

	"sallyport/access"
	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/mdm"
)

// prepared is a server on SQLite with one user.
func prepared(b *testing.B) *App {
	b.Helper()
	a, err := New(b.Context(), settingsIn(b.TempDir()), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = a.Close() })
	user := directory.User{UPN: "alice@example.test", Email: "alice@example.test"}
	if _, err := a.rooms.users.Save(b.Context(), []directory.User{user}); err != nil {
		b.Fatal(err)
	}
	return a
}

// A decision as a gate asks for it, without HTTP.
func BenchmarkDecide(b *testing.B) {
	a := prepared(b)
	client := access.Client{User: "alice@example.test", DeviceID: "ABC123", DeviceType: "iPhone"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.rooms.access.Decide(b.Context(), client); err != nil {
			b.Fatal(err)
		}
	}
}

// The enrolment profile: a challenge minted and committed, rendered, signed.
func BenchmarkEnrollmentProfile(b *testing.B) {
	a := prepared(b)
	issued, err := a.rooms.enroll.Invite(b.Context(), enroll.InviteRequest{UPN: "alice@example.test", Ownership: mdm.Corporate})
	if err != nil {
		b.Fatal(err)
	}
	code := path.Base(issued[0].URL.Reveal())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := a.rooms.enroll.EnrollmentProfile(b.Context(), code, ""); err != nil {
			b.Fatal(err)
		}
	}
}
