//go:build !unix

package main

import (
	"io"
	"os"
)

// screenWidth is unknown here: nothing is shortened.
func screenWidth(*os.File) int { return 0 }

// isTerminal reports whether a person sits at r.
func isTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
