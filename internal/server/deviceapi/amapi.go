package deviceapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"rsc.io/qr"

	"sallyport/enroll"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
	"sallyport/mdm"
	"sallyport/mdm/android"
)

// AndroidInvite answers POST /enroll/{code}/android: a personal phone goes on at
// Google with a token of its own, and a phone of the company's is shown the code
// that it reads at its first screen.
func (a *API) AndroidInvite(w http.ResponseWriter, r *http.Request) error {
	welcome, err := a.open(r)
	if errors.Is(err, enroll.ErrInvitationUsed) { // the button of an old page: whether it worked is what its user asks
		if done, pageErr := a.androidPage(w, r, welcome, err); done {
			return pageErr
		}
	}
	if err != nil {
		return err
	}
	pin, err := a.formPIN(r)
	if err != nil {
		return err
	}
	invite, err := a.byPIN(welcome, func() (enroll.AndroidInvite, error) {
		return a.d.Android.Invite(r.Context(), r.PathValue("code"), pin)
	})
	switch {
	case wrongPIN(err):
		return a.writeAndroid(w, r, http.StatusForbidden, welcome, web.AndroidOffer{PINWrong: true})
	case err != nil:
		return a.count(r, err)
	case invite.Ownership != mdm.Corporate:
		return leave(w, invite.Link.Reveal())
	}
	drawn, err := qr.Encode(invite.QR.Reveal(), qr.M)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	return a.writeAndroid(w, r, http.StatusOK, welcome, web.AndroidOffer{
		Code: invite.QR.Reveal(), Path: path(drawn), Size: drawn.Size + 2*quiet,
		CodeExpires: invite.ExpiresAt.UTC().Format("2006-01-02 15:04 UTC"),
	})
}

// quiet is how many modules around a QR code stay white (ISO/IEC 18004).
const quiet = 4

// path draws a QR code as an SVG path: no picture has to be fetched, whose address
// would hold a token.
func path(c *qr.Code) string {
	var d strings.Builder
	for y := range c.Size {
		for x := range c.Size {
			if c.Black(x, y) {
				fmt.Fprintf(&d, "M%d %dh1v1h-1z", x, y)
			}
		}
	}
	return d.String()
}

// leave sends a browser on by GET. The address holds a token: nothing may keep it.
func leave(w http.ResponseWriter, to string) error {
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

func (a *API) formPIN(r *http.Request) (string, error) {
	if err := wire.MediaType(r, "application/x-www-form-urlencoded"); err != nil {
		return "", err
	}
	if err := r.ParseForm(); err != nil {
		return "", errors.Join(problem.ErrMalformed, err)
	}
	pin := strings.TrimSpace(r.PostForm.Get("pin"))
	return pin[:min(len(pin), maxPIN)], nil
}

// byPIN counts tries as ProfileByPIN does.
func (a *API) byPIN(welcome enroll.Welcome, invite func() (enroll.AndroidInvite, error)) (enroll.AndroidInvite, error) {
	key := string(welcome.Invitation.ID)
	if welcome.PINAsked && !a.d.PINs.Allow(key) {
		return enroll.AndroidInvite{}, fmt.Errorf("%w: %w", errPINs, problem.TooMany(a.d.PINs.Wait(key)))
	}
	i, err := invite()
	if welcome.PINAsked && !wrongPIN(err) {
		a.d.PINs.Return(key)
	}
	return i, err
}

// writeAndroid writes the page of an Android phone.
func (a *API) writeAndroid(w http.ResponseWriter, r *http.Request, status int, welcome enroll.Welcome, view web.AndroidOffer) error {
	progress, err := a.d.Android.Progress(r.Context(), r.PathValue("code"))
	if err != nil {
		return err
	}
	view.Progress, view.Action = string(progress), "/enroll/"+url.PathEscape(code(r))+"/android"
	view.Company = welcome.Invitation.Ownership == mdm.Corporate
	return a.writeEnrollView(w, r, status, welcome, false, &view)
}

// mayLeave lets a form of this page lead on to Google: browsers hold the address
// that a form is redirected to against form-action, too.
func mayLeave(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; "+
		"form-action 'self' https://enterprise.google.com; base-uri 'none'; frame-ancestors 'none'")
}

// androidPage is the enrolment page on an Android phone, and on a screen beside the
// phones; done is false where the page is that of every phone.
func (a *API) androidPage(w http.ResponseWriter, r *http.Request, welcome enroll.Welcome, err error) (done bool, _ error) {
	kind := kindOf(r.UserAgent())
	if kind != web.Android && kind != web.Desktop {
		return false, nil
	}
	used := errors.Is(err, enroll.ErrInvitationUsed)
	if err != nil && (!used || kind == web.Desktop) {
		return false, nil
	}
	ready, readyErr := a.d.Android.Ready(r.Context())
	if readyErr != nil {
		return true, readyErr
	}
	if !ready {
		return false, nil
	}
	if !used {
		return true, a.writeAndroid(w, r, http.StatusOK, welcome, web.AndroidOffer{Beside: kind == web.Desktop})
	}
	progress, err := a.d.Android.Progress(r.Context(), r.PathValue("code"))
	if err != nil || progress == enroll.AndroidNone { // an iPhone used it
		return err != nil, err
	}
	return true, a.writeAndroid(w, r, http.StatusOK, enroll.Welcome{Organization: a.d.Organization}, web.AndroidOffer{Over: true})
}

// AndroidSignIn answers GET /android/signin: the page that Android Device Policy
// opens while a phone is being set up. It changes nothing.
func (a *API) AndroidSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := a.admit(r); err != nil {
		return err
	}
	return a.writeSignIn(w, r, http.StatusOK, web.PhoneSignIn{Provisioning: r.URL.Query().Get("provisioningInfo")})
}

// AndroidSignInByCode answers POST /android/signin: who has an open invitation goes
// on at Google, and a set-up that is none of ours ends there.
func (a *API) AndroidSignInByCode(w http.ResponseWriter, r *http.Request) error {
	if err := a.admit(r); err != nil {
		return err
	}
	pin, err := a.formPIN(r)
	if err != nil {
		return err
	}
	typed, provisioning := r.PostForm.Get("code"), r.PostForm.Get("provisioning")
	welcome, err := a.d.Enroll.Open(r.Context(), typed)
	if err = a.count(r, err); err == nil {
		var invite enroll.AndroidInvite
		invite, err = a.byPIN(welcome, func() (enroll.AndroidInvite, error) {
			return a.d.Android.SignIn(r.Context(), provisioning, typed, pin)
		})
		if err == nil {
			return leave(w, invite.Token.Reveal())
		}
	}
	if errors.Is(err, enroll.ErrForeign) {
		return leave(w, android.InvalidLink)
	}
	p := problem.Of(err)
	if wrongPIN(err) || p.Status == http.StatusNotFound || p.Status == http.StatusGone {
		return a.writeSignIn(w, r, http.StatusForbidden, web.PhoneSignIn{Provisioning: provisioning, Wrong: true})
	}
	return err
}

func (a *API) writeSignIn(w http.ResponseWriter, r *http.Request, status int, view web.PhoneSignIn) error {
	mayLeave(w)
	view.Organization = a.d.Organization
	body, err := a.d.Pages.PhoneSignIn(r.Header.Get("Accept-Language"), view)
	if err != nil {
		return err
	}
	return writePage(w, status, body)
}

// errSignup marks trouble of a page that an administrator sees, and nobody who was
// invited.
var errSignup = errors.New("sign-up at Google")

// AndroidCallback answers GET /android/callback, to which Google sends the
// administrator's browser back: that it is a GET is Google's choice, and the state
// in it is good for one sign-up, once.
func (a *API) AndroidCallback(w http.ResponseWriter, r *http.Request) error {
	if err := a.admit(r); err != nil {
		return err
	}
	query := r.URL.Query()
	if err := a.d.Android.FinishSignup(r.Context(), query.Get("state"), query.Get("enterpriseToken")); err != nil {
		if errors.Is(err, enroll.ErrConflict) { // of no sign-up: each leaves a row in the trail
			a.d.Failures.Allow(limit.Network(r))
		}
		return fmt.Errorf("%w: %w", errSignup, err)
	}
	body, err := a.d.Pages.SignedUp(r.Header.Get("Accept-Language"), a.d.Organization)
	if err != nil {
		return err
	}
	return writePage(w, http.StatusOK, body)
}

// AndroidNotification answers POST /android/notifications/{secret}: one message
// of Google's by way of a Pub/Sub push subscription. 503 has it sent again.
func (a *API) AndroidNotification(w http.ResponseWriter, r *http.Request) error {
	network := limit.Network(r)
	if a.d.Keys.Spent(network) {
		return problem.TooMany(a.d.Keys.Wait(network))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return fmt.Errorf("read notification: %w", errors.Join(problem.ErrMalformed, err))
	}
	err = a.d.Android.Notified(r.Context(), r.PathValue("secret"), body)
	switch {
	case errors.Is(err, enroll.ErrNotFound):
		a.d.Keys.Allow(network)
		return err
	case errors.Is(err, enroll.ErrNotification):
		return errors.Join(problem.ErrMalformed, err)
	case errors.Is(err, android.ErrUnknownOperation):
		return errors.Join(problem.ErrUnavailable, err)
	case err != nil:
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
