//go:build unix

package app

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sallyport/access"
)

const robotsBaseline = "name: baseline\nassign: everyone\nrules:\n  mail_profile: true\n  passcode: true\n  encryption: true\n  not_jailbroken: true\n  reported_within: 24h\n"

// pusher is Pub/Sub: it posts notifications over one connection, as cheaply as can be.
type pusher struct {
	b    *testing.B
	conn *tls.Conn
	in   *bufio.Reader
	head string
}

func newPusher(b *testing.B, dir string) *pusher {
	b.Helper()
	local, err := ReadLocal(dir)
	done(b, err)
	root, err := os.ReadFile(filepath.Join(dir, RootFile))
	done(b, err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(root)
	u, err := url.Parse(local.URL)
	done(b, err)
	conn, err := tls.Dial("tcp", u.Host, &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13})
	done(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	return &pusher{b, conn, bufio.NewReader(conn), fmt.Sprintf("POST /android/notifications/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n", androidSecret, u.Host)}
}

func (p *pusher) post(body []byte) {
	p.b.Helper()
	_, err := fmt.Fprintf(p.conn, "%sContent-Length: %d\r\n\r\n%s", p.head, len(body), body)
	done(p.b, err)
	answer, err := http.ReadResponse(p.in, nil)
	done(p.b, err)
	if _ = answer.Body.Close(); answer.StatusCode != http.StatusNoContent {
		p.b.Fatalf("notification: %s", answer.Status)
	}
}

// BenchmarkNotification is what a notification of Google's costs the whole running
// server, over TLS at the secret address: first where a phone turns out to be broken
// into, or repaired, until the stream of decisions has told so; then where it tells
// nothing new, with all that follows from it.
func BenchmarkNotification(b *testing.B) {
	const phones = 200
	a, g := emptyServer(b)
	_, _, err := a.rooms.compliance.Apply(b.Context(), []byte(robotsBaseline))
	done(b, err)
	list := robots(b, a, g, phones)
	ctx, cancel := context.WithCancel(context.WithoutCancel(b.Context()))
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	known(b, a, phones)
	local, err := ReadLocal(a.dir)
	done(b, err)
	events := listenTo(b, ctx, a.dir, local.Token.Reveal(), "", true)
	for e, _ := next(b, events); e.name != "ready"; e, _ = next(b, events) {
	}
	pubsub := newPusher(b, a.dir)
	says := func(r robot, posture string) []byte {
		return r.tells("STATUS_REPORT", time.Now(), posture, g.versions[r.policy()])
	}
	turns := func(r robot, posture string, effect access.Effect) time.Duration {
		body := says(r, posture)
		began := time.Now()
		pubsub.post(body)
		for {
			e, ok := next(b, events)
			if !ok {
				b.Fatal("the stream has ended")
			}
			if e.change.EnrollmentID == r.id && e.change.Decision.Effect == effect {
				return e.at.Sub(began)
			}
		}
	}
	turns(list[0], "POTENTIALLY_COMPROMISED", access.Block) // what their arrival left to do is done
	turns(list[0], "SECURE", access.Allow)
	var changed, same time.Duration
	var took []time.Duration
	n := 0
	b.ResetTimer()
	for b.Loop() {
		r := list[n%phones]
		before := cpu(b)
		took = append(took, turns(r, "POTENTIALLY_COMPROMISED", access.Block), turns(r, "SECURE", access.Allow))
		between := cpu(b)
		for i := range 20 {
			pubsub.post(says(list[(n+i)%phones], "SECURE"))
		}
		turns(r, "POTENTIALLY_COMPROMISED", access.Block) // comes last: all before it is done
		turns(r, "SECURE", access.Allow)
		changed, same = changed+between-before, same+cpu(b)-between
		n++
	}
	b.StopTimer()
	slices.Sort(took)
	each := float64(changed.Microseconds()) / float64(2*n)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(each, "cpu-µs/changed")
	b.ReportMetric((float64(same.Microseconds())/float64(n)-2*each)/20, "cpu-µs/unchanged")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[(len(took)-1)*99/100].Microseconds())/1000, "p99-ms")
}
