// Command sallyport-agent is a phone in software: it enrols by an invitation's
// URL, obeys the server's commands, and lets its owner change its facts.
package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sallyport/internal/secret"
	"sallyport/mdm/agent"
)

// version is set by the build; without it the module's version is told.
var version = ""

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // it was not understood
)

type cli struct {
	Enroll   enrollCmd        `cmd:"" help:"Enrol with the URL of an invitation, then poll once."`
	Connect  connectCmd       `cmd:"" help:"One polling round: do what the server wants, until it wants nothing more."`
	Wait     waitCmd          `cmd:"" help:"Wait for a push from a stand-in push service, then connect."`
	Set      setCmd           `cmd:"" help:"Change the phone as its owner would, or script what goes wrong."`
	Show     showCmd          `cmd:"" help:"Show what is on the phone."`
	Unenroll unenrollCmd      `cmd:"" help:"Remove the management, as its owner would in Settings: mail goes with it."`
	Mail     mailCmd          `cmd:"" help:"Ask the mail server for its folders, as the phone's mail app would: is this phone let in?"`
	Fleet    fleetCmd         `cmd:"" help:"Many phones in one process that enrol by a file of invitations and really poll, for load."`
	APNS     apnsCmd          `cmd:"" name:"apns" help:"A strict stand-in for Apple's push service, for rehearsals and tests."`
	AMAPI    amapiCmd         `cmd:"" name:"amapi" help:"A strict stand-in for Google's Android Management API, for rehearsals and tests."`
	Version  kong.VersionFlag `help:"Print the version and quit."`
}

// common are the flags of every command.
type common struct {
	Dir string `required:"" placeholder:"STATE" env:"SALLYPORT_AGENT_DIR" help:"Folder in which the phone is kept (keys and all; 0700)."`
}

// online are the flags of commands that talk to a server.
type online struct {
	CA   string        `name:"ca" placeholder:"FILE" help:"PEM file with roots to trust instead of the system's. Remembered in STATE."`
	Wait time.Duration `default:"60s" help:"How long to keep asking a server that does not answer."`
}

type enrollCmd struct {
	common
	online
	google
	URL  string `arg:"" name:"url" help:"The invitation's URL, or - to read it from standard input. Android: also a link of Google's, or the text of a QR code."`
	As   string `default:"iphone" enum:"iphone,android" help:"Kind of phone: iphone or android."`
	PIN  string `name:"pin" placeholder:"PIN" env:"SALLYPORT_AGENT_PIN" help:"The invitation's PIN, when it asks for one."`
	Code string `placeholder:"CODE" env:"SALLYPORT_AGENT_CODE" help:"Android: the invitation's code, where a sign-in page asks for it."`
}

// google is the flag of an Android phone.
type google struct {
	AMAPI string `name:"amapi" placeholder:"URL" env:"SALLYPORT_AGENT_AMAPI" help:"Android: address of sallyport-agent amapi. Remembered in STATE."`
}

type connectCmd struct {
	common
	online
	google
}

type setCmd struct {
	common
	New   bool     `help:"Make a phone when there is none yet: what is set is so before it enrols."`
	As    string   `default:"iphone" enum:"iphone,android" help:"With --new: iphone or android."`
	Facts []string `arg:"" name:"key=value" help:"passcode=on|off, os=VERSION, name=TEXT, supervised=yes|no, locked=on|off, account=MAIL|removed, accounts=fixed|free, token=new, clock=TIME, notnow=N and more; Android: posture=RISK, policy=stale, app=gmail:missing, encryption=off and more: docs/agent.md lists them."`
}

type showCmd struct {
	common
	Output string `short:"o" default:"text" enum:"text,json" help:"text or json."`
}

type unenrollCmd struct {
	common
	online
}

func main() { os.Exit(run()) }

func run() int {
	var c cli
	parser, err := kong.New(&c,
		kong.Name("sallyport-agent"),
		kong.Description("A phone in software: enrols, reports, and shows what a server made of it."),
		kong.Vars{"version": "sallyport-agent " + versionText()},
	)
	if err != nil {
		fmt.Fprintln(os.Stderr, "sallyport-agent:", err)
		return exitUsage
	}
	parsed, err := parser.Parse(os.Args[1:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "sallyport-agent: %v\n  next: sallyport-agent --help\n", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	parsed.BindTo(ctx, (*context.Context)(nil))
	if err := parsed.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "sallyport-agent:", err)
		if next := nextStep(err); next != "" {
			fmt.Fprintln(os.Stderr, "  next:", next)
		}
		if errors.Is(err, agent.ErrInvalid) {
			return exitUsage
		}
		return exitFailed
	}
	return exitOK
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "(unknown)"
}

func (c *enrollCmd) Run(ctx context.Context) error {
	address, err := orInput(c.URL)
	if err != nil {
		return err
	}
	o, err := c.options(c.Dir)
	if err != nil {
		return err
	}
	o.PIN, o.Code, o.As, o.AMAPI = secret.New(c.PIN), secret.New(c.Code), agent.Kind(c.As), c.AMAPI
	p, err := agent.New(o)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Enroll(ctx, address)
}

// orInput is the address itself, or where it is - the line of standard input: the
// process list is open to others.
func orInput(address string) (string, error) {
	if address != "-" {
		return address, nil
	}
	line, err := bufio.NewReader(io.LimitReader(os.Stdin, 4096)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read URL: %w", err)
	}
	return strings.TrimSpace(line), nil
}

func (c *connectCmd) Run(ctx context.Context) error {
	p, err := c.existing(c.Dir, func(o *agent.Options) { o.AMAPI = c.AMAPI })
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Connect(ctx)
}

func (c *unenrollCmd) Run(ctx context.Context) error {
	p, err := c.existing(c.Dir)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.Unenroll(ctx)
}

func (c *setCmd) Run() error {
	p, err := agent.New(agent.Options{Dir: c.Dir, Existing: !c.New, As: agent.Kind(c.As)})
	if err != nil {
		return err
	}
	if err := p.Set(c.Facts...); err != nil {
		return err
	}
	tell("phone changed", strings.Join(c.Facts, " "))
	return nil
}

func (o *online) existing(dir string, more ...func(*agent.Options)) (*agent.Phone, error) {
	options, err := o.options(dir)
	if err != nil {
		return nil, err
	}
	options.Existing = true
	for _, set := range more {
		set(&options)
	}
	return agent.New(options)
}

func (o *online) options(dir string) (agent.Options, error) {
	out := agent.Options{Dir: dir, Story: tell, Retry: agent.Retry{Total: o.Wait}}
	if o.CA == "" {
		return out, nil
	}
	var err error
	out.CA, err = readRoots(o.CA)
	return out, err
}

// readRoots reads the certificates of a PEM file.
func readRoots(path string) ([]*x509.Certificate, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--ca: %w", err)
	}
	var out []*x509.Certificate
	for {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("--ca %s: %w", path, err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("--ca %s: %w: no certificate in PEM form", path, agent.ErrInvalid)
	}
	return out, nil
}

// tell prints one line of the story as it happens.
func tell(step, text string) { fmt.Printf("%-22s %s\n", step, text) }

// nextStep says what a person can do about an error.
func nextStep(err error) string {
	switch {
	case errors.Is(err, agent.ErrNoPhone):
		return "make one with: sallyport-agent enroll URL --dir STATE"
	case errors.Is(err, agent.ErrPINNeeded):
		return "ask who invited you for the 6-digit PIN and pass it with --pin"
	case errors.Is(err, agent.ErrUntrusted):
		return "pass the server's root with --ca FILE (sallyport ca export writes it)"
	case errors.Is(err, agent.ErrAlreadyEnrolled):
		return "sallyport-agent connect --dir STATE; or another --dir for another phone; or unenroll first"
	case errors.Is(err, agent.ErrNotEnrolled):
		return "ask for an invitation, then: sallyport-agent enroll URL --dir STATE"
	case errors.Is(err, agent.ErrDismissed):
		return "ask for a new invitation; the server's audit list says why it let the phone go"
	case errors.Is(err, agent.ErrTooMany):
		return "wait so long, then give the same command again"
	case errors.Is(err, agent.ErrUnreachable):
		return "check that the server runs (its /healthz), then give the same command again: it continues where it stopped"
	case errors.Is(err, agent.ErrRefused):
		return "ask for a new invitation; the server's audit list says why it refused"
	case errors.Is(err, agent.ErrProfile), errors.Is(err, agent.ErrProtocol):
		return "an iPhone would refuse this too: report it with the line above"
	case errors.Is(err, agent.ErrBusy):
		return "wait until the other command has ended"
	}
	return ""
}
