//go:build linux

package app

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"howett.net/plist"

	"sallyport/internal/audit"
	"sallyport/internal/cms"
	"sallyport/internal/store/postgrestest"
	"sallyport/profiles/mobileconfig"
	"sallyport/templates"
)

// benchRound is how many requests lie between two readings of the clocks.
const benchRound = 40

// readyMade stands for a signature that was made before: a constant.
type readyMade struct{ crypto.Signer }

func (r readyMade) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 70), nil
}

// bare is the least that could answer a phone on the same database: it verifies
// the message, reads it, and reads one row; with commit it also writes one.
type bare struct {
	app    *App
	trust  cms.Trust
	commit bool
	answer []byte // where the phone is idle
}

func (h *bare) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := h.serve(r.Context(), w, r); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
}

func (h *bare) serve(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	der, err := base64.StdEncoding.DecodeString(r.Header.Get("Mdm-Signature"))
	if err != nil {
		return err
	}
	trust := h.trust
	trust.Now, trust.Usages = time.Now(), []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	signer, err := cms.VerifyDetached(der, body, trust)
	if err != nil {
		return err
	}
	var m struct{ UDID, Status, CommandUUID string }
	if _, err := plist.Unmarshal(body, &m); err != nil {
		return err
	}
	sum := sha256.Sum256(signer.Raw)
	e, err := h.app.db.Enrollments().EnrollmentByCertificate(ctx, hex.EncodeToString(sum[:]))
	if err != nil || e.UDID != m.UDID {
		return fmt.Errorf("not pinned: %w", err)
	}
	if !h.commit {
		return nil
	}
	if err := h.app.db.Audit().Append(ctx, audit.Entry{Action: "bare", Target: m.CommandUUID}); err != nil {
		return err
	}
	if m.Status == "Idle" {
		_, err = w.Write(h.answer)
	}
	return err
}

// databaseCPU is the CPU time of a cluster's processes.
func databaseCPU(b *testing.B, postmaster string) (total time.Duration) {
	b.Helper()
	if postmaster == "" {
		return 0
	}
	// The time on a CPU in nanoseconds stands in schedstat; stat counts in ticks
	// of 10 ms (https://docs.kernel.org/scheduler/sched-stats.html).
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		b.Fatal(err)
	}
	for _, path := range all {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		after := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		pid := filepath.Base(filepath.Dir(path))
		if pid != postmaster && after[1] != postmaster {
			continue
		}
		text, err = os.ReadFile(filepath.Join(filepath.Dir(path), "schedstat"))
		if err != nil {
			continue
		}
		ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		total += time.Duration(ns)
	}
	return total
}

// postmasterOf is the process of the cluster that serves a URL.
func postmasterOf(b *testing.B, database string) string {
	b.Helper()
	u, err := url.Parse(database)
	if err != nil {
		b.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(u.Query().Get("host"), "data", "postmaster.pid"))
	if err != nil {
		b.Fatal(err)
	}
	return strings.Fields(string(text))[0]
}

// BenchmarkMDM is what a phone's poll, and a whole delivery, cost beside a bare
// handler on the same database in the same run: CPU time of the server and of the database.
func BenchmarkMDM(b *testing.B) {
	var cluster *postgrestest.Cluster
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) {
			database, postmaster := "", ""
			if engine == "postgres" {
				cluster = postgrestest.Start(b, postgrestest.Options{Fsync: true})
				database = cluster.URL("postgres")
				postmaster = postmasterOf(b, database)
			}
			p := enrolled(b, database)
			turns := &turns{b: b, postmaster: postmaster}
			b.Run("poll", func(b *testing.B) { p.polls(b, turns) })
			b.Run("cycle", func(b *testing.B) { p.cycles(b, turns) })
		})
	}
}

// turns measures two things by turns.
type turns struct {
	b          *testing.B
	postmaster string
}

// measure runs both by turns, as often as b wants, and reports medians over the
// rounds. What apart costs, where it is not nil, is a part of ours that does not
// count: it is measured in the same round, and subtracted.
func (p *turns) measure(b *testing.B, ours, bare, apart func(clock *stopwatch)) {
	var a, z, less, ratio []float64
	for b.Loop() {
		clocks := [3]stopwatch{}
		for i, f := range []func(*stopwatch){ours, bare, apart} {
			clocks[i] = stopwatch{b: b, postmaster: p.postmaster}
			if f != nil {
				f(&clocks[i])
			}
		}
		x, y, not := clocks[0].mean(), clocks[1].mean(), clocks[2].mean()
		a, z, less, ratio = append(a, x-not), append(z, y), append(less, not), append(ratio, (x-not)/y)
	}
	if apart != nil {
		b.ReportMetric(median(less), "left-out-us/op")
	}
	b.ReportMetric(median(a), "cpu-us/op")
	b.ReportMetric(median(z), "bare-cpu-us/op")
	b.ReportMetric(median(ratio), "x-bare")
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

type stopwatch struct {
	b          *testing.B
	postmaster string
	total      time.Duration
	ops        int
}

func (s *stopwatch) time(ops int, f func()) {
	database := databaseCPU(s.b, s.postmaster)
	server := cpu(s.b) // last before and first after: reading the others costs time, too
	f()
	s.total += cpu(s.b) - server
	s.total += databaseCPU(s.b, s.postmaster) - database
	s.ops += ops
}

func (s *stopwatch) mean() float64 {
	return float64(s.total.Nanoseconds()) / 1e3 / float64(max(s.ops, 1))
}

func (p *wirePhone) trust() cms.Trust {
	return cms.Trust{Roots: p.app.rooms.authority.Roots(), Intermediates: p.app.rooms.authority.Intermediates()}
}

func (p *wirePhone) polls(b *testing.B, turns *turns) {
	idle := p.message(map[string]any{"Status": "Idle"})
	poll := func(h http.Handler) func(*stopwatch) {
		return func(clock *stopwatch) {
			clock.time(benchRound, func() {
				for range benchRound {
					if got := send(b, h, idle); len(got) != 0 {
						b.Fatalf("a command where none was due: %s", got)
					}
				}
			})
		}
	}
	turns.measure(b, poll(p.handler()), poll(&bare{app: p.app, trust: p.trust()}), nil)
}

// making is what a cycle does that its measure leaves out: the profile is
// rendered, encrypted to the phone and signed (by a key that answers at once).
func (p *wirePhone) making(b *testing.B) func(*stopwatch) {
	ctx, rooms := b.Context(), p.app.rooms
	revisions, err := p.app.db.Templates().CurrentRevisions(ctx)
	if err != nil {
		b.Fatal(err)
	}
	user, err := p.app.db.Users().UserByUPN(ctx, p.upn)
	if err != nil {
		b.Fatal(err)
	}
	options := rooms.enroll.RenderOptions()
	return func(clock *stopwatch) {
		clock.time(benchRound, func() {
			for range benchRound {
				rendered, err := templates.Render(revisions[0], user, options)
				if err != nil {
					b.Fatal(err)
				}
				rendered.Profile.TopUUID() // who a profile is, is found by rendering it
				sealed, err := mobileconfig.Encrypt(rendered.Profile, p.id.Certificate)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := cms.Sign(sealed, rooms.enroll.Signer()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// cycles measures a delivery: Idle, InstallProfile, Acknowledged. The answer to
// that is not empty as the bare handler's is, but asks for the ProfileList, whose
// row goes on record with the result: two commits of ours beside two.
// Compliance, which works behind the answers, does not run here.
func (p *wirePhone) cycles(b *testing.B, turns *turns) {
	signer := p.app.rooms.enroll.Signer
	ready := signer()
	ready.Key = readyMade{ready.Key}
	p.app.rooms.enroll.Signer = func() cms.Identity { return ready }
	defer func() { p.app.rooms.enroll.Signer = signer }()
	idle := p.message(map[string]any{"Status": "Idle"})
	var install []byte
	ours := func(clock *stopwatch) {
		for range benchRound / 4 {
			p.rename()
			var after []byte
			clock.time(0, func() { install = send(b, p.handler(), idle) })
			o := parseOrder(b, install)
			if o.Command.RequestType != "InstallProfile" {
				b.Fatalf("%q where an installation was due", o.Command.RequestType)
			}
			answer := p.answer(o)
			clock.time(1, func() { after = send(b, p.handler(), answer) })
			p.settle(after)
		}
	}
	result := p.message(map[string]any{"Status": "Acknowledged", "CommandUUID": "0E5B4C0C-0D4B-4C33-9F5B-1B8E4A8B7F11"})
	h := &bare{app: p.app, trust: p.trust(), commit: true}
	other := func(clock *stopwatch) {
		h.answer = install
		for range benchRound / 4 {
			clock.time(0, func() { send(b, h, idle) })
			clock.time(1, func() { send(b, h, result) })
		}
	}
	turns.measure(b, ours, other, p.making(b))
	b.ReportMetric(float64(len(install)), "answer-bytes")
}
