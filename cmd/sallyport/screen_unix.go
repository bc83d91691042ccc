//go:build unix

package main

import (
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
