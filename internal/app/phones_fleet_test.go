package app

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

const (
	androidEnterprise = "enterprises/LC0test"
	androidSecret     = "a-secret-of-this-test"
	// One of a hundred has this template's mail instead of everyone's.
	pilots      = 100
	pilotsMail  = "name: pilots\npriority: 10\nassign: {groups: [pilots]}\naccounts:\n  - {name: Mail, host: mail.example.test, domain: %s}\n"
	plainMail   = "name: mail\nassign: everyone\naccounts:\n  - {name: Mail, host: mail.example.test}\n"
	phonesGuard = "name: passcode\nassign: everyone\nsettings: {require_passcode: true, minimum_length: 6, inactivity_seconds: 300}\n"
)

// quickGoogle takes policies, counts them, and costs next to nothing. A call that
// nothing here should make panics.
type quickGoogle struct {
	enroll.AndroidEnterprises
	enroll.AndroidTokens
	enroll.AndroidPolicies
	enroll.AndroidDevices

	mu       sync.Mutex
	versions map[string]int64 // of policies, by name
	patched  []string         // names of policies that were sent as a whole
	modified []string         // names of policies whose mail app alone was sent
	assigned []string         // names of devices that were given a policy
}

func (g *quickGoogle) PatchPolicy(_ context.Context, name string, _ android.Policy) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.patched = append(g.patched, name)
	g.versions[name]++
	return g.versions[name], nil
}

func (g *quickGoogle) ModifyApplications(_ context.Context, name string, _ []android.Application) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.modified = append(g.modified, name)
	g.versions[name]++
	return g.versions[name], nil
}

func (g *quickGoogle) SetPolicy(_ context.Context, device, _ string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.assigned = append(g.assigned, device)
	return nil
}

// asked returns how often it was asked for each since it was asked last.
func (g *quickGoogle) asked() (patched, modified, assigned int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	patched, modified, assigned = len(g.patched), len(g.modified), len(g.assigned)
	g.patched, g.modified, g.assigned = nil, nil, nil
	return patched, modified, assigned
}

// withQuickGoogle signs a server up at one.
func withQuickGoogle(tb testing.TB, a *App) *quickGoogle {
	tb.Helper()
	ctx, now, books := tb.Context(), time.Now().UTC().Truncate(time.Microsecond), a.db.Android()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	done(tb, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	done(tb, err)
	account, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "k", "client_email": "s@p.example.test",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), "token_uri": "https://oauth2.googleapis.com/token",
	})
	done(tb, err)
	state := secret.Hash("state")
	done(tb, books.BeginSignup(ctx, enroll.AndroidEnterprise{
		Project: "p", Topic: "projects/p/topics/t", Account: secret.New(string(account)), Signup: "signupUrls/1", StateHash: state, StateUntil: now.Add(time.Hour),
		Secret: secret.New(androidSecret), CreatedAt: now,
	}, audit.New(ctx, now, "android.signup", "p", audit.Done)))
	done(tb, books.FinishSignup(ctx, state, androidEnterprise, now, audit.New(ctx, now, "android.enterprise", "p", audit.Done)))
	g := &quickGoogle{versions: map[string]int64{}}
	a.rooms.android.service.Connect = func(context.Context, android.Account) (enroll.AndroidAPI, error) {
		return enroll.AndroidAPI{AndroidEnterprises: g, AndroidTokens: g, AndroidPolicies: g, AndroidDevices: g}, nil
	}
	return g
}

func done(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// robot is an Android phone that tells of itself.
type robot struct {
	name   string // at Google
	number int
	id     mdm.EnrollmentID
	ticket string
}

// tells is a notification of Google's: the phone has applied that version of its
// policy.
func (r robot) tells(kind string, at time.Time, posture string, version int64) []byte {
	device := map[string]any{
		"name": r.name, "ownership": "PERSONALLY_OWNED", "managementMode": "PROFILE_OWNER", "state": "ACTIVE", "appliedState": "ACTIVE",
		"policyCompliant": true, "enrollmentTime": at.Format(time.RFC3339Nano), "lastStatusReportTime": at.Format(time.RFC3339Nano),
		"hardwareInfo":    map[string]any{"brand": "google", "model": "Pixel 8", "enterpriseSpecificId": fmt.Sprintf("esid%08d", r.number)},
		"softwareInfo":    map[string]any{"androidVersion": "16", "androidBuildNumber": "BP2A.250605.031"},
		"deviceSettings":  map[string]any{"isDeviceSecure": true, "encryptionStatus": "ACTIVE_PER_USER"},
		"securityPosture": map[string]any{"devicePosture": posture},
		"applicationReports": []any{
			map[string]any{"packageName": "com.google.android.gm", "versionName": "2026.10.1", "displayName": "Gmail", "state": "INSTALLED"},
			map[string]any{"packageName": "com.android.chrome", "versionName": "141.0.1", "displayName": "Chrome", "state": "INSTALLED"},
		},
	}
	if r.ticket != "" {
		device["enrollmentTokenData"] = r.ticket
	}
	if version != 0 {
		policy := r.policy()
		device["policyName"], device["appliedPolicyName"], device["appliedPolicyVersion"] = policy, policy, fmt.Sprint(version)
	}
	data, _ := json.Marshal(device)
	body, _ := json.Marshal(map[string]any{
		"message":      map[string]any{"attributes": map[string]string{"notificationType": kind}, "data": base64.StdEncoding.EncodeToString(data), "messageId": uuid.NewString()},
		"subscription": "projects/p/subscriptions/s",
	})
	return body
}

// policy is the name of the phone's own.
func (r robot) policy() string {
	return androidEnterprise + "/policies/d-" + strings.ReplaceAll(string(r.id), "-", "")
}

// robots enrols phones, each of a user of its own, gives them their policies, and
// has them tell that they apply them. The first of each hundred is of a pilot.
func robots(tb testing.TB, a *App, g *quickGoogle, count int) []robot {
	tb.Helper()
	ctx, service := tb.Context(), a.rooms.android.service
	var list []robot
	for len(list) < count {
		list = append(list, admitRobots(tb, a, len(list), min(1000, count-len(list)))...)
	}
	settleRobots(tb, a)
	at := time.Now().UTC()
	for _, r := range list {
		done(tb, service.Notified(ctx, androidSecret, r.tells("STATUS_REPORT", at, "SECURE", g.versions[r.policy()])))
	}
	settleRobots(tb, a)
	if patched, _, assigned := g.asked(); patched != count || assigned != count {
		tb.Fatalf("%d policies and %d assignments for %d phones", patched, assigned, count)
	}
	return list
}

// admitRobots enrols some of them, as the first users after so many.
func admitRobots(tb testing.TB, a *App, first, count int) []robot {
	tb.Helper()
	ctx, now, books := tb.Context(), time.Now().UTC().Truncate(time.Microsecond), a.db.Android()
	var users []directory.User
	for i := range count {
		u := directory.User{UPN: fmt.Sprintf("robot%06d@example.test", first+i), FirstName: "R", LastName: fmt.Sprint(first + i), Groups: []string{"staff"}, CreatedAt: now, UpdatedAt: now}
		if u.Email = u.UPN; (first+i)%pilots == 0 {
			u.Groups = append(u.Groups, "pilots")
		}
		users = append(users, u)
	}
	users, err := a.db.Users().SaveUsers(ctx, users, nil)
	done(tb, err)
	var invitations []enroll.Invitation
	for _, u := range users {
		invitations = append(invitations, enroll.Invitation{ID: enroll.InvitationID(uuid.Must(uuid.NewV7()).String()), CodeHash: secret.Hash(u.UPN), UserID: u.ID,
			Ownership: mdm.Personal, State: enroll.InvitationOpen, CreatedAt: now, ExpiresAt: now.Add(time.Hour)})
	}
	done(tb, a.db.Invitations().CreateInvitations(ctx, invitations, nil))
	var list []robot
	for i, invitation := range invitations {
		r := robot{number: first + i, ticket: fmt.Sprintf("TICKET%08d", first+i)}
		r.name = fmt.Sprintf("%s/devices/%016x", androidEnterprise, r.number)
		done(tb, books.CreateTicket(ctx, enroll.AndroidTicket{Hash: secret.Hash(r.ticket), InvitationID: invitation.ID, Ownership: mdm.Personal,
			Token: androidEnterprise + "/enrollmentTokens/t", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}, audit.New(ctx, now, "android.token", "t", audit.Done)))
		done(tb, a.rooms.android.service.Notified(ctx, androidSecret, r.tells("ENROLLMENT", now, "SECURE", 0)))
		phone, err := books.AndroidPhone(ctx, r.name)
		done(tb, err)
		r.id = phone.EnrollmentID
		list = append(list, r)
	}
	return list
}

// settleRobots looks at all policies that are due.
func settleRobots(tb testing.TB, a *App) {
	tb.Helper()
	for more := true; more; {
		var err error
		more, err = a.rooms.android.service.Step(tb.Context())
		done(tb, err)
	}
}

// changedMail tells the consumer of Android phones of a change of a template.
func changedMail(tb testing.TB, a *App, source string) {
	tb.Helper()
	_, changed, err := a.rooms.templates.Apply(tb.Context(), []byte(source))
	done(tb, err)
	if !changed {
		tb.Fatal("the template is as it was")
	}
	_, err = a.rooms.android.service.Handle(tb.Context(), mdm.Event{Kind: mdm.EventTemplateChange})
	done(tb, err)
}

// TestOnlyChangedPoliciesAreSent: a template that reaches some phones is changed,
// and Google is told of those alone, and of their mail app alone.
func TestOnlyChangedPoliciesAreSent(t *testing.T) {
	t.Parallel()
	a, g := emptyServer(t)
	list := robots(t, a, g, 200)
	s, err := a.rooms.android.service.Status(t.Context())
	done(t, err)
	if s.NotifiedAt.IsZero() || s.Phones.ReportedAt.IsZero() || s.Phones.Active != len(list) || s.Phones.Due+s.Phones.Failing+s.Phones.Left != 0 {
		t.Errorf("status %+v", s)
	}
	changedMail(t, a, fmt.Sprintf(pilotsMail, "SECOND"))
	settleRobots(t, a)
	g.mu.Lock()
	defer g.mu.Unlock()
	want := []string{list[0].policy(), list[pilots].policy()}
	slices.Sort(want)
	slices.Sort(g.modified)
	if !slices.Equal(g.modified, want) || len(g.patched)+len(g.assigned) != 0 {
		t.Errorf("sent %v, and %d whole policies, %d assignments; want %v and none", g.modified, len(g.patched), len(g.assigned), want)
	}
}

// emptyServer is one without phones, with mail and a security policy for everyone.
func emptyServer(tb testing.TB) (*App, *quickGoogle) {
	tb.Helper()
	a, err := New(tb.Context(), settingsIn(tb.TempDir()), Options{})
	done(tb, err)
	tb.Cleanup(func() { _ = a.Close() })
	for _, source := range []string{plainMail, fmt.Sprintf(pilotsMail, "FIRST")} {
		_, _, err := a.rooms.templates.Apply(tb.Context(), []byte(source))
		done(tb, err)
	}
	_, _, err = a.rooms.templates.ApplySecurity(tb.Context(), []byte(phonesGuard))
	done(tb, err)
	return a, withQuickGoogle(tb, a)
}
