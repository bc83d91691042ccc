package agent

import (
	"bytes"
	"context"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strings"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	// agentSafari is what Safari on iOS 26 says; its version numbers are frozen.
	agentSafari = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.1 Mobile/15E148 Safari/604.1"
	// agentMDM is what the management daemon says.
	agentMDM = "MDM/1.0"

	profileName = "enroll.mobileconfig" // last element of the download's path
	profileType = "application/x-apple-aspen-config"
)

// door is the way from an enrolment page to its profile.
type door struct {
	url      *url.URL
	form     url.Values // fields to post; nil: a plain link
	pinField string     // the field that the owner fills; empty: none
	title    string     // what the page says first
	alert    string     // what it says went wrong (role="alert"), beside the form rather than elsewhere
	invites  string     // the first mail address on the page
}

var mailAddress = regexp.MustCompile(`[\p{L}\p{N}._+'-]+@[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)+`)

// readPage finds the link or form that leads to the profile, as a person would
// by looking at the page. url is nil when there is none.
func readPage(base *url.URL, body []byte) (door, error) {
	root, err := html.Parse(bytes.NewReader(body))
	if err != nil {
		return door{}, fmt.Errorf("%w: page cannot be read", ErrProtocol)
	}
	var d door
	var text strings.Builder
	for n := range root.Descendants() {
		switch {
		case n.Type == html.TextNode && !hidden(n.Parent):
			text.WriteString(n.Data + " ")
		case n.Type != html.ElementNode:
		case n.DataAtom == atom.H1 && d.title == "":
			d.title = lineOf(n)
		case attribute(n, "role") == "alert" && d.alert == "":
			d.alert = lineOf(n)
		case n.DataAtom == atom.A && d.url == nil:
			if u := toProfile(base, attribute(n, "href")); u != nil {
				d.url = u
			}
		case n.DataAtom == atom.Form:
			// A form wins over a link: it asks for something.
			if u := toProfile(base, attribute(n, "action")); u != nil && strings.EqualFold(attribute(n, "method"), "post") {
				d.url = u
				d.form, d.pinField = fields(n)
				if own := alertIn(n); own != "" {
					d.alert = own
				}
			}
		}
	}
	d.invites = mailAddress.FindString(text.String())
	return d, nil
}

// toProfile resolves a reference when it leads to a profile on the same site.
func toProfile(base *url.URL, ref string) *url.URL {
	if ref == "" {
		return nil
	}
	u, err := base.Parse(ref)
	if err != nil || u.Scheme != "https" || u.Host != base.Host || path.Base(u.Path) != profileName {
		return nil
	}
	u.Fragment = ""
	return u
}

// fields collects a form's prepared values and the one field that a person fills.
func fields(form *html.Node) (prepared url.Values, asked string) {
	prepared = url.Values{}
	for n := range form.Descendants() {
		if n.Type != html.ElementNode || n.DataAtom != atom.Input {
			continue
		}
		name := attribute(n, "name")
		switch strings.ToLower(attribute(n, "type")) {
		case "submit", "button", "reset", "image", "checkbox", "radio", "file":
		case "hidden":
			if name != "" {
				prepared.Set(name, attribute(n, "value"))
			}
		default:
			if asked == "" {
				asked = name
			}
		}
	}
	return prepared, asked
}

// alertIn is the first complaint below n.
func alertIn(n *html.Node) string {
	for c := range n.Descendants() {
		if attribute(c, "role") == "alert" {
			return lineOf(c)
		}
	}
	return ""
}

func attribute(n *html.Node, name string) string {
	for _, a := range n.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hidden(n *html.Node) bool {
	return n != nil && (n.DataAtom == atom.Style || n.DataAtom == atom.Script || n.DataAtom == atom.Title)
}

// lineOf is the text below n in one line of at most 200 characters.
func lineOf(n *html.Node) string {
	var b strings.Builder
	for c := range n.Descendants() {
		if c.Type == html.TextNode {
			b.WriteString(c.Data + " ")
		}
	}
	line := []rune(strings.Join(strings.Fields(b.String()), " "))
	if len(line) > 200 {
		line = append(line[:200], '…')
	}
	return string(line)
}

// fetchProfile opens the enrolment page and downloads the profile, as Safari
// does when its owner taps through.
func (p *Phone) fetchProfile(ctx context.Context, address *url.URL) ([]byte, error) {
	a, err := p.send(ctx, request{
		what: "enrolment page", method: http.MethodGet, url: address.String(), follow: true,
		header: map[string]string{"User-Agent": agentSafari, "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "Accept-Language": "en-GB,en;q=0.9"},
	})
	if err != nil {
		return nil, err
	}
	d, err := readPage(a.url, a.body)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, said("enrolment page", a.status, d.says())
	}
	text := shown(address)
	if d.invites != "" {
		text += " (invites " + d.invites + ")"
	}
	p.tell("page fetched", "%s", text)
	if d.url == nil {
		return nil, fmt.Errorf("enrolment page: %w: it links no %s for an iPhone", ErrProtocol, profileName)
	}
	return p.download(ctx, d)
}

func (p *Phone) download(ctx context.Context, d door) ([]byte, error) {
	r := request{what: "enrolment profile", method: http.MethodGet, url: d.url.String(), follow: true, header: map[string]string{"User-Agent": agentSafari}}
	if d.form != nil {
		if d.pinField != "" {
			if p.o.PIN.IsZero() {
				return nil, ErrPINNeeded
			}
			d.form.Set(d.pinField, p.o.PIN.Reveal())
		}
		r.method, r.body = http.MethodPost, []byte(d.form.Encode())
		r.header["Content-Type"] = "application/x-www-form-urlencoded"
		r.header["Origin"] = "https://" + d.url.Host
		r.header["Sec-Fetch-Site"] = "same-origin"
	}
	a, err := p.send(ctx, r)
	if err != nil {
		return nil, err
	}
	kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type"))
	if a.status != http.StatusOK || kind == "text/html" {
		again, _ := readPage(a.url, a.body)
		if again.pinField != "" { // the form again: the PIN was not right
			return nil, fmt.Errorf("%w: the server did not take this one: %q", ErrPINNeeded, again.says())
		}
		return nil, said("enrolment profile", a.status, again.says())
	}
	if kind != profileType {
		return nil, fmt.Errorf("enrolment profile: %w: content type %q instead of %s: Safari would only save the file", ErrProtocol, kind, profileType)
	}
	return a.body, nil
}

// says is the page's complaint, or else its title.
func (d door) says() string {
	if d.alert != "" {
		return d.alert
	}
	return d.title
}

// said reports a refusal in the words of the page that came with it.
func said(what string, status int, words string) error {
	if words == "" {
		words = http.StatusText(status)
	}
	return fmt.Errorf("%s: %w: %q (%d)", what, ErrRefused, words, status)
}

// shown is a URL without what makes it secret: everything behind the first
// element of its path.
func shown(u *url.URL) string {
	first, _, more := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	s := u.Scheme + "://" + u.Host + "/" + first
	if more {
		s += "/…"
	}
	return s
}
