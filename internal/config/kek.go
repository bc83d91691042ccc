package config

import (
	"slices"
	"strings"

	"sallyport/internal/secret"
)

// Variables that hold keys. They are no settings: nothing else can give them.
const (
	VariableKEK    = EnvPrefix + "KEK"
	VariableKEKNew = EnvPrefix + "KEK_NEW"

	kekFile = "kek_file"
)

func keyVariables() []string { return []string{VariableKEK, VariableKEKNew} }

func takeKeys(c *Config, environ []string) {
	for _, variable := range environ {
		switch name, value, _ := strings.Cut(variable, "="); name {
		case VariableKEK:
			c.KEK = secret.New(value)
		case VariableKEKNew:
			c.KEKNew = secret.New(value)
		}
	}
}

func (c Config) checkKeys(refuse func(key, reason, remedy string)) {
	for name, value := range map[string]secret.Value{VariableKEK: c.KEK, VariableKEKNew: c.KEKNew} {
		if value.IsZero() {
			continue
		}
		if _, err := secret.ParseKey(value); err != nil {
			refuse(name, err.Error(), "put the key there as it was, whole; nobody can make another that opens what it has sealed")
		}
	}
	if !c.KEK.IsZero() && c.KEKFile != "" {
		refuse(kekFile, "names the key's file, and "+VariableKEK+" holds a key: only one of them can be meant",
			"unset "+VariableKEK+", or leave "+kekFile+" out")
	}
	if c.KEK.IsZero() && !c.KEKNew.IsZero() {
		refuse(VariableKEKNew, "is set, and "+VariableKEK+" is not", "after a change of the key "+VariableKEK+" is what "+VariableKEKNew+
			" was, and that one is unset; a key in a file is changed without it")
	}
}

// WithoutKeys is an environment less the variables that hold keys.
func WithoutKeys(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(variable string) bool {
		name, _, _ := strings.Cut(variable, "=")
		return slices.Contains(keyVariables(), name)
	})
}
