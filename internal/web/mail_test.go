package web

import (
	"strings"
	"testing"
	"time"
)

func TestMailInBothLanguages(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	m := Mail{Kind: "comply", Organization: "Example", Own: "Own words", Device: "iPhone\r\n\r\nDear all", Link: "https://x.test/access/why/1",
		Until: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC),
		Reasons: []WhyReason{{Rule: "device", Fact: "this device is not enrolled for this mailbox", Fix: "Ask your administrator."}}}
	tests := []struct {
		locale, locales, subject string
		has                      []string
	}{
		{"", "en, de", "Your phone needs your attention / Ihr Telefon braucht Ihre Aufmerksamkeit", []string{"Own words", "-----", "What to do: Ask your administrator."}},
		{"de-AT", "de", "Ihr Telefon braucht Ihre Aufmerksamkeit", []string{"Gerät: iPhone Dear all", "22.11.2026", "01.12.2026", "Was Sie tun können: Fragen Sie Ihre Administration."}},
		{"fr", "en", "Your phone needs your attention", []string{"Device: iPhone Dear all", "Answers to this mail are not read."}},
	}
	for _, c := range tests {
		subject, text, locales := p.Mail(c.locale, m)
		if subject != c.subject || locales != c.locales || strings.Contains(text, "{") {
			t.Errorf("%q: %s, %s, %s", c.locale, subject, locales, text)
		}
		for _, words := range append(c.has, "https://x.test/access/why/1") {
			if !strings.Contains(text, words) {
				t.Errorf("%q lacks %q:\n%s", c.locale, words, text)
			}
		}
	}
	for kind, want := range map[string]string{"quarantine": "Your mail waits on this device", "block": "No mail on this device for now", "later": "No mail on this device for now"} {
		if subject, _, _ := p.Mail("en", Mail{Kind: kind}); subject != want {
			t.Errorf("%s: %s", kind, subject)
		}
	}
	subject, text, _ := p.Digest("", Digest{Organization: "Example", More: 3, Approve: "all", Lines: []DigestLine{{Effect: "block", User: "a", Name: "n", Command: "c"}, {User: "b"}}})
	if subject != "Mail clients that were blocked or wait for you: 5 / Mail-Apps, die gesperrt wurden oder auf Sie warten: 5" || strings.Contains(text, "{") || !strings.Contains(text, "And 3 more") {
		t.Errorf("%s\n%s", subject, text)
	}
}
