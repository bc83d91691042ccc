package server

import (
	"context"
	"time"

	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/profiles/managedconfig"
)

// androidFake is signed up at Google, where no phone has come yet. Pages say so
// when it is ready.
type androidFake struct {
	w      *world
	ready  bool
	signup error // that finishing one ends in
}

func (f androidFake) Ready(context.Context) (bool, error) { return f.ready, f.w.did(false) }

func (f androidFake) Progress(context.Context, string) (enroll.AndroidProgress, error) {
	return enroll.AndroidWaiting, f.w.did(false)
}

func (f androidFake) Invite(context.Context, string, string) (enroll.AndroidInvite, error) {
	link := secret.New("https://enterprise.google.com/android/enroll?et=T")
	return enroll.AndroidInvite{Ownership: mdm.Personal, Link: link, Token: link, ExpiresAt: noon}, f.w.did(true)
}

func (f androidFake) SignIn(ctx context.Context, _, code, pin string) (enroll.AndroidInvite, error) {
	return f.Invite(ctx, code, pin)
}

func (f androidFake) FinishSignup(context.Context, string, string) error {
	if f.signup != nil {
		return f.signup
	}
	return f.w.did(true)
}

func (f androidFake) Notified(context.Context, string, []byte) error { return f.w.did(true) }

func (f androidFake) Signup(context.Context, enroll.AndroidSignupRequest) (enroll.AndroidSignup, error) {
	return enroll.AndroidSignup{
		Project: "p", Account: "a@p.iam.example", Page: "https://signup.google.example/page", ExpiresAt: noon, Topic: "projects/p/topics/t",
		Notifications: secret.New("https://mdm.example.test/android/notifications/s"),
	}, f.w.did(true)
}

func (f androidFake) Status(context.Context) (enroll.AndroidStatus, error) {
	return enroll.AndroidStatus{
		Enterprise: "enterprises/E", Project: "p", Account: "a@p.iam.example", Topic: "projects/p/topics/t", SetUp: true, FinishedAt: noon, NotifiedAt: noon,
		Phones:  enroll.AndroidState{Active: 1, Due: 1, Failing: 1, Errors: map[string]int{"Google said no": 1}, NewestError: "Google said no", FailedAt: noon, ReportedAt: noon},
		Schemas: map[managedconfig.App]time.Time{managedconfig.AppGmail: noon},
	}, f.w.did(false)
}

func (f androidFake) Doctor(context.Context) ([]enroll.AndroidFinding, error) {
	return []enroll.AndroidFinding{{Name: "google", Text: "Google said no", Next: "ask it"}}, f.w.did(false)
}

func (f androidFake) WaysIn(context.Context) ([]enroll.AndroidWayIn, error) {
	return []enroll.AndroidWayIn{{Ownership: mdm.Personal, Link: "https://enterprise.google.com/android/enroll?et=T", Token: "T", QR: "{}"}}, f.w.did(false)
}

func (f androidFake) Companion(context.Context) (enroll.AndroidCompanion, error) {
	return enroll.AndroidCompanion{Package: "com.example.agent", SetAt: noon}, f.w.did(false)
}

func (f androidFake) SetCompanion(ctx context.Context, _ string) (enroll.AndroidCompanion, error) {
	c, _ := f.Companion(ctx)
	return c, f.w.did(true)
}

func (f androidFake) RemoveCompanion(context.Context) error { return f.w.did(true) }

// agent takes every token for a phone's but none.
func (f androidFake) agent(token string, change bool) error {
	if token == "" {
		return refusal.New(enroll.ErrAgent, "Authorization", "is no token", "read it again")
	}
	return f.w.did(change)
}

func (f androidFake) AgentKeys(_ context.Context, token string) ([]enroll.AgentKey, error) {
	return []enroll.AgentKey{
		{Alias: "sallyport-mail", Revision: "0123456789abcdef", State: enroll.AgentRenew, Subject: "CN=alice@example.test", SHA256: issuedHash, NotAfter: noon},
		{Alias: "sallyport-sales", Revision: "1", State: enroll.AgentWanted, Subject: "CN=alice@example.test"},
	}, f.agent(token, false)
}

func (f androidFake) AgentChallenge(_ context.Context, token, _ string) (enroll.AgentChallenge, error) {
	return enroll.AgentChallenge{URL: "https://mdm.example.test/scep", Challenge: secret.New("once"), ExpiresAt: noon}, f.agent(token, true)
}

func (f androidFake) AgentTells(_ context.Context, token, _ string, _ enroll.AgentReport) error {
	return f.agent(token, true)
}
