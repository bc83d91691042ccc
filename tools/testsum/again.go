package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// fewest is up to how many failures may be the machine's doing: stories start servers
// and wait for them, beside each other and beside whatever else runs there. What more
// tests fail for is in the code.
const fewest = 2

// failures are the top-level tests that failed, by package.
type failures struct {
	tests []failure
	open  map[string]int // tests that began and did not end, by package
	other bool           // something failed that is no test: a build, a process that died, or a package whose tests did not
}

type failure struct{ Package, Test string }

func (f *failures) note(e event) {
	switch {
	case e.Action == "build-fail":
		f.other = true
	case e.Action == "output":
		// The tests after it never begin, so nobody would miss them.
		f.other = f.other || strings.HasPrefix(e.Output, "panic: ") || strings.HasPrefix(e.Output, "fatal error: ")
	case e.Test == "" && e.Action == "fail":
		named := slices.ContainsFunc(f.tests, func(t failure) bool { return t.Package == e.Package })
		f.other = f.other || !named || f.open[e.Package] != 0
	case e.Test == "" || strings.Contains(e.Test, "/"):
	case e.Action == "run":
		f.open[e.Package]++
	case e.Action == "pass", e.Action == "skip":
		f.open[e.Package]--
	case e.Action == "fail":
		f.open[e.Package]--
		f.tests = append(f.tests, failure{e.Package, e.Test})
	}
}

// passAlone runs the tests that failed once more, with nothing beside them, and tells
// loudly of those that pass then: a failure that cannot be repeated keeps no change
// from landing, and is to be found and mended all the same. It says no where
// there are more than a few, or where something else than a test failed.
func (s *summary) passAlone(args []string, run func([]string) (*summary, error)) bool {
	f := s.failures
	packages := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, "./") })
	if f.other || len(f.tests) == 0 || len(f.tests) > fewest || packages < 0 {
		return false
	}
	flags := args[:packages]
	for _, t := range f.tests {
		fmt.Fprintf(s.w, "\nonce more, alone: %s %s\n", t.Package, t.Test)
		alone, err := run(append(slices.Clone(flags), "-count=1", "-run", "^"+regexp.QuoteMeta(t.Test)+"$", t.Package))
		if err != nil || alone.failed > 0 || alone.passed == 0 {
			return false
		}
	}
	fmt.Fprintf(s.w, "\n!!! UNSTEADY: %d test(s) failed beside the others and passed alone. What they said is above: find out why, and mend it.\n", len(f.tests))
	for _, t := range f.tests {
		fmt.Fprintf(s.w, "!!!   %s %s\n", t.Package, t.Test)
	}
	return true
}
