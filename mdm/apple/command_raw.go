package apple

import (
	"fmt"
	"regexp"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

// MaxRaw bounds a command in an admin's own words, and the answer to one that is kept.
const MaxRaw = 64 << 10

// Raw is a command in an admin's own words. ParseRaw makes one; it never
// prints, since it may hold a secret.
type Raw struct {
	requestType string
	body        secret.Value // the Command dictionary as an XML property list
}

// requestTypes are spelled like Apple's: nothing can hide in one.
var requestTypes = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9.]{0,99}$`)

// ParseRaw reads a Command dictionary: an XML property list of at most MaxRaw
// bytes with its RequestType, without the envelope around it. What is sent later
// is encoded anew from what was understood here. ErrCommand otherwise.
func ParseRaw(body []byte) (Raw, error) {
	var dict map[string]any
	if err := bounded.DecodePlist(body, MaxRaw, bounded.MaxDepth, &dict); err != nil {
		return Raw{}, refusal.New(ErrCommand, "", fmt.Sprintf("is not an XML property list of one dictionary: %v", err),
			fmt.Sprintf("write the Command dictionary as XML, at most %d bytes", MaxRaw))
	}
	for _, key := range []string{"Command", "CommandUUID"} {
		if _, ok := dict[key]; ok {
			return Raw{}, refusal.New(ErrCommand, key, "belongs to the envelope, which is added here", "give the Command dictionary alone")
		}
	}
	name, ok := dict["RequestType"].(string)
	if !ok {
		return Raw{}, refusal.New(ErrCommand, "RequestType", "is missing or not a string", "name the command as Apple does")
	}
	if !requestTypes.MatchString(name) {
		return Raw{}, refusal.New(ErrCommand, "RequestType", "is not spelled like a command", "use letters only, without spaces around it")
	}
	return Raw{requestType: name, body: secret.New(string(body))}, nil
}

// Format prints the name alone: fmt would look behind a secret in a field that
// is not exported.
func (r Raw) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "raw %q", r.requestType) }

// RequestType implements Command.
func (r Raw) RequestType() string { return r.requestType }

// Text returns the string under a key of the dictionary, for example the
// Identifier of a RemoveProfile; empty when there is none.
func (r Raw) Text(key string) string {
	dict, _ := r.keys()
	text, _ := dict[key].(string)
	return text
}

// Data returns the bytes under a key of the dictionary, for example the Payload
// of an InstallProfile; nil when there are none.
func (r Raw) Data(key string) []byte {
	dict, _ := r.keys()
	data, _ := dict[key].([]byte)
	return data
}

func (r Raw) keys() (map[string]any, error) {
	if r.body.IsZero() {
		return nil, fmt.Errorf("%w: made without ParseRaw", ErrCommand)
	}
	dict := map[string]any{}
	if err := bounded.DecodePlist([]byte(r.body.Reveal()), MaxRaw, bounded.MaxDepth, &dict); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommand, err)
	}
	return dict, nil
}
