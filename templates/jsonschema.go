package templates

import (
	_ "embed" // the fields' descriptions
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"sallyport/enroll/directory"
	"sallyport/profiles"
	"sallyport/profiles/managedconfig"
)

// fieldTexts says of each field of a document what it means: "Type.field" to
// the doc comment in the Go source. A test writes the file from the sources
// (-update) and fails while it is not current.
//
//go:embed fields.json
var fieldTexts []byte

// schemaDialect is the meta-schema that JSONSchema's answers satisfy.
const schemaDialect = "https://json-schema.org/draft/2020-12/schema"

// JSONSchema is the JSON Schema of a template document, for editors that
// complete and check YAML. It is made from Spec by reflection, so that every key
// is in it and no other. It promises less than Parse: rules between fields and
// variables are beyond it.
func JSONSchema() ([]byte, error) {
	return jsonSchema("Sallyport EAS template", reflect.TypeFor[Spec]())
}

// SecurityJSONSchema is the same of a security policy document.
func SecurityJSONSchema() ([]byte, error) {
	return jsonSchema("Sallyport security policy", reflect.TypeFor[SecuritySpec]())
}

func jsonSchema(title string, document reflect.Type) ([]byte, error) {
	m := schemaMaker{limits: schemaLimits()}
	if err := json.Unmarshal(fieldTexts, &m.texts); err != nil {
		return nil, fmt.Errorf("read field descriptions: %w", err)
	}
	schema := m.object(document)
	schema["$schema"] = schemaDialect
	schema["title"] = title
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(text, '\n'), nil
}

// schemaNode is one JSON Schema; encoding/json sorts its keys.
type schemaNode = map[string]any

type schemaMaker struct {
	texts  map[string]string
	limits map[string]schemaNode
}

// of is the schema of a type as yamldoc reads it.
func (m schemaMaker) of(t reflect.Type) schemaNode {
	switch t {
	case reflect.TypeFor[directory.Audience]():
		return audienceSchema()
	case reflect.TypeFor[profiles.HostType]():
		return schemaNode{"enum": []profiles.HostType{profiles.OnPremises, profiles.Office365}}
	case reflect.TypeFor[profiles.IdentitySource]():
		return schemaNode{"enum": []profiles.IdentitySource{profiles.IdentityNone, profiles.IdentitySCEP, profiles.IdentityPKCS12, profiles.IdentitySMIME}}
	}
	switch t.Kind() {
	case reflect.Pointer:
		return m.of(t.Elem())
	case reflect.Struct:
		return m.object(t)
	case reflect.Slice:
		return schemaNode{"type": "array", "items": m.of(t.Elem())}
	case reflect.Bool:
		return schemaNode{"type": "boolean"}
	case reflect.Int:
		return schemaNode{"type": "integer"}
	default:
		return schemaNode{"type": "string"}
	}
}

func (m schemaMaker) object(t reflect.Type) schemaNode {
	properties := schemaNode{}
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		if name == "" || name == "-" {
			continue
		}
		path := t.Name() + "." + name
		property := m.of(field.Type)
		if text := m.texts[path]; text != "" {
			property["description"] = text
		}
		for key, value := range m.limits[path] {
			property[key] = value
		}
		properties[name] = property
	}
	object := schemaNode{"type": "object", "properties": properties, "additionalProperties": false}
	for key, value := range m.limits[t.Name()] {
		object[key] = value
	}
	return object
}

// audienceSchema is the form that directory.Audience reads.
func audienceSchema() schemaNode {
	names := schemaNode{"type": "array", "items": schemaNode{"type": "string", "minLength": 1}}
	return schemaNode{"oneOf": []schemaNode{
		{"const": "everyone"},
		{
			"type": "object", "additionalProperties": false,
			"properties": schemaNode{"groups": names, "users": names},
		},
	}}
}

// schemaLimits is what the Go types do not say: what must be there, ranges, and
// defaults. A test holds each of them against Validate.
func schemaLimits() map[string]schemaNode {
	signInSources := []profiles.IdentitySource{profiles.IdentityNone, profiles.IdentitySCEP, profiles.IdentityPKCS12}
	smimeSources := []profiles.IdentitySource{profiles.IdentityNone, profiles.IdentitySMIME, profiles.IdentityPKCS12}
	return map[string]schemaNode{
		"Spec":              {"required": []string{"name", "accounts"}},
		"Spec.name":         {"pattern": templateName.String()},
		"Spec.display_name": {"maxLength": maxText},
		"Spec.priority":     {"minimum": -1000, "maximum": 1000, "default": 0},
		"Spec.accounts":     {"minItems": 1, "maxItems": maxAccounts},
		"AndroidSpec.app":   {"enum": managedconfig.Apps(), "default": managedconfig.AppGmail},

		"ExchangeAccount": {
			"required": []string{"name"},
			"anyOf": []schemaNode{
				{"required": []string{"host"}},
				{"required": []string{"host_type"}, "properties": schemaNode{"host_type": schemaNode{"const": profiles.Office365}}},
			},
		},
		"ExchangeAccount.host_type":            {"default": profiles.OnPremises},
		"ExchangeAccount.user_name":            {"default": "%upn%"},
		"ExchangeAccount.email":                {"default": "%email%"},
		"ExchangeAccount.ssl":                  {"default": true},
		"ExchangeAccount.identity":             {"default": profiles.IdentityNone, "enum": signInSources},
		"ExchangeAccount.days_to_keep_offline": {"enum": []int{0, 1, 3, 7, 14, 31}},
		"PasswordSource":                       {"required": []string{"secret"}},
		"SMIMESign.identity":                   {"enum": smimeSources},
		"SMIMEEncrypt.identity":                {"enum": smimeSources},
		"Service.enabled":                      {"default": true},
		"Service.locked":                       {"default": false},

		"SecuritySpec":                          {"required": []string{"name", "settings"}},
		"SecuritySpec.name":                     {"pattern": templateName.String()},
		"SecuritySpec.priority":                 {"minimum": -1000, "maximum": 1000, "default": 0},
		"AndroidPolicy.minimum_os":              {"enum": profiles.AndroidVersions()},
		"AndroidEnforcement":                    {"required": []string{"block_after_days", "wipe_after_days"}},
		"AndroidEnforcement.block_after_days":   {"minimum": 0, "maximum": profiles.MaxEnforcementDays - 1},
		"AndroidEnforcement.wipe_after_days":    {"minimum": 1, "maximum": profiles.MaxEnforcementDays},
		"SecurityPolicy":                        {"minProperties": 1},
		"SecurityPolicy.allow_simple":           {"default": true},
		"SecurityPolicy.minimum_length":         zeroOr(1, 16),
		"SecurityPolicy.minimum_character_sets": zeroOr(1, 4),
		"SecurityPolicy.inactivity_seconds":     zeroOr(60, 3600),
		"SecurityPolicy.history":                zeroOr(1, 50),
		"SecurityPolicy.expiry_days":            zeroOr(1, 730),
		"SecurityPolicy.failed_attempts":        zeroOr(4, 16),
	}
}

// zeroOr is a number within a range, or 0 for what is not asked for.
func zeroOr(least, most int) schemaNode {
	return schemaNode{"anyOf": []schemaNode{{"const": 0}, {"minimum": least, "maximum": most}}}
}
