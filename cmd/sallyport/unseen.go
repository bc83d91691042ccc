package main

import (
	"errors"
	"io"
	"os"

	"golang.org/x/term"
)

// readUnseen reads a line from a terminal without showing it.
func readUnseen(r io.Reader) (string, error) {
	file, ok := r.(*os.File)
	if !ok {
		return "", errors.New("not a terminal")
	}
	line, err := term.ReadPassword(int(file.Fd()))
	return string(line), err
}
