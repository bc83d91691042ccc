//go:build !unix

package app

import "errors"

// ErrLocked says that another process works on the data directory.
var ErrLocked = errors.New("data directory is in use")

// lock does nothing here: SQLite's own locks keep the database whole.
func lock(string) (unlock func(), err error) { return func() {}, nil }
