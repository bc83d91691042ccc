package main

import (
	"fmt"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/store"
)

type caRotateKEKCmd struct {
	Config   string  `help:"YAML file with the server's settings." placeholder:"FILE"`
	Database *string `help:"PostgreSQL in place of a file in the data directory, as of serve." placeholder:"postgres://USER@HOST/DB"`
	KEKFile  *string `name:"kek-file" help:"File of the key, as of serve." placeholder:"FILE"`
	DryRun   bool    `help:"Open everything that is sealed, and change nothing."`
	Output
}

// Help is the detail under the usage line.
func (*caRotateKEKCmd) Help() string {
	return `Seals every secret in the database anew under another key-encryption key. Stop every server first. A key in a file is made and put there; for a key in SALLYPORT_KEK set SALLYPORT_KEK_NEW to the new one. Killed or failed, it goes on when it is run again, and meanwhile servers run with both keys. Backups of before open with the old key only. See docs/keys.md.`
}

// rotated is what came of it, for scripts.
type rotated struct {
	From   string                 `json:"from"` // KeyID
	To     string                 `json:"to"`
	Key    string                 `json:"key"` // file or variable
	DryRun bool                   `json:"dry_run"`
	Values int                    `json:"values"` // sealed under To, or to be
	Table  []store.ResealedColumn `json:"columns"`
}

func (c *caRotateKEKCmd) Run(p *program) error {
	if p.Server != "" {
		return usageError{"ca rotate-kek works on this machine, with no server running: --server does not belong here"}
	}
	given := map[string]any{}
	for key, value := range map[string]*string{"database": c.Database, "kek_file": c.KEKFile} {
		if value != nil {
			given[key] = *value
		}
	}
	cfg, err := p.settings(c.Config, given)
	if err != nil {
		return err
	}
	found, err := app.RotateKEK(p.ctx, cfg, app.RotateOptions{DryRun: c.DryRun, Progress: p.resealing()})
	if err != nil {
		return err
	}
	done, left := found.Total()
	if c.json() {
		return printJSON(p.stdout, rotated{found.From, found.To, app.KeyPlace(cfg), c.DryRun, done + left, found.Columns})
	}
	c.tell(p, cfg, found)
	return nil
}

func (c *caRotateKEKCmd) tell(p *program, cfg config.Config, found store.Resealing) {
	done, left := found.Total()
	place := app.KeyPlace(cfg)
	switch {
	case c.DryRun && done > 0 && left > 0:
		fmt.Fprintf(p.stdout, "%d sealed values open; a change of the key was begun, and %d are yet to be sealed anew\nDry run: nothing was done.\n", done+left, left)
	case c.DryRun:
		fmt.Fprintf(p.stdout, "%d sealed values open with %s\nDry run: nothing was done.\n", done+left, place)
	case place == config.VariableKEK:
		fmt.Fprintf(p.stdout, "%d values are sealed under key %s\n", done, found.To)
		fmt.Fprintf(p.stderr, "Now set %s to what %s is, on every server, and unset %s. Keep a copy of the new key apart from the backups, and the old key as long as you keep backups of before.\n",
			config.VariableKEK, config.VariableKEKNew, config.VariableKEKNew)
	default:
		fmt.Fprintf(p.stdout, "%d values are sealed under key %s, which is in %s\n", done, found.To, place)
		fmt.Fprintln(p.stderr, "Copy that file now, to where you keep the key apart from the backups. Keep the copy of the old key as long as you keep backups of before.")
		if !cfg.Database.IsZero() {
			fmt.Fprintln(p.stderr, "Copy it to every other server on this database too, before you start them.")
		}
	}
}

const resealingEvery = time.Second

// resealing tells now and then how far it has come, where somebody watches.
func (p *program) resealing() func(store.Resealing) {
	var last time.Time
	return func(r store.Resealing) {
		done, left := r.Total()
		if now := p.now(); now.Sub(last) >= resealingEvery && left > 0 {
			last = now
			fmt.Fprintf(p.stderr, "%d of %d values sealed anew\n", done, done+left)
		}
	}
}
