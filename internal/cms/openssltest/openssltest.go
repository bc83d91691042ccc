package openssltest

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Box is OpenSSL with a directory of its own.
type Box struct {
	t         *testing.T
	path, dir string
}

// Open skips the test where OpenSSL is missing; in CI it fails.
func Open(t *testing.T) Box {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing: .ci/install installs it")
		}
		t.Skip("SKIPPED: openssl is not on PATH (apt-get install openssl): no second opinion on what we sign and encrypt")
	}
	return Box{t, path, t.TempDir()}
}

// File writes a file into the box and returns its path.
func (b Box) File(name string, data []byte) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// Certs writes certificates in PEM form.
func (b Box) Certs(name string, list ...*x509.Certificate) string {
	b.t.Helper()
	var out bytes.Buffer
	for _, c := range list {
		_ = pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}) // a Buffer takes everything
	}
	return b.File(name, out.Bytes())
}

// Key writes a private key in PEM form.
func (b Box) Key(name string, key crypto.Signer) string {
	b.t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.File(name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

// Command is an openssl command that is yet to be run.
func (b Box) Command(args ...string) *exec.Cmd {
	return exec.CommandContext(b.t.Context(), b.path, args...)
}

// Run returns what the command wrote to -out; a command that fails ends the test.
func (b Box) Run(args ...string) []byte {
	b.t.Helper()
	out := filepath.Join(b.dir, "out")
	if text, err := b.Command(append(args, "-out", out)...).CombinedOutput(); err != nil {
		b.t.Fatalf("openssl %v: %v\n%s", args, err, text)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		b.t.Fatal(err)
	}
	return data
}
