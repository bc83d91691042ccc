package mobileconfig

import "sallyport/internal/refusal"

// Encode writes the profile as an XML property list, unsigned. The same profile
// always gives the same bytes. It is built from a tree of values, never from
// text, so that no value can become a key. A profile that holds a secret is
// refused with ErrSecret: Encrypt it.
func (p Profile) Encode() ([]byte, error) {
	if p.Secret() {
		return nil, refusal.New(ErrSecret, "", "the profile holds a password or a private key and may not be written in the clear", "encrypt it to the phone")
	}
	return p.write(sent)
}

// EncodeForInspection writes the profile as Encode does, but with "[redacted]"
// in the place of every secret: for people to look at, no phone can use it. Its
// PayloadUUID is that of the real one.
func (p Profile) EncodeForInspection() ([]byte, error) { return p.write(shown) }

func (p Profile) write(m mode) ([]byte, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	dict := p.head(p.TopUUID(), m)
	dict["PayloadContent"] = p.content(m)
	return encode(dict)
}

// TopUUID is the PayloadUUID of the profile as a whole: derived from its content
// less one-time challenges, with the revisions of passwords and keys in their
// place. A phone reports nothing else of an encrypted profile, so this is what
// tells which revision it has; and everybody may see it, so that it must not
// let anybody try out passwords.
func (p Profile) TopUUID() string {
	if p.UUID != "" {
		return p.UUID
	}
	dict := p.head("", canonical)
	dict["PayloadContent"] = p.content(canonical)
	canonical, err := encode(dict)
	if err != nil {
		// encode fails on types that head and content do not produce.
		panic(err)
	}
	return v5(canonical)
}

// head is the top level without its content.
func (p Profile) head(topUUID string, m mode) map[string]any {
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
	keep(dict, "", p.Kept, p.KeptRevision, m)
	return dict
}

func (p Profile) content(m mode) []any {
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
		payload.fill(dict, m)
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

// toggle writes a switch only where it is on: all of these are off by Apple's default.
func toggle(dict map[string]any, key string, on bool) {
	if on {
		dict[key] = true
	}
}
