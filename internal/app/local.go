package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sallyport/internal/secret"
)

// Names inside the data directory. Losing the directory loses the fleet.
const (
	DatabaseFile = "sallyport.db"
	KeyFile      = "kek"         // key-encryption key, 0600
	TokenFile    = "admin-token" // for the command line on the same machine, 0600
	ServerFile   = "server.json" // where the server answers: Local
	RootFile     = "ca.pem"      // our root certificate, no secret
	lockFile     = "lock"
)

// Local is what a running server leaves in its data directory for the command
// line on the same machine.
type Local struct {
	URL       string `json:"url"`            // of the admin API
	Dial      string `json:"dial,omitempty"` // where that URL is reached on this machine, whatever DNS says
	PublicURL string `json:"public_url"`     // what phones call
	PID       int    `json:"pid"`
	Version   string `json:"version"`
	Gaps      []Gap  `json:"gaps"`

	Token secret.Value `json:"-"` // from TokenFile
}

// ReadLocal reads what a server left in dir. It is fs.ErrNotExist when no
// server was ever started on it.
func ReadLocal(dir string) (Local, error) {
	var l Local
	text, err := os.ReadFile(filepath.Join(dir, ServerFile))
	if err != nil {
		return l, fmt.Errorf("read server file: %w", err)
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return l, fmt.Errorf("read %s: %w", filepath.Join(dir, ServerFile), err)
	}
	token, err := os.ReadFile(filepath.Join(dir, TokenFile))
	if errors.Is(err, fs.ErrNotExist) {
		return l, fmt.Errorf("%s is gone (use a token of your own: --server %s with SALLYPORT_TOKEN; the server makes a new file at its start when no admin token is valid)",
			filepath.Join(dir, TokenFile), l.URL) // not fs.ErrNotExist: a server was started
	}
	if err != nil {
		return l, fmt.Errorf("read admin token: %w", err)
	}
	l.Token = secret.New(strings.TrimSpace(string(token)))
	return l, nil
}

// writeFile replaces a file of the data directory whole or not at all.
func writeFile(path string, content []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer os.Remove(f.Name())
	err = f.Chmod(mode)
	if err == nil {
		_, err = f.Write(content)
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func (l Local) write(dir string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("write server file: %w", err)
	}
	return writeFile(filepath.Join(dir, ServerFile), append(text, '\n'), 0o600)
}

// prepareData makes the data directory, for its owner alone.
func prepareData(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("data directory %s is not a directory", dir)
	}
	if info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("data directory %s is open to others, and cannot be closed: %w (chmod 700 it)", dir, err)
	}
	return nil
}
