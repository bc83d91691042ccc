package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sallyport/internal/config"
	"sallyport/internal/refusal"
)

func TestDatabaseShowsNoSecret(t *testing.T) {
	t.Parallel()
	const canary = "canary"
	for _, text := range []string{
		"postgres://u:" + canary + "@h/d", "postgres://u@h/d?password=" + canary, "postgresql://u@h/d?sslpassword=" + canary,
		"postgres://u:" + canary + "@[::1/d", "host=h password=" + canary, "postgres:" + canary,
		"postgres://u:" + canary + "@h:port/d", "mysql://u:" + canary + "@h/d",
	} {
		c, err := config.Load("", []string{"SALLYPORT_DATABASE=" + text}, nil)
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, nil))
		log.Info("settings", slog.Any("all", c), slog.Any("one", c.Database), slog.Any("error", err))
		slog.New(slog.NewTextHandler(&out, nil)).Info("settings", slog.Any("one", c.Database))
		if err := c.Show(&out); err != nil {
			t.Fatal(err)
		}
		if err := json.NewEncoder(&out).Encode(c); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&out, "%v %+v %#v %s %q", c, c, c, c.Database, c.Database)
		if strings.Contains(out.String(), canary) {
			t.Errorf("%s is shown:\n%s", text, out.String())
		}
		if c.Database.Reveal() != text {
			t.Errorf("got %q, want %q", c.Database.Reveal(), text)
		}
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		url    string
		flag   bool
		reason string // empty: accepted
	}{
		{name: "socket", url: "postgres:///sallyport?host=/run/postgresql", flag: true},
		{name: "passfile", url: "postgres://u@h/d?passfile=/etc/sallyport/pgpass", flag: true},
		{name: "dbname", url: "postgresql://u@h?dbname=d", flag: true},
		{name: "password in the environment", url: "postgres://u:p@h/d"},
		{name: "password on the command line", url: "postgres://u:p@h/d", flag: true, reason: "command line"},
		{name: "password as parameter", url: "postgres://u@h/d?password=p", flag: true, reason: "command line"},
		{name: "words", url: "host=h dbname=d", reason: "must begin with postgres://"},
		{name: "another engine", url: "mysql://u@h/d", reason: "must begin with postgres://"},
		{name: "opaque", url: "postgres:d", reason: "must begin with postgres://"},
		{name: "no database", url: "postgres://u@h/", reason: "names no database"},
		{name: "no URL", url: "postgres://[::1/d", reason: "is not a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var env []string
			flags := map[string]any{}
			if tt.flag {
				flags["database"] = tt.url
			} else {
				env = []string{"SALLYPORT_DATABASE=" + tt.url}
			}
			_, err := config.Load("", env, flags)
			switch {
			case tt.reason == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tt.reason != "" && (!errors.Is(err, config.ErrInvalid) || !strings.Contains(err.Error(), tt.reason)):
				t.Errorf("got %v, want %q", err, tt.reason)
			}
			if all := refusal.All(err); tt.reason != "" && (len(all) != 1 || all[0].Field != "database" || all[0].Remedy == "") {
				t.Errorf("got %+v", all)
			}
		})
	}
}

func TestDatabaseConnections(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{"4": true, "1000": true, "3": false, "-1": false, "1001": false, "many": false} {
		c, err := config.Load("", []string{"SALLYPORT_DATABASE_MAX_CONNECTIONS=" + text}, nil)
		if (err == nil) != want {
			t.Errorf("%s: got %v (%d)", text, err, c.DatabaseMaxConnections)
		}
	}
}
