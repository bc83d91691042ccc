package config_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
)

var canaryKey = hex.EncodeToString([]byte("canary-canary-canary-canary-cana"))

func TestKeysComeFromTheEnvironmentAlone(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"SALLYPORT_KEK=" + canaryKey, "SALLYPORT_KEK_NEW=" + canaryKey}, nil)
	if err != nil || c.KEK.Reveal() != canaryKey || c.KEKNew.Reveal() != canaryKey {
		t.Fatalf("got %v", err)
	}
	for _, s := range c.Redacted() {
		if s.Key == "kek_file" && (s.Value != "(SALLYPORT_KEK)" || s.Origin != config.FromEnvironment) {
			t.Errorf("got %+v", s)
		}
	}
	for _, load := range []func() (config.Config, error){
		func() (config.Config, error) { return config.Load(write(t, "kek: "+canaryKey+"\n"), nil, nil) },
		func() (config.Config, error) { return config.Load("", nil, map[string]any{"kek": canaryKey}) },
	} {
		c, err := load()
		if err == nil || !c.KEK.IsZero() || strings.Contains(err.Error(), canaryKey) {
			t.Errorf("a key was taken from elsewhere: %v", err)
		}
	}
}

func TestKeysAreRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		env   []string
		flags map[string]any
		field string
		want  []string // all named
	}{
		{"both", []string{"SALLYPORT_KEK=" + canaryKey, "SALLYPORT_KEK_FILE=/k"}, nil, "kek_file", []string{"kek_file", "SALLYPORT_KEK"}},
		{"file by flag", []string{"SALLYPORT_KEK=" + canaryKey}, map[string]any{"kek_file": "/k"}, "kek_file", []string{"kek_file", "SALLYPORT_KEK"}},
		{"short", []string{"SALLYPORT_KEK=" + canaryKey[2:]}, nil, "SALLYPORT_KEK", []string{"32 bytes"}},
		{"no key", []string{"SALLYPORT_KEK=" + canaryKey, "SALLYPORT_KEK_NEW=canary-canary"}, nil, "SALLYPORT_KEK_NEW", []string{"32 bytes"}},
		{"new alone", []string{"SALLYPORT_KEK_NEW=" + canaryKey}, nil, "SALLYPORT_KEK_NEW", []string{"SALLYPORT_KEK"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load("", tt.env, tt.flags)
			all := refusal.All(err)
			if len(all) != 1 || all[0].Field != tt.field || all[0].Remedy == "" {
				t.Fatalf("got %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not name %s", err, want)
				}
			}
		})
	}
}

func TestKeysAreNotShown(t *testing.T) {
	t.Parallel()
	for _, value := range []string{canaryKey, canaryKey[:60], canaryKey + "00"} {
		c, err := config.Load("", []string{"SALLYPORT_KEK=" + value, "SALLYPORT_KEK_NEW=" + value}, map[string]any{"kek_file": "k"})
		var out bytes.Buffer
		slog.New(slog.NewJSONHandler(&out, nil)).Info("settings", slog.Any("all", c), slog.Any("error", err))
		slog.New(slog.NewTextHandler(&out, nil)).Info("settings", slog.Any("all", c))
		if err := c.Show(&out); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&out).Encode(c); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%v %+v %#v %v", c, c, c, err)
		if strings.Contains(out.String(), value[:20]) {
			t.Errorf("the key is shown:\n%s", out.String())
		}
	}
}

const envTakes = "CONFIG_TEST_TAKES"

// TestTakeEnviron looks at the process as others do.
func TestTakeEnviron(t *testing.T) {
	if os.Getenv(envTakes) != "" {
		taken := config.TakeEnviron()
		all := slices.Contains(taken, "SALLYPORT_SMTP_PASSWORD=canary-smtp") && slices.Contains(taken, "SALLYPORT_DATABASE=postgres://u:canary-db@h/d")
		c, err := config.Load("", slices.DeleteFunc(taken, func(v string) bool {
			return strings.HasPrefix(v, "SALLYPORT_") && !strings.HasPrefix(v, "SALLYPORT_KEK")
		}), nil)
		child, childErr := exec.Command("env").Output()
		self, selfErr := os.ReadFile("/proc/self/environ")
		shows := func(environ []byte) bool {
			return bytes.Contains(environ, []byte("canary")) || bytes.Contains(environ, []byte(canaryKey))
		}
		fmt.Printf("taken=%t err=%v child=%t %v self=%t kept=%t %v\n", c.KEK.Reveal() == canaryKey && all, err,
			shows(child), childErr, shows(self), bytes.Contains(self, []byte("KEPT=kept")), selfErr)
		return
	}
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: looks at /proc, which is Linux's")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestTakeEnviron$")
	cmd.Env = append(os.Environ(), envTakes+"=1", "SALLYPORT_KEK="+canaryKey, "SALLYPORT_KEK_NEW="+canaryKey,
		"SALLYPORT_SMTP_PASSWORD=canary-smtp", "SALLYPORT_DATABASE=postgres://u:canary-db@h/d", "KEPT=kept")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "taken=true err=<nil> child=false <nil> self=false kept=true <nil>") {
		t.Errorf("got %v\n%s", err, out)
	}
}
