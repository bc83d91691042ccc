package web

import "time"

// Why is what a reason page tells of one device.
type Why struct {
	Effect       string // allow, quarantine; everything else reads as block
	Organization string
	Type         string // of the device, as its mail app says: "iPhone"
	Model        string
	System       string
	Client       string    // the mail app's own name
	SeenAt       time.Time // zero: not known, as below
	Since        time.Time
	At           time.Time // of this page
	Reasons      []WhyReason
}

// WhyReason is one ground, in the engine's words.
type WhyReason struct {
	Rule, Fact, Fix string
	Since           time.Time
}

// whyView is a Why in the words of a locale. Times are text; what was not told is empty.
type whyView struct {
	Lead, Type, Model, System, Client string
	Seen, Since, At                   string
	Reasons                           []reasonView
	Allowed                           bool
	Advised                           bool // some reason says what to do
}

// reasonView has a language beside each text of the engine's.
type reasonView struct {
	Title, Fact, FactLang, Fix, FixLang, Since string
}

// Why renders the reason page.
func (p *Pages) Why(acceptLanguage string, w Why) ([]byte, error) {
	locale := p.locales.choose(acceptLanguage)
	effect := "block"
	if w.Effect == "allow" || w.Effect == "quarantine" {
		effect = w.Effect
	}
	when := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(p.locales.text(locale, "time"))
	}
	view := &whyView{
		Lead: p.locales.text(locale, "why."+effect+".lead"), Allowed: effect == "allow",
		Type: w.Type, Model: w.Model, System: w.System, Client: w.Client,
		Seen: when(w.SeenAt), Since: when(w.Since), At: when(w.At),
	}
	for _, r := range w.Reasons {
		one := reasonView{Title: p.locales.find(locale, "rule."+r.Rule), Since: when(r.Since)}
		one.Fact, one.FactLang = p.say(locale, r.Fact)
		one.Fix, one.FixLang = p.say(locale, r.Fix)
		view.Advised = view.Advised || r.Fix != ""
		view.Reasons = append(view.Reasons, one)
	}
	return p.render(locale, "why", page{Title: p.locales.text(locale, "why."+effect+".title"), Organization: w.Organization, Why: view})
}
