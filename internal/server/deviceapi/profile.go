package deviceapi

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/profiles/mobileconfig"
)

// maxPIN is more than any PIN we make, and little enough to compare.
const maxPIN = 32

// Profile answers GET /enroll/{code}/enroll.mobileconfig. Each call mints a
// challenge, so HEAD has a handler of its own. For an invitation with a PIN it
// is the page again, without a try being counted.
func (a *API) Profile(w http.ResponseWriter, r *http.Request) error {
	welcome, err := a.open(r)
	if err != nil {
		return err
	}
	if welcome.PINAsked {
		return a.writeEnroll(w, r, http.StatusForbidden, welcome, false)
	}
	profile, err := a.d.Enroll.EnrollmentProfile(r.Context(), r.PathValue("code"), "")
	return a.sendProfile(w, r, profile, err)
}

// ProfileHead answers HEAD as GET would: what a scanner or a download manager
// asks first. It changes nothing.
func (a *API) ProfileHead(w http.ResponseWriter, r *http.Request) error {
	welcome, err := a.open(r)
	if err != nil {
		return err
	}
	if welcome.PINAsked {
		return a.writeEnroll(w, r, http.StatusForbidden, welcome, false)
	}
	profileHeader(w)
	return nil
}

// errPINs says that an invitation's PIN was wrong too often. It comes with the
// time after which another one is taken.
var errPINs = errors.New("too many wrong PINs")

// ProfileByPIN answers POST, with the PIN in the form's field pin. Wrong ones
// are counted by invitation, so that codes which do not exist cannot push a
// count out of the limiter's bounded memory. Each try is taken before the PIN is
// looked at, and given back when it was not wrong: many at once do not slip through.
func (a *API) ProfileByPIN(w http.ResponseWriter, r *http.Request) error {
	welcome, err := a.open(r)
	if err != nil {
		return err
	}
	if err := wire.MediaType(r, "application/x-www-form-urlencoded"); err != nil {
		return err
	}
	if err := r.ParseForm(); err != nil {
		return errors.Join(problem.ErrMalformed, err)
	}
	pin := strings.TrimSpace(r.PostForm.Get("pin"))
	if len(pin) > maxPIN {
		pin = pin[:maxPIN]
	}
	if !welcome.PINAsked {
		profile, err := a.d.Enroll.EnrollmentProfile(r.Context(), r.PathValue("code"), "")
		return a.sendProfile(w, r, profile, err)
	}
	key := string(welcome.Invitation.ID)
	if !a.d.PINs.Allow(key) {
		return fmt.Errorf("%w: %w", errPINs, problem.TooMany(a.d.PINs.Wait(key)))
	}
	profile, err := a.d.Enroll.EnrollmentProfile(r.Context(), r.PathValue("code"), pin)
	if !wrongPIN(err) {
		a.d.PINs.Return(key)
		return a.sendProfile(w, r, profile, err)
	}
	welcome, err = a.d.Enroll.Open(r.Context(), r.PathValue("code"))
	if err != nil {
		return err
	}
	return a.writeEnroll(w, r, http.StatusForbidden, welcome, true)
}

// sendProfile hands out what EnrollmentProfile returned.
func (a *API) sendProfile(w http.ResponseWriter, r *http.Request, profile []byte, err error) error {
	if err != nil {
		return a.count(r, err)
	}
	profileHeader(w)
	return wire.WriteBytes(w, http.StatusOK, mobileconfig.ContentType, profile)
}

// profileHeader names the file. Without the disposition some versions of Safari
// show the profile as text.
func profileHeader(w http.ResponseWriter) {
	w.Header().Set("Content-Type", mobileconfig.ContentType)
	w.Header().Set("Content-Disposition", `attachment; filename="enroll.mobileconfig"`)
}

func wrongPIN(err error) bool {
	if !errors.Is(err, enroll.ErrInvalid) {
		return false
	}
	for _, refused := range refusal.All(err) {
		if refused.Field == "pin" {
			return true
		}
	}
	return false
}
