package store

import (
	"errors"

	"modernc.org/sqlite"
)

// SQLite's result codes (https://www.sqlite.org/rescode.html). Errors are told
// apart by code, never by text: texts change between releases.
const (
	codeBusy             = 5    // SQLITE_BUSY, in the low byte of every extended busy code
	codeUniquePrimaryKey = 1555 // SQLITE_CONSTRAINT_PRIMARYKEY
	codeUnique           = 2067 // SQLITE_CONSTRAINT_UNIQUE
	codeForeignKey       = 787  // SQLITE_CONSTRAINT_FOREIGNKEY
)

func code(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code()
	}
	return 0
}

// isUnique reports that a row with the same key exists.
func isUnique(err error) bool {
	c := code(err)
	return c == codeUnique || c == codeUniquePrimaryKey
}

// isForeignKey reports that a row which is referred to does not exist.
func isForeignKey(err error) bool { return code(err) == codeForeignKey }

// Temporary reports whether an error of a store passes by itself: nothing was
// written, and the same act may be tried again.
func Temporary(err error) bool { return isBusy(err) }

// isBusy reports that another process held the database for too long: nothing
// was written and the same unit of work may be tried again.
func isBusy(err error) bool { return code(err)&0xff == codeBusy }
