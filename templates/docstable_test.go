package templates_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/enroll/directory"
	"sallyport/internal/secret"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

var docsFile = filepath.Join("..", "docs", "templates.md")

// TestDocsAreCurrent keeps the made parts of docs/templates.md equal to the
// types: what stands between "<!-- begin NAME" and "<!-- end NAME -->". The rest
// is prose.
func TestDocsAreCurrent(t *testing.T) {
	text, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	made := string(text)
	for name, table := range map[string]string{
		"template fields":          documentTable(t, templates.JSONSchema, reflect.TypeFor[templates.Spec]()),
		"security policy fields":   documentTable(t, templates.SecurityJSONSchema, reflect.TypeFor[templates.SecuritySpec]()),
		"settings on each target":  settingsTable(t),
		"security policy on Apple": passcodeTable(t),
		"variables":                variablesTable(),
	} {
		made = replacePart(t, made, name, table)
	}
	current(t, docsFile, []byte(made))
}

func replacePart(t *testing.T, text, name, part string) string {
	t.Helper()
	begin := "<!-- begin " + name + ": made by go test ./templates -update-docs -->\n"
	end := "<!-- end " + name + " -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no part %q", docsFile, name)
	}
	return before + begin + "\n" + part + "\n" + end + after
}

func row(cells ...string) string {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(strings.ReplaceAll(c, "|", `\|`), "\n", " ")
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func header(names ...string) string {
	return row(names...) + strings.Repeat("|---", len(names)) + "|\n"
}

// documentTable lists every key of a document, in the order of the Go fields.
func documentTable(t *testing.T, made func() ([]byte, error), document reflect.Type) string {
	t.Helper()
	text, err := made()
	if err != nil {
		t.Fatal(err)
	}
	var schema property
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	lines := map[string][]string{}
	schema.lines("", lines)
	table := header("Field", "Type", "Default", "Meaning")
	for _, path := range paths("", document) {
		if lines[path] == nil {
			t.Errorf("%s is not in the schema", path)
			continue
		}
		table += row(append([]string{"`" + path + "`"}, lines[path]...)...)
		delete(lines, path)
	}
	for path := range lines {
		t.Errorf("%s is in the schema only", path)
	}
	return table
}

// paths lists the keys of a struct and of what is in it.
func paths(prefix string, t reflect.Type) []string {
	var found []string
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		inner := t.Field(i).Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		path := prefix + key
		if inner.Kind() == reflect.Slice {
			path, inner = path+"[]", inner.Elem()
		}
		found = append(found, path)
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[directory.Audience]() {
			found = append(found, paths(path+".", inner)...)
		}
	}
	return found
}

// property is the part of a JSON Schema that people read.
type property struct {
	Type        string              `json:"type"`
	Description string              `json:"description"`
	Default     any                 `json:"default"`
	Enum        []any               `json:"enum"`
	OneOf       []any               `json:"oneOf"`
	Minimum     *float64            `json:"minimum"`
	Maximum     *float64            `json:"maximum"`
	AnyOf       []property          `json:"anyOf"`
	Items       *property           `json:"items"`
	Properties  map[string]property `json:"properties"`
	Required    []string            `json:"required"`
}

// lines writes type, default and meaning of each key under its path.
func (p property) lines(path string, found map[string][]string) {
	for name, inner := range p.Properties {
		byDefault := ""
		switch {
		case slices.Contains(p.Required, name):
			byDefault = "**required**"
		case inner.Default != nil:
			byDefault = fmt.Sprintf("`%v`", inner.Default)
		case inner.Type == "boolean" && !strings.Contains(inner.Description, "default: "):
			byDefault = "`false`"
		}
		field := path + name
		if inner.Items != nil {
			field += "[]"
			inner.Items.lines(field+".", found)
		}
		inner.lines(field+".", found)
		found[field] = []string{inner.words(), byDefault, inner.Description}
	}
}

func (p property) words() string {
	switch {
	case len(p.Enum) > 0:
		var words []string
		for _, v := range p.Enum {
			words = append(words, fmt.Sprintf("`%v`", v))
		}
		return strings.Join(words, ", ")
	case len(p.OneOf) > 0:
		return "`everyone`, or `groups` and `users`"
	case p.Minimum != nil && p.Maximum != nil:
		return fmt.Sprintf("number, %v to %v", *p.Minimum, *p.Maximum)
	case len(p.AnyOf) == 2 && p.AnyOf[1].Maximum != nil:
		return fmt.Sprintf("number, %v to %v; 0: not asked for", *p.AnyOf[1].Minimum, *p.AnyOf[1].Maximum)
	}
	return map[string]string{"string": "text", "boolean": "true, false", "integer": "number", "array": "list", "object": "mapping"}[p.Type]
}

func variablesTable() string {
	table := header("Variable", "Also", "Value", "When empty", "Never told by", "Meaning")
	for _, v := range templates.Variables() {
		var aliases []string
		for _, a := range v.Aliases {
			aliases = append(aliases, "`%"+a+"%`")
		}
		value, empty := "user's `"+v.Source+"`", "refused"
		if v.Device {
			value = "phone's " + v.Source
		}
		if v.MayBeEmpty {
			empty = "nothing"
		}
		table += row("`%"+v.Name+"%`", strings.Join(aliases, " "), value, empty, strings.Join(v.Lacking, ", "), v.Description)
	}
	return table
}

// sample makes one setting of an account. What it needs is made in the account
// that it is compared with too; what belongs to it (also) is not.
type sample struct {
	field, value string
	needs        []sample
	also         []sample
}

// samples has a row for each setting of an account.
func samples() []sample {
	on := func(fields ...string) []sample {
		var list []sample
		for _, f := range fields {
			field, value, _ := strings.Cut(f, "=")
			list = append(list, sample{field: field, value: value})
		}
		return list
	}
	return []sample{
		{"name", "Another name", nil, nil},
		{"host_type", "office365", nil, nil},
		{"host", "other.example.test", nil, nil},
		{"user_name", "bob", nil, nil},
		{"domain", "EXAMPLE", nil, nil},
		{"email", "bob@example.test", nil, nil},
		{"ssl", "false", nil, nil},
		{"password.secret", "mail-password", nil, nil},
		{"override_previous_password", "true", on("password.secret=mail-password"), nil},
		{"identity", "scep", nil, nil},
		{"pkcs12", "mail-identity", nil, on("identity=pkcs12")},
		{"oauth.enabled", "true", nil, nil},
		{"oauth.sign_in_url", "https://login.example.test/authorize", on("oauth.enabled=true"), nil},
		{"oauth.token_url", "https://login.example.test/token", on("oauth.enabled=true", "oauth.sign_in_url=https://login.example.test/authorize"), nil},
		{"prevent_move", "true", nil, nil},
		{"block_non_mail_apps", "true", nil, nil},
		{"disable_recents_sync", "true", nil, nil},
		{"allow_mail_drop", "true", nil, nil},
		{"audio_call_app", "com.example.phone", nil, nil},
		{"smime.sign.enabled", "true", nil, nil},
		{"smime.sign.identity", "smime", nil, nil},
		{"smime.sign.pkcs12", "smime-identity", nil, on("smime.sign.identity=pkcs12")},
		{"smime.sign.user_may_change", "true", nil, nil},
		{"smime.sign.user_may_change_identity", "true", nil, nil},
		{"smime.encrypt.by_default", "true", nil, nil},
		{"smime.encrypt.identity", "smime", nil, nil},
		{"smime.encrypt.pkcs12", "smime-identity", nil, on("smime.encrypt.identity=pkcs12")},
		{"smime.encrypt.user_may_change", "true", nil, nil},
		{"smime.encrypt.user_may_change_identity", "true", nil, nil},
		{"smime.encrypt.per_message_switch", "true", nil, nil},
		{"sync.mail.enabled", "false", nil, nil}, {"sync.mail.locked", "true", nil, nil},
		{"sync.contacts.enabled", "false", nil, nil}, {"sync.contacts.locked", "true", nil, nil},
		{"sync.calendar.enabled", "false", nil, nil}, {"sync.calendar.locked", "true", nil, nil},
		{"sync.reminders.enabled", "false", nil, nil}, {"sync.reminders.locked", "true", nil, nil},
		{"sync.notes.enabled", "false", nil, nil}, {"sync.notes.locked", "true", nil, nil},
		{"days_to_keep_offline", "14", nil, nil},
	}
}

// TestEverySettingHasASample fails when a field is added to the account and not
// to the manual.
func TestEverySettingHasASample(t *testing.T) {
	var want, got []string
	leaves("", reflect.TypeFor[profiles.ExchangeAccount](), &want)
	for _, s := range samples() {
		got = append(got, s.field)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got samples of %v\nwant of %v", got, want)
	}
}

func leaves(path string, t reflect.Type, found *[]string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		*found = append(*found, strings.TrimSuffix(path, "."))
		return
	}
	for i := range t.NumField() {
		key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		leaves(path+key+".", t.Field(i).Type, found)
	}
}

// settingsTable says by trying what becomes of each setting.
func settingsTable(t *testing.T) string {
	t.Helper()
	table := header("Setting", "Apple key", "Apple", "Gmail on Android", "Outlook on Android", "Samsung Email", "Nine Work")
	for _, s := range samples() {
		without, with := sampleAccount(t, s.needs), sampleAccount(t, slices.Concat(s.needs, s.also, []sample{s}))
		_, gmail, err := managedconfig.Gmail(with)
		if err != nil {
			t.Fatalf("%s: %v", s.field, err)
		}
		_, outlook, err := managedconfig.Outlook(with, managedconfig.Android)
		if err != nil { // an account that the app cannot set up at all
			outlook = profiles.Report{{Field: s.field, Status: "refused"}}
		}
		keys := appleKeys(t, without, with)
		table += row("`"+s.field+": "+s.value+"`", keys, became(mobileconfig.Fidelity(with, ""), s.field), became(gmail, s.field), became(outlook, s.field),
			becameIn(managedconfig.AppSamsung, with, s.field), becameIn(managedconfig.AppNine, with, s.field))
	}
	return table
}

// becameIn is what an app makes of a field without its own schema.
func becameIn(app managedconfig.App, a profiles.ExchangeAccount, field string) string {
	r, err := managedconfig.Draft(app, a, managedconfig.Inputs{})
	if err != nil {
		return "refused"
	}
	return became(r.Report, field)
}

// became finds the entry of a field, or of the setting that it is part of.
func became(report profiles.Report, field string) string {
	for path := field; path != ""; path = path[:max(0, strings.LastIndexByte(path, '.'))] {
		for _, f := range report {
			if f.Field == path {
				return string(f.Status)
			}
		}
	}
	if strings.HasSuffix(field, "pkcs12") {
		return became(report, strings.TrimSuffix(field, "pkcs12")+"identity")
	}
	return ""
}

// sampleAccount is an account on premises with those settings made in it.
func sampleAccount(t *testing.T, settings []sample) profiles.ExchangeAccount {
	t.Helper()
	var source strings.Builder
	tree := map[string]any{"name": "Mail", "host": "mail.example.test", "user_name": "alice", "email": "alice@example.test"}
	for _, s := range settings {
		inner := tree
		keys := strings.Split(s.field, ".")
		for _, key := range keys[:len(keys)-1] {
			if inner[key] == nil {
				inner[key] = map[string]any{}
			}
			inner = inner[key].(map[string]any)
		}
		inner[keys[len(keys)-1]] = s.value
	}
	source.WriteString("name: mail\naccounts:\n- ")
	flow(&source, tree)
	spec, err := templates.Parse([]byte(source.String()))
	if err != nil {
		t.Fatalf("%s: %v", source.String(), err)
	}
	return spec.Accounts[0]
}

func flow(b *strings.Builder, v any) {
	tree, ok := v.(map[string]any)
	if !ok {
		fmt.Fprintf(b, "%v", v)
		return
	}
	b.WriteString("{")
	for i, key := range slices.Sorted(maps.Keys(tree)) {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(key + ": ")
		flow(b, tree[key])
	}
	b.WriteString("}")
}

// appleKeys are the keys of the payload that differ between two accounts.
func appleKeys(t *testing.T, a, b profiles.ExchangeAccount) string {
	t.Helper()
	before, after := appleKeysOf(t, a), appleKeysOf(t, b)
	var keys []string
	for key, value := range after {
		if !reflect.DeepEqual(before[key], value) {
			keys = append(keys, "`"+key+"`")
		}
	}
	slices.Sort(keys)
	return strings.Join(keys, ", ")
}

func appleKeysOf(t *testing.T, a profiles.ExchangeAccount) map[string]any {
	t.Helper()
	// One profile with every identity that an account can refer to.
	refs := mobileconfig.Refs{}
	uuid := func(source profiles.IdentitySource, name string) string {
		if source == "" || source == profiles.IdentityNone {
			return ""
		}
		return mobileconfig.UUID(string(source), name)
	}
	refs.Identity = uuid(a.Identity, a.PKCS12)
	refs.Signing = uuid(a.SMIME.Sign.Identity, a.SMIME.Sign.PKCS12)
	refs.Encryption = uuid(a.SMIME.Encrypt.Identity, a.SMIME.Encrypt.PKCS12)
	p := mobileconfig.Profile{Identifier: "test", DisplayName: "Mail"}
	for _, id := range []string{refs.Identity, refs.Signing, refs.Encryption} {
		if id != "" && !slices.ContainsFunc(p.Payloads, func(p mobileconfig.Payload) bool { return p.Header().UUID == id }) {
			p.Payloads = append(p.Payloads, mobileconfig.SCEP{Common: mobileconfig.Common{Identifier: "test." + id, UUID: id}, URL: "https://mdm.example.test/scep", Name: "x", CommonName: "x"})
		}
	}
	if a.Password != nil {
		refs.Password, refs.PasswordRevision = secret.New("x"), "1"
	}
	p.Payloads = append(p.Payloads, mobileconfig.NewEAS(a, mobileconfig.Common{Identifier: "test.eas", UUID: mobileconfig.UUID("eas")}, refs))
	data, err := p.EncodeForInspection()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := mobileconfig.Decode(data)
	if err != nil {
		t.Fatal(err)
	}
	content, _ := tree["PayloadContent"].([]any)
	payload, _ := content[len(content)-1].(map[string]any)
	return payload
}

// passcodeTable says by trying which key of Apple's passcode payload each
// setting of a security policy becomes.
func passcodeTable(t *testing.T) string {
	t.Helper()
	table := header("Setting", "Apple key", "Apple", "")
	form := reflect.TypeFor[profiles.SecurityPolicy]()
	for i := range form.NumField() {
		key, _, _ := strings.Cut(form.Field(i).Tag.Get("yaml"), ",")
		value := "true"
		switch {
		case key == "allow_simple":
			value = "false"
		case form.Field(i).Type.Kind() == reflect.Int:
			value = map[string]string{"inactivity_seconds": "300", "minimum_character_sets": "2"}[key]
			value = cmp.Or(value, "8")
		}
		base := "history: 5" // a policy asks for something
		if key == "history" {
			base = "minimum_length: 4"
		}
		_, before := passcodeKeysOf(t, base)
		policy, after := passcodeKeysOf(t, base+", "+key+": "+value)
		var keys []string
		for name, v := range after {
			if !reflect.DeepEqual(before[name], v) {
				keys = append(keys, "`"+name+"`")
			}
		}
		slices.Sort(keys)
		status, why := "", ""
		for _, f := range mobileconfig.PasscodeFidelity(policy) {
			if f.Field == key {
				status, why = string(f.Status), f.Why
			}
		}
		table += row("`"+key+": "+value+"`", strings.Join(keys, ", "), status, why)
	}
	return table
}

func passcodeKeysOf(t *testing.T, setting string) (profiles.SecurityPolicy, map[string]any) {
	t.Helper()
	spec, err := templates.ParseSecurity([]byte("name: staff\nsettings: {" + setting + "}\n"))
	if err != nil {
		t.Fatal(err)
	}
	p := mobileconfig.Profile{Identifier: "test", Payloads: []mobileconfig.Payload{
		mobileconfig.NewPasscode(spec.Settings, mobileconfig.Common{Identifier: "test.passcode", UUID: mobileconfig.UUID("passcode")}),
	}}
	data, err := p.EncodeForInspection()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := mobileconfig.Decode(bytes.TrimSpace(data))
	if err != nil {
		t.Fatal(err)
	}
	content, _ := tree["PayloadContent"].([]any)
	payload, _ := content[0].(map[string]any)
	return spec.Settings, payload
}
