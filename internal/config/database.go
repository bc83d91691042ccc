package config

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
)

// DatabaseURL says where PostgreSQL is: postgres://USER@HOST/DATABASE?..., as
// libpq reads it (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING-URIS).
// It may hold a password; printed, logged and marshalled it shows none. Reveal
// returns the whole.
type DatabaseURL struct{ text string }

// NewDatabaseURL takes text as it is; Validate judges it.
func NewDatabaseURL(text string) DatabaseURL { return DatabaseURL{text} }

// Reveal returns the URL with what secrets it holds.
func (d DatabaseURL) Reveal() string { return d.text }

// IsZero reports that there is none: the database is a file.
func (d DatabaseURL) IsZero() bool { return d.text == "" }

// String shows the URL without its secrets. One that cannot be read could have
// them anywhere, and is not shown.
func (d DatabaseURL) String() string {
	if d.IsZero() {
		return ""
	}
	u, err := url.Parse(d.text)
	if err != nil || !slices.Contains(databaseSchemes(), u.Scheme) || u.Opaque != "" {
		return "[redacted]"
	}
	query := u.Query()
	for _, name := range databaseSecrets() {
		if query.Has(name) {
			query.Set(name, "redacted")
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}

// GoString, MarshalText and LogValue are String, whoever prints.
func (d DatabaseURL) GoString() string             { return d.String() }
func (d DatabaseURL) MarshalText() ([]byte, error) { return []byte(d.String()), nil }
func (d DatabaseURL) LogValue() slog.Value         { return slog.StringValue(d.String()) }

// holdsSecret reports whether there is, or may be, a password in it.
func (d DatabaseURL) holdsSecret() bool {
	u, err := url.Parse(d.text)
	if err != nil {
		return strings.Contains(d.text, "@")
	}
	if _, set := u.User.Password(); set {
		return true
	}
	query := u.Query()
	return slices.ContainsFunc(databaseSecrets(), query.Has)
}

func databaseSchemes() []string { return []string{"postgres", "postgresql"} }

// databaseSecrets are the parameters of the URL that are secrets themselves.
func databaseSecrets() []string { return []string{"password", "sslpassword"} }

const (
	minDatabaseConnections = 4
	maxDatabaseConnections = 1000

	databaseRemedy = "write it as postgres://USER@HOST/DATABASE; empty keeps the database in a file of the data directory"
)

func (c Config) checkDatabase(refuse func(key, reason, remedy string)) {
	if n := c.DatabaseMaxConnections; n < minDatabaseConnections || n > maxDatabaseConnections {
		refuse("database_max_connections", "must be between 4 and 1000", "10 is a good value; all servers together must stay below PostgreSQL's max_connections")
	}
	if c.Database.IsZero() {
		return
	}
	u, err := url.Parse(c.Database.text)
	switch {
	case err != nil: // the error would repeat the text, and the password in it
		refuse("database", "is not a URL", databaseRemedy)
	case !slices.Contains(databaseSchemes(), u.Scheme) || u.Opaque != "":
		refuse("database", "must begin with postgres://", databaseRemedy)
	case strings.Trim(u.Path, "/") == "" && !u.Query().Has("dbname"):
		refuse("database", "names no database", databaseRemedy)
	case c.origin["database"] == FromFlag && c.Database.holdsSecret():
		refuse("database", "holds a password, and every user of this machine can read a command line",
			"leave it out of --database; keep it in a file of mode 600 and name that with ?passfile=FILE or PGPASSFILE (one line, HOST:PORT:DATABASE:USER:PASSWORD), or set PGPASSWORD or SALLYPORT_DATABASE")
	}
}
