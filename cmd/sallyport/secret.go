package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/internal/secret"
	"sallyport/internal/server/adminapi"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

type secretCmd struct {
	Set    secretSetCmd    `cmd:"" help:"Seal a password or a certificate that templates refer to by name."`
	List   secretListCmd   `cmd:"" help:"List secrets, without their values."`
	Remove secretRemoveCmd `cmd:"" help:"Remove a secret."`
}

type secretSetCmd struct {
	Name         string `arg:"" help:"Name, as templates write it."`
	User         string `help:"Only for this user; for everyone when left away." placeholder:"UPN"`
	File         string `help:"File with the password; standard input when left away." placeholder:"FILE" xor:"kind"`
	PKCS12       string `name:"pkcs12" help:"PKCS#12 file: a certificate with its private key." placeholder:"FILE" xor:"kind"`
	PasswordFile string `help:"File with the password of the PKCS#12 file; standard input when left away." placeholder:"FILE"`
	Output
}

// Help is the detail under the usage line.
func (*secretSetCmd) Help() string {
	return `A secret is never taken from the command line, where other users of the machine could read it. One line end at its end is not part of a password. No answer ever holds a value.`
}

func (c *secretSetCmd) Run(p *program) error {
	if c.PasswordFile != "" && c.PKCS12 == "" {
		return usageError{"--password-file is for --pkcs12; the password of an account comes from --file or standard input"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	in := adminapi.SecretInput{Kind: string(templates.SecretPassword), User: c.User}
	from := c.File
	if c.PKCS12 != "" {
		in.Kind, from = string(templates.SecretPKCS12), c.PasswordFile
		if in.Data, err = p.readFile(c.PKCS12, mobileconfig.MaxPKCS12); err != nil {
			return err
		}
	}
	value, err := p.secretFrom(from)
	if err != nil {
		return err
	}
	in.Value = value.Reveal()
	var stored templates.Secret
	if err := api.putJSON(p.ctx, secretPath(c.Name), in, &stored); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, stored)
	}
	fmt.Fprintf(p.stdout, "secret %s sealed for %s\n", cell(stored.Name), cell(owner(stored)))
	return nil
}

// maxSecret bounds a password file.
const maxSecret = 4096

// secretFrom reads a file, or standard input, less one line end.
func (p *program) secretFrom(file string) (secret.Value, error) {
	if file == "" {
		file = "-"
	}
	text, err := p.readFile(file, maxSecret)
	if err != nil {
		return secret.Value{}, err
	}
	return secret.New(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r")), nil
}

func secretPath(name string) string { return "/api/v1/secrets/" + url.PathEscape(name) }

func owner(s templates.Secret) string {
	if s.UserID == "" {
		return "everyone"
	}
	return s.UPN
}

type secretListCmd struct{ Output }

func (c *secretListCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var answer adminapi.Secrets
	if err := api.get(p.ctx, "/api/v1/secrets", nil, &answer); err != nil {
		return err
	}
	return listSecrets(p, c.Output, answer.Secrets)
}

func listSecrets(p *program, o Output, all []templates.Secret) error {
	return list(p, o, all, "NAME KIND FOR SUBJECT NOT-AFTER SET", func(s templates.Secret) []string {
		return []string{s.Name, string(s.Kind), owner(s), s.Subject, stamp(s.NotAfter), stamp(s.CreatedAt)}
	})
}

type secretRemoveCmd struct {
	Name string `arg:"" help:"Name of the secret."`
	User string `help:"That of this user; the one for everyone when left away." placeholder:"UPN"`
	Output
}

func (c *secretRemoveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	path := secretPath(c.Name)
	if c.User != "" {
		path += "?" + url.Values{"user": {c.User}}.Encode()
	}
	if err := api.call(p.ctx, http.MethodDelete, path, "", nil, nil); err != nil {
		return err
	}
	return done{"secret.remove", c.Name}.print(p, c.Output, "secret %s removed\n", cell(c.Name))
}
