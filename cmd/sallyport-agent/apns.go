package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/mdm/agent"
)

// Files beside the stand-in's authority, for whoever started it with port 0.
const (
	pushURLFile = "url"  // for serve --apns-url
	sideURLFile = "side" // for wait --apns
)

type apnsCmd struct {
	Serve  apnsServeCmd  `cmd:"" default:"withargs" help:"Stand in for Apple's push service on this machine, until Ctrl-C."`
	Sign   apnsSignCmd   `cmd:"" help:"Stand in for identity.apple.com: issue a push certificate for a request."`
	Answer apnsAnswerCmd `cmd:"" help:"Tell a running stand-in what to answer instead of delivering."`
	Log    apnsLogCmd    `cmd:"" help:"Show what a running stand-in saw, and what it found wrong."`
}

// apnsFolder is where the stand-in's authority is kept.
type apnsFolder struct {
	Dir string `required:"" placeholder:"DIR" env:"SALLYPORT_AGENT_APNS_DIR" help:"Folder of the stand-in: its CA (ca.pem is for serve --apns-ca), its addresses (url, side)."`
}

type apnsServeCmd struct {
	apnsFolder
	Listen string `default:"localhost:2197" placeholder:"HOST:PORT" help:"Where the server pushes to; port 0 takes a free one."`
	Side   string `default:"localhost:2198" placeholder:"HOST:PORT" help:"Where phones in software wait; loopback only."`
}

func (c *apnsServeCmd) Run(ctx context.Context) error {
	authority, err := agent.OpenPushAuthority(c.Dir, nil)
	if err != nil {
		return err
	}
	s, err := agent.NewPushService(ctx, agent.PushServiceOptions{Authority: authority, Listen: c.Listen, Side: c.Side})
	if err != nil {
		return err
	}
	// The side goes last: who waits for it finds both.
	for _, f := range []struct{ name, text string }{{pushURLFile, s.URL()}, {sideURLFile, s.SideURL()}} {
		if err := replaceFile(filepath.Join(c.Dir, f.name), f.text+"\n"); err != nil {
			return err
		}
	}
	tell("push stand-in", s.URL()+"  (serve --apns-url "+s.URL()+" --apns-ca "+filepath.Join(c.Dir, "ca.pem")+")")
	tell("side port", s.SideURL()+"  (sallyport-agent wait --apns "+s.SideURL()+")")
	return s.Run(ctx)
}

// replaceFile leaves the old file or the new one, never half of it.
func replaceFile(path, text string) error {
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(path+".new", path)
}

type apnsSignCmd struct {
	apnsFolder
	CSR     string `name:"csr" required:"" placeholder:"FILE" help:"What sallyport push csr wrote, plain or vendor-signed; - for standard input."`
	Out     string `placeholder:"FILE" help:"Where to write the certificate; standard output when left away."`
	Another bool   `help:"Make another entry with a topic of its own, as Create in the portal does; phones of the old one are lost to it."`
}

func (c *apnsSignCmd) Run() error {
	const longest = 1 << 20
	in := io.Reader(os.Stdin)
	if c.CSR != "-" {
		f, err := os.Open(c.CSR)
		if err != nil {
			return fmt.Errorf("--csr: %w", err)
		}
		defer f.Close()
		in = f
	}
	request, err := io.ReadAll(io.LimitReader(in, longest))
	if err != nil {
		return fmt.Errorf("--csr: %w", err)
	}
	authority, err := agent.OpenPushAuthority(c.Dir, nil)
	if err != nil {
		return err
	}
	certificate, topic, err := authority.Sign(request, c.Another)
	if err != nil {
		return err
	}
	if c.Out == "" {
		_, err = os.Stdout.Write(certificate)
		return err
	}
	if err := replaceFile(c.Out, string(certificate)); err != nil {
		return err
	}
	tell("certificate issued", topic+"  in "+c.Out)
	return nil
}

// side is a running stand-in.
type side struct {
	APNS string `name:"apns" required:"" placeholder:"URL" env:"SALLYPORT_AGENT_APNS" help:"Side port of the stand-in, as it printed it."`
}

func (s side) call(ctx context.Context, method, path string, in any) ([]byte, error) {
	return askStandIn(ctx, method, s.APNS, path, in)
}

// askStandIn talks to the side of a running stand-in.
func askStandIn(ctx context.Context, method, address, path string, in any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(address, "/")+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: stand-in: %w", agent.ErrInvalid, err)
	}
	client := &http.Client{Transport: &http.Transport{Proxy: nil}}
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("stand-in: %w: %w", agent.ErrUnreachable, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode >= 300 {
		err = fmt.Errorf("stand-in: %w with %d: %s", agent.ErrRefused, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	return text, err
}

type apnsAnswerCmd struct {
	side
	Status     int    `arg:"" help:"400, 403, 410, 429, 500 or 503; 200 delivers again."`
	Reason     string `placeholder:"WORD" help:"Apple's word for it; the usual one when left away."`
	Token      string `placeholder:"HEX" help:"For this token alone."`
	Times      int    `placeholder:"N" help:"So many times; for ever when left away."`
	RetryAfter int    `placeholder:"SECONDS" help:"Send Retry-After."`
	Timestamp  int64  `placeholder:"MILLISECONDS" help:"With 410: since when the token is dead; now when left away."`
}

func (c *apnsAnswerCmd) Run(ctx context.Context) error {
	script := []agent.PushAnswer{}
	if c.Status != http.StatusOK {
		script = append(script, agent.PushAnswer{
			Token: c.Token, Status: c.Status, Reason: c.Reason, Times: c.Times, RetryAfter: c.RetryAfter, Timestamp: c.Timestamp,
		})
	}
	_, err := c.call(ctx, http.MethodPost, "/script", script)
	return err
}

type apnsLogCmd struct{ side }

func (c *apnsLogCmd) Run(ctx context.Context) error {
	text, err := c.call(ctx, http.MethodGet, "/log", nil)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

type waitCmd struct {
	common
	online
	APNS  string        `name:"apns" placeholder:"URL" env:"SALLYPORT_AGENT_APNS" help:"iPhone: side port of the stand-in, as it printed it. An Android phone waits at its --amapi."`
	For   time.Duration `default:"10m" placeholder:"DURATION" help:"How long to wait for a push."`
	Times int           `default:"1" help:"Connect for so many pushes, then end."`
}

func (c *waitCmd) Run(ctx context.Context) error {
	p, err := c.existing(c.Dir)
	if err != nil {
		return err
	}
	defer p.Close()
	for range max(c.Times, 1) {
		err := c.wait(ctx, p)
		if errors.Is(err, context.DeadlineExceeded) {
			return fmt.Errorf("no push came within %s", c.For)
		}
		if err != nil {
			return err
		}
		if err := p.Connect(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait returns when something wants the phone to connect.
func (c *waitCmd) wait(ctx context.Context, p *agent.Phone) error {
	kind, err := p.Kind()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, c.For)
	defer stop()
	switch {
	case kind == agent.Android:
		return p.AwaitPolicy(ctx)
	case c.APNS == "":
		return fmt.Errorf("%w: --apns: an iPhone waits at the side port of sallyport-agent apns", agent.ErrInvalid)
	}
	return p.AwaitPush(ctx, c.APNS)
}
