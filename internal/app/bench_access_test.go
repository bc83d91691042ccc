package app

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"sallyport/access"
	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/auth"
	"sallyport/internal/server"
	"sallyport/internal/server/accessapi"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

const (
	crowdSize  = 100_000
	crowdConns = 4
	calmConns  = 16 // at half load, so that one late answer holds up few others
	accessPath = "/api/v1/access/decisions"
)

// crowd is a Source of people with a device and an enrolled, compliant phone each.
type crowd struct {
	access.Source // the world, and the newest event
	upTo          time.Time
}

func (c crowd) Entries(_ context.Context, after directory.UserID, limit int) ([]access.Entry, error) {
	first := 0
	if after != "" {
		if _, err := fmt.Sscanf(string(after), crowdID, &first); err != nil {
			return nil, err
		}
		first++
	}
	var page []access.Entry
	for i := first; i < min(first+limit, crowdSize); i++ {
		page = append(page, c.entry(i))
	}
	return page, nil
}

const crowdID = "018f2f2e-0000-7000-8000-%012d"

func crowdKey(i int) string {
	return strings.ReplaceAll(uuid.NewSHA1(uuid.Nil, fmt.Append(nil, i)).String(), "-", "")
}

func (c crowd) entry(i int) access.Entry {
	user, phone := directory.UserID(fmt.Sprintf(crowdID, i)), mdm.EnrollmentID(fmt.Sprintf("018f2f2e-0001-7000-8000-%012d", i))
	name, key := fmt.Sprintf("u%06d", i), access.DeviceKey(crowdKey(i))
	return access.Entry{
		Person:  access.Person{ID: user, UPN: name + "@corp.example.test", Groups: []string{"everyone"}},
		Logins:  []string{name + "@corp.example.test", "mail." + name + "@example.test", name, `corp\` + name},
		Devices: []access.Device{{ID: access.DeviceID(fmt.Sprintf("018f2f2e-0002-7000-8000-%012d", i)), UserID: user, Key: key, Type: "iPhone", UserAgent: "Apple-iPhone15C4/2301.57", Protocol: "16.1"}},
		Phones: []access.Phone{{EnrollmentID: phone, State: mdm.Configured, Platform: mdm.Apple, Ownership: mdm.Corporate, Product: "iPhone15,4", OSVersion: "26.1", EASKey: key,
			Certificates: []string{crowdKey(i) + crowdKey(-i)},
			Verdict: compliance.Verdict{EnrollmentID: phone, State: compliance.Compliant, Since: c.upTo.Add(-time.Hour), At: c.upTo.Add(-time.Minute), ValidUntil: c.upTo.Add(24 * time.Hour), Policy: "standard@1",
				Findings: []compliance.Finding{{Rule: compliance.RuleMailProfile, State: compliance.Met}}}}},
	}
}

// unwritten is a Register that forgets: what the disk does is another bench's.
type unwritten struct{ access.Register }

func (unwritten) Seen(context.Context, []access.Sighting) error      { return nil }
func (unwritten) SaveDenials(context.Context, []access.Denial) error { return nil }

// crowded is a server with 100,000 devices in memory, and an engine's token.
func crowded(b *testing.B) (a *App, token string) {
	b.Helper()
	a = prepared(b)
	e := a.rooms.access
	e.Source, e.Register = crowd{e.Source, time.Now().UTC().Truncate(time.Microsecond)}, unwritten{e.Register}
	if err := e.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	issued, err := a.rooms.tokens.Create(b.Context(), auth.Engine, "gate", time.Hour)
	if err != nil {
		b.Fatal(err)
	}
	return a, issued.Text.Reveal()
}

// parrot is an engine that says the same of everybody: a front with it is an echo
// handler that authenticates, decodes and encodes the same JSON behind the same
// limits, log and metrics.
type parrot struct {
	accessapi.Engine
	answer access.Decision
}

func (p parrot) Decide(context.Context, access.Client) (access.Decision, error) { return p.answer, nil }

func echoing(b *testing.B, a *App, answer access.Decision) http.Handler {
	conf := a.frontConfig(settingsIn(b.TempDir()), prometheus.NewRegistry())
	conf.Access.Engine = parrot{a.rooms.access, answer}
	handlers, err := server.New(conf)
	if err != nil {
		b.Fatal(err)
	}
	return handlers.Public
}

// bareEcho is the same without any of that.
func bareEcho(a *App, answer access.Decision) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := a.rooms.tokens.Authenticate(r.Context(), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		var c access.Client
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		if err := wire.ReadJSON(r, &c); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_ = wire.WriteJSON(w, http.StatusOK, answer)
	})
}

// gate asks over one connection, as cheaply as can be and without garbage: what it
// costs is not the server's.
type gate struct {
	b    *testing.B
	conn net.Conn
	in   *bufio.Reader
	text []byte
}

// dialGates have asked a question each: a server waits for the first one only so long.
func dialGates(b *testing.B, n int, address string, question []byte) []*gate {
	gates := make([]*gate, n)
	for i := range gates {
		gates[i] = dialGate(b, address)
		gates[i].ask(question)
	}
	return gates
}

func dialGate(b *testing.B, address string) *gate {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &gate{b: b, conn: conn, in: bufio.NewReaderSize(conn, 8<<10)}
}

// questions are whole requests: 99 of 100 are about phones that are let in.
func questions(b *testing.B, token string, n int) [][]byte {
	list := make([][]byte, n)
	for i := range list {
		at := i * 7919 % crowdSize
		c := access.Client{User: fmt.Sprintf("u%06d@corp.example.test", at), DeviceID: strings.ToUpper(crowdKey(at)), DeviceType: "iPhone", UserAgent: "Apple-iPhone15C4/2301.57", Protocol: "16.1", Address: "192.0.2.1"}
		if i%100 == 99 {
			c.User = "stranger@example.test"
		}
		body, err := json.Marshal(c)
		if err != nil {
			b.Fatal(err)
		}
		list[i] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", accessPath, token, len(body), body)
	}
	return list
}

// ask returns the answer, which the next one takes the place of.
func (g *gate) ask(question []byte) []byte {
	if _, err := g.conn.Write(question); err != nil {
		g.b.Error(err)
		return nil
	}
	length := 0
	for first := true; ; first = false {
		line, err := g.in.ReadSlice('\n')
		if err != nil || first && !strings.HasPrefix(string(line), "HTTP/1.1 200") {
			g.b.Errorf("%s, %v", line, err)
			return nil
		}
		if len(line) <= 2 {
			break
		}
		if n := len("Content-Length: "); len(line) > n && string(line[:n]) == "Content-Length: " {
			for _, digit := range line[n : len(line)-2] {
				length = 10*length + int(digit-'0')
			}
		}
	}
	if cap(g.text) < length {
		g.text = make([]byte, length)
	}
	if _, err := io.ReadFull(g.in, g.text[:length]); err != nil {
		g.b.Error(err)
	}
	return g.text[:length]
}

// served is a handler behind the server's own limits, on a loopback address.
func served(b *testing.B, h http.Handler) (address string) {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := server.HTTP(h, nil)
	go func() { _ = s.Serve(l) }()
	b.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

// asked lets some gates ask all questions, and returns the CPU time and the time
// that this took.
func asked(b *testing.B, gates []*gate, list [][]byte) (used, took time.Duration) {
	before, began := cpu(b), time.Now()
	var all sync.WaitGroup
	for i, g := range gates {
		all.Go(func() {
			for j := i; j < len(list); j += len(gates) {
				g.ask(list[j])
			}
		})
	}
	all.Wait()
	return cpu(b) - before, time.Since(began)
}

// BenchmarkDecisions asks for decisions over HTTP, beside an echo handler that
// authenticates and decodes and encodes the same JSON, by turns: as a part of its
// rate per CPU second, and the 99th percentile at half of the load that is possible:
// that of the echo handler at the same pace, and by how much the asker itself was
// late, say what of it is the machine's.
// The echo handler stands in the server's own front; the bare one does without its
// log, metrics, names of requests and headers.
func BenchmarkDecisions(b *testing.B) {
	a, token := crowded(b)
	list := questions(b, token, 10_000)
	ours := served(b, a.fronts[0].server.Handler)
	var d access.Decision
	if err := json.Unmarshal(dialGate(b, ours).ask(list[0]), &d); err != nil || d.Effect != access.Allow {
		b.Fatalf("%+v, %v", d, err)
	}
	echo, least := served(b, echoing(b, a, d)), served(b, bareEcho(a, d))
	gates, echoes, bare := dialGates(b, crowdConns, ours, list[0]), dialGates(b, crowdConns, echo, list[0]), dialGates(b, crowdConns, least, list[0])
	for _, some := range [][]*gate{gates, echoes, bare} { // each phone's first contact is no repeated one
		asked(b, some, list)
	}
	var ratios, bareRatios, costs []float64
	var fastest time.Duration
	for b.Loop() {
		x, took := asked(b, gates, list)
		y, _ := asked(b, echoes, list)
		z, _ := asked(b, bare, list)
		ratios, bareRatios, costs = append(ratios, float64(y)/float64(x)), append(bareRatios, float64(z)/float64(x)), append(costs, float64(x.Microseconds())/float64(len(list)))
		if fastest == 0 || took < fastest {
			fastest = took
		}
	}
	b.ReportMetric(100*median(ratios), "%-of-echo")
	b.ReportMetric(100*median(bareRatios), "%-of-bare-echo")
	b.ReportMetric(median(costs), "cpu-us/op")
	a.flush(b.Context()) // as a server does every other second
	pace := 2 * fastest / time.Duration(len(list))
	calm, calmEcho := dialGates(b, calmConns, ours, list[0]), dialGates(b, calmConns, echo, list[0])
	var took, late, tookEcho []time.Duration
	for range 3 {
		answers, senders := halfLoad(calm, list, pace)
		took, late = append(took, answers...), append(late, senders...)
		answers, _ = halfLoad(calmEcho, list, pace)
		tookEcho = append(tookEcho, answers...)
	}
	b.ReportMetric(p99(took), "p99-ms")
	b.ReportMetric(p99(tookEcho), "echo-p99-ms")
	b.ReportMetric(p99(late), "asker-late-p99-ms")
}

// halfLoad asks at a steady pace, and returns the times from when a question was due
// to its answer, and by how much those were late that slept until then.
func halfLoad(gates []*gate, list [][]byte, pace time.Duration) (took, late []time.Duration) {
	const most = time.Second
	n := min(int(most/pace), len(list))
	took = make([]time.Duration, n)
	slept := make([][]time.Duration, len(gates))
	began := time.Now()
	var all sync.WaitGroup
	for i, g := range gates {
		slept[i] = make([]time.Duration, 0, n/len(gates)+1)
		all.Go(func() {
			for j := i; j < n; j += len(gates) {
				due := began.Add(time.Duration(j) * pace)
				if wait := time.Until(due); wait > 0 {
					time.Sleep(wait)
					slept[i] = append(slept[i], time.Since(due))
				}
				g.ask(list[j])
				took[j] = time.Since(due)
			}
		})
	}
	all.Wait()
	return took, slices.Concat(slept...)
}

// p99 is the 99th percentile in milliseconds.
func p99(list []time.Duration) float64 {
	if len(list) == 0 {
		return 0
	}
	slices.Sort(list)
	return float64(list[(len(list)-1)*99/100].Microseconds()) / 1e3
}
