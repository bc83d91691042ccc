package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"time"
)

//go:embed templates/*.html texts/*.json sentences/*.json assets/*.css
var embedded embed.FS

// Kind is the variant of the enrolment page for what reads it.
type Kind string

const (
	IPhone       Kind = "iphone"        // iPhone or iPad, Safari
	OtherBrowser Kind = "other-browser" // iPhone or iPad, anything that cannot install a profile
	Desktop      Kind = "desktop"       // everything else
	Android      Kind = "android"
)

// Account is one mail account to type in by hand.
type Account struct {
	Email, Host, Domain, UserName string
	SSL                           bool
	Certificate                   bool // signs in with a certificate instead of a password
}

// Enroll is what the enrolment page shows.
type Enroll struct {
	Kind         Kind
	MaybeIPad    bool // with Desktop: it says it is a Mac, as iPads do
	Organization string
	InvitedBy    string // empty: the organisation as such
	Name         string // of the user
	Email        string
	Personal     bool // the user's own phone
	PIN          bool // a PIN is asked for
	PINWrong     bool
	ExpiresAt    time.Time
	Expires      string   // set by Render, in the locale's form
	URL          string   // of this page
	Download     string   // path of the profile
	QR           string   // path of the picture
	Gaps         []string // why this is a rehearsal server; none on a real one
	Accounts     []Account
	Android      *AndroidOffer // of Kind Android and Desktop, where such phones are enrolled; nil: mail is set up by hand
}

// AndroidOffer is what an Android phone is offered.
type AndroidOffer struct {
	Action   string // path that the form posts to
	Progress string // "", waiting, enrolled, held, configured, ended
	Over     bool   // the invitation was used: there is nothing to press any more
	Company  bool   // the phone belongs to the organisation: it reads a code
	Beside   bool   // of Kind Desktop: any phone may come, and this is not it
	PINWrong bool
	// Code is the text of the QR code that the phone reads at its first screen, empty
	// until it was asked for; Path draws it, in a square of Size.
	Code, Path  string
	Size        int
	CodeExpires string
}

// PhoneSignIn is the page on which somebody proves during set-up to have an invitation.
type PhoneSignIn struct {
	Organization string
	Provisioning string // given back with the form
	Wrong        bool   // code or PIN
}

// Trouble is what a page of trouble shows beside its words.
type Trouble struct {
	Organization string
	RequestID    string
	Wait         time.Duration // until it is worth another try; where the words name it
	Text, Next   string        // set by Render, in the locale's words
}

// page is what the layout sees.
type page struct {
	Lang, Dir, Title, Stylesheet, Organization string
	Enroll                                     *Enroll
	Trouble                                    *Trouble
	SignIn                                     *PhoneSignIn
	Why                                        *whyView
}

// Pages renders the pages. It is safe for concurrent use.
type Pages struct {
	locales    *locales
	sentences  map[string]*sentences         // by locale
	templates  map[string]*template.Template // by locale and page
	styles     map[string][]byte             // by name
	stylesheet string                        // name of that of every page

	consoleStylesheet string // of what the console has besides
}

// New reads the embedded pages.
func New() (*Pages, error) { return read(embedded) }

func read(files fs.FS) (*Pages, error) {
	l, err := readLocales(files)
	if err != nil {
		return nil, err
	}
	said, err := readSentences(files)
	if err != nil {
		return nil, err
	}
	p := &Pages{
		locales:   l,
		sentences: said,
		templates: make(map[string]*template.Template),
		styles:    make(map[string][]byte),
	}
	if p.stylesheet, err = p.readStyle(files, "style"); err != nil {
		return nil, err
	}
	if p.consoleStylesheet, err = p.readStyle(files, "console"); err != nil {
		return nil, err
	}
	for _, locale := range l.names {
		words := template.FuncMap{"t": func(key string, pairs ...string) string { return l.text(locale, key, pairs...) }}
		for _, name := range []string{"home", "enroll", "trouble", "why", "signin", "signedup"} {
			t, err := template.New(name).Funcs(words).ParseFS(files, "templates/layout.html", "templates/"+name+".html")
			if err != nil {
				return nil, fmt.Errorf("parse page %s: %w", name, err)
			}
			p.templates[locale+"/"+name] = t
		}
		if err := p.readConsole(files, locale); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readStyle returns the name under which pages ask for a stylesheet.
func (p *Pages) readStyle(files fs.FS, name string) (string, error) {
	style, err := fs.ReadFile(files, "assets/"+name+".css")
	if err != nil {
		return "", fmt.Errorf("read style: %w", err)
	}
	sum := sha256.Sum256(style)
	file := name + "-" + hex.EncodeToString(sum[:8]) + ".css"
	p.styles[file] = style
	return file, nil
}

// Asset returns a file under /assets/ by name and its type; ok is false when
// there is none. Names hold a hash of the content, so a file may be kept for ever.
func (p *Pages) Asset(name string) (body []byte, contentType string, ok bool) {
	style, ok := p.styles[name]
	if !ok {
		return nil, "", false
	}
	return style, "text/css; charset=utf-8", true
}

// Home renders the page at the root.
func (p *Pages) Home(acceptLanguage, organization string) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	return p.render(locale, "home", page{Title: p.locales.text(locale, "home.title"), Organization: organization})
}

// Enroll renders the enrolment page.
func (p *Pages) Enroll(acceptLanguage string, e Enroll) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	e.Expires = e.ExpiresAt.UTC().Format(p.locales.text(locale, "time"))
	return p.render(locale, "enroll", page{Title: p.locales.text(locale, "enroll.title"), Organization: e.Organization, Enroll: &e})
}

// PhoneSignIn renders the page that a phone opens while it is being set up.
func (p *Pages) PhoneSignIn(acceptLanguage string, s PhoneSignIn) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	return p.render(locale, "signin", page{Title: p.locales.text(locale, "enroll.title"), Organization: s.Organization, SignIn: &s})
}

// SignedUp renders the end of an administrator's way through Google.
func (p *Pages) SignedUp(acceptLanguage, organization string) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	return p.render(locale, "signedup", page{Title: p.locales.text(locale, "signedup.title"), Organization: organization})
}

// Trouble renders the page for the trouble called key: unknown, used, expired,
// revoked, many, pins, foreign, settings, request, missing, lost, down, broken.
func (p *Pages) Trouble(acceptLanguage, key string, t Trouble) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	t.Text = p.locales.text(locale, key+".text")
	t.Next = p.locales.text(locale, key+".next", "wait", p.locales.wait(locale, t.Wait))
	return p.render(locale, "trouble", page{Title: p.locales.text(locale, key+".title"), Organization: t.Organization, Trouble: &t})
}

func (p *Pages) render(locale, name string, view page) ([]byte, error) {
	view.Lang, view.Dir = locale, p.locales.text(locale, "dir")
	view.Stylesheet = "/assets/" + p.stylesheet
	var out bytes.Buffer
	if err := p.templates[locale+"/"+name].ExecuteTemplate(&out, "layout", view); err != nil {
		return nil, fmt.Errorf("render page %s: %w", name, err)
	}
	return out.Bytes(), nil
}
