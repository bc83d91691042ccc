package main

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"sallyport/certs"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
)

type smimeImportCmd struct {
	From   string `arg:"" name:"dir|file.zip" help:"Directory or zip file with the PKCS#12 files."`
	CSV    string `name:"csv" required:"" help:"List with the columns mail, file and password, and former where one is meant; - for standard input." placeholder:"FILE"`
	DryRun bool   `help:"Check every file and save nothing."`
	Output
}

// Help is the detail under the usage line.
func (*smimeImportCmd) Help() string {
	return `The list is CSV in UTF-8. Its first row names the columns: mail, file, password, and former if you like. mail is the address of a user, or the UPN, and the certificate must name it. file is a path below DIR, or in the zip file, with /.

Each file is taken or refused by itself. What is on record already is skipped: run the same again after it was cut off, or after refused ones were put right. An encryption certificate that has expired is taken as history, so that old mail can be read; a signing certificate that has expired is refused. One file may serve for both.

former is an address that the user once had, such as one from before a marriage. Where it is given the certificate must name that one. Its key then goes to the user's phones to read old mail with, and for nothing else: it neither signs, nor is new mail encrypted to it, whatever its certificate says.

The exit code is 1 where a file was refused.`
}

// Bounds of what is sent at once. The server has its own, which are wider.
const (
	batchFiles       = 250
	batchBytes       = 4 << 20
	batchDerivations = certs.MaxSMIMEDerivations / 2
)

func (c *smimeImportCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	text, err := p.readFile(c.CSV, bounded.MaxUpload)
	if err != nil {
		return err
	}
	rows, err := readKeyList(text)
	if err != nil {
		return inFile(c.CSV, err)
	}
	source, err := openKeySource(c.From)
	if err != nil {
		return err
	}
	defer func() { _ = source.close() }()
	i := &keyImport{p: p, api: api, dryRun: c.DryRun, total: len(rows)}
	err = i.run(source, rows)
	slices.SortStableFunc(i.report.Results, func(a, b adminapi.SMIMEImportResult) int { return a.Line - b.Line })
	if failure := c.report(p, i.report); failure != nil {
		return failure
	}
	switch {
	case err != nil:
		return fmt.Errorf("cut off after %d of %d files, run it again to go on: %w", len(i.report.Results), len(rows), err)
	case i.report.Refused > 0:
		return errQuiet
	}
	return nil
}

// inFile says of each refusal in which file it is.
func inFile(name string, err error) error {
	var all refusal.List
	for _, r := range refusal.All(err) {
		where := name
		if r.Field != "" {
			where += ", " + r.Field
		}
		all = append(all, refusal.New(errKeyFile, where, r.Reason, r.Remedy))
	}
	if len(all) == 0 {
		return fmt.Errorf("%s: %w", name, err)
	}
	return all.OrNil()
}

// report prints what became of the files: one by one those that were refused.
func (c *smimeImportCmd) report(p *program, report adminapi.SMIMEImported) error {
	if c.json() {
		if report.Results == nil {
			report.Results = []adminapi.SMIMEImportResult{}
		}
		return printJSON(p.stdout, report)
	}
	var refused []adminapi.SMIMEImportResult
	for _, r := range report.Results {
		if r.Outcome == string(certs.SMIMERefused) {
			refused = append(refused, r)
		}
	}
	for _, r := range refused {
		fmt.Fprintf(p.stdout, "%s line %d, %s of %s: %s %s\n  next: %s\n", c.CSV, r.Line, cell(r.File), cell(r.Mail), r.Field, cell(r.Reason), cell(r.Remedy))
	}
	verb := "imported"
	if c.DryRun {
		verb = "would be imported"
	}
	formerly := ""
	if n := ofFormer(report.Results); n > 0 {
		formerly = fmt.Sprintf(", %d for a former address: to read old mail alone", n)
	}
	fmt.Fprintf(p.stdout, "%d %s, %d skipped: on record already, %d refused%s\n", report.Added, verb, report.Known, report.Refused, formerly)
	return nil
}

// ofFormer counts the files that were taken for a former address.
func ofFormer(results []adminapi.SMIMEImportResult) (n int) {
	for _, r := range results {
		if slices.ContainsFunc(r.Keys, func(k adminapi.SMIMEKey) bool { return k.Source == string(certs.SMIMEFormer) }) {
			n++
		}
	}
	return n
}

// keyImport sends files in batches, and gathers what became of them.
type keyImport struct {
	p      *program
	api    *client
	dryRun bool
	total  int
	report adminapi.SMIMEImported

	batch []adminapi.SMIMEFile
	bytes int
	costs int64
}

func (i *keyImport) run(source keySource, rows []keyRow) error {
	defer i.progress(true)
	for _, row := range rows {
		data, refused := source.read(row.file)
		if refused != nil {
			i.refuse(row, refused)
			continue
		}
		if err := i.add(row, data); err != nil {
			return err
		}
	}
	return i.flush()
}

func (i *keyImport) refuse(row keyRow, why *refusal.Error) {
	i.report.Refused++
	i.report.Results = append(i.report.Results, adminapi.SMIMEImportResult{
		Line: row.line, Mail: row.mail, File: row.file, Outcome: string(certs.SMIMERefused),
		Field: why.Field, Reason: why.Reason, Remedy: why.Remedy,
	})
}

// add puts a file into the batch, and sends what was in it first where it would
// become too much.
func (i *keyImport) add(row keyRow, data []byte) error {
	var costs int64
	if bounded.DER(data, certs.MaxPKCS12, bounded.MaxDepth) == nil {
		costs = bounded.Derivations(data)
	}
	if len(i.batch) == batchFiles || i.bytes+len(data) > batchBytes || i.costs+costs > batchDerivations {
		if err := i.flush(); err != nil {
			return err
		}
	}
	i.batch = append(i.batch, adminapi.SMIMEFile{Line: row.line, Mail: row.mail, Former: row.former, File: row.file, Password: row.password, Data: data})
	i.bytes, i.costs = i.bytes+len(data), i.costs+costs
	return nil
}

func (i *keyImport) flush() error {
	if len(i.batch) == 0 {
		return nil
	}
	var answer adminapi.SMIMEImported
	err := i.api.post(i.p.ctx, "/api/v1/smime/import", adminapi.SMIMEImportRequest{Files: i.batch, DryRun: i.dryRun}, &answer)
	if err != nil {
		return err
	}
	if len(answer.Results) != len(i.batch) {
		return errors.New("the server's answer does not speak of every file")
	}
	i.report.Added += answer.Added
	i.report.Known += answer.Known
	i.report.Refused += answer.Refused
	i.report.Results = append(i.report.Results, answer.Results...)
	i.batch, i.bytes, i.costs = nil, 0, 0
	i.progress(false)
	return nil
}

// progress is a line on the terminal that is written over; nothing where nobody looks.
func (i *keyImport) progress(done bool) {
	if file, ok := i.p.stderr.(*os.File); !ok || !isTerminal(file) {
		return
	}
	fmt.Fprintf(i.p.stderr, "\r%d of %d files, %d refused", len(i.report.Results), i.total, i.report.Refused)
	if done {
		fmt.Fprintln(i.p.stderr)
	}
}
