package templates

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/enroll/directory"
	"sallyport/internal/appleschema"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/yamldoc"
	"sallyport/mdm"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
	"sallyport/profiles/mobileconfig"
)

// soakVariable set to 1 (make soak) renders 1,000 templates for 1,000 users
// each, and not 100 for 20.
const soakVariable = "SALLYPORT_SOAK"

// soakWorkers share the templates of a soak.
const soakWorkers = 4

// effort is with how many users each template is tried, in how many tests at once.
func effort(t *testing.T) (users, workers int) {
	t.Helper()
	if os.Getenv(soakVariable) != "1" {
		return 20, 1
	}
	if err := flag.Set("rapid.checks", strconv.Itoa(1000/soakWorkers)); err != nil {
		t.Fatal(err)
	}
	return 1000, soakWorkers
}

// drawn is a field of a random template with what it must become, told from the
// text by this file alone.
type drawn struct {
	text   string
	expand func(values) (value string, refused bool)
}

// piece is a part of a drawn field.
func piece(text string, expand func(values) (string, bool)) drawn { return drawn{text, expand} }

func fixed(text string) drawn {
	return piece(strings.ReplaceAll(text, "%", "%%"), func(values) (string, bool) { return text, false })
}

func joined(pieces ...drawn) drawn {
	var whole drawn
	for _, p := range pieces {
		whole.text += p.text
	}
	whole.expand = func(v values) (string, bool) {
		var b strings.Builder
		for _, p := range pieces {
			value, refused := p.expand(v)
			if refused {
				return "", true
			}
			b.WriteString(value)
		}
		return b.String(), false
	}
	return whole
}

// truth is where each variable's value comes from, beside the table under test.
var truth = map[string]struct {
	mayBeEmpty bool
	value      func(values) string
}{
	"email":        {false, func(v values) string { return v.user.Email }},
	"username":     {false, func(v values) string { return v.user.Username }},
	"domainname":   {true, func(v values) string { return v.user.DomainName }},
	"upn":          {false, func(v values) string { return v.user.UPN }},
	"displayname":  {false, func(v values) string { return v.user.DisplayName }},
	"firstname":    {false, func(v values) string { return v.user.FirstName }},
	"last_name":    {false, func(v values) string { return v.user.LastName }},
	"lastname":     {false, func(v values) string { return v.user.LastName }},
	"middle_name":  {true, func(v values) string { return v.user.MiddleName }},
	"middlename":   {true, func(v values) string { return v.user.MiddleName }},
	"serialnumber": {false, func(v values) string { return v.device.Serial }},
	"devicename":   {false, func(v values) string { return v.device.Name }},
	"model":        {false, func(v values) string { return v.device.Model }},
	"osversion":    {false, func(v values) string { return v.device.OSVersion }},
	"udid":         {false, func(v values) string { return v.device.UDID }},
	"productname":  {false, func(v values) string { return v.device.Product }},
}

// TestTruthKnowsEveryVariable: a new variable must be part of the property test.
func TestTruthKnowsEveryVariable(t *testing.T) {
	for _, v := range Variables() {
		for _, name := range append(v.Aliases, v.Name) {
			if _, ok := truth[name]; !ok {
				t.Errorf("the property test does not know %%%s%%", name)
			}
		}
	}
}

func variablePiece(name, option string) drawn {
	text := "%" + name
	if option != "" {
		text += "|" + strings.TrimPrefix(option, "|")
	}
	return piece(text+"%", func(v values) (string, bool) {
		value := truth[name].value(v)
		switch {
		case value != "":
			return value, false
		case option == "":
			return "", !truth[name].mayBeEmpty
		case option == "required":
			return "", true
		}
		return strings.TrimPrefix(option, "|"), false
	})
}

func drawVariable(t *rapid.T, names ...string) drawn {
	option := rapid.SampledFrom([]string{"", "", "required", "|", "else", "a|b", "<>"}).Draw(t, "option")
	return variablePiece(rapid.SampledFrom(names).Draw(t, "variable"), option)
}

// freeText is a field that may hold anything.
func freeText(t *rapid.T, label string) drawn {
	names := make([]string, 0, len(truth))
	for _, v := range Variables() {
		names = append(append(names, v.Name), v.Aliases...)
	}
	pieces := []drawn{fixed(rapid.SampledFrom([]string{"Mail", "100%", "Büro & <b>", "%upn", "$(id)", "{{.}}"}).Draw(t, label))}
	for range rapid.IntRange(0, 3).Draw(t, label+" variables") {
		pieces = append(pieces, fixed(" "), drawVariable(t, names...))
	}
	return joined(pieces...)
}

// script is a random template that Parse must accept, and what its fields become.
type script struct {
	spec     Spec
	title    drawn
	accounts []scriptAccount
}

type scriptAccount struct{ name, host, login, domain, email, signIn, token drawn }

func scripts() *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		s := script{title: freeText(t, "display name")}
		s.spec = Spec{Name: "random", DisplayName: s.title.text, Assign: directory.Audience{Everyone: true}, Priority: rapid.IntRange(-1000, 1000).Draw(t, "priority")}
		for i := range rapid.IntRange(1, 3).Draw(t, "accounts") {
			text, account := drawAccount(t, i)
			s.accounts = append(s.accounts, text)
			s.spec.Accounts = append(s.spec.Accounts, account)
		}
		return s
	})
}

func drawAccount(t *rapid.T, i int) (scriptAccount, profiles.ExchangeAccount) {
	yes := func(label string) bool { return rapid.Bool().Draw(t, label) }
	on := rapid.SampledFrom([]*bool{nil, ptr(true), ptr(false)})
	s := scriptAccount{
		name: freeText(t, "name"),
		host: joined(fixed(fmt.Sprintf("mail%d.", i)), rapid.SampledFrom([]drawn{
			fixed("example.test"), fixed("example.test:8443"), joined(variablePiece("domainname", "corp"), fixed(".example.test")),
		}).Draw(t, "host")),
		login: rapid.SampledFrom([]drawn{variablePiece("upn", ""), variablePiece("username", ""), variablePiece("username", "nobody"), joined(fixed("x-"), variablePiece("username", "|"))}).Draw(t, "login"),
		email: rapid.SampledFrom([]drawn{variablePiece("email", ""), joined(variablePiece("username", ""), fixed("@example.test"))}).Draw(t, "email"),
	}
	a := profiles.ExchangeAccount{
		Name: s.name.text, Host: s.host.text, UserName: s.login.text, Email: s.email.text,
		HostType: rapid.SampledFrom([]profiles.HostType{profiles.OnPremises, profiles.Office365}).Draw(t, "host type"),
		OAuth:    profiles.OAuth{Enabled: on.Draw(t, "oauth")}, PreventMove: yes("move"), BlockNonMailApps: yes("block"),
		DisableRecentsSync: yes("recents"), AllowMailDrop: yes("drop"), OverridePreviousPassword: yes("override"),
		AudioCallApp:      rapid.SampledFrom([]string{"", "com.example.phone"}).Draw(t, "call app"),
		Identity:          rapid.SampledFrom([]profiles.IdentitySource{"", profiles.IdentityNone, profiles.IdentitySCEP, profiles.IdentityPKCS12}).Draw(t, "identity"),
		DaysToKeepOffline: rapid.SampledFrom([]*int{nil, ptr(0), ptr(1), ptr(3), ptr(7), ptr(14), ptr(31)}).Draw(t, "days"),
	}
	if a.Identity == profiles.IdentityPKCS12 {
		a.PKCS12 = "p12"
	}
	if a.HostType == profiles.OnPremises {
		a.SSL = on.Draw(t, "ssl")
		s.domain = rapid.SampledFrom([]drawn{fixed(""), variablePiece("domainname", ""), variablePiece("domainname", "CORP"), variablePiece("domainname", "required")}).Draw(t, "domain")
		a.Domain = s.domain.text
	}
	switch {
	case a.UsesOAuth() && yes("pages"):
		s.signIn = joined(fixed("https://login.example.test/a?hint="), variablePiece("displayname", "|"), fixed("&x=1"))
		s.token = fixed("https://login.example.test/t")
		a.OAuth.SignInURL, a.OAuth.TokenURL = s.signIn.text, s.token.text
	case !a.UsesOAuth() && yes("password"):
		a.Password = &profiles.PasswordSource{Secret: "word"}
	}
	drawSMIME(t, &a)
	drawSync(t, &a)
	return s, a
}

func drawSMIME(t *rapid.T, a *profiles.ExchangeAccount) {
	yes := func(label string) bool { return rapid.Bool().Draw(t, label) }
	a.SMIME.Sign = profiles.SMIMESign{Enabled: yes("sign"), UserMayChange: yes("sign may"), UserMayChangeIdentity: yes("sign choose")}
	a.SMIME.Encrypt = profiles.SMIMEEncrypt{ByDefault: yes("encrypt"), UserMayChange: yes("encrypt may"), UserMayChangeIdentity: yes("encrypt choose"), PerMessageSwitch: yes("lock")}
	if yes("sign with") {
		a.SMIME.Sign.Identity, a.SMIME.Sign.PKCS12 = profiles.IdentityPKCS12, "p12"
	} else if yes("sign on record") {
		a.SMIME.Sign.Identity = profiles.IdentitySMIME
	}
	if yes("encrypt with") {
		a.SMIME.Encrypt.Identity, a.SMIME.Encrypt.PKCS12 = profiles.IdentityPKCS12, "mail-p12"
	} else if yes("encrypt on record") {
		a.SMIME.Encrypt.Identity = profiles.IdentitySMIME
	}
}

func drawSync(t *rapid.T, a *profiles.ExchangeAccount) {
	on := rapid.SampledFrom([]*bool{nil, ptr(true), ptr(false)})
	for _, s := range []*profiles.Service{&a.Sync.Mail, &a.Sync.Contacts, &a.Sync.Calendar, &a.Sync.Reminders, &a.Sync.Notes} {
		*s = profiles.Service{Enabled: on.Draw(t, "service"), Locked: rapid.Bool().Draw(t, "locked")}
	}
	if !a.Sync.Contacts.On() {
		a.Sync.Calendar.Enabled = nil // one stays on
	}
	if a.Sync.Mail.Locked && !a.Sync.Mail.On() {
		a.DaysToKeepOffline = nil
	}
}

func ptr[T any](v T) *T { return &v }

// hostileText is what a directory may hold, good and bad.
func hostileText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"alice", "Ålice", "O'Neil", "a b", "李明", "EXAMPLE", "x-1"}),
		rapid.SampledFrom([]string{"", "", "%upn%", "%email|x%", "%%", "%", "$(id)", "{{.}}", "</string><key>PayloadRemovalDisallowed</key><true/>", "&amp;", "]]>", "<!--", "a\u202eb"}),
		rapid.SampledFrom([]string{"a\x00b", "a\nb", "\xff", "\u2028", strings.Repeat("x", 5000)}),
		rapid.String(),
	)
}

// people are users with a phone. Names of accounts and addresses are mostly
// good, so that most of the renderings come to something.
func people() *rapid.Generator[values] {
	hostile := hostileText()
	return rapid.Custom(func(t *rapid.T) values {
		mostly := func(label string, usual ...string) string {
			if rapid.IntRange(0, 39).Draw(t, label+" unusual") == 0 {
				return hostile.Draw(t, label)
			}
			return rapid.SampledFrom(usual).Draw(t, label)
		}
		often := func(label string) string {
			if rapid.Bool().Draw(t, label+" unusual") {
				return hostile.Draw(t, label)
			}
			return "Plain"
		}
		u := directory.User{
			ID: userID, UPN: mostly("upn", "alice@example.test", "%email%@example.test", "$(id)@example.test"), Email: mostly("email", "a.b@example.test", "%upn%@example.test"),
			Username: mostly("username", "alice", "%upn%", "<b>"), DomainName: mostly("domain", "EXAMPLE", "example", ""),
			DisplayName: often("display name"), FirstName: often("first name"), MiddleName: often("middle name"), LastName: often("last name"),
		}
		d := mdm.DeviceFacts{
			Serial: mostly("serial", "F2LX", "%udid%"), Name: often("device name"), Model: mostly("model", "MTP03"), OSVersion: mostly("os", "18.1"),
			UDID: mostly("udid", "0000-1"), Product: mostly("product", "iPhone15,4"),
		}
		return values{user: u, device: &d}
	})
}

// plain is the same person with harmless values, empty where v is empty.
func plain(v values) values {
	word := func(value, harmless string) string {
		if value == "" {
			return ""
		}
		return harmless
	}
	u, d := v.user, *v.device
	u.UPN, u.Email, u.Username, u.DomainName = word(u.UPN, "u@example.test"), word(u.Email, "e@example.test"), word(u.Username, "u"), word(u.DomainName, "D")
	u.DisplayName, u.FirstName, u.MiddleName, u.LastName = word(u.DisplayName, "n"), word(u.FirstName, "f"), word(u.MiddleName, "m"), word(u.LastName, "l")
	d.Serial, d.Name, d.Model, d.OSVersion, d.UDID, d.Product = word(d.Serial, "s"), word(d.Name, "p"), word(d.Model, "m"), word(d.OSVersion, "1"), word(d.UDID, "i"), word(d.Product, "x")
	return values{user: u, device: &d}
}

func optionsOf(v values) Options {
	o := options()
	o.Device = v.device
	file := []byte{0x30, 0x03, 0x02, 0x01, 0x03}
	o.Secrets = []Secret{
		{Name: "word", Kind: SecretPassword, Revision: "r1", Value: secret.New("canary-word")},
		{Name: "p12", Kind: SecretPKCS12, Revision: "r2", Value: secret.New("canary-p12"), Data: file, UPNs: []string{v.user.UPN}},
		{Name: "mail-p12", Kind: SecretPKCS12, Revision: "r3", Value: secret.New("canary-mail"), Data: file, UPNs: []string{v.user.UPN}},
	}
	return o
}

// TestRandomTemplates: whatever template is valid and whoever the user is, a
// rendering is refused by field, or every field holds exactly what its text
// says: no token is left, no required key is empty, the keys are those of
// harmless values, and twice rendered are the same bytes, on every platform.
func TestRandomTemplates(t *testing.T) {
	users, workers := effort(t)
	for worker := range workers {
		t.Run(strconv.Itoa(worker), func(t *testing.T) {
			t.Parallel()
			templates, rendered, refused := 0, 0, 0
			rapid.Check(t, func(rt *rapid.T) {
				s := scripts().Draw(rt, "template")
				r := s.revision(rt)
				templates++
				keys := map[string][]string{}
				for range users {
					if s.check(rt, r, people().Draw(rt, "user"), keys) {
						rendered++
					} else {
						refused++
					}
				}
			})
			t.Logf("%d templates: %d renderings, %d refused by field", templates, rendered, refused)
			if 3*rendered < refused {
				t.Error("most renderings were refused: little was tested")
			}
		})
	}
}

// revision goes the way of an admin: the template is written as YAML and read.
func (s script) revision(t *rapid.T) Revision {
	source, err := yamldoc.Encode(s.spec)
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	spec, err := Parse(source)
	if err != nil {
		t.Fatalf("a valid template is refused: %v\n%s", err, source)
	}
	return Revision{TemplateID: templateID, Name: spec.Name, Number: 1, Spec: spec, Source: string(source)}
}

// check reports whether the template could be rendered for this user.
func (s script) check(t *rapid.T, r Revision, v values, keys map[string][]string) bool {
	got, err := Render(r, v.user, optionsOf(v))
	if err != nil {
		if list := refusal.All(err); !errors.Is(err, ErrRender) && !errors.Is(err, mobileconfig.ErrInvalid) || len(list) == 0 {
			t.Fatalf("got %v, want refusals", err)
		}
		return false
	}
	s.checkValues(t, got, v)
	data := inspected(t, got)
	again, err := Render(r, v.user, optionsOf(v))
	if err != nil || !bytes.Equal(data, inspected(t, again)) {
		t.Fatalf("twice rendered, not the same (%v)", err)
	}
	profile, err := mobileconfig.Decode(data)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	checkRequired(t, profile)
	if diff := cmp.Diff(s.plainKeys(t, r, v, keys), keySet(profile)); diff != "" {
		t.Fatalf("other keys than with harmless values:\n%s", diff)
	}
	s.checkApps(t, got)
	return true
}

func (s script) checkValues(t *rapid.T, got Rendered, v values) {
	same := func(field string, d drawn, got string) {
		if d.expand == nil {
			return
		}
		if want, refused := d.expand(v); refused || got != want {
			t.Fatalf("%s: %q became %q, want %q (refused: %v)", field, d.text, got, want, refused)
		}
	}
	same("display_name", s.title, got.Profile.DisplayName)
	for i, a := range s.accounts {
		account := got.Accounts[i]
		same("name", a.name, account.Name)
		same("host", a.host, account.Host)
		same("user_name", a.login, account.UserName)
		same("domain", a.domain, account.Domain)
		same("email", a.email, account.Email)
		same("oauth.token_url", a.token, account.OAuth.TokenURL)
		if a.signIn.expand != nil {
			u, err := url.Parse(account.OAuth.SignInURL)
			if err != nil || u.Query().Get("hint") != v.user.DisplayName || u.Query().Get("x") != "1" || len(u.Query()) != 2 {
				t.Fatalf("oauth.sign_in_url: got %q of %q (%v)", account.OAuth.SignInURL, v.user.DisplayName, err)
			}
		}
	}
}

// inspected is the profile as bytes: with secrets it has no other form.
func inspected(t *rapid.T, r Rendered) []byte {
	data, err := r.Profile.EncodeForInspection()
	if err != nil {
		t.Fatalf("encode: %v", err)
	}
	if bytes.Contains(data, []byte("canary")) {
		t.Fatalf("a secret is shown:\n%s", data)
	}
	return data
}

// requiredKeys are what a phone cannot do without, by payload type.
var requiredKeys = map[string][]string{
	"com.apple.eas.account":     {"Host", "UserName", "EmailAddress", "PayloadDisplayName"},
	"com.apple.security.scep":   {"PayloadContent"},
	"com.apple.security.pkcs12": {"PayloadContent", "Password"},
}

func checkRequired(t *rapid.T, profile map[string]any) {
	head := []string{"PayloadType", "PayloadIdentifier", "PayloadUUID"}
	filled := func(where string, dict map[string]any, keys []string) {
		for _, key := range keys {
			switch value := dict[key].(type) {
			case nil:
				t.Fatalf("%s: %s is missing", where, key)
			case string:
				if value == "" {
					t.Fatalf("%s: %s is empty", where, key)
				}
			}
		}
	}
	filled("profile", profile, append(slices.Clone(head), "PayloadContent"))
	for _, item := range profile["PayloadContent"].([]any) {
		payload := item.(map[string]any)
		kind, _ := payload["PayloadType"].(string)
		filled(kind, payload, append(slices.Clone(head), requiredKeys[kind]...))
	}
}

// plainKeys are the keys of the same template for a harmless person, who has
// the same fields empty.
func (s script) plainKeys(t *rapid.T, r Revision, v values, known map[string][]string) []string {
	harmless := plain(v)
	pattern := fmt.Sprint(harmless.user, *harmless.device)
	if keys, ok := known[pattern]; ok {
		return keys
	}
	rendered, err := Render(r, harmless.user, optionsOf(harmless))
	if err != nil {
		t.Fatalf("refused with harmless values only: %v", err)
	}
	profile, err := mobileconfig.Decode(inspected(t, rendered))
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	known[pattern] = keySet(profile)
	return known[pattern]
}

// checkApps: an app's configuration is made of the account's own values, twice
// the same; or refused by field.
func (s script) checkApps(t *rapid.T, r Rendered) {
	account := r.Accounts[0]
	for _, platform := range []Platform{PlatformGmail, PlatformOutlook, PlatformOutlookIOS} {
		bundle, report, err := managed(account, platform, managedconfig.Inputs{})
		if err != nil {
			if len(refusal.All(err)) == 0 || len(bundle) > 0 {
				t.Fatalf("%s: got %v, want refusals and no bundle", platform, err)
			}
			continue
		}
		again, second, err := managed(account, platform, managedconfig.Inputs{})
		if err != nil || !maps.Equal(bundle, again) || !slices.Equal(report, second) {
			t.Fatalf("%s: twice written, not the same (%v)", platform, err)
		}
		own := []string{account.Email, account.Login(), account.UserName, account.Host, account.Name, account.Domain}
		for key, value := range bundle {
			if text, ok := value.(string); ok && strings.Contains(text, "%") && !slices.Contains(own, text) {
				t.Fatalf("%s: %s is %q, which is no value of the account", platform, key, text)
			}
		}
	}
}

// TestRandomTemplatesSatisfyApplesSchema: each combination of settings.
func TestRandomTemplatesSatisfyApplesSchema(t *testing.T) {
	schema := appleschema.Open(t)
	v := values{user: alice(), device: sample().device}
	rapid.Check(t, func(rt *rapid.T) {
		rendered, err := Render(scripts().Draw(rt, "template").revision(rt), v.user, optionsOf(v))
		if err != nil {
			rt.Fatalf("refused for a harmless user: %v", err)
		}
		profile, err := mobileconfig.Decode(inspected(rt, rendered))
		if err != nil {
			rt.Fatal(err)
		}
		for _, fault := range schema.ProfileFaults(profile) {
			rt.Errorf("Apple's schema: %s", fault)
		}
	})
}
