package main

import (
	"errors"
	"fmt"
	"io/fs"

	"sallyport/internal/app"
	"sallyport/internal/config"
)

type configCmd struct {
	Show configShowCmd `cmd:"" help:"Show what the next serve would use: every setting, its value and where that came from. Secrets are hidden."`
}

type configShowCmd struct {
	settingFlags
	Output
}

// fromDataDirectory is the origin of what the first start fixed.
const fromDataDirectory config.Origin = "data directory"

func (c *configShowCmd) Run(p *program) error {
	cfg, err := c.load(p)
	settings := cfg.Redacted()
	p.fixed(cfg.Data, settings)
	fmt.Fprintln(p.stderr, "What the next sallyport serve would use with this command line, environment and file; a server that runs keeps what it was started with.")
	printErr := list(p, c.Output, settings, "SETTING VALUE FROM", func(s config.Setting) []string {
		return []string{s.Key, s.Value, string(s.Origin)}
	})
	return errors.Join(printErr, err)
}

// fixed puts the public URL that the first start fixed, and the name that the
// authority was made with, in the place of settings that nobody gave, and says it
// when another URL is set: the next start would refuse it.
func (p *program) fixed(dir string, settings []config.Setting) {
	// Only the token may be missing: what was read before it is there all the same.
	local, err := app.ReadLocal(dir)
	if local.PublicURL == "" {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			fmt.Fprintf(p.stderr, "sallyport: public_url unknown: %v\n", err)
		}
		return
	}
	for i, s := range settings {
		switch {
		case s.Key == "organization" && s.Origin == config.FromDefault && local.Organization != "":
			settings[i].Value, settings[i].Origin = local.Organization, fromDataDirectory
		case s.Key != "public_url" || s.Value == local.PublicURL:
		case s.Value == "":
			settings[i].Value, settings[i].Origin = local.PublicURL, fromDataDirectory
		default:
			fmt.Fprintf(p.stderr, "sallyport: public_url was fixed at the first start as %s: serve refuses another one\n", local.PublicURL)
		}
	}
}
