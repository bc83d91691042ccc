package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"time"

	"sallyport/internal/refusal"
)

// header is the line that show prints above a document. Who edits what show
// printed and applies it writes over the revision that the line names, and over
// no other.
var header = regexp.MustCompile(`^# (?:template|security policy|compliance policy) ([a-z0-9-]+), revision ([1-9][0-9]{0,8}), applied by .*(?:\n|$)`)

// showDocument prints a document under its header.
func (p *program) showDocument(what, name string, revision int, by string, at time.Time, source string) {
	text := withoutHeader([]byte(source))
	fmt.Fprintf(p.stdout, "# %s %s, revision %d, applied by %s at %s\n%s", what, cell(name), revision, cell(by), stamp(at), text)
	if !bytes.HasSuffix(text, []byte("\n")) {
		fmt.Fprintln(p.stdout)
	}
}

func withoutHeader(text []byte) []byte { return text[len(header.Find(text)):] }

// document is a file to apply.
type document struct {
	text    []byte // as it was read
	source  []byte // what is sent: without the header, which is no part of it
	base    int    // the revision that it was made from; 0 where it does not say
	refused error  // what this program has against the text, places included
}

// openDocument reads a document, whose name the function finds. A header of
// another name is that of a document that was copied: it says nothing of this one.
func (p *program) openDocument(file string, name func(source []byte) (string, error)) (document, error) {
	text, err := p.readInput(file)
	if err != nil {
		return document{}, err
	}
	d := document{text: text, source: withoutHeader(text)}
	own, refused := name(text)
	d.refused = refused
	if m := header.FindSubmatch(text); m != nil && refused == nil && string(m[1]) == own {
		d.base, _ = strconv.Atoi(string(m[2])) // nine digits at most
	}
	return d, nil
}

// placed is a refusal by the server with the places of the text: where a header
// was left out, those of what was sent are a line off, and a fault of the syntax
// came in words alone.
func (d document) placed(err error) error {
	var answer apiError
	if len(refusal.All(d.refused)) == 0 || !errors.As(err, &answer) || answer.status != http.StatusBadRequest {
		return err
	}
	if len(d.source) < len(d.text) || position.MatchString(answer.text) {
		return d.refused
	}
	return err
}

// follow is a client whose writes follow what the flags name, or else what the
// document was made from.
func (f IfMatch) follow(p *program, d document) (*client, error) {
	api, err := p.client()
	if err != nil {
		return nil, err
	}
	if d.base > 0 && !f.given() {
		return api.following(d.base), nil
	}
	return f.on(api)
}

// next says how the file is applied after its next change.
func (IfMatch) next(p *program, command, name string, revision int) {
	fmt.Fprintf(p.stderr, "to change it again: --if-match %d, or edit what `sallyport %s show %s` prints\n", revision, command, cell(name))
}

// applyHelp is the detail under the usage line of an apply.
func applyHelp(command string) string {
	return `What is newest is written over only by who has seen it. A file that "` + command + ` show NAME" printed names the revision that it was made
from in its first line, and follows that one. For any other file --if-match N says which one was seen; --force means whichever it is.
The first revision needs neither, nor does a file that says what is there already.`
}
