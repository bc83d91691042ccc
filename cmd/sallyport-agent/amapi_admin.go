package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"sallyport/mdm/agent"
)

type amapiAdminCmd struct {
	Page string `arg:"" name:"page" help:"The page that sallyport android signup printed, or - to read it from standard input."`
	CA   string `name:"ca" placeholder:"FILE" help:"PEM file with roots to trust besides the system's."`
}

// signUpTime is enough for a page that says yes by itself.
const signUpTime = 30 * time.Second

func (c *amapiAdminCmd) Run(ctx context.Context) error {
	page, err := orInput(c.Page)
	if err != nil {
		return err
	}
	// Google's own page asks a person: only that of a stand-in can be gone through.
	if u, err := url.Parse(page); err != nil || u.Scheme != "http" || !loopback(u.Hostname()) {
		return fmt.Errorf("%w: this is no page of a stand-in on this machine: open it in a browser", agent.ErrInvalid)
	}
	ctx, stop := context.WithTimeout(ctx, signUpTime)
	defer stop()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return fmt.Errorf("%w: page: %w", agent.ErrInvalid, err)
	}
	trust, err := c.trust()
	if err != nil {
		return err
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: trust}}
	answer, err := browser.Do(r)
	if err != nil {
		// Not err itself: the address in it ends the sign-up for whoever reads it.
		return fmt.Errorf("%w: the page of the sign-up, or the server that it leads back to, does not answer", agent.ErrUnreachable)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<20))
	back := answer.Request.URL
	if answer.StatusCode != http.StatusOK || back.Host == r.URL.Host {
		return fmt.Errorf("the sign-up ended at %s with %s: begin it again with sallyport android signup", back.Host, answer.Status)
	}
	tell("signed up", "the browser is back at "+back.Host)
	return nil
}

func (c *amapiAdminCmd) trust() (*tls.Config, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if c.CA != "" {
		roots, err := readRoots(c.CA)
		if err != nil {
			return nil, err
		}
		for _, root := range roots {
			pool.AddCert(root)
		}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
