package config

import (
	"reflect"
	"strings"
	"testing"

	"sallyport/internal/secret"
)

// Every field that serve reads can be set and shown, under a key of its own, but
// for keys.
func TestSettingsCoverConfig(t *testing.T) {
	t.Parallel()
	var c Config
	fields := map[any]string{}
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fields[v.Field(i).Addr().Interface()] = f.Name
		}
	}
	keys := map[string]bool{}
	for _, s := range settings() {
		if keys[s.key] {
			t.Errorf("key %s is there twice", s.key)
		}
		keys[s.key] = true
		delete(fields, s.at(&c))
		if text := render(s.at(&c)); strings.HasPrefix(text, "no way") {
			t.Errorf("%s: %s", s.key, text)
		}
	}
	for _, name := range fields {
		if name == "KEK" || name == "KEKNew" { // from the environment alone
			continue
		}
		t.Errorf("no setting for Config.%s", name)
	}
}

func TestSecretsAreReadButNotShown(t *testing.T) {
	t.Parallel()
	var v secret.Value
	if got := render(&v); got != "" {
		t.Errorf("empty secret: got %q, want nothing", got)
	}
	if err := assign(&v, "hunter2"); err != nil || v.Reveal() != "hunter2" {
		t.Errorf("assign: %v", err)
	}
	if got := render(&v); got != "[redacted]" {
		t.Errorf("got %q, want [redacted]", got)
	}
	var unknown float64
	if assign(&unknown, "1") == nil {
		t.Error("a type that nobody can set was accepted")
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{"lisen": "listen", "public": "public_url", "inquiry_age": "inquiry_max_age", "signingcert": "signing_cert", "colour": "", "agent_dir": "", "x": "", "port": ""} {
		if got := nearest(word, Keys()); got != want {
			t.Errorf("nearest(%q): got %q, want %q", word, got, want)
		}
	}
}
