package web

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

func sampleWhy(effect string) Why {
	at := time.Date(2026, 11, 22, 8, 30, 0, 0, time.UTC)
	w := Why{
		Effect: effect, Organization: "Example Organisation", Type: "iPhone", Model: "iPhone15,4", System: "iOS 26.1",
		Client: "Apple-iPhone15C4/2301.1", SeenAt: at.Add(-time.Minute), Since: at.Add(-time.Hour), At: at,
	}
	switch effect {
	case "allow":
		w.Reasons = []WhyReason{
			{Rule: "verdict", Fact: "the phone does not meet policy standard@3, and is in grace until 2026-11-24 08:00 UTC", Fix: "Do what the other reasons say before the grace ends.", Since: at.Add(-time.Hour)},
			{Rule: "minimum_os", Fact: "iOS 15.8", Fix: "Update the phone to iOS 16.0 or later: Settings > General > Software Update.", Since: at.Add(-time.Hour)},
		}
	case "quarantine":
		w.Model, w.System = "", ""
		w.Reasons = []WhyReason{{Rule: "device", Fact: "this device is not enrolled for this mailbox",
			Fix: "Enrol the phone with the link from your administrator, and use the mail account that it then sets up."}}
	case "block":
		w.Reasons = []WhyReason{
			{Rule: "passcode", Fact: "no passcode is set", Fix: "Set a passcode: Settings > Face ID & Passcode (or Touch ID & Passcode).", Since: at.Add(-time.Hour)},
			{Rule: "asset-tag", Fact: "your phone has no asset tag", Fix: "Bring it to room 12.", Since: at.Add(-2 * time.Hour)},
		}
	}
	return w
}

func TestWhySaysWhatItMust(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		accept, effect string
		has, lack      []string
	}{
		{"en", "block", []string{"No mail on this device for now", "No passcode is set", "Set a passcode: Settings", "What to do", "Since Sun, 22 Nov 2026, 07:30 UTC", "iPhone15,4", "As of Sun, 22 Nov 2026, 08:30 UTC"}, []string{"Ask your administrator."}},
		{"de-DE", "block", []string{"Vorerst keine Mail", "Es ist kein Code eingerichtet", "Richten Sie einen Code ein", "Seit 22.11.2026, 07:30 UTC", `<p lang="de" dir="auto">Es ist kein Code`, `<p lang="en" dir="auto">Your phone has no asset tag`}, []string{"No passcode", "<h3></h3>"}},
		{"de", "quarantine", []string{"wartet", "nicht angemeldet", "nicht gemeldet"}, []string{"iPhone15,4", `lang="en"`}},
		{"de", "allow", []string{"„standard@3“", "die Schonfrist endet am 2026-11-24 08:00 UTC", "iOS 15.8", "iOS 16.0 oder neuer"}, []string{`class="card trouble"`}},
		{"en", "something new", []string{"No mail on this device for now", "Ask your administrator."}, nil},
	}
	for _, tt := range tests {
		body, err := p.Why(tt.accept, sampleWhy(tt.effect))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.has {
			if !strings.Contains(string(body), want) {
				t.Errorf("%s, %s: page lacks %q", tt.accept, tt.effect, want)
			}
		}
		for _, not := range tt.lack {
			if strings.Contains(string(body), not) {
				t.Errorf("%s, %s: page holds %q", tt.accept, tt.effect, not)
			}
		}
	}
	hostile := sampleWhy("block")
	hostile.Type, hostile.Reasons[1].Fact = `<script>alert(1)</script>`, `{fact} <img src=x> {{t "why.fix"}}`
	body, err := p.Why("de", hostile)
	if err != nil || strings.Contains(string(body), "<script") || strings.Contains(string(body), "<img") {
		t.Errorf("values are not data: %v", err)
	}
}

func TestSay(t *testing.T) {
	t.Parallel()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ locale, english, want, lang string }{
		{"en", "no passcode is set", "No passcode is set", "en"},
		{"en", "iOS 15.8", "iOS 15.8", "en"},
		{"en", "", "", "en"},
		{"de", "", "", "de"},
		{"de", "iOS 15.8", "iOS 15.8", "de"},
		{"de", "valid until 2027-01-02", "Gültig bis 2027-01-02", "de"},
		{"de", `mail profile "Mail" is out of date; mail profile "Old {name}" was installed by hand`, "Das Mail-Profil „Mail“ ist veraltet; Das Mail-Profil „Old {name}“ wurde von Hand installiert", "de"},
		{"de", `mail profile "Mail" is out of date; something else`, `Mail profile "Mail" is out of date; something else`, "en"},
		{"de", "an administrator withdrew the mail from this phone: remove_mail, ordered by dana at 2026-11-22 08:00 UTC", "Die Administration hat diesem Telefon die Mail entzogen (remove_mail, angeordnet von dana am 2026-11-22 08:00 UTC)", "de"},
	}
	for _, tt := range tests {
		if got, lang := p.say(tt.locale, tt.english); got != tt.want || lang != tt.lang {
			t.Errorf("%s %q: got %q in %s", tt.locale, tt.english, got, lang)
		}
	}
}

// Every hole of a sentence is filled from its English.
func TestSentencesFit(t *testing.T) {
	t.Parallel()
	data, err := embedded.ReadFile("sentences/de.json")
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]string{}
	if err := json.Unmarshal(data, &said); err != nil {
		t.Fatal(err)
	}
	for english, german := range said {
		want, got := hole.FindAllString(english, -1), hole.FindAllString(german, -1)
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(want, got) || german == "" {
			t.Errorf("%q has %v, %q has %v", english, want, german, got)
		}
	}
}
