package main

import (
	"os"
	"path/filepath"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
)

// keyCheck looks at the key-encryption key where the last server has found it, or
// else where the next would.
func keyCheck(p *program, dir string) check {
	const what = "key-encryption key"
	place := keyPlace(p, dir)
	if place == config.VariableKEK {
		return check{what, good, "in the variable " + place + " of the server, not on this disk", ""}
	}
	rotating := false
	c := secretFile(place, what, func(text []byte) string {
		keys, err := secret.ParseKeyFile(text)
		if err != nil {
			return err.Error()
		}
		rotating = len(keys) > 1
		return ""
	})
	_, err := os.Stat(filepath.Join(dir, app.DatabaseFile))
	switch {
	case err == nil && c.Grade == broken && c.Next == makesOne:
		c.Next = "put your copy back as " + place + ": the database is sealed with it, and opens with no other"
	case c.Grade == good && rotating:
		c = check{what, warn, place + " holds two keys: a change of the key is not finished", "stop the server, and run sallyport ca rotate-kek again"}
	}
	return c
}

// keyPlace is the file, or the name of the variable.
func keyPlace(p *program, dir string) string {
	// What is wrong with other settings, or with the token, is told elsewhere.
	if local, _ := app.ReadLocal(dir); local.KEK != "" {
		return local.KEK
	}
	cfg, _ := p.settings("", map[string]any{"data": dir})
	return app.KeyPlace(cfg)
}
