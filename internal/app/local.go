package app

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
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
	Pin       string `json:"pin"`            // SHA-256 of the certificate that URL shows, in hex
	PublicURL string `json:"public_url"`     // what phones call
	PID       int    `json:"pid"`
	Version   string `json:"version"`
	KEK       string `json:"kek,omitempty"` // where the key-encryption key is, if not in this directory
	Gaps      []Gap  `json:"gaps"`
	Warnings  []Gap  `json:"warnings,omitempty"` // of settings

	Organization string `json:"organization,omitempty"` // that the authority was made with

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
		return l, fmt.Errorf("%s is gone (restart the server, which makes a new one when no other valid admin token exists; or use a token of your own: --server %s with SALLYPORT_TOKEN)",
			filepath.Join(dir, TokenFile), l.URL) // not fs.ErrNotExist: a server was started
	}
	if err != nil {
		return l, fmt.Errorf("read admin token: %w", err)
	}
	l.Token = secret.New(strings.TrimSpace(string(token)))
	return l, nil
}

// ErrPin says that an address shows another certificate than its server left
// in the data directory.
var ErrPin = errors.New("another certificate than the server's own")

// TLS trusts exactly the certificate that the server shows, whoever issued it
// and whatever its name: the command line on the same machine needs neither a
// public CA nor DNS.
func (l Local) TLS() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // for VerifyConnection, which asks for more
		VerifyConnection: func(c tls.ConnectionState) error {
			if len(c.PeerCertificates) == 0 || l.Pin == "" || pinOf(c.PeerCertificates[0].Raw) != l.Pin {
				return fmt.Errorf("%w (is another program on that port? otherwise restart the server)", ErrPin)
			}
			return nil
		},
	}
}

func pinOf(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	return hex.EncodeToString(sum[:])
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
