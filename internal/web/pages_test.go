package web

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// shots writes every page as a file, to be looked at in a browser.
var shots = flag.String("shots", "", "write the pages as HTML files into this folder")

func sample(kind Kind) Enroll {
	return Enroll{
		Kind: kind, Organization: "Example Organisation", InvitedBy: "Dana Admin", Name: "Alice Example", Email: "alice@example.test",
		ExpiresAt: time.Date(2026, 11, 28, 8, 0, 0, 0, time.UTC),
		URL:       "https://mdm.example.test/enroll/K7QX2MPA",
		Download:  "/enroll/K7QX2MPA/enroll.mobileconfig", QR: "/enroll/K7QX2MPA/qr.png",
		Accounts: []Account{{Email: "alice@example.test", Host: "mail.example.test", Domain: "EXAMPLE", UserName: "alice@example.test", SSL: true}},
	}
}

// every renders each page there is, by name.
func every(t *testing.T, p *Pages, accept string) map[string]string {
	t.Helper()
	pages := make(map[string]string)
	add := func(name string, body []byte, err error) {
		if err != nil {
			t.Fatalf("page %s: %v", name, err)
		}
		pages[name] = string(body)
	}
	body, err := p.Home(accept, "Example Organisation")
	add("home", body, err)
	for _, kind := range []Kind{IPhone, OtherBrowser, Desktop, Android} {
		e := sample(kind)
		body, err = p.Enroll(accept, e)
		add("enroll-"+string(kind), body, err)
		e.Personal, e.PIN, e.PINWrong = true, true, true
		e.Gaps = []string{"no push certificate: the server cannot wake a phone", "no public TLS certificate"}
		e.Accounts = nil
		body, err = p.Enroll(accept, e)
		add("enroll-"+string(kind)+"-personal-pin-rehearsal", body, err)
	}
	for _, progress := range []string{"", "waiting", "enrolled", "held", "configured", "ended"} {
		e := sample(Android)
		e.Android = &AndroidOffer{Action: "/enroll/K7QX2MPA/android", Progress: progress, Company: progress == "held", Over: progress == "ended"}
		e.PIN, e.Android.PINWrong = progress == "waiting", progress == "waiting"
		if e.Android.Company {
			e.Android.Code, e.Android.Path, e.Android.Size, e.Android.CodeExpires = `{"a":"b"}`, "M0 0h1v1h-1z", 29, "2026-11-22 12:00 UTC"
		}
		body, err = p.Enroll(accept, e)
		add("enroll-android-managed-"+progress, body, err)
	}
	e := sample(Android)
	e.Android = &AndroidOffer{Action: "/enroll/K7QX2MPA/android", Company: true}
	body, err = p.Enroll(accept, e)
	add("enroll-android-company", body, err)
	e = sample(Desktop)
	e.PIN, e.MaybeIPad, e.Android = true, true, &AndroidOffer{Action: "/enroll/K7QX2MPA/android", Company: true, Beside: true}
	body, err = p.Enroll(accept, e)
	add("enroll-desktop-company", body, err)
	for _, wrong := range []bool{false, true} {
		body, err = p.PhoneSignIn(accept, PhoneSignIn{Organization: "Example Organisation", Provisioning: "p", Wrong: wrong})
		add(fmt.Sprint("signin-", wrong), body, err)
	}
	body, err = p.SignedUp(accept, "Example Organisation")
	add("signedup", body, err)
	for _, effect := range []string{"allow", "quarantine", "block", "something new"} {
		body, err = p.Why(accept, sampleWhy(effect))
		add("why-"+effect, body, err)
	}
	for _, key := range troubles {
		body, err = p.Trouble(accept, key, Trouble{Organization: "Example Organisation", RequestID: "0123456789abcdef", Wait: 9*time.Minute + time.Second})
		add("trouble-"+key, body, err)
	}
	everyConsole(p, accept, add)
	return pages
}

var troubles = []string{"unknown", "used", "expired", "revoked", "many", "pins", "foreign", "settings", "signup", "google", "request", "missing", "lost", "down", "broken"}

func TestPagesRender(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	forbidden := regexp.MustCompile(`(?i)<script|<style|\sstyle=|\son[a-z]+=|javascript:|<iframe|https?://[^m]`)
	unfilled := regexp.MustCompile(`\{[a-z]+\}|ZgotmplZ|<no value>`)
	for _, lang := range []string{"en", "de"} {
		for name, html := range every(t, p, lang+"-"+lang+","+lang+";q=0.9") {
			checkPage(t, p, lang, name, html, forbidden, unfilled)
		}
	}
	if *shots != "" {
		for name, style := range p.styles {
			if err := os.WriteFile(filepath.Join(*shots, name), style, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func checkPage(t *testing.T, p *Pages, lang, name, html string, forbidden, unfilled *regexp.Regexp) {
	t.Helper()
	if found := forbidden.FindString(html); found != "" {
		t.Errorf("page %s holds %q: the policy forbids scripts and inline style", name, found)
	}
	if found := unfilled.FindString(html); found != "" {
		t.Errorf("page %s holds %q", name, found)
	}
	if !strings.Contains(html, `<html lang="`+lang+`" dir="ltr">`) || !strings.Contains(html, "<h1>") {
		t.Errorf("page %s lacks its language or its heading", name)
	}
	if *shots != "" {
		file := strings.ReplaceAll(html, `"/assets/`, `"`)
		if err := os.WriteFile(filepath.Join(*shots, name+"."+lang+".html"), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestEnrollPageSaysWhatItMust(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		change    func(*Enroll)
		kind      Kind
		has, lack []string
	}{
		{name: "iPhone", kind: IPhone,
			has:  []string{`href="/enroll/K7QX2MPA/enroll.mobileconfig"`, "Profile Downloaded", "8 minutes", "Trust", "Invited by Dana Admin.", "alice@example.test", "erase the whole phone"},
			lack: []string{"rehearsal server", "<form", "qr.png"}},
		{name: "PIN", kind: IPhone, change: func(e *Enroll) { e.PIN = true },
			has:  []string{`<form method="post" action="/enroll/K7QX2MPA/enroll.mobileconfig"`, `name="pin"`},
			lack: []string{`href="/enroll/K7QX2MPA/enroll.mobileconfig"`, "not right"}},
		{name: "wrong PIN", kind: IPhone, change: func(e *Enroll) { e.PIN, e.PINWrong = true, true },
			has: []string{"not right", `aria-invalid="true"`}},
		{name: "rehearsal still links the download", kind: IPhone, change: func(e *Enroll) { e.Gaps = []string{"no public URL"} },
			has: []string{"rehearsal server", "no public URL", `href="/enroll/K7QX2MPA/enroll.mobileconfig"`}},
		{name: "other browser", kind: OtherBrowser,
			has:  []string{"Safari", "https://mdm.example.test/enroll/K7QX2MPA"},
			lack: []string{"enroll.mobileconfig"}},
		{name: "desktop", kind: Desktop,
			has:  []string{`src="/enroll/K7QX2MPA/qr.png"`, "iPad"},
			lack: []string{"enroll.mobileconfig", "After the download"}},
		{name: "Mac, or an iPad that says so", kind: Desktop, change: func(e *Enroll) { e.MaybeIPad = true },
			has: []string{`src="/enroll/K7QX2MPA/qr.png"`, `href="/enroll/K7QX2MPA/enroll.mobileconfig"`, "Are you reading this on an iPad?"}},
		{name: "invited by nobody in particular", kind: IPhone, change: func(e *Enroll) { e.InvitedBy = "" },
			has: []string{"Example Organisation invites Alice Example", "Opening this page has changed nothing."}, lack: []string{"Invited by"}},
		{name: "Android", kind: Android,
			has:  []string{"mail.example.test", "EXAMPLE", "quarantined", "alice@example.test", "Your mailbox password"},
			lack: []string{"enroll.mobileconfig", "Profile Downloaded", "Once it is approved", "shows up at your administrator"}},
		{name: "Android with a certificate", kind: Android, change: func(e *Enroll) { e.Accounts[0].Certificate = true },
			has: []string{"signs in with a certificate"}, lack: []string{"Your mailbox password"}},
		{name: "Android without a template", kind: Android, change: func(e *Enroll) { e.Accounts = nil },
			has: []string{"No mail settings are ready"}},
		{name: "values are data", kind: IPhone, change: func(e *Enroll) { e.Name = `<script>alert(1)</script>{email}` },
			has: []string{"&lt;script&gt;"}, lack: []string{"<script>"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := sample(tt.kind)
			if tt.change != nil {
				tt.change(&e)
			}
			body, err := p.Enroll("", e)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range tt.has {
				if !bytes.Contains(body, []byte(want)) {
					t.Errorf("page lacks %q", want)
				}
			}
			for _, not := range tt.lack {
				if bytes.Contains(body, []byte(not)) {
					t.Errorf("page holds %q", not)
				}
			}
		})
	}
}

// A page that says to wait says how long.
func TestTroubleTellsTheWait(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for wait, want := range map[time.Duration]string{
		0: "Wait one minute,", time.Second: "Wait one minute,", 61 * time.Second: "Wait 2 minutes,", 10 * time.Minute: "Wait 10 minutes,",
	} {
		for _, key := range []string{"many", "pins"} {
			if body, err := p.Trouble("", key, Trouble{Wait: wait}); err != nil || !bytes.Contains(body, []byte(want)) {
				t.Errorf("%s, %s: page lacks %q (%v)", key, wait, want, err)
			}
		}
	}
}

// Ownership moves "erase" from one list to the other.
func TestEnrollPageTellsOwnershipApart(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, personal := range []bool{false, true} {
		e := sample(IPhone)
		e.Personal = personal
		body, err := p.Enroll("", e)
		if err != nil {
			t.Fatal(err)
		}
		erase, cannot := bytes.Index(body, []byte("erase the whole phone")), bytes.Index(body, []byte(`class="marks cannot"`))
		if got := erase > cannot; got != personal {
			t.Errorf("personal %v: erase stands among what is not possible: %v", personal, got)
		}
	}
}

// Every text that a page asks for is there, and nothing else is.
func TestTextsAreComplete(t *testing.T) {
	l, err := readLocales(embedded)
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{"dir": true, "time": true, "home.title": true, "enroll.title": true, "signedup.title": true, "wait.minute": true, "wait.minutes": true}
	for _, effect := range []string{"allow", "quarantine", "block"} {
		asked["why."+effect+".title"], asked["why."+effect+".lead"] = true, true
	}
	for _, key := range []string{"comply.title", "comply.lead", "comply.until", "comply.end", "device", "fix", "link", "footer"} {
		asked["mail."+key] = true
	}
	for _, key := range []string{"title", "lead", "block", "quarantine", "comply", "more", "all"} {
		asked["digest."+key] = true
	}
	for key := range l.texts[fallback] {
		if strings.HasPrefix(key, "rule.") || strings.HasPrefix(key, "word.") { // asked for by whatever rules and states there are
			asked[key] = true
		}
	}
	for _, key := range troubles {
		asked[key+".title"], asked[key+".text"], asked[key+".next"] = true, true, true
	}
	for _, key := range ConsoleTroubles() {
		asked["console."+key+".title"], asked["console."+key+".text"], asked["console."+key+".next"] = true, true, true
	}
	for _, name := range consolePages {
		asked["console."+name+".title"] = name != "trouble"
	}
	asked["time.short"] = true
	files, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?:\{\{|\()t "([a-z.0-9]+)"`)
	for _, file := range files {
		data, err := fs.ReadFile(embedded, file)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range call.FindAllSubmatch(data, -1) {
			asked[string(match[1])] = true
		}
		if i := bytes.Index(data, []byte("{{if .PIN}}{{t ")); i >= 0 && !asked["steps.download.pin"] {
			t.Error("the expression for calls misses some")
		}
	}
	for key, need := range asked {
		for name, words := range l.texts {
			if need && words[key] == "" {
				t.Errorf("%s.json lacks %q", name, key)
			}
		}
	}
	holes := regexp.MustCompile(`\{[a-z]+\}`)
	for name, words := range l.texts {
		for key, text := range words {
			if !asked[key] {
				t.Errorf("%s.json: nobody asks for %q", name, key)
			}
			for _, hole := range holes.FindAllString(text, -1) {
				if !strings.Contains(l.texts[fallback][key], hole) {
					t.Errorf("%s.json: %q has %s, which is not filled", name, key, hole)
				}
			}
		}
	}
}

func TestLocaleIsChosen(t *testing.T) {
	files := fstest.MapFS{}
	err := fs.WalkDir(embedded, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(embedded, path)
		files[path] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	files["texts/ar.json"] = &fstest.MapFile{Data: []byte(`{"dir": "rtl", "home.title": "مرحبا"}`)}
	files["texts/de.json"] = &fstest.MapFile{Data: []byte(`{"dir": "ltr", "home.title": "Willkommen"}`)}
	p, err := read(files)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ accept, want string }{
		{"", `lang="en" dir="ltr"`},
		{"ar-EG,ar;q=0.9", `lang="ar" dir="rtl"`},
		{"de-CH, en;q=0.5", `lang="de" dir="ltr"`},
		{"tlh, de;q=0.3", `lang="de" dir="ltr"`},
		{"ja", `lang="en" dir="ltr"`},
		{"*", `lang="en" dir="ltr"`},
		{"\x00;;q=nonsense", `lang="en" dir="ltr"`},
		{strings.Repeat("de,", 500), `lang="en" dir="ltr"`},
	}
	for _, tt := range tests {
		body, err := p.Home(tt.accept, "")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(body), tt.want) {
			t.Errorf("Accept-Language %.20q: page lacks %s", tt.accept, tt.want)
		}
		if !strings.Contains(string(body), "invitation") {
			t.Errorf("Accept-Language %.20q: a text that the locale lacks did not come from %s", tt.accept, fallback)
		}
	}
}

func TestAsset(t *testing.T) {
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if body, kind, ok := p.Asset(p.stylesheet); !ok || kind != "text/css; charset=utf-8" || len(body) == 0 {
		t.Errorf("Asset(%s) = %d bytes, %q, %v", p.stylesheet, len(body), kind, ok)
	}
	for _, name := range []string{"", "style.css", "../texts/en.json", "style-0000000000000000.css"} {
		if _, _, ok := p.Asset(name); ok {
			t.Errorf("Asset(%q) was found", name)
		}
	}
}
