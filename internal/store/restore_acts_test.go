package store_test

import (
	"path/filepath"
	"testing"
	"time"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// TestRestoreForgetsNoMailboxAndWipesNoPhone: an act that was open in a backup
// may have been taken back or done since. It is not done again by itself, and
// what it withheld stays withheld.
func TestRestoreForgetsNoMailboxAndWipesNoPhone(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	path := filepath.Join(t.TempDir(), "x.db")
	db := mustOpen(t, path, 1)
	now := time.Now().UTC().Truncate(time.Microsecond)
	e := enrolled(t, db, now)
	wipe := mdm.Action{ID: "wipe", EnrollmentID: e, Kind: mdm.ActionWipe, State: mdm.ActionPending, RequestedAt: now, ExpiresAt: now.Add(time.Hour)}
	must(t, db.Actions().CreateAction(ctx, wipe, audit.Entry{Action: "action.order"}))
	copied := backup(t, db)
	move := enroll.ActionMove{From: []mdm.ActionState{mdm.ActionPending}, To: mdm.ActionCancelled, At: now}
	must(t, db.Actions().MoveAction(ctx, wipe.ID, move, audit.Entry{Action: "action.cancel"}))
	closed(t, db)

	_, err := store.Restore(ctx, copied, store.Options{Path: path, Sealer: sealer(t, 1)}, false)
	must(t, err)
	db = mustOpen(t, path, 1)
	have, err := db.Plans().LoadPlan(ctx, e)
	must(t, err)
	act, err := db.Actions().ActionByID(ctx, wipe.ID)
	must(t, err)
	if len(have.Actions) != 0 || act.State != mdm.ActionFailed || act.Error == "" || have.Enrollment.Withheld != mdm.WithholdEverything {
		t.Errorf("%d acts open, %s is %s (%q), withheld %q", len(have.Actions), act.Kind, act.State, act.Error, have.Enrollment.Withheld)
	}
	must(t, db.Actions().CreateAction(ctx, mdm.Action{ID: "again", EnrollmentID: e, Kind: mdm.ActionWipe, State: mdm.ActionPending, RequestedAt: now}, audit.Entry{}))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// enrolled makes a user with a phone.
func enrolled(t *testing.T, db *store.DB, now time.Time) mdm.EnrollmentID {
	t.Helper()
	users, err := db.Users().SaveUsers(t.Context(), []directory.User{{UPN: "alice@example.test", Email: "alice@example.test"}}, nil)
	must(t, err)
	e, err := db.Enrollments().Admit(t.Context(), mdm.Device{Platform: mdm.Apple, UDID: "U1"}, mdm.Enrollment{UserID: users[0].ID, Platform: mdm.Apple,
		Ownership: mdm.Corporate, UDID: "U1", CertificateHash: "00", CreatedAt: now}, audit.Entry{})
	must(t, err)
	must(t, db.Enrollments().Activate(t.Context(), e.ID, mdm.Push{Topic: "t", Token: secret.New("t")}, now, audit.Entry{}))
	return e.ID
}
