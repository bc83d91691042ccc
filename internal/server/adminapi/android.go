package adminapi

import (
	"context"
	"net/http"
	"time"

	"sallyport/enroll"
	"sallyport/internal/secret"
	"sallyport/internal/server/wire"
)

// AndroidService ties this server to Google. *enroll.Androids is one.
type AndroidService interface {
	Signup(ctx context.Context, r enroll.AndroidSignupRequest) (enroll.AndroidSignup, error)
	Status(ctx context.Context) (enroll.AndroidStatus, error)
	Doctor(ctx context.Context) ([]enroll.AndroidFinding, error)
	WaysIn(ctx context.Context) ([]enroll.AndroidWayIn, error)
	AndroidCompanion
}

// AndroidCompanion names the app that fetches certificates on Android phones.
type AndroidCompanion interface {
	// Companion is enroll.ErrNotFound while none is set.
	Companion(ctx context.Context) (enroll.AndroidCompanion, error)
	SetCompanion(ctx context.Context, name string) (enroll.AndroidCompanion, error)
	RemoveCompanion(ctx context.Context) error
}

// AndroidSignupRequest begins a sign-up, or brings another key.
type AndroidSignupRequest struct {
	ServiceAccount string `json:"service_account"` // the key file, JSON
	Topic          string `json:"topic,omitempty"` // Pub/Sub topic; "sallyport" when left out
}

// AndroidSignedUp is what an administrator does next.
type AndroidSignedUp struct {
	Project         string    `json:"project"`
	Account         string    `json:"account"`
	Page            string    `json:"page,omitempty"` // to be opened in a browser; absent: the key was replaced
	ExpiresAt       time.Time `json:"expires_at,omitzero"`
	Topic           string    `json:"topic"`
	NotificationURL string    `json:"notification_url"` // of the topic's push subscription; a secret
}

// AndroidSignup answers POST /api/v1/android/signup.
func (a *API) AndroidSignup(w http.ResponseWriter, r *http.Request) error {
	var in AndroidSignupRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	s, err := a.d.Android.Signup(r.Context(), enroll.AndroidSignupRequest{Account: secret.New(in.ServiceAccount), Topic: in.Topic})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, AndroidSignedUp{
		Project: s.Project, Account: s.Account, Page: s.Page, ExpiresAt: s.ExpiresAt, Topic: s.Topic, NotificationURL: s.Notifications.Reveal(),
	})
}

// AndroidStatus answers GET /api/v1/android. Nobody at Google is asked.
func (a *API) AndroidStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.d.Android.Status(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, s)
}

// AndroidDoctor answers GET /api/v1/android/doctor.
func (a *API) AndroidDoctor(w http.ResponseWriter, r *http.Request) error {
	findings, err := a.d.Android.Doctor(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AndroidFindings{findings})
}

// AndroidWaysIn answers GET /api/v1/android/signin: what leads phones to the page
// where their users sign in with the code of an invitation. Google is asked.
func (a *API) AndroidWaysIn(w http.ResponseWriter, r *http.Request) error {
	ways, err := a.d.Android.WaysIn(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AndroidWays{ways})
}

// AndroidWays is the answer.
type AndroidWays struct {
	Ways []enroll.AndroidWayIn `json:"ways"`
}

// AndroidFindings is the answer.
type AndroidFindings struct {
	Findings []enroll.AndroidFinding `json:"findings"`
}
