package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/refusal"
	"sallyport/internal/server/adminapi"
)

type doctorCmd struct {
	Wait span `help:"Wait so long for the server to answer before the checks." placeholder:"DURATION"`
	PID  int  `name:"pid" hidden:"" help:"With --wait: wait for the server with this process ID."`
	Output
}

// grade is how a check came out.
type grade string

const (
	good   grade = "ok"
	gap    grade = "gap"    // fine for a rehearsal, not for real phones
	warn   grade = "warn"   // works, not for long
	broken grade = "broken" // does not work
)

// check is one line of the doctor.
type check struct {
	Name  string `json:"name"`
	Grade grade  `json:"grade"`
	Fact  string `json:"fact"`
	Next  string `json:"next,omitempty"` // what to do; empty when ok
}

func (c *doctorCmd) Run(p *program) error {
	var checks []check
	if c.Wait > 0 && !p.await(time.Duration(c.Wait), c.PID) && c.PID != 0 {
		checks = []check{{"server", broken, fmt.Sprintf("process %d does not serve %s", c.PID, p.dataDir()), "look at its log"}}
	}
	if p.server() == "" {
		checks = append(checks, localChecks(p, p.dataDir())...)
	}
	checks = append(checks, serverChecks(p)...)
	if c.json() {
		if err := printJSON(p.stdout, checks); err != nil {
			return err
		}
	} else {
		printChecks(p, checks)
	}
	for _, ch := range checks {
		if ch.Grade == broken {
			return errQuiet
		}
	}
	return nil
}

func printChecks(p *program, checks []check) {
	for _, ch := range checks {
		fmt.Fprintf(p.stdout, "%-6s  %s: %s\n", ch.Grade, ch.Name, cell(ch.Fact))
		if ch.Next != "" {
			fmt.Fprintf(p.stdout, "        next: %s\n", cell(ch.Next))
		}
	}
}

// await returns when the server answers (true), or when the time is over.
func (p *program) await(limit time.Duration, pid int) bool {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if p.answers(ctx, pid) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

func (p *program) answers(ctx context.Context, pid int) bool {
	if pid != 0 {
		// A file of an earlier server may still name another one.
		local, err := app.ReadLocal(p.dataDir())
		if err != nil || local.PID != pid {
			return false
		}
	}
	api, err := p.client()
	return err == nil && api.call(ctx, http.MethodGet, "/healthz", "", nil, nil) == nil
}

// localChecks look at the data directory.
func localChecks(p *program, dir string) []check {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []check{{"data directory", broken, dir + " does not exist", "start a server: sallyport serve --data " + dir}}
	case err != nil:
		return []check{{"data directory", broken, err.Error(), asOwner}}
	case info.Mode().Perm()&0o077 != 0:
		return []check{{"data directory", broken, fmt.Sprintf("%s is open to others (mode %04o)", dir, info.Mode().Perm()), "chmod 700 " + dir}}
	}
	key := keyCheck(p, dir)
	token := secretFile(filepath.Join(dir, app.TokenFile), "admin token", nil)
	if token.Next == makesOne {
		token.Next = newToken(dir)
	}
	return []check{directoryCheck(dir, app.TryDisk(dir)), key, token, disk(dir)}
}

// directoryCheck says how a write to the data directory went.
func directoryCheck(dir string, tried error) check {
	const name = "data directory"
	if all := refusal.All(tried); len(all) > 0 {
		return check{name, broken, dir + ": " + all[0].Reason, all[0].Remedy}
	}
	return check{name, good, dir + ", can be written to", ""}
}

// storageCheck has the server try a write: it may be another user than ours, and see
// another disk.
func storageCheck(ctx context.Context, api *client) check {
	const name = "writes"
	var s adminapi.Storage
	if err := api.call(ctx, http.MethodGet, "/api/v1/storage", "", nil, &s); err != nil {
		return check{name, broken, err.Error(), "look at the server's log"}
	}
	if !s.Writable {
		return check{name, broken, s.Problem, s.Next}
	}
	return check{name, good, "taken by the server's disk and database", ""}
}

// makesOne is the next step for a file that is not there yet.
const makesOne = "start the server: it makes one at its first start"

// newToken is the way back in with a token that is missing or does not do.
func newToken(dir string) string {
	return "restart the server: it writes a new " + filepath.Join(dir, app.TokenFile) +
		" unless another admin token is valid; then use that one: --server URL --token-file FILE"
}

// secretFile checks that a file is there, for its owner alone.
func secretFile(path, what string, fault func([]byte) string) check {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return check{what, broken, path + " does not exist", makesOne}
	}
	if err != nil {
		return check{what, broken, err.Error(), asOwner}
	}
	if info.Mode().Perm()&0o077 != 0 {
		return check{what, broken, fmt.Sprintf("%s can be read by others (mode %04o)", path, info.Mode().Perm()), "chmod 600 " + path}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return check{what, broken, err.Error(), asOwner}
	}
	if fault != nil {
		if reason := fault(text); reason != "" {
			return check{what, broken, path + " " + reason, "put your copy of the key there: without it nothing that is sealed can be read"}
		}
	}
	return check{what, good, path + ", for its owner alone", ""}
}

const (
	diskLow   = 1 << 30
	diskEmpty = 100 << 20
)

func disk(dir string) check {
	free, err := freeSpace(dir)
	if err != nil {
		return check{"disk", warn, "free space unknown: " + err.Error(), "look at it yourself"}
	}
	fact := fmt.Sprintf("%d MiB free", free>>20)
	switch {
	case free < diskEmpty:
		return check{"disk", broken, fact, "make room: a database that cannot write refuses every phone"}
	case free < diskLow:
		return check{"disk", warn, fact, "make room soon"}
	}
	return check{"disk", good, fact, ""}
}

// serverChecks ask the server.
func serverChecks(p *program) []check {
	api, tokenErr := p.client()
	if tokenErr != nil {
		var err error
		if api, err = p.anonymous(); err != nil {
			return []check{{"server", broken, err.Error(), localNext(err, startNext(p))}}
		}
	}
	ctx, cancel := context.WithTimeout(p.ctx, 15*time.Second)
	defer cancel()
	var v adminapi.Version
	var strange untrusted
	switch err := api.get(ctx, "/version", nil, &v); {
	case errors.As(err, &strange):
		return []check{
			{"server", warn, fmt.Sprintf("%s is running, not trusted: %v", api.base, strange.why), trustNext(p)},
			{"token", warn, "not tried: it is sent to a server that is trusted only", "after that, run doctor again"},
		}
	case err != nil:
		return []check{{"server", broken, err.Error(), startNext(p)}}
	}
	checks := []check{versionCheck(api.base, v)}
	if err := api.call(ctx, http.MethodGet, "/healthz", "", nil, nil); err != nil {
		checks = append(checks, check{"database", broken, err.Error(), "look at the server's log"})
	} else {
		checks = append(checks, check{"database", good, "answers", ""})
	}
	if tokenErr == nil {
		tokenErr = api.call(ctx, http.MethodGet, "/api/v1/ca", "", nil, nil)
	}
	checks = append(checks, tokenCheck(p, tokenErr), certificateCheck(ctx, api, p.now()))
	if tokenErr == nil {
		checks = append(checks, storageCheck(ctx, api))
		checks = append(checks, endingChecks(p, api)...)
		checks = append(checks, pushChecks(p, api)...)
		checks = append(checks, assignedChecks(p, api)...)
		checks = append(checks, mailChecks(ctx, api)...)
		checks = append(checks, mailboxChecks(ctx, api)...)
		checks = append(checks, webhookChecks(ctx, api, p.now())...)
		checks = append(checks, androidChecks(ctx, api, p.now())...)
	}
	if p.server() != "" {
		return append(checks, check{"rehearsal gaps", warn, "not visible from elsewhere", "run doctor --data DIR on the server's own machine"})
	}
	return append(checks, gapChecks(p.dataDir())...)
}

// startNext is the next step when no server answers.
func startNext(p *program) string {
	if p.server() != "" {
		return "look at the server there, and at the URL; on its own machine: sallyport doctor --data DIR"
	}
	return "start it: sallyport serve --data " + p.dataDir() + "; then look at its log"
}

// localNext is the next step when the data directory does not tell of a server:
// instead, unless it may not be looked into. Whether one runs is then unknown.
func localNext(err error, instead string) string {
	if errors.Is(err, fs.ErrPermission) {
		return asOwner
	}
	return instead
}

// trustNext is the next step when a server answers whose certificate does not do.
func trustNext(p *program) string {
	if p.server() != "" {
		return "name its root certificate with --ca FILE (on the server's machine: sallyport ca export -O FILE)"
	}
	return "restart the server of " + p.dataDir() + "; should another program answer there, choose another --listen"
}

func tokenCheck(p *program, err error) check {
	switch {
	case err == nil:
		return check{"token", good, "accepted", ""}
	case p.server() != "":
		return check{"token", broken, err.Error(), "name the file of a valid token: --token-file FILE (an admin makes one: sallyport token create)"}
	}
	return check{"token", broken, err.Error(), localNext(err, newToken(p.dataDir()))}
}

func versionCheck(base string, v adminapi.Version) check {
	if v.Version != versionText() {
		return check{"server", warn, fmt.Sprintf("%s runs %s, this is %s", base, v.Version, versionText()), "restart the server with the program of this version"}
	}
	return check{"server", good, fmt.Sprintf("%s runs %s", base, v.Version), ""}
}

// certificateCheck looks at the certificate that the server shows.
func certificateCheck(ctx context.Context, api *client, now time.Time) check {
	const name = "TLS certificate"
	transport, ok := api.http.Transport.(*http.Transport)
	u, err := url.Parse(api.base)
	if !ok || err != nil {
		return check{name, broken, "cannot be looked at", ""}
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	conn, err := transport.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return check{name, broken, err.Error(), "look at the server's log"}
	}
	defer conn.Close()
	conf := transport.TLSClientConfig.Clone()
	conf.ServerName = u.Hostname()
	shown := tls.Client(conn, conf)
	if err := shown.HandshakeContext(ctx); err != nil {
		return check{name, broken, err.Error(), "look at --tls-cert and --tls-key"}
	}
	leaf := shown.ConnectionState().PeerCertificates[0]
	left := leaf.NotAfter.Sub(now)
	fact := fmt.Sprintf("for %s, from %s, until %s", strings.Join(leaf.DNSNames, ", "), leaf.Issuer.CommonName, stamp(leaf.NotAfter))
	if left < 14*24*time.Hour {
		return check{name, warn, fact, "renew it: phones stop talking to us when it has expired"}
	}
	return check{name, good, fact, ""}
}

// gapChecks are the rehearsal gaps that the running server found at its start, and
// before them the settings that it warned of.
func gapChecks(dir string) []check {
	local, err := app.ReadLocal(dir)
	if err != nil {
		return []check{{"rehearsal gaps", broken, err.Error(), localNext(err, "start the server")}}
	}
	var checks []check
	for _, w := range local.Warnings {
		checks = append(checks, check{strings.ReplaceAll(w.Name, "_", " "), warn, w.Problem, w.Next})
	}
	if len(local.Gaps) == 0 {
		return append(checks, check{"real phones", good, "nothing is missing; public URL " + local.PublicURL, ""})
	}
	for _, g := range local.Gaps {
		if g.Name == "push_certificate" {
			continue // the line about push says more
		}
		checks = append(checks, check{strings.ReplaceAll(g.Name, "_", " "), gap, g.Problem, g.Next})
	}
	return checks
}
