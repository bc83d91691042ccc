package enroll

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm/android"
)

const (
	// signupTTL is for who has to create an account at Google on the way.
	signupTTL    = 24 * time.Hour
	defaultTopic = "sallyport"
	androidPaths = "/android/" // of PublicURL
)

// AndroidSignupRequest asks for an enterprise at Google, or brings another key for it.
type AndroidSignupRequest struct {
	Account secret.Value // key file of a service account, JSON
	Topic   string       // Pub/Sub topic, in whole or its last part; empty: "sallyport"
}

// AndroidSignup is what an administrator has to do next.
type AndroidSignup struct {
	Project       string
	Account       string       // mail address of the service account
	Page          string       // to be opened in a browser; empty: the key of the enterprise was replaced
	ExpiresAt     time.Time    // of Page
	Topic         string       // whole name
	Notifications secret.Value // where the topic's push subscription sends to; a secret
}

// Signup begins to sign this server up at Google, or puts another key of the same
// project in place of the one that it has.
func (a *Androids) Signup(ctx context.Context, r AndroidSignupRequest) (AndroidSignup, error) {
	account, err := android.ParseAccount([]byte(r.Account.Reveal()))
	if err != nil {
		return AndroidSignup{}, a.Service.refused(ctx, "android.signup", "", err)
	}
	topic, err := topicOf(account.Project, r.Topic)
	if err != nil {
		return AndroidSignup{}, a.Service.refused(ctx, "android.signup", account.Project, err)
	}
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return AndroidSignup{}, fmt.Errorf("look up android enterprise: %w", err)
	}
	if e.Name != "" {
		e.Account, e.Topic = r.Account, topic
		return a.replaceAccount(ctx, e, account)
	}
	return a.beginSignup(ctx, r.Account, account, topic)
}

// topicOf is the whole name of a topic of the project.
func topicOf(project, topic string) (string, error) {
	prefix := "projects/" + project + "/topics/"
	if topic == "" {
		topic = defaultTopic
	}
	name := strings.TrimPrefix(topic, prefix)
	if e := refusal.Identifier(ErrInvalid, "topic", name, 255); e != nil {
		return "", e
	}
	if strings.ContainsAny(name, "/?#%") {
		return "", refusal.New(ErrInvalid, "topic", "is no topic of the service account's project", "write its last part alone: "+defaultTopic)
	}
	return prefix + name, nil
}

func (a *Androids) beginSignup(ctx context.Context, file secret.Value, account android.Account, topic string) (AndroidSignup, error) {
	api, err := a.connect(ctx, file)
	if err != nil {
		return AndroidSignup{}, err
	}
	state := randomText()
	signup, page, err := api.SignupURL(ctx, a.Service.PublicURL+androidPaths+"callback?state="+state)
	if err != nil {
		return AndroidSignup{}, google("begin sign-up", err)
	}
	now := a.now()
	e := AndroidEnterprise{
		Project: account.Project, Topic: topic, Account: file, Signup: signup, StateHash: secret.Hash(state), StateUntil: now.Add(signupTTL),
		Secret: secret.New(randomText()), CreatedAt: now,
	}
	entry := audit.New(ctx, now, "android.signup", account.Project, audit.Done, "account", account.Email, "topic", topic)
	err = a.Enterprises.BeginSignup(ctx, e, entry)
	if errors.Is(err, ErrConflict) {
		return AndroidSignup{}, refusal.New(ErrConflict, "", "this server was signed up meanwhile", "see: sallyport android status")
	}
	if err != nil {
		return AndroidSignup{}, fmt.Errorf("note sign-up: %w", err)
	}
	return AndroidSignup{
		Project: account.Project, Account: account.Email, Page: page, ExpiresAt: e.StateUntil, Topic: topic, Notifications: a.notifications(e),
	}, nil
}

// randomText is 256 bits that nobody guesses, as they may stand in an address.
func randomText() string { return base64.RawURLEncoding.EncodeToString(secret.Random(32)) }

// notifications is where Google tells of devices.
func (a *Androids) notifications(e AndroidEnterprise) secret.Value {
	return secret.New(a.Service.PublicURL + androidPaths + "notifications/" + e.Secret.Reveal())
}

func (a *Androids) replaceAccount(ctx context.Context, e AndroidEnterprise, account android.Account) (AndroidSignup, error) {
	entry := audit.New(ctx, a.now(), "android.account", e.Name, audit.Done, "account", account.Email, "topic", e.Topic)
	given := e
	given.Project = account.Project
	err := a.Enterprises.ReplaceAccount(ctx, given, entry)
	if errors.Is(err, ErrConflict) {
		return AndroidSignup{}, a.Service.refused(ctx, "android.account", e.Name, refusal.New(ErrConflict, "service_account",
			fmt.Sprintf("is of project %s, and the enterprise belongs to project %s: its phones cannot move", account.Project, e.Project),
			"make a key in project "+e.Project))
	}
	if err != nil {
		return AndroidSignup{}, fmt.Errorf("replace service account: %w", err)
	}
	if err := a.setUp(ctx); err != nil {
		return AndroidSignup{}, err
	}
	// What failed for the old key may succeed now.
	if err := a.request(ctx, nil); err != nil {
		return AndroidSignup{}, err
	}
	return AndroidSignup{Project: e.Project, Account: account.Email, Topic: e.Topic, Notifications: a.notifications(e)}, nil
}

// FinishSignup makes the enterprise when Google has sent the administrator's
// browser back to us. What remains to be set up there is tried at once, and again
// in the background.
func (a *Androids) FinishSignup(ctx context.Context, state, token string) error {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("look up android enterprise: %w", err)
	}
	stale := refusal.New(ErrConflict, "state", "this page belongs to no sign-up that is under way", "begin again: sallyport android signup")
	now := a.now()
	if e.Name != "" || len(e.StateHash) == 0 || !hmac.Equal(e.StateHash, secret.Hash(state)) || !now.Before(e.StateUntil) {
		return a.Service.refused(ctx, "android.signup", e.Project, stale)
	}
	if token == "" {
		return a.Service.refused(ctx, "android.signup", e.Project, refusal.New(ErrInvalid, "enterpriseToken", "is missing", "begin again: sallyport android signup"))
	}
	api, err := a.connect(ctx, e.Account)
	if err != nil {
		return err
	}
	made, err := api.CreateEnterprise(ctx, e.Signup, token, android.Enterprise{DisplayName: a.Service.organization()})
	if err != nil {
		return google("create enterprise", err)
	}
	entry := audit.New(ctx, now, "android.enterprise", made.Name, audit.Done, "project", e.Project)
	if err := a.Enterprises.FinishSignup(ctx, e.StateHash, made.Name, now, entry); err != nil {
		if errors.Is(err, ErrConflict) {
			return stale
		}
		return fmt.Errorf("note enterprise: %w", err)
	}
	if err := a.setUp(ctx); err != nil {
		a.log().ErrorContext(ctx, "enterprise is not set up yet: it is tried again", logkey.Error, err)
	}
	return nil
}

// SetUp is a step for internal/work: an enterprise that Google did not take all of
// our settings for is set up once more.
func (a *Androids) SetUp(ctx context.Context) (more bool, err error) {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && (e.Name == "" || !e.SetUpAt.IsZero()):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("look up android enterprise: %w", err)
	}
	err = a.setUp(ctx)
	if errors.Is(err, ErrGoogle) && ctx.Err() == nil {
		a.log().WarnContext(ctx, "enterprise is not set up yet: it is tried again", logkey.Error, err)
		return false, nil
	}
	return false, err
}

// setUp tells Google where to tell of devices, which page people sign in at, and
// what a phone has until its own policy is made, and asks what mail apps read.
func (a *Androids) setUp(ctx context.Context) error {
	e, api, err := a.enterprise(ctx)
	if err != nil {
		return err
	}
	if _, err := api.PatchPolicy(ctx, e.Name+"/policies/"+android.BasePolicyID, android.BasePolicy()); err != nil {
		return google("make base policy", err)
	}
	signin := a.Service.PublicURL + androidPaths + "signin"
	_, err = api.PatchEnterprise(ctx, android.Enterprise{
		Name: e.Name, DisplayName: a.Service.organization(), Topic: e.Topic, Notifications: android.NotificationTypes(),
		SignIn: []android.SignIn{{URL: signin, Personal: true, Tag: "personal"}, {URL: signin, Personal: false, Tag: "corporate"}},
	})
	if err != nil {
		return google("set up enterprise", err)
	}
	if err := a.Enterprises.AndroidSetUp(ctx, a.now()); err != nil {
		return fmt.Errorf("note set-up: %w", err)
	}
	// It is asked for every hour; the first phones do not wait for that.
	_, err = a.FetchSchemas(ctx)
	return err
}
