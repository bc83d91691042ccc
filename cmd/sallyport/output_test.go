package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// filed are the commands whose answer is a file or a stream of its own form, so
// that there is no table beside which JSON could stand.
var filed = []string{
	"serve",
	"profile build", "profile schema",
	"smime export take",
	"push csr",
	"ca export", "ca csr", "ca sign", "ca init",
	"backup", "restore",
}

func leaves(t *testing.T) map[string]*kong.Node {
	t.Helper()
	parser, err := kong.New(&commands{}, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]*kong.Node{}
	for _, leaf := range parser.Model.Leaves(false) {
		all[strings.TrimPrefix(leaf.FullPath(), parser.Model.Name+" ")] = leaf
	}
	return all
}

func flagOf(leaf *kong.Node, name string) *kong.Flag {
	for _, flag := range leaf.Flags {
		if flag.Name == name {
			return flag
		}
	}
	return nil
}

// TestEveryAnswerInJSON finds commands that were forgotten: each takes -o json but
// for those that are filed.
func TestEveryAnswerInJSON(t *testing.T) {
	all := leaves(t)
	for name, leaf := range all {
		flag := flagOf(leaf, "output")
		switch {
		case slices.Contains(filed, name):
			if flag != nil {
				t.Errorf("%s takes -o: take it off the list of those that do not", name)
			}
		case flag == nil:
			t.Errorf("%s does not take -o json", name)
		case flag.Short != 'o' || !strings.Contains(flag.Enum, "json"):
			t.Errorf("%s takes -%c, --output of %s, which is not -o json", name, flag.Short, flag.Enum)
		}
	}
	for _, name := range filed {
		if all[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}
