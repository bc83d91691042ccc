package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"sallyport/templates"
)

// IfMatch are the flags of everything that makes a new revision.
type IfMatch struct {
	IfMatch string `help:"Refuse unless this is still the newest revision; new: unless there is none." placeholder:"N|new" xor:"base"`
	Force   bool   `help:"Write over whatever is newest, seen or not." xor:"base"`
}

// given says whether a flag names what may be written over.
func (f IfMatch) given() bool { return f.Force || f.IfMatch != "" }

// names is the revision that is written over, as the flags or else the document say: 0
// where it is to be new, or neither says anything; templates.AnyRevision for --force.
func (f IfMatch) names(d document) (int, error) {
	switch n, err := strconv.Atoi(f.IfMatch); {
	case f.Force:
		return templates.AnyRevision, nil
	case f.IfMatch == "":
		return d.base, nil
	case f.IfMatch == "new":
		return 0, nil
	case err != nil || n < 1:
		return 0, usageError{"--if-match takes the number of a revision, or the word new"}
	default:
		return n, nil
	}
}

// on is a client whose writes hold only under the condition.
func (f IfMatch) on(c *client) (*client, error) {
	switch n, err := f.names(document{}); {
	case err != nil:
		return nil, err
	case n == templates.AnyRevision:
		return c.with("If-Match", "*"), nil
	case n > 0:
		return c.following(n), nil
	case f.given():
		return c.with("If-None-Match", "*"), nil
	}
	return c, nil
}

// onTemplate is on for what changes one part of a template and keeps the rest:
// without a flag it follows the revision that is newest when it begins.
func (f IfMatch) onTemplate(ctx context.Context, c *client, name string) (*client, error) {
	if f.given() {
		return f.on(c)
	}
	var newest templates.Revision
	if err := c.get(ctx, templatePath(name), nil, &newest); err != nil {
		return nil, err
	}
	return c.following(newest.Number), nil
}

// following is a client whose writes hold only while that revision is the newest.
func (c *client) following(revision int) *client {
	return c.with("If-Match", strconv.Quote(strconv.Itoa(revision)))
}

// with is a client that sends one more header.
func (c *client) with(name, value string) *client {
	more, inner := *c, *c.http
	inner.Transport = headers{next: c.http.Transport, add: http.Header{name: {value}}}
	more.http = &inner
	return &more
}

// headers adds to every request.
type headers struct {
	next http.RoundTripper
	add  http.Header
}

// RoundTrip implements http.RoundTripper.
func (h headers) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	for name, values := range h.add {
		r.Header[name] = values
	}
	return h.next.RoundTrip(r)
}

// longTime bounds what walks through the whole directory.
const longTime = time.Hour

// callLong is call for an answer that takes its time.
func (c *client) callLong(ctx context.Context, method, path, contentType string, body io.Reader, out any) error {
	ctx, cancel := context.WithTimeout(ctx, longTime)
	defer cancel()
	answer, err := c.send(ctx, method, path, contentType, body)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(out); err != nil {
		return fmt.Errorf("read answer of %s: %w", c.base, err)
	}
	return nil
}

// putJSON sends in with PUT and reads the answer into out.
func (c *client) putJSON(ctx context.Context, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode request: %w", err)
	}
	return c.call(ctx, http.MethodPut, path, contentJSON, bytes.NewReader(body), out)
}
