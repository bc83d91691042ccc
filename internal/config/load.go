package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"sallyport/internal/refusal"
)

// EnvPrefix begins the name of every variable that is ours.
const EnvPrefix = "SALLYPORT_"

// agentPrefix begins the variables of sallyport-agent, which may stand in the
// same shell.
const agentPrefix = EnvPrefix + "AGENT_"

// clientVariables belong to the command line's client half, not to the server.
func clientVariables() []string { return []string{"SALLYPORT_TOKEN", "SALLYPORT_SERVER"} }

// Origin says where a setting's value came from.
type Origin string

const (
	FromDefault     Origin = "default"
	FromFile        Origin = "file"
	FromEnvironment Origin = "environment"
	FromFlag        Origin = "flag"
)

// layer is one source of settings, by key.
type layer struct {
	origin Origin
	values map[string]any
	// name is how a person wrote the key in this source.
	name func(key string) string
}

// Load reads flags over env ("NAME=value", as from os.Environ) over the YAML
// file (none when file is empty) over the defaults. Flags go by setting key;
// only those that were given may be in the map.
//
// The error names every fault at once: keys that nobody knows, with the nearest
// known one, values that cannot be read, and all that Validate finds. The
// Config is returned even then, as far as it could be read, so that it can be shown.
func Load(path string, environ []string, flags map[string]any) (Config, error) {
	c := Default()
	c.origin = map[string]Origin{}
	layers, err := read(path, environ, flags)
	if err != nil {
		return c, err
	}
	var faults refusal.List
	for _, l := range layers {
		faults = append(faults, apply(&c, l)...)
	}
	takeKeys(&c, environ)
	c.normalize()
	for _, fault := range refusal.All(c.Validate()) {
		// What could not be read at all is still at its default: one fault is enough.
		if !slices.ContainsFunc(faults, func(f *refusal.Error) bool { return f.Field == fault.Field }) {
			faults = append(faults, fault)
		}
	}
	return c, faults.OrNil()
}

// read returns the layers, the weakest first.
func read(path string, environ []string, flags map[string]any) ([]layer, error) {
	var layers []layer
	if path != "" {
		// The delimiter cannot occur in a key, so that a nested mapping stays one
		// value, and is refused as such.
		k := koanf.New("\x00")
		if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
			return nil, refusal.New(ErrInvalid, "config", fmt.Sprintf("cannot read %s: %v", path, err), "correct the file, or name another with --config")
		}
		layers = append(layers, layer{FromFile, k.Raw(), func(key string) string { return key }})
	}
	k := koanf.New("\x00")
	provider := env.Provider("", env.Opt{Prefix: EnvPrefix, TransformFunc: fromEnv, EnvironFunc: func() []string { return environ }})
	if err := k.Load(provider, nil); err != nil {
		return nil, fmt.Errorf("read environment: %w", err)
	}
	layers = append(layers, layer{FromEnvironment, k.Raw(), toEnv})

	k = koanf.New("\x00")
	if err := k.Load(confmap.Provider(flags, ""), nil); err != nil {
		return nil, fmt.Errorf("read flags: %w", err)
	}
	return append(layers, layer{FromFlag, k.Raw(), toFlag}), nil
}

// apply writes a layer into c and refuses what it cannot.
func apply(c *Config, l layer) refusal.List {
	var faults refusal.List
	left := make(map[string]bool, len(l.values))
	for key := range l.values {
		left[key] = true
	}
	for _, s := range settings() {
		value, given := l.values[s.key]
		if !given {
			continue
		}
		delete(left, s.key)
		text, err := scalar(value)
		if err == nil {
			err = assign(s.at(c), text)
		}
		if err != nil {
			// The value itself is not repeated: it could be a secret in the wrong place.
			faults = append(faults, refusal.New(ErrInvalid, l.name(s.key), err.Error(), s.help))
			continue
		}
		c.origin[s.key] = l.origin
	}
	for _, key := range sortedKeys(left) {
		remedy := "remove it; sallyport config show lists every setting"
		if near := nearest(key, Keys()); near != "" {
			remedy = fmt.Sprintf("did you mean %s?", l.name(near))
		}
		faults = append(faults, refusal.New(ErrInvalid, l.name(key), fmt.Sprintf("unknown setting in the %s", l.origin), remedy))
	}
	return faults
}

// fromEnv turns SALLYPORT_LISTEN_HTTP into listen_http. A variable that is set
// to nothing counts as not set, as service managers and compose files leave
// them behind.
func fromEnv(name, value string) (string, any) {
	if value == "" || slices.Contains(clientVariables(), name) || slices.Contains(keyVariables(), name) || strings.HasPrefix(name, agentPrefix) {
		return "", nil
	}
	return strings.ToLower(strings.TrimPrefix(name, EnvPrefix)), value
}

func toEnv(key string) string { return EnvPrefix + strings.ToUpper(key) }

func toFlag(key string) string { return "--" + strings.ReplaceAll(key, "_", "-") }

func sortedKeys(m map[string]bool) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
