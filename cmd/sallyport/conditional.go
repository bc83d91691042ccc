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
)

// IfMatch is the flag of everything that makes a new revision.
type IfMatch struct {
	IfMatch string `help:"Refuse unless this is still the newest revision; new: unless there is none." placeholder:"N|new"`
}

// on is a client whose writes hold only under the condition.
func (f IfMatch) on(c *client) (*client, error) {
	header := http.Header{}
	switch n, err := strconv.Atoi(f.IfMatch); {
	case f.IfMatch == "":
		return c, nil
	case f.IfMatch == "new":
		header.Set("If-None-Match", "*")
	case err != nil || n < 1:
		return nil, usageError{"--if-match takes the number of a revision, or the word new"}
	default:
		header.Set("If-Match", strconv.Quote(strconv.Itoa(n)))
	}
	conditional, inner := *c, *c.http
	inner.Transport = headers{next: c.http.Transport, add: header}
	conditional.http = &inner
	return &conditional, nil
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
