package deviceapi

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rsc.io/qr"

	"sallyport/enroll"
	"sallyport/internal/auth"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
	"sallyport/mdm"
	"sallyport/profiles"
)

const html = "text/html; charset=utf-8"

// Home answers GET and HEAD /.
func (a *API) Home(w http.ResponseWriter, r *http.Request) error {
	body, err := a.d.Pages.Home(r.Header.Get("Accept-Language"), a.d.Organization)
	if err != nil {
		return err
	}
	return writePage(w, http.StatusOK, body)
}

// Asset answers GET /assets/{file}.
func (a *API) Asset(w http.ResponseWriter, r *http.Request) error {
	body, contentType, ok := a.d.Pages.Asset(r.PathValue("file"))
	if !ok {
		return problem.ErrNotFound
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	return wire.WriteBytes(w, http.StatusOK, contentType, body)
}

// EnrollPage answers GET and HEAD /enroll/{code}. It changes nothing.
func (a *API) EnrollPage(w http.ResponseWriter, r *http.Request) error {
	welcome, err := a.open(r)
	if done, pageErr := a.androidPage(w, r, welcome, err); done {
		return pageErr
	}
	if err != nil {
		return err
	}
	return a.writeEnroll(w, r, http.StatusOK, welcome, false)
}

// QR answers GET /enroll/{code}/qr.png with the page's own URL.
func (a *API) QR(w http.ResponseWriter, r *http.Request) error {
	if _, err := a.open(r); err != nil {
		return err
	}
	code, err := qr.Encode(a.pageURL(r), qr.M)
	if err != nil {
		return fmt.Errorf("draw QR code: %w", err)
	}
	return wire.WriteBytes(w, http.StatusOK, "image/png", code.PNG())
}

// open finds the invitation within the limits.
func (a *API) open(r *http.Request) (enroll.Welcome, error) {
	if err := a.admit(r); err != nil {
		return enroll.Welcome{}, err
	}
	welcome, err := a.d.Enroll.Open(r.Context(), r.PathValue("code"))
	return welcome, a.count(r, err)
}

// admit refuses a network that came too often, or tried too many codes that do
// not exist. Nothing is looked up for it, so that it learns nothing.
func (a *API) admit(r *http.Request) error {
	network := limit.Network(r)
	if a.d.Failures.Spent(network) {
		return problem.TooMany(a.d.Failures.Wait(network))
	}
	if !a.d.Requests.Allow(network) {
		return problem.TooMany(a.d.Requests.Wait(network))
	}
	return nil
}

// count notes a code that does not exist.
func (a *API) count(r *http.Request, err error) error {
	if err != nil && problem.Of(err).Status == http.StatusNotFound {
		a.d.Failures.Allow(limit.Network(r))
	}
	return err
}

func (a *API) writeEnroll(w http.ResponseWriter, r *http.Request, status int, welcome enroll.Welcome, wrongPIN bool) error {
	return a.writeEnrollView(w, r, status, welcome, wrongPIN, nil)
}

func (a *API) writeEnrollView(w http.ResponseWriter, r *http.Request, status int, welcome enroll.Welcome, wrongPIN bool, managed *web.AndroidOffer) error {
	path := "/enroll/" + url.PathEscape(code(r))
	view := web.Enroll{
		Kind:         kindOf(r.UserAgent()),
		MaybeIPad:    has(r.UserAgent(), "Macintosh"),
		Organization: welcome.Organization,
		InvitedBy:    person(welcome.Invitation.CreatedBy),
		Name:         welcome.User.DisplayName,
		Email:        welcome.User.Email,
		Personal:     welcome.Invitation.Ownership != mdm.Corporate,
		PIN:          welcome.PINAsked,
		PINWrong:     wrongPIN,
		ExpiresAt:    welcome.Invitation.ExpiresAt,
		URL:          a.pageURL(r),
		Download:     path + "/enroll.mobileconfig",
		QR:           path + "/qr.png",
		Android:      managed,
	}
	if managed != nil && !managed.Beside {
		view.Kind = web.Android
		mayLeave(w)
	}
	platform := mdm.Apple
	if view.Kind == web.Android {
		platform = mdm.Android
	}
	view.Gaps = a.d.Rehearsal(platform)
	if view.Name == "" {
		view.Name = welcome.User.UPN
	}
	for _, account := range welcome.Accounts {
		view.Accounts = append(view.Accounts, web.Account{
			Email: account.Email, Host: account.Host, Domain: account.Domain, UserName: account.UserName,
			SSL:         account.SSL == nil || *account.SSL,
			Certificate: account.Identity != "" && account.Identity != profiles.IdentityNone,
		})
	}
	body, err := a.d.Pages.Enroll(r.Header.Get("Accept-Language"), view)
	if err != nil {
		return err
	}
	return writePage(w, status, body)
}

// person is who made an invitation, where that is somebody: the token in the
// data directory belongs to whoever runs the server, and is told as the
// organisation's.
func person(owner string) string {
	if owner == auth.LocalOwner {
		return ""
	}
	return owner
}

// pageURL is the address of the invitation as people should see it.
func (a *API) pageURL(r *http.Request) string {
	return a.d.PublicURL + "/enroll/" + url.PathEscape(code(r))
}

// code is the code in the form in which it was printed.
func code(r *http.Request) string { return strings.ToUpper(strings.TrimSpace(r.PathValue("code"))) }

func writePage(w http.ResponseWriter, status int, body []byte) error {
	// The answer depends on these two, should anything on the way keep it all the same.
	w.Header().Set("Vary", "Accept-Language, User-Agent")
	return wire.WriteBytes(w, status, html, body)
}
