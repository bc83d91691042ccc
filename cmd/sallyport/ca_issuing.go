package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"sallyport/certs"
	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
)

// maxCAFile bounds what is read of certificates, requests and keys.
const maxCAFile = 64 << 10

// KeyKind is the flag of those who make a key for the authority.
type KeyKind struct {
	Kind string `enum:",p256,p384,rsa2048,rsa3072,rsa4096" default:"" help:"Of the key: p256 (20 times as fast as RSA), p384, rsa2048, rsa3072 or rsa4096." placeholder:"KIND"`
}

type caRolloverCmd struct {
	KeyKind
	Output
}

func (c *caRolloverCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var staged certs.AuthorityInfo
	if err := api.post(p.ctx, "/api/v1/ca/rollover", adminapi.KindRequest{Kind: c.Kind}, &staged); err != nil {
		return err
	}
	return c.printStaged(p, staged)
}

// printStaged tells what waits to be activated.
func (o Output) printStaged(p *program, a certs.AuthorityInfo) error {
	if o.json() {
		return printJSON(p.stdout, a)
	}
	fmt.Fprintf(p.stdout, "staged: %s, until %s\n  %s\n", cell(a.Subject), stamp(a.NotAfter), a.Fingerprint)
	printWarnings(p, a)
	fmt.Fprintf(p.stderr, "It is trusted from now on and signs nothing yet. Next: sallyport ca activate %s\n", short(a.Fingerprint))
	return nil
}

func printWarnings(p *program, a certs.AuthorityInfo) {
	for _, w := range a.Warnings {
		fmt.Fprintf(p.stdout, "  warning: %s\n", cell(w))
	}
}

type caCSRCmd struct {
	KeyKind
	Out string `short:"O" help:"Where to write it; standard output when left away." placeholder:"FILE"`
}

// Help is the detail under the usage line.
func (*caCSRCmd) Help() string {
	return `The key is made on the server and never leaves it. Have the request signed with "sallyport ca sign" where your offline root is, or by your own CA as a subordinate CA; then give the certificate, with those above it, to "sallyport ca import". See docs/ca.md.`
}

func (c *caCSRCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	if err := mustBeNew(c.Out); err != nil { // before the server makes a key for nothing
		return err
	}
	var answer adminapi.IssuingRequest
	if err := api.post(p.ctx, "/api/v1/ca/requests", adminapi.KindRequest{Kind: c.Kind}, &answer); err != nil {
		return err
	}
	if err := p.write(c.Out, []byte(answer.CSR)); err != nil {
		return err
	}
	fmt.Fprintln(p.stderr, "Next: sign it (sallyport ca sign --root ROOTFILE, or your own CA); then sallyport ca import FILE")
	return nil
}

// mustBeNew refuses a file that is there.
func mustBeNew(file string) error {
	if file == "" {
		return nil
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already (name another file, or remove that one)", file)
	}
	return nil
}

type caImportCmd struct {
	File           string `arg:"" help:"PEM: the issuing certificate, then those above it up to and with the root. Or PKCS#12, which has the key too."`
	Key            string `help:"PEM file of its key; left away where the key was made by ca csr." placeholder:"FILE"`
	PassphraseFile string `help:"File with the passphrase of the PKCS#12 file; asked for on a terminal when left away." placeholder:"FILE"`
	DryRun         bool   `help:"Check it, and change nothing."`
	Output
}

func (c *caImportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.IssuingImport{DryRun: c.DryRun}
	if err := c.read(p, &in); err != nil {
		return err
	}
	var a certs.AuthorityInfo
	if err := api.post(p.ctx, "/api/v1/ca/issuing", in, &a); err != nil {
		return err
	}
	if !c.DryRun {
		return c.printStaged(p, a)
	}
	if c.json() {
		return printJSON(p.stdout, a)
	}
	fmt.Fprintf(p.stdout, "fits: %s, issued by %s, until %s\n  %s\n", cell(a.Subject), cell(a.Issuer), stamp(a.NotAfter), a.Fingerprint)
	printWarnings(p, a)
	fmt.Fprintln(p.stdout, "Dry run: nothing was done.")
	return nil
}

// read takes the files in whichever of the two forms they are.
func (c *caImportCmd) read(p *program, in *adminapi.IssuingImport) error {
	file, err := p.readFile(c.File, maxCAFile)
	if err != nil {
		return err
	}
	switch certs.FormOf(file) {
	case certs.FormPKCS7:
		return fmt.Errorf("%[1]s is PKCS#7: take the certificates out of it, the issuing one first, and import those: openssl pkcs7 -inform DER -print_certs -in %[1]s", c.File)
	case certs.FormCertificate:
		return fmt.Errorf("%[1]s is one certificate in DER: put it into one PEM file with those above it, up to and with the root: openssl x509 -inform DER -in %[1]s", c.File)
	case certs.FormPEM:
		if c.PassphraseFile != "" {
			return usageError{"--passphrase-file belongs to a PKCS#12 file, and this one is PEM"}
		}
		in.Chain = string(file)
		if c.Key == "" {
			return nil
		}
		key, err := p.readFile(c.Key, maxCAFile)
		in.Key = string(key)
		return err
	case certs.FormPKCS12, certs.FormOther: // which the server tells apart
	}
	if c.Key != "" {
		return usageError{"--key belongs to a chain in PEM: a PKCS#12 file has its own"}
	}
	passphrase, err := p.passphrase(c.PassphraseFile, "Passphrase of "+c.File, false)
	in.PKCS12, in.Passphrase = file, passphrase.Reveal()
	return err
}

var errEmptyPassphrase = errors.New("nothing was typed")

// passphrase reads it from a file, or has it typed unseen: twice where it is new.
func (p *program) passphrase(file, prompt string, twice bool) (secret.Value, error) {
	if file != "" {
		return p.secretFrom(file)
	}
	if !isTerminal(p.stdin) {
		return secret.Value{}, usageError{"give the passphrase with --passphrase-file: there is no terminal to ask on"}
	}
	first, err := p.typed(prompt)
	if err != nil || !twice {
		return secret.New(first), err
	}
	second, err := p.typed("The same again")
	if err == nil && first != second {
		err = errors.New("the two differ: nothing was done")
	}
	return secret.New(first), err
}

func (p *program) typed(prompt string) (string, error) {
	fmt.Fprint(p.stderr, prompt+": ")
	line, err := readUnseen(p.stdin)
	fmt.Fprintln(p.stderr)
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	if strings.TrimSpace(line) == "" {
		return "", errEmptyPassphrase
	}
	return line, nil
}
