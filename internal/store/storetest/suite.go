package storetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/mdm"
)

// Subject is one empty database under test.
type Subject struct {
	DB *store.DB
	// Dump returns every row of every table as text, in a stable order.
	Dump func(t testing.TB) string
	// Exec writes what other versions have left in a database.
	Exec func(t testing.TB, statement string, args ...any)
}

// Maker opens a new empty database with these options; it adds the place and
// the sealer, and closes it when the test ends.
type Maker func(t testing.TB, options store.Options) Subject

// Run runs the whole suite.
func Run(t *testing.T, make Maker) {
	rooms := []struct {
		name  string
		tests func(t *testing.T, make Maker)
	}{
		{"settings", testSettings},
		{"audit", testAudit},
		{"outbox", testOutbox},
		{"passed events", testPassedEvents},
		{"pruned events", testPrunedEvents},
		{"tokens", testTokens},
		{"users", testUsers},
		{"invitations", testInvitations},
		{"challenges", testChallenges},
		{"certificates", testCertificates},
		{"renewals by certificates", testRenew},
		{"renewals", testRenewals},
		{"revocations", testRevocations},
		{"keys", testKeys},
		{"smime", testSMIME},
		{"enrollments", testEnrollments},
		{"plans", testPlans},
		{"contacts", testContacts},
		{"devices", testDevices},
		{"actions", testActions},
		{"held", testHeld},
		{"android", testAndroid},
		{"wakes", testWakes},
		{"templates", testTemplates},
		{"mails", testMails},
		{"secrets", testSecrets},
		{"security policies", testSecurityPolicies},
		{"policies", testPolicies},
		{"verdicts", testVerdicts},
		{"compliance", testCompliance},
		{"access", testAccess},
		{"people", testPeople},
		{"access rules", testWorld},
		{"mail clients", testClients},
		{"webhooks", testWebhooks},
		{"feed", testFeed},
		{"atomicity", testAtomicity},
	}
	for _, room := range rooms {
		t.Run(room.name, func(t *testing.T) {
			t.Parallel()
			room.tests(t, make)
		})
	}
}

// world is a database with a clock, and short ways to fill it.
type world struct {
	Subject
	t   testing.TB
	ctx context.Context

	mu      sync.Mutex
	clock   time.Time
	hook    func(unit string, phase store.Phase)
	commits []string // units that wrote events
}

// start has a fraction below a microsecond, to see it cut off.
var start = time.Date(2026, 11, 21, 12, 0, 0, 123456789, time.FixedZone("CET", 3600))

func newWorld(t testing.TB, make Maker) *world {
	t.Helper()
	w := &world{t: t, ctx: t.Context(), clock: start}
	w.Subject = make(t, store.Options{
		Now: w.now,
		OnCommit: func(unit string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.commits = append(w.commits, unit)
		},
		Hook: func(unit string, phase store.Phase) {
			w.mu.Lock()
			hook := w.hook
			w.mu.Unlock()
			if hook != nil {
				hook(unit, phase)
			}
		},
	})
	return w
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

// later moves the clock on by a second and returns the new time.
func (w *world) later() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(time.Second)
	return w.clock
}

func (w *world) onHook(hook func(unit string, phase store.Phase)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hook = hook
}

func (w *world) commitsSeen() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.commits...)
}

func (w *world) entry(action, target string) audit.Entry {
	return audit.New(w.ctx, w.now(), action, target, audit.Done)
}

// stored is a time as the database gives it back.
func stored(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

func newID() string { return uuid.Must(uuid.NewV7()).String() }

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) is(err, sentinel error) {
	w.t.Helper()
	if !errors.Is(err, sentinel) {
		w.t.Fatalf("got error %v, want %v", err, sentinel)
	}
}

// equalSecrets looks inside of them; what it says of a difference is redacted.
var equalSecrets = cmp.Comparer(func(a, b secret.Value) bool { return a.Reveal() == b.Reveal() })

func (w *world) same(got, want any) {
	w.t.Helper()
	if diff := cmp.Diff(want, got, equalSecrets); diff != "" {
		w.t.Fatalf("unexpected (-want +got):\n%s", diff)
	}
}

// unchangedBy runs act and fails if any row of any table is different after it.
func (w *world) unchangedBy(act func()) {
	w.t.Helper()
	before := w.Dump(w.t)
	act()
	if diff := cmp.Diff(before, w.Dump(w.t)); diff != "" {
		w.t.Fatalf("rows changed (-before +after):\n%s", diff)
	}
}

// audited fails unless the trail has want entries with that action.
func (w *world) audited(action string, want int) {
	w.t.Helper()
	entries, err := w.DB.Audit().List(w.ctx, audit.Filter{Action: action})
	w.ok(err)
	if len(entries) != want {
		w.t.Fatalf("%d audit entries %q, want %d", len(entries), action, want)
	}
}

// events returns the outbox as "kind enrollment" lines, but for what is about users.
func (w *world) events() []string {
	w.t.Helper()
	lines := []string{}
	list, err := w.DB.Outbox().Pending(w.ctx, "never done", 1000)
	w.ok(err)
	for _, e := range list {
		if e.UserID == "" {
			lines = append(lines, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.EnrollmentID)))
		}
	}
	return lines
}

// told returns the events about users that act added to the outbox, and those
// about all of them, as "kind user" lines.
func (w *world) told(act func()) []string {
	w.t.Helper()
	before, err := w.DB.Access().LastEvent(w.ctx)
	w.ok(err)
	act()
	lines := []string{}
	list, err := w.DB.Outbox().Pending(w.ctx, "never done", 1000)
	w.ok(err)
	for _, e := range list {
		if e.ID > before && (e.UserID != "" || e.Kind == mdm.EventAccess) {
			lines = append(lines, strings.TrimSpace(fmt.Sprint(e.Kind, " ", e.UserID)))
		}
	}
	return lines
}

// newEvents returns what act added to the outbox.
func (w *world) newEvents(act func()) []string {
	w.t.Helper()
	before := len(w.events())
	act()
	return w.events()[before:]
}

func person(upn string, groups ...string) directory.User {
	local, _, _ := strings.Cut(upn, "@")
	return directory.User{UPN: upn, Email: upn, Username: local, DisplayName: local, Groups: groups, CreatedAt: start, UpdatedAt: start}
}

func (w *world) user(upn string, groups ...string) directory.User {
	w.t.Helper()
	users, err := w.DB.Users().SaveUsers(w.ctx, []directory.User{person(upn, groups...)}, nil)
	w.ok(err)
	return users[0]
}

func (w *world) invitation(u directory.User) enroll.Invitation {
	w.t.Helper()
	id := newID()
	i := enroll.Invitation{
		ID: enroll.InvitationID(id), CodeHash: secret.Hash(id), UserID: u.ID, UPN: u.UPN, Ownership: mdm.Corporate,
		PINHash: secret.Hash("pin" + id), State: enroll.InvitationOpen, CreatedAt: stored(w.now()), CreatedBy: "admin",
		ExpiresAt: stored(w.now().Add(time.Hour)),
	}
	w.ok(w.DB.Invitations().CreateInvitations(w.ctx, []enroll.Invitation{i}, nil))
	return i
}

// request is what Admit gets for a phone of u.
func (w *world) request(u directory.User, udid string) (mdm.Device, mdm.Enrollment) {
	d := mdm.Device{
		ID: mdm.DeviceID(newID()), Platform: mdm.Apple, UDID: udid, Serial: "S" + udid, Product: "iPhone15,4",
		Model: "iPhone 15", Name: "Phone", CreatedAt: w.now(),
	}
	e := mdm.Enrollment{
		ID: mdm.EnrollmentID(newID()), UserID: u.ID, InvitationID: newID(), Platform: mdm.Apple, Ownership: mdm.Corporate,
		State: mdm.Authenticated, UDID: udid, CertificateHash: fmt.Sprintf("%x", secret.Hash(newID())), AccessRights: 7999,
		Topic: "com.apple.mgmt.test", PollOnly: true, CreatedAt: w.now(), LastSeenAt: w.now(),
	}
	return d, e
}

func (w *world) admitted(u directory.User, udid string) mdm.Enrollment {
	w.t.Helper()
	d, e := w.request(u, udid)
	e, err := w.DB.Enrollments().Admit(w.ctx, d, e, w.entry("device.admit", udid))
	w.ok(err)
	return e
}

func (w *world) push() mdm.Push {
	return mdm.Push{Topic: "com.apple.mgmt.test", Token: secret.New("\x00\xfftoken"), Magic: secret.New("magic"),
		UnlockToken: secret.New("unlock"), UpdatedAt: w.now()}
}

func (w *world) enrolled(u directory.User, udid string) mdm.Enrollment {
	w.t.Helper()
	e := w.admitted(u, udid)
	w.ok(w.DB.Enrollments().Activate(w.ctx, e.ID, w.push(), w.now(), w.entry("device.enrol", udid)))
	e, err := w.DB.Enrollments().EnrollmentByID(w.ctx, e.ID)
	w.ok(err)
	return e
}

// together runs n copies of act at once and returns their errors.
func together(n int, act func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	ready.Add(1)
	for i := range n {
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Wait()
			errs[i] = act(i)
		}()
	}
	ready.Done()
	done.Wait()
	return errs
}

func count(errs []error, match func(error) bool) int {
	n := 0
	for _, err := range errs {
		if match(err) {
			n++
		}
	}
	return n
}
