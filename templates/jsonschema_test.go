package templates_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"sallyport/templates"
	"sallyport/templates/builtin"
)

// validator compiles a schema against the 2020-12 meta-schema.
func validator(t *testing.T, made func() ([]byte, error)) func(source string) error {
	t.Helper()
	text, err := made()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return func(source string) error {
		var v any
		if err := yaml.Unmarshal([]byte(source), &v); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return schema.Validate(instance)
	}
}

func TestStartersSatisfyTheSchema(t *testing.T) {
	validate := validator(t, templates.JSONSchema)
	starters, err := builtin.Starters()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range starters {
		if err := validate(s.Source); err != nil {
			t.Errorf("%s: %v", s.Name, err)
		}
	}
}

// TestGoldenTemplatesSatisfyTheSchema: an editor finds nothing wrong with what
// Parse accepts.
func TestGoldenTemplatesSatisfyTheSchema(t *testing.T) {
	names, err := filepath.Glob(filepath.Join("testdata", "golden", "*", "*.txtar"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no golden templates: %v", err)
	}
	template, policy := validator(t, templates.JSONSchema), validator(t, templates.SecurityJSONSchema)
	for _, name := range names {
		archive, err := txtar.ParseFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range archive.Files {
			switch _, parsed := templates.Parse(file.Data); {
			case filepath.Ext(file.Name) != ".yaml":
				continue
			case parsed == nil:
				err = template(string(file.Data))
			default:
				if _, parsed := templates.ParseSecurity(file.Data); parsed != nil {
					continue // refused, as it should be
				}
				err = policy(string(file.Data))
			}
			if err != nil {
				t.Errorf("%s, %s: %v", name, file.Name, err)
			}
		}
	}
}

// TestSchemaAgreesWithParse: what the schema says of one document, Parse says too.
func TestSchemaAgreesWithParse(t *testing.T) {
	const mail = "name: mail\naccounts:\n- name: Mail\n  host: mail.example.test\n  "
	tests := map[string]bool{ // accepted
		mail + "ssl: true":                                                           true,
		mail + "ssl: 1":                                                              false,
		mail + "surprise: true":                                                      false,
		mail + "identity: scep":                                                      true,
		mail + "identity: acme":                                                      false,
		mail + "host_type: office365":                                                true,
		mail + "host_type: imap":                                                     false,
		mail + "days_to_keep_offline: 0":                                             true,
		mail + "days_to_keep_offline: 31":                                            true,
		mail + "days_to_keep_offline: 2":                                             false,
		mail + "password: {secret: mail-password}":                                   true,
		mail + "password: {}":                                                        false,
		mail + "password: hunter2":                                                   false,
		mail + "sync: {mail: {enabled: false, locked: true}}":                        true,
		mail + "sync: {mail: off}":                                                   false,
		mail + "smime: {sign: {identity: scep}}":                                     false,
		mail + "smime: {sign: {identity: pkcs12, pkcs12: smime}}":                    true,
		mail + "smime: {sign: {identity: smime}, encrypt: {identity: smime}}":        true,
		mail + "identity: smime":                                                     false,
		"name: mail\naccounts: []":                                                   false,
		"name: mail":                                                                 false,
		"name: Mail!\naccounts: [{name: M, host: h}]":                                false,
		"name: mail\naccounts: [{name: M}]":                                          false,
		"name: mail\naccounts: [{name: M, host_type: office365}]":                    true,
		"name: mail\npriority: 1000\naccounts: [{name: M, host: h}]":                 true,
		"name: mail\npriority: 1001\naccounts: [{name: M, host: h}]":                 false,
		"name: mail\nassign: everyone\naccounts: [{name: M, host: h}]":               true,
		"name: mail\nassign: all\naccounts: [{name: M, host: h}]":                    false,
		"name: mail\nexclude: {groups: [board]}\naccounts: [{name: M, host: h}]":     true,
		"name: mail\nassign: {group: [sales]}\naccounts: [{name: M, host: h}]":       false,
		"name: mail\ndisplay_name: Company mail\naccounts: [{name: M, host: h}]":     true,
		"name: mail\ndisplay_name: [Company mail]\naccounts: [{name: M, host: h}]":   false,
		"name: mail\nandroid: {app: samsung}\naccounts: [{name: M, host: h}]":        true,
		"name: mail\nandroid: {app: pine}\naccounts: [{name: M, host: h}]":           false,
		"name: mail\nandroid: {}\naccounts: [{name: M, host: h}]":                    true,
		"name: mail\naccounts: [{name: M, host: h, oauth: {enabled: true}}]":         true,
		"name: mail\naccounts: [{name: M, host: h, oauth: {enabled: true, url: x}}]": false,
	}
	agree(t, validator(t, templates.JSONSchema), tests, func(source []byte) error {
		_, err := templates.Parse(source)
		return err
	})
}

func TestSecuritySchemaAgreesWithParse(t *testing.T) {
	const policy = "name: staff\nassign: everyone\nsettings:\n  require_passcode: true\n  "
	tests := map[string]bool{
		policy + "minimum_length: 6":                                  true,
		policy + "minimum_length: 0":                                  true,
		policy + "minimum_length: 16":                                 true,
		policy + "minimum_length: 17":                                 false,
		policy + "minimum_length: -1":                                 false,
		policy + "minimum_character_sets: 5":                          false,
		policy + "inactivity_seconds: 59":                             false,
		policy + "inactivity_seconds: 3600":                           true,
		policy + "history: 51":                                        false,
		policy + "expiry_days: 730":                                   true,
		policy + "expiry_days: 731":                                   false,
		policy + "failed_attempts: 3":                                 false,
		policy + "failed_attempts: 4":                                 true,
		policy + "failed_attempts: 17":                                false,
		policy + "allow_simple: false":                                true,
		policy + "camera: false":                                      false,
		policy + "allow_simple: false\nandroid: {minimum_os: \"13\"}": true,
		policy + "allow_simple: false\nandroid: {minimum_os: \"7\"}":  false,
		policy + "allow_simple: false\nandroid: {enforcement: {block_after_days: 0, wipe_after_days: 30}}":    true,
		policy + "allow_simple: false\nandroid: {enforcement: {wipe_after_days: 30}}":                         false,
		policy + "allow_simple: false\nandroid: {enforcement: {block_after_days: 1}}":                         false,
		policy + "allow_simple: false\nandroid: {enforcement: {}}":                                            false,
		policy + "allow_simple: false\nandroid: {enforcement: {block_after_days: -1, wipe_after_days: 30}}":   false,
		policy + "allow_simple: false\nandroid: {enforcement: {block_after_days: 365, wipe_after_days: 366}}": false,
		"name: staff":                         false,
		"name: staff\nsettings: {}\nrules: 1": false,
	}
	agree(t, validator(t, templates.SecurityJSONSchema), tests, func(source []byte) error {
		_, err := templates.ParseSecurity(source)
		return err
	})
}

func agree(t *testing.T, validate func(string) error, tests map[string]bool, parse func([]byte) error) {
	t.Helper()
	for source, accepted := range tests {
		if err := validate(source); (err == nil) != accepted {
			t.Errorf("schema: %s\ngot %v, want accepted %v", source, err, accepted)
		}
		if err := parse([]byte(source)); (err == nil) != accepted {
			t.Errorf("parse: %s\ngot %v, want accepted %v", source, err, accepted)
		}
	}
}
