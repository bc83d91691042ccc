// Package postgrestest starts a throw-away PostgreSQL for tests: a cluster of
// its own in a temporary directory, reached through a socket in it. Where
// PostgreSQL is not installed tests are skipped, and fail if CI is set. Tests only.
package postgrestest
