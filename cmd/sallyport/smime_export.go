package main

import (
	"archive/zip"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"

	"sallyport/internal/server/adminapi"
)

type smimeExportCmd struct {
	Request smimeRequestCmd `cmd:"" default:"withargs" help:"Ask for the private keys of a user."`
	List    smimeExportsCmd `cmd:"" help:"List exports, newest first."`
	Approve smimeApproveCmd `cmd:"" help:"Agree to an export that another owner asked for."`
	Take    smimeTakeCmd    `cmd:"" help:"Take an approved export, once, into a file."`
}

const exportsPath = "/api/v1/smime/exports"

type smimeRequestCmd struct {
	User   string   `help:"User principal name." placeholder:"UPN" xor:"whose"`
	UserID string   `name:"user-id" help:"Instead of --user: ID of a user who was removed." placeholder:"ID" xor:"whose"`
	Key    []string `help:"ID of a key, see smime list; all of theirs when left away." placeholder:"KEY"`
	Reason string   `required:"" help:"Why the keys have to leave. It stands in the audit trail." placeholder:"TEXT"`
	Output
}

// Help is the detail under the usage line.
func (*smimeRequestCmd) Help() string {
	return `A private key leaves by the hands of two: you ask, an admin whose token has another owner approves, and you take it, once, within 24 hours. Every step is audited.`
}

func (c *smimeRequestCmd) Run(p *program) error {
	if c.User == "" && c.UserID == "" {
		return usageError{"say whose keys with --user UPN"}
	}
	api, err := p.client()
	if err != nil {
		return err
	}
	var e adminapi.SMIMEExport
	in := adminapi.SMIMEExportRequest{User: c.User, UserID: c.UserID, Keys: c.Key, Reason: c.Reason}
	if err := api.post(p.ctx, exportsPath, in, &e); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, e)
	}
	fmt.Fprintf(p.stdout, "export %s of %d keys is %s\n", e.ID, len(e.Keys), e.State)
	fmt.Fprintf(p.stderr, "It waits until %s for an admin whose token has another owner: sallyport smime export approve %s\n", stamp(e.ExpiresAt), e.ID)
	return nil
}

type smimeExportsCmd struct{ Output }

func (c *smimeExportsCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	exports, err := listExports(p, api)
	if err != nil {
		return err
	}
	return list(p, c.Output, exports, "EXPORT STATE KEYS ASKED BY APPROVED-BY EXPIRES REASON", func(e adminapi.SMIMEExport) []string {
		return []string{e.ID, e.State, fmt.Sprint(len(e.Keys)), stamp(e.RequestedAt), e.RequestedBy, e.ApprovedBy, stamp(e.ExpiresAt), e.Reason}
	})
}

func listExports(p *program, api *client) ([]adminapi.SMIMEExport, error) {
	var answer adminapi.SMIMEExports
	err := api.get(p.ctx, exportsPath, pageQuery(""), &answer)
	return answer.Exports, err
}

type smimeApproveCmd struct {
	ID string `arg:"" name:"export" help:"ID of the export."`
	Output
}

func (c *smimeApproveCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	var e adminapi.SMIMEExport
	if err := api.call(p.ctx, http.MethodPost, exportPath(c.ID, "approve"), "", nil, &e); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, e)
	}
	fmt.Fprintf(p.stdout, "export %s is %s; %s may take it until %s\n", e.ID, e.State, cell(e.RequestedBy), stamp(e.ExpiresAt))
	return nil
}

func exportPath(id, act string) string { return exportsPath + "/" + url.PathEscape(id) + "/" + act }

type smimeTakeCmd struct {
	ID           string `arg:"" name:"export" help:"ID of the export."`
	Out          string `required:"" help:"File to write; one that is there is not written over. Several keys make a zip file: name it so." placeholder:"FILE"`
	PasswordFile string `required:"" help:"File with the password that the keys are to have; - for standard input." placeholder:"FILE"`
	Legacy       bool   `help:"Triple DES and SHA-1, for programs that read nothing else."`
}

func (c *smimeTakeCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	password, err := p.secretFrom(c.PasswordFile)
	if err != nil {
		return err
	}
	if err := c.fits(p, api); err != nil {
		return err
	}
	// The file comes first: the keys are handed out once.
	file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("make file: %w", err)
	}
	var taken adminapi.SMIMETaken
	err = api.post(p.ctx, exportPath(c.ID, "take"), adminapi.SMIMETakeRequest{Password: password.Reveal(), Legacy: c.Legacy}, &taken)
	if err != nil {
		return errors.Join(err, file.Close(), os.Remove(c.Out))
	}
	if err := errors.Join(writeKeys(file, c.zipped(), taken.Files), file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write keys, which cannot be taken again: %w", err)
	}
	fmt.Fprintf(p.stdout, "%d keys in %s\n", len(taken.Files), cell(c.Out))
	return nil
}

func (c *smimeTakeCmd) zipped() bool { return strings.HasSuffix(strings.ToLower(c.Out), ".zip") }

// fits refuses a name that the keys would not fit into, before they are taken.
func (c *smimeTakeCmd) fits(p *program, api *client) error {
	exports, err := listExports(p, api)
	if err != nil {
		return err
	}
	for _, e := range exports {
		if e.ID == c.ID && len(e.Keys) > 1 && !c.zipped() {
			return usageError{fmt.Sprintf("the export has %d keys: let --out end in .zip", len(e.Keys))}
		}
	}
	return nil
}

// writeKeys writes one key as it is, or all of them into a zip file.
func writeKeys(file *os.File, zipped bool, keys []adminapi.SMIMEKeyFile) error {
	if !zipped {
		for _, k := range keys {
			if _, err := file.Write(k.Data); err != nil {
				return err
			}
		}
		return nil
	}
	archive := zip.NewWriter(file)
	for _, k := range keys {
		entry, err := archive.CreateHeader(&zip.FileHeader{Name: k.Key.Usage + "-" + k.Key.ID + ".p12", Method: zip.Store})
		if err != nil {
			return err
		}
		if _, err := entry.Write(k.Data); err != nil {
			return err
		}
	}
	return archive.Close()
}
