// Command testsum runs `go test -json` and tells the outcome the way a person
// reads it: one line a package, the output of what failed, and, loudly at the
// end, what was skipped and how to get it.
//
//	testsum [-again] go test -json ./...
//
// Its exit code is that of the command; a run in which no test ran fails. With
// -again the few tests that failed run once more, alone: see again.go.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"sort"
	"strings"
)

func main() {
	args := os.Args[1:]
	again := len(args) > 0 && args[0] == "-again"
	if again {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: testsum [-again] go test -json PACKAGES")
		os.Exit(2)
	}
	s, err := run(args)
	ok := s.report() && err == nil
	if !ok && again {
		ok = s.passAlone(args, run)
	}
	if !ok {
		os.Exit(1)
	}
}

// run sums up what a command prints; its error is how the command ended.
func run(args []string) (*summary, error) {
	s := newSummary(os.Stdout)
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testsum:", err)
		os.Exit(1)
	}
	s.read(out)
	return s, cmd.Wait()
}

// event is a line of test2json (`go doc test2json`).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

type summary struct {
	w                       io.Writer
	output                  map[string][]string // of tests that have not ended, by package and name
	skips                   []string
	passed, failed, skipped int
	failures                failures
}

func newSummary(w io.Writer) *summary {
	return &summary{w: w, output: map[string][]string{}, failures: failures{open: map[string]int{}}}
}

func (s *summary) read(r io.Reader) {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			s.line(line)
		}
		if err != nil {
			return
		}
	}
}

func (s *summary) line(line []byte) {
	var e event
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(s.w, "%s", line) // not JSON: a word of the go command itself
		return
	}
	s.failures.note(e)
	key := e.Package + " " + e.Test
	switch e.Action {
	case "build-output":
		fmt.Fprint(s.w, e.Output)
	case "output":
		if e.Test == "" {
			s.packageOutput(e)
			return
		}
		s.output[key] = append(s.output[key], e.Output)
	case "pass":
		if e.Test != "" {
			s.passed++
		}
		delete(s.output, key)
	case "fail":
		if e.Test != "" {
			s.failed++
			fmt.Fprint(s.w, strings.Join(s.output[key], ""))
		}
		delete(s.output, key)
	case "skip":
		if e.Test != "" {
			s.skipped++
			s.skips = append(s.skips, e.Package+" "+e.Test+"\n      "+reason(s.output[key]))
		}
		delete(s.output, key)
	}
}

// packageOutput prints the closing line of a package, benchmarks and panics;
// the bare words PASS and FAIL say nothing more, and a package without tests
// is no news.
func (s *summary) packageOutput(e event) {
	text := strings.TrimSpace(e.Output)
	if text == "" || text == "PASS" || strings.HasSuffix(text, "[no test files]") {
		return
	}
	fmt.Fprint(s.w, e.Output)
}

var noise = regexp.MustCompile(`^\s*(===|---) `)
var place = regexp.MustCompile(`^\s*[\w./-]+\.go:\d+: `)

// reason is what the test said before it skipped.
func reason(output []string) string {
	var said []string
	for _, line := range output {
		if noise.MatchString(line) {
			continue
		}
		if text := strings.TrimSpace(place.ReplaceAllString(line, "")); text != "" {
			said = append(said, text)
		}
	}
	if len(said) == 0 {
		return "(the test does not say why)"
	}
	return strings.Join(said, "\n      ")
}

// report prints what was skipped and the sums, and tells whether all is well.
func (s *summary) report() bool {
	if len(s.skips) > 0 {
		sort.Strings(s.skips)
		fmt.Fprintf(s.w, "\n!!! SKIPPED: %d test(s) did not run here, and why:\n", len(s.skips))
		for _, skip := range s.skips {
			fmt.Fprintf(s.w, "!!!   %s\n", skip)
		}
	}
	fmt.Fprintf(s.w, "\n%d passed, %d failed, %d skipped\n", s.passed, s.failed, s.skipped)
	if s.passed+s.failed == 0 {
		fmt.Fprintln(s.w, "no test ran: that is a failure")
		return false
	}
	return s.failed == 0
}
