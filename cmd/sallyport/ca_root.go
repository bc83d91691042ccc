package main

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"sallyport/certs"
	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

type caInitCmd struct {
	RootOut        string  `required:"" help:"File for the root and its key (PKCS#12), to be kept off the server; it must not exist." placeholder:"FILE"`
	PassphraseFile string  `help:"File with the passphrase that seals it; asked for twice on a terminal when left away." placeholder:"FILE"`
	Config         string  `help:"YAML file with the server's settings." placeholder:"FILE"`
	Database       *string `help:"PostgreSQL in place of a file in the data directory, as of serve." placeholder:"postgres://USER@HOST/DB"`
	Organization   *string `help:"Name in these certificates, and in what serve makes and shows unless it is given another." placeholder:"NAME"`
	KeyKind
}

// Help is the detail under the usage line.
func (*caInitCmd) Help() string {
	return `Makes the data directory, its key and its database as "sallyport serve" would, and the whole authority but for the root's key: that leaves in the file before anything is saved, and never comes to the server again. Then start the server as usual. Without this command the first start makes a root whose key stays sealed in the database. See docs/ca.md.`
}

func (c *caInitCmd) Run(p *program) error {
	if p.Server != "" {
		return usageError{"ca init works on this machine, before the first start: --server does not belong here"}
	}
	cfg, err := c.settings(p)
	if err != nil {
		return err
	}
	if err := mustBeNew(c.RootOut); err != nil {
		return err
	}
	if inside(cfg.Data, c.RootOut) {
		return fmt.Errorf("%s is in the data directory: the root is not to lie beside what it protects (name a file on another medium)", c.RootOut)
	}
	passphrase, err := p.passphrase(c.PassphraseFile, "Passphrase for the root's file", true)
	if err != nil {
		return err
	}
	// What can be refused is refused before anything is made.
	if err := certs.CheckPassphrase(passphrase); err != nil {
		return err
	}
	out, err := os.OpenFile(c.RootOut, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write root: %w", err)
	}
	var root *x509.Certificate
	err = app.InitAuthority(p.ctx, cfg, certs.KeyKind(c.Kind), func(made *x509.Certificate, key crypto.Signer) error {
		root = made
		return writeRoot(out, made, key, passphrase)
	})
	if err != nil { // nothing was saved that it belongs to
		_ = out.Close() // writeRoot may have done so
		return errors.Join(err, os.Remove(c.RootOut))
	}
	fmt.Fprintf(p.stdout, "authority made: %s, until %s\nroot and its key: %s\n", cell(root.Subject.String()), stamp(root.NotAfter), c.RootOut)
	fmt.Fprintf(p.stderr, "Copy that file to two media that you keep apart, try the passphrase (sallyport ca sign --help), and remove it from this machine.\nThen start the server: %s\n", c.start(cfg))
	return nil
}

// start is how the server goes on from here.
func (c *caInitCmd) start(cfg config.Config) string {
	line := "sallyport serve --data " + cfg.Data
	if c.Config != "" {
		line += " --config " + c.Config
	}
	return line
}

func (c *caInitCmd) settings(p *program) (config.Config, error) {
	given := map[string]any{}
	for key, value := range map[string]*string{"database": c.Database, "organization": c.Organization} {
		if value != nil {
			given[key] = *value
		}
	}
	return p.settings(c.Config, given)
}

// inside reports whether file lies below dir.
func inside(dir, file string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	file, err = filepath.Abs(file)
	if err != nil {
		return false
	}
	relative, err := filepath.Rel(dir, file)
	return err == nil && filepath.IsLocal(relative)
}

// writeRoot fills the file, and has it on the disk before anything relies on it.
func writeRoot(f *os.File, root *x509.Certificate, key crypto.Signer, passphrase secret.Value) error {
	data, err := certs.EncodeRoot(certs.RootFile{Certificate: root, Key: key}, passphrase)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		_, err = readRoot(f.Name(), passphrase) // what cannot be read back is no root
	}
	if err != nil {
		return fmt.Errorf("write root: %w", err)
	}
	return nil
}

func readRoot(file string, passphrase secret.Value) (certs.RootFile, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return certs.RootFile{}, err
	}
	return certs.DecodeRoot(data, passphrase)
}

type caSignCmd struct {
	CSR            string `arg:"" name:"csr" help:"File that ca csr wrote; - for standard input."`
	Root           string `required:"" help:"The root's file, which ca init wrote (PKCS#12)." placeholder:"FILE"`
	PassphraseFile string `help:"File with its passphrase; asked for on a terminal when left away." placeholder:"FILE"`
	Organization   string `help:"Name in the certificate; the root's when left away." placeholder:"NAME"`
	Out            string `short:"O" help:"Where to write the certificate and the root's (PEM); standard output when left away." placeholder:"FILE"`
}

// Help is the detail under the usage line.
func (*caSignCmd) Help() string {
	return `Runs where the root is, without a server or a network. Whatever the request asks for, the certificate is that of an issuing CA for 5 years. What it writes is what "sallyport ca import" takes.`
}

func (c *caSignCmd) Run(p *program) error {
	if p.Server != "" {
		return usageError{"ca sign works without a server: --server does not belong here"}
	}
	if err := mustBeNew(c.Out); err != nil {
		return err
	}
	csr, err := p.readFile(c.CSR, maxCAFile)
	if err != nil {
		return err
	}
	file, err := p.readFile(c.Root, maxCAFile)
	if err != nil {
		return err
	}
	passphrase, err := p.passphrase(c.PassphraseFile, "Passphrase of "+c.Root, false)
	if err != nil {
		return err
	}
	root, err := certs.DecodeRoot(file, passphrase)
	if err != nil {
		return err
	}
	issuing, err := certs.SignRequest(root, csr, certs.Options{Organization: c.Organization}, p.now())
	if err != nil {
		return err
	}
	var out []byte
	for _, cert := range []*x509.Certificate{issuing, root.Certificate} {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})...)
	}
	if err := p.write(c.Out, out); err != nil {
		return err
	}
	fmt.Fprintf(p.stderr, "signed: %s, until %s. Next, on the server's side: sallyport ca import FILE\n", cell(issuing.Subject.String()), stamp(issuing.NotAfter))
	return nil
}
