package main

import (
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
)

type caCmd struct {
	Export caExportCmd `cmd:"" help:"Write our root certificate in PEM form."`
}

type caExportCmd struct {
	Out   string `short:"O" help:"File to write; standard output when absent." placeholder:"FILE"`
	Chain bool   `help:"Also write the issuing certificate."`
}

func (c *caExportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	answer, err := api.send(p.ctx, http.MethodGet, "/api/v1/ca", "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	chain, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("read certificates: %w", err)
	}
	root, rest := pem.Decode(chain)
	if root == nil || root.Type != "CERTIFICATE" {
		return fmt.Errorf("%s answered without a certificate", api.base)
	}
	out := pem.EncodeToMemory(root)
	if c.Chain {
		out = append(out, rest...)
	}
	if c.Out == "" {
		_, err = p.stdout.Write(out)
		return err
	}
	return os.WriteFile(c.Out, out, 0o644) // a root certificate is public
}
