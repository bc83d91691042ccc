package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
	"sallyport/internal/web"
)

const (
	// Path is that of the form, and the root of all pages.
	Path = "/console"

	firstPage = Path + "/devices"

	// cookieName begins so that a browser takes the cookie from this host alone, over
	// TLS alone, and for all of its paths (RFC 6265bis, section 4.1.3.2).
	cookieName = "__Host-sallyport"

	maxToken = 128 // bytes of what is pasted; a token has 47
)

// ErrSignedOut says that a page was asked for without a session. Who asked is sent
// to the form.
var ErrSignedOut = errors.New("nobody is signed in")

// Identify says who is signed in: ErrSignedOut where nobody is. The token is looked
// at each time, so that a session ends with it; trouble of the storage ends none.
func (c *Console) Identify(r *http.Request) (auth.Principal, error) {
	key := keyOf(r)
	one, found := c.sessions.find(key, c.now())
	if !found {
		return auth.Principal{}, ErrSignedOut
	}
	p, err := c.d.Tokens.Again(r.Context(), one.token)
	if errors.Is(err, auth.ErrUnauthenticated) {
		c.sessions.end(key)
		return auth.Principal{}, ErrSignedOut
	}
	return p, err
}

// Form answers GET /console: the form, or the first page for who is signed in.
func (c *Console) Form(w http.ResponseWriter, r *http.Request) error {
	_, err := c.Identify(r)
	if err == nil {
		Redirect(w, firstPage)
		return nil
	}
	if !errors.Is(err, ErrSignedOut) {
		return err
	}
	ended := keyOf(r) != ""
	if ended {
		c.dropCookie(w)
	}
	return c.form(w, r, http.StatusOK, web.SignIn{Ended: ended})
}

// SignIn answers POST /console/session. The token is looked at as the API does, and
// nothing of it is kept but the hash under which the store knows it.
func (c *Console) SignIn(w http.ResponseWriter, r *http.Request) error {
	text, err := tokenOf(r)
	if err != nil {
		return err
	}
	p, err := c.d.Tokens.Authenticate(r.Context(), text)
	if errors.Is(err, auth.ErrUnauthenticated) {
		if err := c.d.Refuse(r, "token.refuse", "", err); !errors.Is(err, auth.ErrUnauthenticated) {
			return err
		}
		return c.form(w, r, http.StatusUnauthorized, web.SignIn{Wrong: true})
	}
	if err != nil {
		return err
	}
	ctx := audit.WithActor(r.Context(), p.Owner)
	if err := p.Allowed(c.d.Roles...); err != nil {
		if err := c.d.Refuse(r.WithContext(ctx), "token.forbid", p.TokenID, err); !errors.Is(err, auth.ErrForbidden) {
			return err
		}
		return c.form(w, r, http.StatusForbidden, web.SignIn{Role: string(p.Role)})
	}
	if err := c.note(ctx, "console.sign_in", p.TokenID, "role", string(p.Role)); err != nil {
		return err
	}
	c.sessions.end(keyOf(r)) // a browser has one
	http.SetCookie(w, cookie(c.sessions.begin(p.TokenID, auth.Hash(text), c.now()), 0))
	Redirect(w, firstPage)
	return nil
}

// SignOut answers POST /console/session/end, also where nobody is signed in.
func (c *Console) SignOut(w http.ResponseWriter, r *http.Request) error {
	p, err := c.Identify(r)
	if _, found := c.sessions.end(keyOf(r)); found && err == nil {
		if err := c.note(audit.WithActor(r.Context(), p.Owner), "console.sign_out", p.TokenID); err != nil {
			return err
		}
	}
	c.dropCookie(w)
	Redirect(w, Path)
	return nil
}

// note writes to the trail. Who hangs up meanwhile leaves the row all the same.
func (c *Console) note(ctx context.Context, action, target string, detail ...string) error {
	return c.d.Audit.Append(context.WithoutCancel(ctx), audit.New(ctx, c.now().UTC().Truncate(time.Microsecond), action, target, audit.Done, detail...))
}

func (c *Console) form(w http.ResponseWriter, r *http.Request, status int, s web.SignIn) error {
	body, err := c.d.Pages.ConsoleSignIn(r.Header.Get("Accept-Language"), web.ConsoleFrame{Organization: c.d.Organization}, s)
	if err != nil {
		return err
	}
	return write(w, status, body)
}

// tokenOf reads the form. What stands in the URL is not looked at: a token there
// would be in logs and histories.
func tokenOf(r *http.Request) (string, error) {
	if err := wire.MediaType(r, "application/x-www-form-urlencoded"); err != nil {
		return "", err
	}
	if err := r.ParseForm(); err != nil {
		return "", errors.Join(problem.ErrMalformed, err)
	}
	text := strings.TrimSpace(r.PostForm.Get("token"))
	if len(text) > maxToken {
		return "", nil // nobody's
	}
	return text, nil
}

// keyOf is the key of the cookie; empty where there is none, or more than one.
func keyOf(r *http.Request) string {
	if list := r.CookiesNamed(cookieName); len(list) == 1 {
		return list[0].Value
	}
	return ""
}

// cookie is the session's. It ends with the browser; age below zero ends it now.
func cookie(key string, age int) *http.Cookie {
	return &http.Cookie{Name: cookieName, Value: key, Path: "/", MaxAge: age, Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}

func (c *Console) dropCookie(w http.ResponseWriter) { http.SetCookie(w, cookie("", -1)) }

// Redirect sends a browser on by GET, with a path of ours.
func Redirect(w http.ResponseWriter, path string) {
	w.Header().Set("Location", path)
	w.Header().Set("Vary", vary)
	w.WriteHeader(http.StatusSeeOther)
}

// now keeps its monotonic reading: a clock that is set lengthens no session.
func (c *Console) now() time.Time {
	if c.d.Now == nil {
		return time.Now()
	}
	return c.d.Now()
}
