package app_test

import (
	"bytes"
	"context"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/server/adminapi"
	"sallyport/internal/store"
)

const (
	fleetPhones = 2_000
	fleetRows   = 48_000
	// fleetRate keeps below what one network may ask of the enrolment pages, two
	// requests for each phone: a fleet is many networks, this one is a single one.
	fleetRate = 2.4
	fleetPoll = 5 * time.Minute // after the last enrolment
	fleetRSS  = 500             // MB
)

// TestFleetMemory runs the programs as they are shipped: a server with 50,000
// phones on record, of which 2,000 really enrol and poll. Its memory must stay
// below a bound, and must not grow while they poll.
func TestFleetMemory(t *testing.T) {
	if !soaking() || engine.cluster != nil {
		t.Skip("takes half an hour and is about the file's engine: make soak runs it")
	}
	data, listen, bin := filepath.Join(t.TempDir(), "data"), freeAddress(t), t.TempDir()
	build := exec.Command("go", "build", "-o", bin+"/", "sallyport/cmd/sallyport", "sallyport/cmd/sallyport-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	p := startProcess(t, data, listen, 0, store.BeforeCommit)
	newClient(t, data).seed()
	p.stop(t)
	began := time.Now()
	silentPhones(t, data, fleetRows)
	db := openStore(t, data)
	saveUsers(t, db, "phone", "fleet", fleetPhones)
	must(t, db.Close())
	t.Logf("%d rows written in %s", fleetRows, time.Since(began).Round(time.Second))

	server := exec.Command(filepath.Join(bin, "sallyport"), "serve", "--data", data, "--listen", listen, "--organization", "Example Ltd", "--log-level", "warn")
	server.Env = slices.DeleteFunc(os.Environ(), func(s string) bool { return strings.HasPrefix(s, "SALLYPORT_") }) // settings
	server.Stdout, server.Stderr = os.Stderr, os.Stderr
	must(t, server.Start())
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		if err := server.Wait(); err != nil {
			t.Error(err)
		}
	})
	c := newClient(t, data)
	c.healthy()
	watch := watchMemory(t, server.Process.Pid)
	agent := exec.CommandContext(t.Context(), filepath.Join(bin, "sallyport-agent"), "fleet", "--server", c.local.URL, "--phones", strconv.Itoa(fleetPhones),
		"--ca", filepath.Join(data, "ca.pem"), "--rate", fmt.Sprint(fleetRate), "--every", "30s", "--duration", fleetPoll.String(), "--wait", "10m")
	agent.Stdin = bytes.NewReader(c.invitations("fleet"))
	agent.Stderr = os.Stderr
	report, err := agent.Output()
	t.Logf("%s", report)
	must(t, err)
	watch.judge(t)
}

// healthy waits until the server answers.
func (c *client) healthy() {
	c.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		resp, err := c.http.Get(c.local.URL + "/healthz")
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the server does not get well: %v", err)
		}
	}
}

// invitations are one for each user of a group, as the command line prints them.
func (c *client) invitations(group string) []byte {
	c.t.Helper()
	var issued adminapi.IssuedInvitations
	c.post("/api/v1/invitations", adminapi.InvitationRequest{Group: group, Ownership: "corporate"}, &issued)
	var out bytes.Buffer
	table := csv.NewWriter(&out)
	rows := [][]string{{"url"}}
	for _, i := range issued.Invitations {
		rows = append(rows, []string{i.URL})
	}
	must(c.t, table.WriteAll(rows))
	return out.Bytes()
}

// memory is the resident size of a process over time.
type memory struct {
	stop func()
	pid  int

	mu   sync.Mutex
	at   []time.Time
	size []float64 // MB
}

const memoryEvery = 5 * time.Second

func watchMemory(t *testing.T, pid int) *memory {
	ctx, cancel := context.WithCancel(context.Background())
	m := &memory{pid: pid}
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			if size, ok := residentMB(pid, "VmRSS"); ok {
				m.mu.Lock()
				m.at, m.size = append(m.at, time.Now()), append(m.size, size)
				m.mu.Unlock()
			}
			if !pause(ctx, memoryEvery) {
				return
			}
		}
	})
	m.stop = func() { cancel(); watching.Wait() }
	t.Cleanup(m.stop)
	return m
}

// residentMB reads a line of /proc/PID/status (proc(5)).
func residentMB(pid int, name string) (float64, bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name+":" {
			kB, err := strconv.ParseFloat(fields[1], 64)
			return kB / 1024, err == nil
		}
	}
	return 0, false
}

// judge reports the memory and fails when it is too much, or still grows while
// all phones poll: the last minute is compared with the first one of that.
func (m *memory) judge(t *testing.T) {
	t.Helper()
	peak, _ := residentMB(m.pid, "VmHWM")
	m.stop()
	from := max(0, len(m.size)-int(fleetPoll/memoryEvery))
	polling, minute := m.size[from:], int(time.Minute/memoryEvery)
	if len(polling) < 2*minute {
		t.Fatalf("%d readings are too few", len(polling))
	}
	first, last := mean(polling[:minute]), mean(polling[len(polling)-minute:])
	minutes := m.at[len(m.at)-1].Sub(m.at[from]).Minutes()
	t.Logf("memory of the server: %.0f MB at the start, %.0f MB when all had enrolled, %.0f MB at the end; most of all readings %.0f MB, peak %.0f MB; while they polled %.0f MB in the first minute, %.0f MB in the last: %+.2f MB a minute over %.1f minutes",
		m.size[0], polling[0], m.size[len(m.size)-1], slices.Max(m.size), peak, first, last, (last-first)/(minutes-1), minutes)
	if peak >= fleetRSS {
		t.Errorf("the server took %.0f MB, want less than %d", peak, fleetRSS)
	}
	if last > first*1.1 {
		t.Errorf("the server's memory grew from %.0f to %.0f MB while nothing new came", first, last)
	}
}

func mean(all []float64) float64 {
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	return sum / float64(len(all))
}
