package app_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

// TestOnDiskBeforeTheAnswer watches a server's system calls: each write that it
// acknowledges is in the database's log, and the log forced to the disk, before
// the first byte of the answer leaves.
func TestOnDiskBeforeTheAnswer(t *testing.T) {
	if engine.cluster != nil {
		t.Skip("watches the file's log; PostgreSQL has a process of its own for that")
	}
	strace := needStrace(t)
	t.Parallel()
	times := 50
	if soaking() {
		times = 1000
	}
	data, traced := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "trace")
	p := processOf(data, freeAddress(t), 0, store.BeforeCommit)
	// -D makes the tracer a grandchild: what we start, signal and wait for is the server.
	p.cmd.Args = append([]string{strace, "-D", "-f", "-yy", "-s", "5000", "-e", "trace=" + tracedCalls, "-e", "signal=none", "-o", traced}, p.cmd.Args...)
	p.cmd.Path = strace
	must(t, p.start(t))

	c := newClient(t, data)
	address, marks := c.saveUsers(times)
	p.stop(t)
	exchanges, err := readTrace(opened(t, traced), address, app.DatabaseFile+"-wal", regexp.MustCompile(`order-\d{4}@`))
	must(t, err)
	good, faults := inOrder(exchanges, marks)
	t.Logf("forced to the disk before the answer: %d of %d acknowledged writes", good, times)
	if good != times {
		t.Errorf("%d were not, the first of them: %s", len(faults), faults[0])
	}
}

// needStrace skips a test where nobody may watch a process.
func needStrace(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("SKIPPED: there is no strace: apt-get install strace (.ci/install does it)")
	}
	if out, err := exec.Command(path, "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: processes may not be traced on this machine (%v: %s): allow ptrace (docker run --cap-add SYS_PTRACE)", err, out)
	}
	return path
}

// saveUsers sends so many writes over one connection, one after the other, and
// returns its address and what each of them says.
func (c *client) saveUsers(times int) (address string, marks []string) {
	c.t.Helper()
	roots := c.http.Transport.(*http.Transport).TLSClientConfig.RootCAs
	web := &http.Client{Timeout: patience, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}} // HTTP/1.1: one answer follows one request
	defer web.CloseIdleConnections()
	connections := map[string]bool{}
	watch := &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		address = i.Conn.LocalAddr().(*net.TCPAddr).String()
		connections[address] = true
	}}
	for n := range times {
		mark := fmt.Sprintf("order-%04d@", n)
		marks = append(marks, mark)
		body, err := json.Marshal(adminapi.UserInput{UPN: mark + "example.test", Email: mark + "example.test"})
		must(c.t, err)
		r, err := http.NewRequestWithContext(httptrace.WithClientTrace(c.t.Context(), watch), http.MethodPost, c.local.URL+"/api/v1/users", bytes.NewReader(body))
		must(c.t, err)
		r.Header.Set("Authorization", "Bearer "+c.local.Token.Reveal())
		r.Header.Set("Content-Type", "application/json")
		resp, err := web.Do(r)
		must(c.t, err)
		answer, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		must(c.t, err)
		if resp.StatusCode/100 != 2 {
			c.t.Fatalf("save user: %s: %s", resp.Status, answer)
		}
	}
	if len(connections) != 1 {
		c.t.Fatalf("%d connections, want one for all writes", len(connections))
	}
	return address, marks
}

// opened is a trace once its tracer has ended, which it does after the server.
func opened(t *testing.T, path string) *os.File {
	t.Helper()
	const end = "+++ exited with 0 +++\n"
	f, err := os.Open(path)
	must(t, err)
	t.Cleanup(func() { _ = f.Close() })
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		info, err := f.Stat()
		must(t, err)
		last := make([]byte, len(end))
		if _, err := f.ReadAt(last, max(0, info.Size()-int64(len(end)))); err == nil && string(last) == end {
			return f
		}
		if time.Now().After(deadline) {
			t.Fatalf("the tracer does not end: %s", last)
		}
	}
}
