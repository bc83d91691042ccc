package mobileconfig

import (
	"bytes"
	"fmt"

	"howett.net/plist"
)

// Encode writes the profile as an XML property list, unsigned. The same profile
// always gives the same bytes. It is built from a tree of values, never from
// text, so that no value can become a key.
func (p Profile) Encode() ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	dict := p.head(p.TopUUID())
	dict["PayloadContent"] = p.content(true)
	return encode(dict)
}

// TopUUID is the PayloadUUID of the profile as a whole: derived from its content
// less one-time challenges. A phone reports nothing else of an encrypted
// profile, so this is what tells which revision it has.
func (p Profile) TopUUID() string {
	if p.UUID != "" {
		return p.UUID
	}
	dict := p.head("")
	dict["PayloadContent"] = p.content(false)
	canonical, err := encode(dict)
	if err != nil {
		// encode fails on types that head and content do not produce.
		panic(err)
	}
	return v5(canonical)
}

// head is the top level without its content.
func (p Profile) head(topUUID string) map[string]any {
	dict := map[string]any{
		"PayloadType":       "Configuration",
		"PayloadVersion":    1,
		"PayloadIdentifier": p.Identifier,
		"PayloadUUID":       topUUID,
	}
	text(dict, "PayloadDisplayName", p.DisplayName)
	text(dict, "PayloadDescription", p.Description)
	text(dict, "PayloadOrganization", p.Organization)
	if p.RemovalDisallowed {
		dict["PayloadRemovalDisallowed"] = true
	}
	return dict
}

func (p Profile) content(secrets bool) []any {
	content := make([]any, 0, len(p.Payloads))
	for _, payload := range p.Payloads {
		h := payload.Header()
		dict := map[string]any{
			"PayloadType":       payload.Type(),
			"PayloadVersion":    1,
			"PayloadIdentifier": h.Identifier,
			"PayloadUUID":       h.UUID,
		}
		text(dict, "PayloadDisplayName", h.DisplayName)
		text(dict, "PayloadDescription", h.Description)
		text(dict, "PayloadOrganization", h.Organization)
		payload.fill(dict, secrets)
		content = append(content, dict)
	}
	return content
}

// text writes a key only where it has a value.
func text(dict map[string]any, key, value string) {
	if value != "" {
		dict[key] = value
	}
}

// encode writes dictionaries with their keys sorted.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := plist.NewEncoderForFormat(&b, plist.XMLFormat)
	e.Indent("\t")
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("encode profile: %w", err)
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
