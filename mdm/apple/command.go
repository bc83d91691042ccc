package apple

import (
	"errors"
	"fmt"

	"sallyport/internal/refusal"
)

// ErrCommand says that a command cannot be sent as it is: a required key is
// missing, or an admin's own words are no command.
var ErrCommand = errors.New("invalid MDM command")

// Command is one MDM command's payload: the Command dictionary without its
// CommandUUID (https://developer.apple.com/documentation/devicemanagement/commands-and-queries).
// The commands that we speak stand in command_*.go; Raw is for all others.
type Command interface {
	// RequestType is the value of that key on the wire.
	RequestType() string
	// keys are the other keys of the dictionary. ErrCommand when a required one
	// has no value. The caller may change the map, not what it holds.
	keys() (map[string]any, error)
}

// dictionary is the Command dictionary as it goes to the phone.
func dictionary(c Command) (map[string]any, error) {
	if c == nil {
		return nil, fmt.Errorf("%w: none given", ErrCommand)
	}
	dict, err := c.keys()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.RequestType(), err)
	}
	dict["RequestType"] = c.RequestType()
	return dict, nil
}

// bare are the keys of a command that has none beside its RequestType.
func bare() (map[string]any, error) { return map[string]any{}, nil }

// need refuses a command without a key that Apple requires.
func need(key string, present bool) error {
	if present {
		return nil
	}
	return refusal.New(ErrCommand, key, "is missing", "")
}

// set writes an optional key: an absent one means Apple's own default.
func set[T comparable](dict map[string]any, key string, value T) {
	var zero T
	if value != zero {
		dict[key] = value
	}
}

// list writes an optional array.
func list(dict map[string]any, key string, values []string) {
	if len(values) > 0 {
		dict[key] = values
	}
}
