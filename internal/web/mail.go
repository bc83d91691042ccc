package web

import (
	"strconv"
	"strings"
	"time"
)

// Mail is what a mail to the owner of a device tells: plain text, in the words of
// the reason page.
type Mail struct {
	Kind         string // quarantine, comply; everything else reads as block
	Organization string
	Own          string // the admin's own words, as they are; may be empty
	Device       string // empty: not known, as are the rest
	Reasons      []WhyReason
	Link         string    // of the reason page
	Until, End   time.Time // of a comply: when the mailbox closes, and when the management ends
}

// Digest is a mail to admins.
type Digest struct {
	Organization string
	Lines        []DigestLine
	More         int    // that are not among Lines
	Approve      string // the command for all that wait; empty: none
}

// DigestLine is one device.
type DigestLine struct {
	At                        time.Time
	Effect                    string // block, quarantine; empty: a phone that does not comply
	User, Name, Fact, Command string
}

// between parts the languages of a mail to somebody whose language nobody told.
const between = "\n----------------------------------------\n\n"

// Mail returns the mail in the locale, or in all of them, the fallback first,
// where it is empty; with the locales that were used, as Content-Language has them.
func (p *Pages) Mail(locale string, m Mail) (subject, text, locales string) {
	return p.inEach(locale, func(l string) (string, string) { return p.mailSubject(l, m), p.mailText(l, m) })
}

// Digest returns the mail to admins likewise.
func (p *Pages) Digest(locale string, d Digest) (subject, text, locales string) {
	return p.inEach(locale, func(l string) (string, string) { return p.digest(l, d) })
}

func (p *Pages) inEach(locale string, write func(locale string) (subject, text string)) (subject, text, locales string) {
	names := p.locales.names
	if locale != "" {
		names = []string{p.locales.choose(locale)}
	}
	subjects, bodies := make([]string, len(names)), make([]string, len(names))
	for i, name := range names {
		subjects[i], bodies[i] = write(name)
	}
	return strings.Join(subjects, " / "), strings.Join(bodies, between), strings.Join(names, ", ")
}

// mailKey is where the words of a mail begin.
func mailKey(m Mail) string {
	switch m.Kind {
	case "comply":
		return "mail.comply"
	case "quarantine":
		return "why.quarantine"
	}
	return "why.block"
}

func (p *Pages) mailSubject(locale string, m Mail) string {
	return p.locales.text(locale, mailKey(m)+".title")
}

func (p *Pages) mailText(locale string, m Mail) string {
	t := func(key string, pairs ...string) string { return p.locales.text(locale, key, pairs...) }
	parts := []string{t(mailKey(m) + ".lead")}
	if m.Own != "" {
		parts = append(parts, strings.TrimSpace(m.Own))
	}
	if m.Device != "" {
		parts = append(parts, t("mail.device", "device", flat(m.Device)))
	}
	if len(m.Reasons) > 0 {
		parts = append(parts, t("why.reasons")+":")
	}
	for _, r := range m.Reasons {
		parts = append(parts, p.mailReason(locale, r))
	}
	if !m.Until.IsZero() {
		parts = append(parts, t("mail.comply.until", "when", p.when(locale, m.Until)))
	}
	if !m.End.IsZero() {
		parts = append(parts, t("mail.comply.end", "when", p.when(locale, m.End)))
	}
	if m.Link != "" {
		parts = append(parts, t("mail.link")+"\n"+m.Link)
	}
	parts = append(parts, t("mail.footer", "organization", m.Organization))
	return strings.Join(parts, "\n\n") + "\n"
}

func (p *Pages) mailReason(locale string, r WhyReason) string {
	fact, _ := p.say(locale, r.Fact)
	line := "- "
	if title := p.locales.find(locale, "rule."+r.Rule); title != "" {
		line += title + ": "
	}
	line += flat(fact)
	if r.Fix != "" {
		fix, _ := p.say(locale, r.Fix)
		line += "\n  " + p.locales.text(locale, "mail.fix", "fix", flat(fix))
	}
	return line
}

func (p *Pages) digest(locale string, d Digest) (subject, text string) {
	t := func(key string, pairs ...string) string { return p.locales.text(locale, key, pairs...) }
	parts := []string{t("digest.lead")}
	for _, l := range d.Lines {
		word := "digest.comply"
		if l.Effect != "" {
			word = "digest." + l.Effect
		}
		fact, _ := p.say(locale, l.Fact)
		line := "- " + t(word) + ": " + flat(l.User) + ", " + flat(l.Name) + ", " + p.when(locale, l.At)
		if fact != "" {
			line += "\n  " + flat(fact)
		}
		parts = append(parts, line+"\n  "+flat(l.Command))
	}
	if d.More > 0 {
		parts = append(parts, t("digest.more", "n", strconv.Itoa(d.More)))
	}
	if d.Approve != "" {
		parts = append(parts, t("digest.all")+"\n"+flat(d.Approve))
	}
	parts = append(parts, t("mail.footer", "organization", d.Organization))
	return t("digest.title", "n", strconv.Itoa(len(d.Lines)+d.More)), strings.Join(parts, "\n\n") + "\n"
}

func (p *Pages) when(locale string, at time.Time) string {
	return at.UTC().Format(p.locales.text(locale, "time"))
}

// flat keeps on its line what phones and people called themselves.
func flat(s string) string { return strings.Join(strings.Fields(s), " ") }
