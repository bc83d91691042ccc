package app_test

import (
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/access"
	"sallyport/internal/server/adminapi"
)

// browser is an admin's: it keeps cookies, follows redirects and runs no script.
type browser struct {
	t    *testing.T
	base string
	http *http.Client
	seen strings.Builder // every page
}

func newBrowser(t *testing.T, c *client) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	must(t, err)
	web := trusting(c.root)
	web.Jar = jar
	return &browser{t: t, base: c.local.URL, http: web}
}

// read returns the page at which a request ends, and where that is.
func (b *browser) read(resp *http.Response, err error) (page, path string) {
	b.t.Helper()
	must(b.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(b.t, err)
	b.seen.Write(body)
	return string(body), resp.Request.URL.Path
}

func (b *browser) get(path string) (page, at string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.base+path, nil)
	must(b.t, err)
	return b.read(b.http.Do(req))
}

func (b *browser) post(path string, form url.Values) (page, at string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.base+path, strings.NewReader(form.Encode()))
	must(b.t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Origin", b.base)
	return b.read(b.http.Do(req))
}

func (b *browser) has(page string, wants ...string) {
	b.t.Helper()
	for _, want := range wants {
		if !strings.Contains(page, want) {
			b.t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

// TestConsoleStory: an admin sees a phone that may read mail, and why it may no more
// when its passcode is off.
func TestConsoleStory(t *testing.T) {
	t.Parallel()
	c := startInside(t, filepath.Join(t.TempDir(), "data"))
	c.seed()
	phone := newPhone(t, t.TempDir(), c.root, "")
	must(t, phone.Set("name=<b>Alice's</b> phone"))
	must(t, phone.Enroll(t.Context(), c.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL))
	device := show(t, phone).EASDeviceID
	c.decided(alice, device, access.Allow)
	var issued adminapi.TokenIssued
	c.post("/api/v1/tokens", adminapi.TokenRequest{Role: "auditor", Owner: "dana", TTL: "1h"}, &issued)

	b := newBrowser(t, c)
	if page, at := b.get("/console/devices"); at != "/console" || !strings.Contains(page, `type="password"`) {
		t.Fatalf("without a session: %s\n%s", at, page)
	}
	list, at := b.post("/console/session", url.Values{"token": {issued.Text}})
	if at != "/console/devices" {
		t.Fatalf("sign-in leads to %s\n%s", at, list)
	}
	b.has(list, alice, "dana", ">allow<", ">compliant<", "&lt;b&gt;Alice&#39;s&lt;/b&gt; phone", "corporate")
	link := regexp.MustCompile(`href="(/console/devices/[^"]+)"`).FindStringSubmatch(list)
	if link == nil {
		t.Fatalf("no link to a device:\n%s", list)
	}
	page, _ := b.get(link[1])
	b.has(page, "Conditions for mail passed", "this decided", device, "InstallProfile", "the phone reports this DeviceId itself")

	must(t, phone.Set("passcode=off"))
	must(t, phone.Connect(t.Context()))
	c.decided(alice, device, access.Block)
	page, _ = b.get(link[1])
	b.has(page, ">block<", "Conditions for mail failed", ">not compliant<", ">failed<", "What the user should do", "passcode",
		"sallyport access device exempt", "sallyport access explain "+alice+" ")
	steps := regexp.MustCompile(`(?s)<ol class="trace">.*?</ol>`).FindString(page)
	if mentioned := strings.Index(steps, "No one person"); mentioned < 0 || !strings.Contains(steps, "standard@") || strings.Index(steps, "Conditions for mail failed") < mentioned {
		t.Errorf("the trace:\n%s", steps)
	}
	for _, query := range []string{"decision=block", "verdict=not_compliant", "q=" + url.QueryEscape(alice), "q=" + device, "q=" + strings.ToLower(device[:6])} {
		list, _ = b.get("/console/devices?" + query)
		b.has(list, link[1])
	}
	if list, _ = b.get("/console/devices?decision=allow"); strings.Contains(list, link[1]) {
		t.Error("a blocked device among the allowed ones")
	}

	page, _ = b.get("/console/templates")
	b.has(page, "/console/templates/mail/preview", "everyone")
	page, _ = b.get("/console/templates/mail/preview?platform=gmail&user=" + url.QueryEscape(alice))
	b.has(page, "mail.example.test", "What becomes of each setting", "Outlook on iOS")
	page, _ = b.get("/console/templates/mail/preview?user=nobody")
	b.has(page, "cannot be rendered", "UPN")

	if status := c.call(http.MethodDelete, "/api/v1/tokens/"+issued.ID, "", nil, nil); status != http.StatusNoContent {
		t.Fatalf("revoke: %d", status)
	}
	page, at = b.get(link[1])
	if at != "/console" {
		t.Errorf("after the token was revoked: %s", at)
	}
	b.has(page, "Your session has ended")
	if strings.Contains(b.seen.String(), issued.Text) || strings.Contains(b.seen.String(), "<b>Alice") {
		t.Error("a page holds the token, or a name that was not escaped")
	}
	var entries adminapi.AuditEntries
	c.call(http.MethodGet, "/api/v1/audit?action=console.sign_in", "", nil, &entries)
	if len(entries.Entries) != 1 || entries.Entries[0].Actor != "dana" || entries.Entries[0].Target != issued.ID {
		t.Errorf("trail: %+v", entries.Entries)
	}
}
