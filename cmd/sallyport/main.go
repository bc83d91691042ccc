// Command sallyport is the whole of Sallyport in one program: the enrolment
// and MDM server with its mailbox gate (serve), and the command line for it.
//
// Exit codes: 0 done, 1 refused or failed, 2 the command line was not understood.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/refusal"
)

// version is stamped by the Makefile with -ldflags "-X main.version=…".
var version = ""

const (
	exitError = 1
	exitUsage = 2
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// program is what every command is given: the global flags and where to talk.
type program struct {
	*Globals
	ctx     context.Context // one command line lives as long as its context
	environ []string        // as it was at the start: keys in it are the process's no more
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	now     func() time.Time
}

// commands is the command line. The order is the one in which a newcomer meets them.
type commands struct {
	Globals

	Serve          serveCmd          `cmd:"" help:"Run the server."`
	Config         configCmd         `cmd:"" help:"The server's settings."`
	Doctor         doctorCmd         `cmd:"" help:"Check an installation; name each gap and its next step."`
	User           userCmd           `cmd:"" help:"Users: the people with mailboxes."`
	Template       templateCmd       `cmd:"" help:"EAS templates: the mail profile as an admin writes it."`
	Profile        profileCmd        `cmd:"" help:"Mail profiles as files: check, build, show, compare; without a server."`
	SecurityPolicy securityPolicyCmd `cmd:"" help:"Security policies: passcode and encryption that phones are held to."`
	Secret         secretCmd         `cmd:"" help:"Passwords and certificates that templates refer to by name."`
	SMIME          smimeCmd          `cmd:"" name:"smime" help:"Users' S/MIME keys: issued, imported, exported."`
	Compliance     complianceCmd     `cmd:"" help:"Compliance policies: what a phone must be like."`
	Invite         inviteCmd         `cmd:"" help:"Invite users to enrol a phone."`
	Invitation     invitationCmd     `cmd:"" help:"Invitations that were made."`
	Device         deviceCmd         `cmd:"" help:"Phones, their facts and verdicts."`
	Android        androidCmd        `cmd:"" help:"Android phones, by way of Google's Android Management API."`
	Push           pushCmd           `cmd:"" help:"Apple's push certificate, and waking phones."`
	Access         accessCmd         `cmd:"" help:"What the mailbox gate decides."`
	Report         reportCmd         `cmd:"" help:"Reports on devices and on what templates have reached, also as CSV."`
	Webhook        webhookCmd        `cmd:"" help:"Addresses that are told of decisions and compliance."`
	Mail           mailCmd           `cmd:"" help:"Mails to users and admins."`
	Token          tokenCmd          `cmd:"" help:"Tokens for the API."`
	CA             caCmd             `cmd:"" name:"ca" help:"The embedded certificate authority."`
	SCEP           scepCmd           `cmd:"" name:"scep" help:"SCEP for devices that are enrolled by hand."`
	Audit          auditCmd          `cmd:"" help:"The audit trail."`
	Backup         backupCmd         `cmd:"" help:"Write a backup while the server runs. DATA/kek is not in it: keep that apart."`
	Restore        restoreCmd        `cmd:"" help:"Restore a backup into an empty data directory, with no server running."`
	Version        versionCmd        `cmd:"" help:"Print the version."`

	PrintVersion kong.VersionFlag `name:"version" help:"Print the version."`
}

// run is main without the process: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	environ := config.TakeEnviron()
	if err := app.HideMemory(); err != nil {
		fmt.Fprintln(stderr, "sallyport:", err)
		return exitError
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	var cmds commands
	exit := -1
	parser, err := kong.New(&cmds,
		kong.Name("sallyport"),
		kong.Description("Enrols phones by URL, gives them their mail profile, and tells the mailbox gate whom to let in."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Help(printHelp),
		kong.Vars{"version": versionLine()},
	)
	if err != nil {
		fmt.Fprintln(stderr, "sallyport:", err)
		return exitError
	}
	chosen, err := parser.Parse(args)
	if exit >= 0 { // --help or --version was printed
		return exit
	}
	if err != nil {
		var failed *kong.ParseError
		if errors.As(err, &failed) {
			chosen = failed.Context
		}
		fmt.Fprintf(stderr, "sallyport: %v\n", err)
		return try(stderr, chosen)
	}
	p := &program{Globals: &cmds.Globals, ctx: ctx, environ: environ, stdin: stdin, stdout: stdout, stderr: stderr, now: time.Now}
	if err := chosen.Run(p); err != nil {
		if code := report(stderr, err); code != exitUsage {
			return code
		}
		return try(stderr, chosen)
	}
	return 0
}

// try names the help of the command that was meant, as far as that is known.
func try(stderr io.Writer, chosen *kong.Context) int {
	command := "sallyport"
	if chosen != nil && chosen.Selected() != nil {
		command = chosen.Selected().FullPath()
	}
	fmt.Fprintf(stderr, "Try: %s --help\n", command)
	return exitUsage
}

// usageError is a command line that parses but makes no sense.
type usageError struct{ text string }

func (e usageError) Error() string { return e.text }

// errQuiet ends a command with exit code 1 that has said everything already.
var errQuiet = errors.New("failed")

// report prints err, one line for each refusal, and returns the exit code.
func report(stderr io.Writer, err error) int {
	var usage usageError
	switch {
	case errors.Is(err, errQuiet):
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "sallyport: %v\n", err)
		return exitUsage
	default:
		refusals := refusal.All(err)
		for _, r := range refusals {
			fmt.Fprintf(stderr, "sallyport: %v\n", r)
		}
		if len(refusals) == 0 {
			fmt.Fprintf(stderr, "sallyport: %v\n", err)
		}
	}
	return exitError
}
