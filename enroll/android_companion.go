package enroll

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/mdm"
	"sallyport/mdm/android"
	"sallyport/profiles/managedconfig"
)

// AndroidCompanion is the app of the organisation's own that fetches certificates
// on Android phones (docs/android-agent.md). There is at most one.
type AndroidCompanion struct {
	Package string    `json:"package"` // its name in managed Google Play
	SetAt   time.Time `json:"set_at"`
}

// AndroidCompanionStore keeps it, and what it tells of phones' keys. internal/store
// implements it.
type AndroidCompanionStore interface {
	// AndroidCompanion returns ErrNotFound while none is set.
	AndroidCompanion(ctx context.Context) (AndroidCompanion, error)
	// SetAndroidCompanion takes the place of the one before, with the entry. All
	// phones' policies are due then, unless it is the same app: then nothing changes.
	SetAndroidCompanion(ctx context.Context, c AndroidCompanion, entry audit.Entry) error
	// RemoveAndroidCompanion forgets it, with the entry; all phones' policies are due
	// at now. ErrNotFound while none is set.
	RemoveAndroidCompanion(ctx context.Context, now time.Time, entry audit.Entry) error
	// SaveAndroidKey notes in the enrolment's report what the app on its phone tells of
	// a key: in Keys, and of the certificates that there are in Certificates, with
	// EventReported and the entry. What is on record already changes nothing.
	//
	// A certificate is taken in that is a mail-identity of this enrolment and
	// profile, neither revoked nor expired at k.At; ErrConflict otherwise. What it
	// follows is revoked as RenewalStore.RetirePredecessors does. Of a key that is
	// gone the certificate is revoked (cessationOfOperation), and the phone's policy
	// is due. A failure leaves the certificate on record. ErrNotFound for an unknown
	// enrolment, ErrConflict for one that is not active.
	SaveAndroidKey(ctx context.Context, id mdm.EnrollmentID, k AndroidKey, entry audit.Entry) error
	// NewestMailIdentity returns the SHA-256 of the certificate that was issued last to
	// that enrolment for that profile, of those that were not revoked; ErrNotFound
	// where there is none.
	NewestMailIdentity(ctx context.Context, id mdm.EnrollmentID, profile string) (string, error)
}

// AndroidKey is what a companion app tells of one alias: one of SHA256 and Failure,
// or that it is Gone.
type AndroidKey struct {
	Alias   string
	Profile string // identifier of the mail account
	SHA256  string
	Failure string
	Gone    bool
	Forget  bool // with Gone: nothing wants the alias any more
	At      time.Time
}

// playName is an app's name in Google Play
// (https://developer.android.com/build/configure-app-module#set-application-id).
var playName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)

// Companion returns the companion app; ErrNotFound while none is set.
func (a *Androids) Companion(ctx context.Context) (AndroidCompanion, error) {
	c, err := a.Companions.AndroidCompanion(ctx)
	if errors.Is(err, ErrNotFound) {
		return AndroidCompanion{}, noCompanion()
	}
	if err != nil {
		return AndroidCompanion{}, fmt.Errorf("look up companion app: %w", err)
	}
	return c, nil
}

func noCompanion() error {
	return refusal.New(ErrNotFound, "", "no companion app is set: no certificate reaches an Android phone", "see: sallyport android companion set")
}

// SetCompanion names the companion app, in place of another one. Samsung's plugin is
// refused (ErrInvalid) where its own schema does not say how it is told of a
// certificate, and where Google cannot be asked (ErrNoAndroid, ErrGoogle).
func (a *Androids) SetCompanion(ctx context.Context, name string) (AndroidCompanion, error) {
	const action = "android.companion.set"
	if err := checkCompanion(name); err != nil {
		return AndroidCompanion{}, a.Service.refused(ctx, action, "", err)
	}
	if name == string(managedconfig.KnoxPackage) {
		if err := a.learnKnox(ctx); err != nil {
			return AndroidCompanion{}, a.Service.refused(ctx, action, name, err)
		}
	}
	c := AndroidCompanion{Package: name, SetAt: a.now()}
	if err := a.Companions.SetAndroidCompanion(ctx, c, audit.New(ctx, c.SetAt, action, name, audit.Done)); err != nil {
		return AndroidCompanion{}, fmt.Errorf("set companion app: %w", err)
	}
	a.Notify()
	return a.Companion(ctx)
}

func checkCompanion(name string) error {
	const longest = 255
	switch {
	case len(name) > longest || !playName.MatchString(name):
		return refusal.New(ErrInvalid, "package", "is no name of an app", "for example com.example.agent, as it stands in managed Google Play")
	case slices.Contains(mailPackages(), name) || name == android.ChromePackage:
		return refusal.New(ErrInvalid, "package", "is an app that is set up here for mail", "name the app that fetches certificates")
	}
	return nil
}

// RemoveCompanion forgets the companion app: phones keep the keys that they have,
// but no mail app is told of them any more.
func (a *Androids) RemoveCompanion(ctx context.Context) error {
	c, err := a.Companion(ctx)
	if err != nil {
		return err
	}
	now := a.now()
	err = a.Companions.RemoveAndroidCompanion(ctx, now, audit.New(ctx, now, "android.companion.remove", c.Package, audit.Done))
	if errors.Is(err, ErrNotFound) {
		return noCompanion()
	}
	if err != nil {
		return fmt.Errorf("remove companion app: %w", err)
	}
	a.Notify()
	return nil
}
