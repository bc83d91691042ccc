package agent

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// agentChrome is what Chrome on Android says; its version numbers are frozen.
const agentChrome = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36"

// Where Android Device Policy listens for the end of a way through the browser
// (SigninDetail.signinUrl in the discovery document).
const (
	googleHost = "enterprise.google.com"
	enrolPath  = "/android/enroll"
)

// androidDoor is what a page offers to an Android phone.
type androidDoor struct {
	token  string   // of a link to Google, or of a QR code
	qr     bool     // the token is in a QR code
	action *url.URL // of the form to post; nil: none
	fields url.Values
	asked  []string // names of fields that a person fills
	title  string
	alert  string
}

// readAndroidPage finds the link, the QR code or the form, as a person would by
// looking at the page. A form is taken when it posts to the same site.
func readAndroidPage(base *url.URL, body []byte) (androidDoor, error) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return androidDoor{}, fmt.Errorf("%w: page cannot be read", ErrProtocol)
	}
	var d androidDoor
	for n := range root.Descendants() {
		if n.Type == html.TextNode && !hidden(n.Parent) {
			d.takeQR(n.Data)
		}
		if n.Type != html.ElementNode {
			continue
		}
		for _, name := range []string{"data-qr", "value", "title", "aria-label"} {
			d.takeQR(attribute(n, name))
		}
		switch {
		case n.DataAtom == atom.H1 && d.title == "":
			d.title = lineOf(n)
		case attribute(n, "role") == "alert" && d.alert == "":
			d.alert = lineOf(n)
		case n.DataAtom == atom.A && d.token == "":
			d.token, _ = googleLink(attribute(n, "href"))
		case n.DataAtom == atom.Form && d.action == nil && strings.EqualFold(attribute(n, "method"), "post"):
			if to, err := base.Parse(attribute(n, "action")); err == nil && to.Host == base.Host && to.Scheme == base.Scheme {
				d.action = to
				d.fields, d.asked = formFields(n)
			}
		}
	}
	return d, nil
}

// takeQR takes the token of a QR code's text.
func (d *androidDoor) takeQR(text string) {
	if d.token != "" || !strings.Contains(text, extraToken) {
		return
	}
	if token, ok := qrToken(text); ok {
		d.token, d.qr = token, true
	}
}

// qrToken reads the text of a QR code.
func qrToken(text string) (string, bool) {
	o, err := readObject([]byte(strings.TrimSpace(text)))
	if err != nil {
		return "", false
	}
	token := str(inner(o, extraBundle), extraToken)
	return token, token != ""
}

// googleLink reads a link that opens Android Device Policy. refused: the sign-in
// page sent the phone away.
func googleLink(ref string) (token string, refused bool) {
	u, err := url.Parse(ref)
	if err != nil || u.Scheme != "https" || u.Host != googleHost {
		return "", false
	}
	if u.Path == enrolPath {
		return u.Query().Get("et"), false
	}
	return "", u.Path == enrolPath+"/invalid"
}

// formFields collects prepared values, the first button's too, and the names of
// fields that a person fills.
func formFields(form *html.Node) (prepared url.Values, asked []string) {
	prepared = url.Values{}
	pressed := false
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.DataAtom != atom.Input && n.DataAtom != atom.Button {
			continue
		}
		name, kind := attribute(n, "name"), strings.ToLower(attribute(n, "type"))
		switch {
		case name == "":
		case n.DataAtom == atom.Button || kind == "submit":
			if !pressed {
				prepared.Set(name, attribute(n, "value"))
			}
			pressed = true
		case kind == "hidden":
			prepared.Add(name, attribute(n, "value"))
		case kind == "checkbox": // an owner who wants in agrees
			prepared.Set(name, orText(attribute(n, "value"), "on"))
		case !slices.Contains([]string{"button", "reset", "image", "radio", "file"}, kind):
			asked = append(asked, name)
		}
	}
	return prepared, asked
}

func orText(text, otherwise string) string {
	if text == "" {
		return otherwise
	}
	return text
}

func (d androidDoor) says() string { return orText(d.alert, d.title) }

// maxSteps bounds a way through pages.
const maxSteps = 8

// browse follows a page to a token, as a person does with a browser: it fills
// and posts the form, once, and follows redirects on the same site.
func (p *Phone) browse(ctx context.Context, what string, address *url.URL) (androidDoor, error) {
	r := p.pageRequest(what, address)
	posted := false
	for range maxSteps {
		a, err := p.send(ctx, r)
		if err != nil {
			return androidDoor{}, err
		}
		if a.status >= 300 && a.status < 400 {
			next, err := a.url.Parse(a.header.Get("Location"))
			if err != nil {
				return androidDoor{}, fmt.Errorf("%s: %w: it leads nowhere", what, ErrProtocol)
			}
			token, refused := googleLink(next.String())
			switch {
			case refused:
				return androidDoor{}, fmt.Errorf("%s: %w: it says that this phone may not enrol", what, ErrRefused)
			case token != "":
				return androidDoor{token: token}, nil
			case next.Host != address.Host || next.Scheme != address.Scheme:
				return androidDoor{}, fmt.Errorf("%s: %w: it leads to another site", what, ErrProtocol)
			}
			r = p.pageRequest(what, next)
			continue
		}
		d, err := readAndroidPage(a.url, a.body)
		switch {
		case err != nil:
			return d, err
		case a.status != http.StatusOK:
			return d, said(what, a.status, d.says())
		case d.token != "":
			return d, nil
		case d.action == nil:
			return d, fmt.Errorf("%s: %w: it has no button and no link for an Android phone: %q", what, ErrProtocol, d.says())
		case posted && slices.ContainsFunc(d.asked, isPIN):
			return d, fmt.Errorf("%w: the server did not take this one: %q", ErrPINNeeded, d.says())
		case posted:
			return d, fmt.Errorf("%s: %w: %q", what, ErrRefused, d.says())
		}
		if r, err = p.fill(what, d); err != nil {
			return d, err
		}
		posted = true
	}
	return androidDoor{}, fmt.Errorf("%s: %w: it goes round in circles", what, ErrProtocol)
}

func (p *Phone) pageRequest(what string, u *url.URL) request {
	return request{what: what, method: http.MethodGet, url: u.String(), header: map[string]string{
		"User-Agent": agentChrome, "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.9",
	}}
}

func isPIN(name string) bool { return strings.Contains(strings.ToLower(name), "pin") }

// fill answers what a form asks: the PIN, and the code of the invitation.
func (p *Phone) fill(what string, d androidDoor) (request, error) {
	for _, name := range d.asked {
		switch {
		case strings.Contains(strings.ToLower(name), "code"):
			if p.o.Code.IsZero() {
				return request{}, fmt.Errorf("%s: %w: it asks for the invitation's code, and none was given", what, ErrInvalid)
			}
			d.fields.Set(name, p.o.Code.Reveal())
		case p.o.PIN.IsZero():
			if len(d.asked) == 1 {
				return request{}, ErrPINNeeded
			}
			d.fields.Set(name, "") // a form that asks for both takes an invitation without a PIN
		default:
			d.fields.Set(name, p.o.PIN.Reveal())
		}
	}
	r := p.pageRequest(what, d.action)
	r.method, r.body = http.MethodPost, []byte(d.fields.Encode())
	r.header["Content-Type"] = "application/x-www-form-urlencoded"
	r.header["Origin"] = d.action.Scheme + "://" + d.action.Host
	r.header["Sec-Fetch-Site"] = "same-origin"
	return r, nil
}
