package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"

	"sallyport/internal/app"
	"sallyport/internal/secret"
)

type backupCmd struct {
	File string `arg:"" help:"File to write; it must not exist. - for standard output."`
}

func (c *backupCmd) Run(p *program) error {
	api, err := p.client()
	if err != nil {
		return err
	}
	answer, err := api.send(p.ctx, http.MethodGet, "/api/v1/backup", "", nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if c.File == "-" {
		_, err = io.Copy(p.stdout, answer.Body)
		return err
	}
	size, err := saveNew(p.ctx, c.File, answer.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s: %d bytes\n", c.File, size)
	fmt.Fprintln(p.stderr, "Its secrets are sealed under the key-encryption key (DATA/kek, or where you keep it), which is not in it. Keep a copy of that key in another place: without it the backup is worthless.")
	return nil
}

// saveNew writes a file that did not exist, and leaves none behind when the
// stream breaks: a backup that is there is whole.
func saveNew(ctx context.Context, path string, r io.Reader) (size int64, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s exists (name a new file, so that no older backup is lost)", path)
	}
	if err != nil {
		return 0, fmt.Errorf("write backup: %w", err)
	}
	size, err = io.Copy(f, r)
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		_ = os.Remove(path)
		return 0, fmt.Errorf("write backup: %w", err)
	}
	return size, nil
}

type restoreCmd struct {
	File     string `arg:"" optional:"" help:"Backup to restore."`
	KEK      string `name:"kek" help:"Copy of the key file that sealed the backup, if it is not in the data directory yet." placeholder:"FILE"`
	Config   string `help:"YAML file with the server's settings, for kek_file." placeholder:"FILE"`
	Database string `help:"In place of FILE: end the restore of a PostgreSQL database that pg_restore has put back." placeholder:"postgres://USER@HOST/DB"`

	EndTokens bool `help:"Revoke the tokens of engines, too. Without theirs every mail gate is shut until it has a new one."`
}

// Help says what is not as it was in the backup.
func (*restoreCmd) Help() string {
	return `What of the backup may have been used or taken back since is over, and the command names it. Open enrolments and acts have to begin again. Open invitations are revoked: invite those people anew. Tokens of admins, operators and auditors are revoked: the server writes a new DATA/admin-token at its start, with which you make the others. Tokens of engines go on unless --end-tokens is given: look whether one of them had been revoked.`
}

func (c *restoreCmd) Run(p *program) error {
	if p.Server != "" {
		return usageError{"restore works on this machine, with no server running: --server does not belong here"}
	}
	dir := p.dataDir()
	switch {
	case c.Database != "" && (c.File != "" || c.KEK != ""):
		return usageError{"--database ends a restore that pg_restore has done: FILE and --kek do not belong to it"}
	case c.Database != "":
		return c.endRestore(p, dir)
	case c.File == "":
		return usageError{"name the backup to restore, or with --database a PostgreSQL database that pg_restore has put back"}
	}
	if err := c.readable(); err != nil {
		return err
	}
	cfg, err := p.settings(c.Config, map[string]any{"data": dir})
	if err != nil {
		return err
	}
	told, err := app.Restore(p.ctx, cfg, c.File, c.KEK, c.EndTokens)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "restored into %s\n", dir)
	fmt.Fprintf(p.stderr, "Start the server as before: sallyport serve --data %s\n", dir)
	fmt.Fprintf(p.stderr, "It writes a new %s for this command line.\n", filepath.Join(dir, app.TokenFile))
	return printRestoration(p, dir, told)
}

// endRestore does on PostgreSQL what no tool of its own can know of.
func (c *restoreCmd) endRestore(p *program, dir string) error {
	cfg, err := p.settings(c.Config, map[string]any{"data": dir, "database": c.Database})
	if err != nil {
		return err
	}
	told, err := app.Restored(p.ctx, cfg, "pg_restore", c.EndTokens)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "open challenges and acts of the dump are ended")
	fmt.Fprintf(p.stderr, "Start the servers as before: sallyport serve --data %s --database '%s'\n", dir, cfg.Database)
	fmt.Fprintf(p.stderr, "Each writes a new %s into its data directory, as long as no other admin has a token: start them all first.\n", app.TokenFile)
	return printRestoration(p, dir, told)
}

// readable looks at the files before anything is made of them, so that what is
// wrong with one is told by the name that was given.
func (c *restoreCmd) readable() error {
	backup, err := os.Open(c.File)
	if err != nil {
		return fmt.Errorf("backup %s cannot be read: %w (name a file that sallyport backup wrote)", c.File, reason(err))
	}
	defer backup.Close()
	if c.KEK == "" {
		return nil
	}
	const copyOf = "name your copy of the file kek from the data directory of the server that made the backup"
	text, err := os.ReadFile(c.KEK)
	if err != nil {
		return fmt.Errorf("key file %s cannot be read: %w (%s)", c.KEK, reason(err), copyOf)
	}
	if _, err := secret.ParseKeyFile(text); err != nil {
		return fmt.Errorf("key file %s %w (%s)", c.KEK, err, copyOf)
	}
	return nil
}

// reason is an error about a file without the file's name, which is told already.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}
