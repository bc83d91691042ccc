package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/secret"
	"sallyport/mdm/agent"
)

type amapiCmd struct {
	Serve  amapiServeCmd  `cmd:"" default:"withargs" help:"Stand in for the Android Management API on this machine, until Ctrl-C."`
	Admin  amapiAdminCmd  `cmd:"" help:"Do what an administrator does in a browser: go through the page of a sign-up, back to the server."`
	Script amapiScriptCmd `cmd:"" help:"Tell a running stand-in where to push to, and what goes wrong."`
	Log    amapiLogCmd    `cmd:"" help:"Show what a running stand-in saw, and what it found wrong."`
}

type amapiServeCmd struct {
	Dir     string `required:"" placeholder:"DIR" env:"SALLYPORT_AGENT_AMAPI_DIR" help:"Folder of the stand-in: its service account (service-account.json is for sallyport android signup), its address (url)."`
	Listen  string `default:"localhost:2199" placeholder:"HOST:PORT" help:"Where it listens, on loopback only; port 0 takes a free one."`
	Project string `default:"sallyport-rehearsal" help:"Google Cloud project that it knows."`
	Push    string `placeholder:"URL" help:"Where Pub/Sub pushes to; messages wait until one is named (amapi script --push)."`
	CA      string `name:"ca" placeholder:"FILE" help:"PEM file with roots that pushes trust besides the system's."`
	Quota   int    `placeholder:"N" help:"Requests a minute; more get 429."`
	Keep    bool   `help:"Keep enterprises, policies and devices in DIR, and go on with them."`
}

func (c *amapiServeCmd) Run(ctx context.Context) error {
	o := agent.AMAPIOptions{
		Dir: c.Dir, Keep: c.Keep, Listen: c.Listen, Project: c.Project, Push: c.Push, Quota: c.Quota,
		Breach: func(v agent.Violation) { tell("violation", v.String()) },
	}
	if c.CA != "" {
		var err error
		if o.CA, err = readRoots(c.CA); err != nil {
			return err
		}
	}
	a, err := agent.NewAMAPI(ctx, o)
	if err != nil {
		return err
	}
	if err := replaceFile(filepath.Join(c.Dir, pushURLFile), a.URL()+"\n"); err != nil {
		return err
	}
	tell("amapi stand-in", a.URL()+"  (serve --amapi-url "+a.URL()+"; sallyport-agent enroll URL --as android --amapi "+a.URL()+")")
	tell("service account", a.Account()+"  (sallyport android signup --service-account "+a.Account()+")")
	return a.Run(ctx)
}

// standIn is a running stand-in.
type standIn struct {
	AMAPI string `name:"amapi" required:"" placeholder:"URL" env:"SALLYPORT_AGENT_AMAPI" help:"Address of the stand-in, as it printed it."`
}

type amapiScriptCmd struct {
	standIn
	Push      string   `placeholder:"URL" help:"Where Pub/Sub pushes to from now on, - to read it from standard input; unchanged when left away."`
	CA        string   `name:"ca" placeholder:"FILE" help:"PEM file with roots that pushes trust besides the system's; unchanged when left away."`
	Quota     int      `placeholder:"N" help:"Requests a minute; more get 429. 0: no limit."`
	Revoked   bool     `help:"The service account's key was deleted."`
	Duplicate int      `placeholder:"N" help:"Push the next N messages twice."`
	Reorder   int      `placeholder:"N" help:"Keep the next N messages until all are there, and push the last one first."`
	Troubles  []string `arg:"" optional:"" name:"trouble" help:"KIND, KIND:N, KIND:N:METHOD, with done: in front where the call is carried out and only its answer is lost. Kinds: 429, 500, 503, timeout, half, project, disabled."`
}

func (c *amapiScriptCmd) Run(ctx context.Context) error {
	text, err := askStandIn(ctx, http.MethodGet, c.AMAPI, "/control/script", nil)
	if err != nil {
		return err
	}
	var before agent.AMAPIScript
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("stand-in: %w", err)
	}
	s := agent.AMAPIScript{Push: before.Push, CA: before.CA, Quota: c.Quota, Revoked: c.Revoked, Duplicate: c.Duplicate, Reorder: c.Reorder}
	if c.Push != "" {
		if s.Push, err = orInput(c.Push); err != nil {
			return err
		}
	}
	if c.CA != "" {
		roots, err := os.ReadFile(c.CA)
		if err != nil {
			return fmt.Errorf("--ca: %w", err)
		}
		s.CA = string(roots)
	}
	for _, text := range c.Troubles {
		t, err := agent.ParseTrouble(text)
		if err != nil {
			return err
		}
		s.Troubles = append(s.Troubles, t)
	}
	_, err = askStandIn(ctx, http.MethodPost, c.AMAPI, "/control/script", s)
	return err
}

type amapiLogCmd struct{ standIn }

func (c *amapiLogCmd) Run(ctx context.Context) error {
	text, err := askStandIn(ctx, http.MethodGet, c.AMAPI, "/control/log", nil)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}

type mailCmd struct {
	common
	online
	Server   string        `placeholder:"URL" help:"Where to ask, instead of the host of the account: https://HOST[:PORT]."`
	User     string        `placeholder:"NAME" help:"Who signs in, instead of the account's user."`
	Password string        `required:"" env:"SALLYPORT_AGENT_PASSWORD" placeholder:"PASSWORD" help:"Of the mailbox."`
	Until    string        `placeholder:"STATUS" help:"Ask again until this is the answer: 200, 403."`
	For      time.Duration `default:"30s" help:"How long, with --until."`
}

func (c *mailCmd) Run(ctx context.Context) error {
	p, err := c.existing(c.Dir)
	if err != nil {
		return err
	}
	defer p.Close()
	ctx, stop := context.WithTimeout(ctx, c.For)
	defer stop()
	for {
		a, err := p.AskMail(ctx, agent.MailRequest{Server: c.Server, User: c.User, Password: secret.New(c.Password)})
		if err != nil {
			return err
		}
		if c.Until == "" || c.Until == fmt.Sprint(a.Status) {
			tell("mail server", strings.TrimSpace(fmt.Sprintf("%d %s %s", a.Status, http.StatusText(a.Status), a.Reason)))
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the mail server still answers %d %s", a.Status, a.Reason)
		case <-time.After(200 * time.Millisecond):
		}
	}
}
