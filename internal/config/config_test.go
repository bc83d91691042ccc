package config_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
)

// write makes a configuration file.
func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadDefaults(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Data != "var" || c.Listen != "localhost:8443" || c.InquiryMaxAge != time.Hour || c.Level() != slog.LevelInfo {
		t.Errorf("got %+v", c)
	}
	for _, s := range c.Redacted() {
		if s.Origin != config.FromDefault {
			t.Errorf("%s: got origin %q, want default", s.Key, s.Origin)
		}
		if s.Help == "" {
			t.Errorf("%s has no help", s.Key)
		}
	}
}

// Who gives the default's value has chosen it.
func TestGiven(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"SALLYPORT_LISTEN=localhost:9443"}, map[string]any{"organization": "Sallyport"})
	if err != nil || !c.Given("organization") || !c.Given("listen") || c.Given("data") || c.Given("none") {
		t.Errorf("%+v, %v", c.Redacted(), err)
	}
	c = config.Default()
	if c.Given("organization") {
		t.Error("the default is given")
	}
	if c.Organization = "Example"; !c.Given("organization") {
		t.Error("what a program sets is not given")
	}
}

func TestLoadFlagsOverEnvironmentOverFile(t *testing.T) {
	t.Parallel()
	file := write(t, "# ours\nlisten: file:1\nlisten_http: file:2\nadmin_listen: file:3\ninquiry_max_age: 0\norganization: 2026\n")
	env := []string{"SALLYPORT_LISTEN_HTTP=env:2", "SALLYPORT_ADMIN_LISTEN=env:3", "SALLYPORT_LOG_LEVEL=", "HOME=/", "SALLYPORT_TOKEN=x", "SALLYPORT_SERVER=y", "SALLYPORT_AGENT_DIR=z", "SALLYPORT_AGENT_PIN=1"}
	c, err := config.Load(file, env, map[string]any{"admin_listen": "flag:3", "inquiry_max_age": 90 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range c.Redacted() {
		got[s.Key] = s.Value + " " + string(s.Origin)
	}
	want := map[string]string{
		"listen": "file:1 file", "listen_http": "env:2 environment", "admin_listen": "flag:3 flag",
		"inquiry_max_age": "1h30m0s flag", "organization": "2026 file", "log_level": "info default",
	}
	for key, w := range want {
		if got[key] != w {
			t.Errorf("%s: got %q, want %q", key, got[key], w)
		}
	}
}

func TestLoadZeroFromYAML(t *testing.T) {
	t.Parallel()
	c, err := config.Load(write(t, "inquiry_max_age: 0\n"), nil, nil)
	if err != nil || c.InquiryMaxAge != 0 {
		t.Errorf("got %s, %v, want 0", c.InquiryMaxAge, err)
	}
}

func TestLoadNormalizesPublicURL(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"https://MDM.Example.test/":      "https://mdm.example.test",
		"https://mdm.example.test:443":   "https://mdm.example.test",
		"https://mdm.example.test:8443/": "https://mdm.example.test:8443",
		"https://[::1]:443":              "https://[::1]",
	}
	for in, want := range tests {
		c, err := config.Load("", nil, map[string]any{"public_url": in})
		if err != nil || c.PublicURL != want {
			t.Errorf("%s: got %q, %v, want %q", in, c.PublicURL, err, want)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		yaml  string
		env   []string
		flags map[string]any
		want  []string // "field: reason-part|remedy-part"
	}{
		{name: "unknown key", yaml: "listn: x:1", want: []string{"listn: unknown setting in the file|did you mean listen?"}},
		{name: "unknown variable", env: []string{"SALLYPORT_PUBLICURL=https://x"},
			want: []string{"SALLYPORT_PUBLICURL: unknown setting in the environment|did you mean SALLYPORT_PUBLIC_URL?"}},
		{name: "unknown flag", flags: map[string]any{"tls_certificate": "x"}, want: []string{"--tls-certificate: unknown setting in the flag|did you mean --tls-cert?"}},
		{name: "nothing like it", env: []string{"SALLYPORT_COLOUR=x"},
			want: []string{"SALLYPORT_COLOUR: unknown setting in the environment|remove it; sallyport config show lists every setting"}},
		{name: "nested", yaml: "listen:\n  host: x", want: []string{"listen: one plain value|"}},
		{name: "list", yaml: "listen: [a, b]", want: []string{"listen: one plain value|"}},
		{name: "empty value", yaml: "listen:", want: []string{"listen: has no value|"}},
		{name: "duration", env: []string{"SALLYPORT_INQUIRY_MAX_AGE=soon"}, want: []string{"SALLYPORT_INQUIRY_MAX_AGE: not a duration|"}},
		{name: "push in the clear", flags: map[string]any{"apns_url": "http://localhost:2197"}, want: []string{"apns_url: is not https"}},
		{name: "push path", flags: map[string]any{"apns_url": "https://api.push.apple.com/3/device"}, want: []string{"apns_url: is not https"}},
		{name: "decisions for too long", yaml: "access_max_stale: 61m", want: []string{"access_max_stale: must be between 0 and 1h|300s is a good value"}},
		{name: "refusals for an hour", yaml: "access_denials_keep: 1h", want: []string{"access_denials_keep: must be 0, or at least 1d|90d is a good value"}},
		{name: "fewer devices than none", yaml: "mailbox_device_limit: -1", want: []string{"mailbox_device_limit: must be between 0 and 1000|use what the mail server takes"}},
		{name: "neither true nor false", yaml: "second_owner: perhaps", want: []string{"second_owner: neither true nor false|true: wipe and retire wait"}},
		{name: "woken all the time", flags: map[string]any{"wake_interval": "1m"}, want: []string{"wake_interval: must be 0"}},
		{name: "CRLs by mail", flags: map[string]any{"http_url": "ldap://mdm.example.test"}, want: []string{"http_url: must begin with http:// or https://|"}},
		{name: "CRL path", flags: map[string]any{"http_url": "http://mdm.example.test/crl"}, want: []string{"http_url: must not have a path|http://mdm.example.com"}},
		{name: "renewed on the last day", flags: map[string]any{"renewal_window": "24h"}, want: []string{"renewal_window: must be 0, or between 7d and 180d|"}},
		{name: "renewed all the time", flags: map[string]any{"renewal_window": "8760h"}, want: []string{"renewal_window: must be 0|"}},
		{name: "negative age", flags: map[string]any{"inquiry_max_age": "-1s"}, want: []string{"--inquiry-max-age: not a duration|"}},
		{name: "http", flags: map[string]any{"public_url": "http://mdm.example.test"}, want: []string{"public_url: must begin with https|"}},
		{name: "no host", flags: map[string]any{"public_url": "https://:8443"}, want: []string{"public_url: names no host|"}},
		{name: "path", flags: map[string]any{"public_url": "https://mdm.example.test/mdm"}, want: []string{"public_url: must not have a path|"}},
		{name: "query", flags: map[string]any{"public_url": "https://mdm.example.test?"}, want: []string{"public_url: must not have a path|"}},
		{name: "fragment", flags: map[string]any{"public_url": "https://mdm.example.test#"}, want: []string{"public_url: must not have a path|"}},
		{name: "password", flags: map[string]any{"public_url": "https://a:b@mdm.example.test"}, want: []string{"public_url: user name or password|"}},
		{name: "not a URL", flags: map[string]any{"public_url": "https://%zz"}, want: []string{"public_url: is not a URL|"}},
		{name: "long name", flags: map[string]any{"organization": strings.Repeat("ü", 65)}, want: []string{"organization: 1 to 64|"}},
		{name: "same port twice", flags: map[string]any{"listen": "h:1", "admin_listen": "h:1"}, want: []string{"admin_listen: same address as listen|"}},
		{name: "all at once", yaml: "data: ''\nlisten: nowhere\nlisten_http: h:99999\norganization: \"a\\nb\"\nlog_level: loud\nlog_format: xml\ntls_cert: c.pem\nsigning_key: k.pem\nport: 1\n",
			want: []string{"port: unknown setting|", "data: is empty|", "listen: is not host:port|", "listen_http: has no port|", "organization: control character|",
				"tls_key: is missing while tls_cert is set|", "signing_cert: is missing while signing_key is set|", "log_level: unknown|", "log_format: unknown|"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			file := ""
			if tt.yaml != "" {
				file = write(t, tt.yaml)
			}
			_, err := config.Load(file, tt.env, tt.flags)
			if !errors.Is(err, config.ErrInvalid) {
				t.Fatalf("got %v, want ErrInvalid", err)
			}
			faults := refusal.All(err)
			if len(faults) != len(tt.want) {
				t.Fatalf("got %d faults, want %d:\n%v", len(faults), len(tt.want), err)
			}
			for i, want := range tt.want {
				field, rest, _ := strings.Cut(want, ": ")
				reason, remedy, _ := strings.Cut(rest, "|")
				if f := faults[i]; f.Field != field || !strings.Contains(f.Reason, reason) || !strings.Contains(f.Remedy, remedy) {
					t.Errorf("fault %d: got %v, want %s", i, f, want)
				}
			}
		})
	}
}

func TestLoadRefusesBrokenFiles(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, path, want string }{
		{"absent", filepath.Join(t.TempDir(), "absent.yaml"), "absent.yaml"},
		{"not YAML", write(t, "listen: [\n"), "line"},
		{"double key", write(t, "listen: a:1\nlisten: b:1\n"), "line 2"},
		{"not a mapping", write(t, "- listen\n"), "cannot read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := config.Load(tt.path, nil, nil)
			if !errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, tt.want)
			}
		})
	}
}

// A fault must not print what may be a secret in the wrong place.
func TestLoadDoesNotRepeatValues(t *testing.T) {
	t.Parallel()
	_, err := config.Load(write(t, "password: hunter2\n"), []string{"SALLYPORT_SECRET=hunter2", "SALLYPORT_INQUIRY_MAX_AGE=hunter2"}, map[string]any{"public_url": "https://a:hunter2@x"})
	if err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v, want an error without the value", err)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	c, err := config.Load("", []string{"SALLYPORT_LISTEN=:443"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := c.Show(&got); err != nil {
		t.Fatal(err)
	}
	want := `SETTING                   VALUE                       FROM
data                      var                         default
kek_file                  -                           default
database                  -                           default
database_max_connections  10                          default
listen                    :443                        environment
listen_http               -                           default
http_url                  -                           default
admin_listen              -                           default
public_url                -                           default
trusted_proxies           -                           default
organization              Sallyport                   default
tls_cert                  -                           default
tls_key                   -                           default
signing_cert              -                           default
signing_key               -                           default
renewal_window            0s                          default
scep_legacy               false                       default
inquiry_max_age           1h0m0s                      default
apns_url                  https://api.push.apple.com  default
apns_ca                   -                           default
amapi_url                 -                           default
wake_interval             4h0m0s                      default
second_owner              false                       default
access_max_stale          5m0s                        default
access_denials_keep       2160h0m0s                   default
mailbox_device_limit      10                          default
webhook_private           false                       default
smtp_url                  -                           default
smtp_user                 -                           default
smtp_password             -                           default
mail_from                 -                           default
mail_admins               -                           default
log_level                 info                        default
log_format                text                        default
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("show (-want +got):\n%s", diff)
	}
}
