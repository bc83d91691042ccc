package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"sallyport/certs"
	"sallyport/internal/server/adminapi"
)

type caExportCmd struct {
	Fingerprint string `arg:"" optional:"" help:"Of the one to write, or how it begins: see ca show. The root of what is issued now when left away."`
	Out         string `short:"O" help:"File to write; standard output when absent." placeholder:"FILE"`
	Chain       bool   `xor:"which" help:"The issuing certificate that signs now, those above it, and the root, in that order."`
	All         bool   `xor:"which" help:"Every certificate of the authority that is not retired: staged and old ones too."`
}

// Help is the detail under the usage line.
func (*caExportCmd) Help() string {
	return `Before another root is activated, whoever checks certificates (a mail server, a VPN gateway) has to trust it beside the old: --all writes both, with what is below them.`
}

func (c *caExportCmd) Run(p *program) error {
	if c.Fingerprint != "" && (c.Chain || c.All) {
		return usageError{"name a certificate, or say --chain or --all: not both"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var out []byte
	if c.All || c.Fingerprint != "" {
		out, err = c.fromList(p, api)
	} else {
		out, err = c.inUse(p, api)
	}
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err = p.stdout.Write(out)
		return err
	}
	return os.WriteFile(c.Out, out, 0o644) // certificates are public
}

// inUse is the root of what is issued now, or the chain that ends in it. The
// server answers with the root first, for those who trust the first they find.
func (c *caExportCmd) inUse(p *program, api *client) ([]byte, error) {
	answer, err := api.send(p.ctx, http.MethodGet, "/api/v1/ca", "", nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	chain, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("read certificates: %w", err)
	}
	root, rest := pem.Decode(chain)
	if root == nil || root.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s answered without a certificate", api.base)
	}
	out := pem.EncodeToMemory(root)
	if c.Chain {
		out = append(rest, out...)
	}
	return out, nil
}

func (c *caExportCmd) fromList(p *program, api *client) ([]byte, error) {
	all, err := p.authorities(api)
	if err != nil {
		return nil, err
	}
	hash := ""
	if c.Fingerprint != "" {
		if hash, err = authorityOf(all, c.Fingerprint); err != nil {
			return nil, err
		}
	}
	var out strings.Builder
	for _, a := range all {
		if a.Fingerprint == hash || c.All && a.State != certs.StateRetired {
			out.WriteString(a.PEM)
		}
	}
	return []byte(out.String()), nil
}

// authorityOf is the fingerprint that begins so.
func authorityOf(all []adminapi.AuthorityCertificate, begin string) (string, error) {
	var hashes []string
	for _, a := range all {
		hashes = append(hashes, a.Fingerprint)
	}
	return theOne(hashes, hexOf(begin), "certificate of the authority", "sallyport ca show")
}
