package web

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"time"
)

// The pages of the console, by the name of their template. They are for admins:
// wider than those for a phone's owner, with a bar to get about, and no script either.
var consolePages = [...]string{"signin", "devices", "device", "templates", "preview", "trouble"}

// ConsoleFrame is what stands around a page of the console.
type ConsoleFrame struct {
	Organization string
	Owner, Role  string // of the token; empty where nobody is signed in
	Section      string // devices, templates: where the page belongs
}

// SignIn is the form for a token.
type SignIn struct {
	Wrong bool   // the token lets nobody in
	Role  string // not empty: the token is good, and its role may not
	Ended bool   // a session was there, and is no more
}

// ConsoleTrouble is a page that says what went wrong and what to do.
type ConsoleTrouble struct {
	Key       string // one of ConsoleTroubles
	RequestID string // of what is our own fault
	Wait      time.Duration
	Faults    []Fault // what was wrong with what was asked
	Text      string  // set by ConsoleTrouble, in the locale's words
	Next      string
}

// ConsoleTroubles are the keys that ConsoleTrouble knows.
func ConsoleTroubles() []string {
	return []string{"missing", "request", "forbidden", "many", "foreign", "down", "broken"}
}

// Fault is one refusal of a room, in English.
type Fault struct{ Field, Reason, Remedy string }

// consolePage is what the console's layout sees.
type consolePage struct {
	Lang, Dir, Title string
	Stylesheets      []string
	Frame            ConsoleFrame
	Body             any
}

// Said is a text with the language that it is in.
type Said struct{ Words, Lang string }

// fact is a row of a list of facts; an empty Value was not told.
type fact struct{ Label, Value string }

func (p *Pages) readConsole(files fs.FS, locale string) error {
	words := template.FuncMap{
		"t": func(key string, pairs ...string) string { return p.locales.text(locale, key, pairs...) },
		// word is a word of the machine's in the reader's language; unknown ones stay.
		"word": func(group, value string) string {
			if found := p.locales.find(locale, "word."+group+"."+value); found != "" {
				return found
			}
			return value
		},
		"rule": func(name string) string {
			if found := p.locales.find(locale, "rule."+name); found != "" {
				return found
			}
			return name
		},
		"say": func(english string) Said {
			words, lang := p.say(locale, english)
			return Said{words, lang}
		},
		"at":   func(t time.Time) string { return stamp(t, p.locales.text(locale, "time.short")) },
		"iso":  func(t time.Time) string { return stamp(t, time.RFC3339) },
		"fact": func(label, value string) fact { return fact{label, value} },
		"tone": tone,
	}
	for _, name := range consolePages {
		t, err := template.New(name).Funcs(words).ParseFS(files, "templates/console.html", "templates/console_"+name+".html")
		if err != nil {
			return fmt.Errorf("parse page console_%s: %w", name, err)
		}
		p.templates[locale+"/console/"+name] = t
	}
	return nil
}

func stamp(t time.Time, layout string) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(layout)
}

// tone is how a state is coloured. The word beside it says the same.
func tone(state string) string {
	switch state {
	case "allow", "compliant", "met", "passed", "acknowledged", "applied":
		return "good"
	case "quarantine", "in_grace", "not_reported", "open", "would block", "not_now", "degraded", "sent":
		return "warn"
	case "block", "not_compliant", "unknown", "failed", "unsupported":
		return "bad"
	}
	return "plain"
}

// ConsoleSignIn renders the form for a token.
func (p *Pages) ConsoleSignIn(acceptLanguage string, f ConsoleFrame, s SignIn) ([]byte, error) {
	return p.console(acceptLanguage, "signin", f, "", s)
}

// ConsoleTrouble renders a page of trouble.
func (p *Pages) ConsoleTrouble(acceptLanguage string, f ConsoleFrame, t ConsoleTrouble) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	t.Text = p.locales.text(locale, "console."+t.Key+".text")
	t.Next = p.locales.text(locale, "console."+t.Key+".next", "wait", p.locales.wait(locale, t.Wait))
	return p.console(acceptLanguage, "trouble", f, p.locales.text(locale, "console."+t.Key+".title"), t)
}

// console renders one page; title empty is that of the page's own.
func (p *Pages) console(acceptLanguage, name string, f ConsoleFrame, title string, body any) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	if title == "" {
		title = p.locales.text(locale, "console."+name+".title")
	}
	view := consolePage{
		Lang: locale, Dir: p.locales.text(locale, "dir"), Title: title, Frame: f, Body: body,
		Stylesheets: []string{"/assets/" + p.stylesheet, "/assets/" + p.consoleStylesheet},
	}
	var out bytes.Buffer
	if err := p.templates[locale+"/console/"+name].ExecuteTemplate(&out, "layout", view); err != nil {
		return nil, fmt.Errorf("render page console_%s: %w", name, err)
	}
	return out.Bytes(), nil
}
