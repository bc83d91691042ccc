package main

import (
	"bytes"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// printHelp is kong's own, but its usage line says which flags exclude each
// other: kong lists all that are required, as if all were to be given.
func printHelp(options kong.HelpOptions, ctx *kong.Context) error {
	stdout := ctx.Stdout
	var text bytes.Buffer
	ctx.Stdout = &text
	err := kong.DefaultHelpPrinter(options, ctx)
	ctx.Stdout = stdout
	if err != nil {
		return err
	}
	usage, rest, _ := strings.Cut(text.String(), "\n")
	if chosen := ctx.Selected(); chosen != nil {
		usage = oneOf(usage, chosen.Flags)
	}
	_, err = io.WriteString(stdout, usage+"\n"+rest)
	return err
}

// oneOf puts flags of which exactly one must be given into (--a | --b).
func oneOf(usage string, flags []*kong.Flag) string {
	var order []string
	choices := map[string][]string{}
	for _, flag := range flags {
		if !flag.Required {
			continue
		}
		for _, name := range flag.Xor {
			if choices[name] == nil {
				order = append(order, name)
			}
			choices[name] = append(choices[name], flag.Summary())
		}
	}
	for _, name := range order {
		c := choices[name]
		usage = strings.Replace(usage, strings.Join(c, " "), "("+strings.Join(c, " | ")+")", 1)
	}
	return usage
}
