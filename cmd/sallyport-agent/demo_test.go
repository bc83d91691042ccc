package main

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runPatience is for a machine that has other things to do.
const runPatience = 3 * time.Minute

// demo is what make run gives to deploy/demo/run.sh: two programs, a port and a place for data.
type demo struct {
	t               *testing.T
	bin, data, port string
	served          func() // while it serves; nil: nothing
}

// TestMakeRun: both stories end in decision: allow, the second run goes on with what the
// first one kept, and a phone that was broken into meanwhile is shut out with a way
// back. Nothing goes on running after Ctrl-C.
func TestMakeRun(t *testing.T) {
	t.Parallel()
	d := demo{t: t, bin: t.TempDir(), data: filepath.Join(t.TempDir(), "data"), port: freePort(t)}
	build := exec.Command("go", "build", "-o", d.bin+"/", "sallyport/cmd/...")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	first := d.run()
	d.wants(first, "organisation: three users", "android: signed up", "companion app          key sallyport-mail installed", "EAS profile installed  alice@example.test", "work profile on a personal phone",
		"met           identity_certificate", "not_jailbroken: Google vouches")
	d.allowed(first, "alice@example.test", "bob@example.test")

	again := d
	again.served = d.besides
	second := again.run()
	d.wants(second, "organisation: kept as it was", "phone: enrolled already")
	d.allowed(second, "alice@example.test", "bob@example.test")
	if strings.Contains(second, "signed up") || strings.Contains(second, "invitation:") {
		t.Errorf("the second run begins anew:\n%s", second)
	}

	if out, err := exec.Command(filepath.Join(d.bin, "sallyport-agent"), "set", "posture=COMPROMISED_OS", "--dir", filepath.Join(d.data, "android")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	third := d.run()
	d.allowed(third, "alice@example.test")
	d.wants(third, "decision: block bob@example.test", "sallyport-agent set posture=SECURE --dir "+d.data+"/android")
	if log, err := os.ReadFile(filepath.Join(d.data, "serve.log")); err != nil || strings.Contains(string(log), "violation") {
		t.Errorf("the stand-in for Google has found something wrong: %v\n%s", err, log)
	}
}

func (d demo) command() *exec.Cmd {
	cmd := exec.Command("sh", filepath.Join("..", "..", "deploy", "demo", "run.sh"))
	cmd.Env = append(os.Environ(), "BIN="+d.bin, "DATA="+d.data, "PORT="+d.port)
	return cmd
}

// besides: a second make run says what is in its way, and leaves alone what the first
// one goes by.
func (d demo) besides() {
	d.t.Helper()
	side := filepath.Join(d.data, "apns", "side")
	before, err := os.ReadFile(side)
	if err != nil {
		d.t.Fatal(err)
	}
	sameData, samePort := d, d
	sameData.port = freePort(d.t)
	d.wants(sameData.refused(), "make run: DATA="+d.data+" is in use by the server on https://localhost:"+d.port)
	if after, err := os.ReadFile(side); err != nil || string(after) != string(before) {
		d.t.Errorf("where the stand-in for Apple listens: got %q, %v, want %q", after, err, before)
	}
	samePort.data = filepath.Join(d.t.TempDir(), "other")
	d.wants(samePort.refused(), "make run: the server did not start: ", "localhost:"+d.port+" is in use by another program")
}

// refused is what make run says when it cannot begin.
func (d demo) refused() string {
	d.t.Helper()
	out, err := d.command().CombinedOutput()
	if err == nil {
		d.t.Error("make run ended well, want that it is refused")
	}
	return string(out)
}

// run is make run up to the line that it serves, and Ctrl-C.
func (d demo) run() string {
	d.t.Helper()
	cmd := d.command()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches all of a terminal
	out, err := cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	group := -cmd.Process.Pid
	late := time.AfterFunc(runPatience, func() { _ = syscall.Kill(group, syscall.SIGTERM) })
	defer late.Stop()
	var said strings.Builder
	for lines := bufio.NewScanner(out); lines.Scan(); {
		fmt.Fprintln(&said, lines.Text())
		if strings.HasSuffix(lines.Text(), " audit list") { // the last line
			if d.served != nil {
				d.served()
			}
			_ = syscall.Kill(group, syscall.SIGINT)
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		log, _ := os.ReadFile(filepath.Join(d.data, "serve.log"))
		d.t.Fatalf("ended with %d, want 130\n%s\nlog:\n%s", code, &said, log[max(0, len(log)-4000):])
	}
	if err := syscall.Kill(group, 0); err == nil {
		d.t.Error("something goes on running after Ctrl-C")
	}
	return said.String()
}

func (d demo) wants(said string, words ...string) {
	d.t.Helper()
	for _, word := range words {
		if !strings.Contains(said, word) {
			d.t.Errorf("no %q in\n%s", word, said)
		}
	}
}

// allowed: these users' mailboxes are open, and no others.
func (d demo) allowed(said string, users ...string) {
	d.t.Helper()
	for _, user := range users {
		d.wants(said, "\ndecision: allow "+user+" on ")
	}
	if n := strings.Count(said, "\ndecision: allow "); n != len(users) {
		d.t.Errorf("%d phones are let in, want %d:\n%s", n, len(users), said)
	}
}

// freePort lies below the ports that a kernel gives to outgoing connections, so that
// it is still free for the second run.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(12000))
		if l, err := net.Listen("tcp", "localhost:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no free port between 20000 and 32000")
	return ""
}
