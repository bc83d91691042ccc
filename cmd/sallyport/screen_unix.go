//go:build unix

package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// screenWidth asks the terminal; 0 when it does not say.
func screenWidth(file *os.File) int {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// isTerminal reports whether a person sits at r. /dev/null is a device too, and
// no terminal.
func isTerminal(r io.Reader) bool {
	file, ok := r.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	return err == nil
}
