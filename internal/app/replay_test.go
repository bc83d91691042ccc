package app_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"sallyport/access"
	"sallyport/internal/app"
	"sallyport/internal/server/adminapi"
)

// moving are the columns that a replay may move: when the phone was last heard
// of, which a recorded message cannot be told from a true one by, and what is
// sealed anew each time that it is told (its content is compared by itself).
var moving = []string{
	"enroll_enrollments.last_seen_at", "enroll_enrollments.idle_at", "enroll_enrollments.push_updated_at",
	"enroll_enrollments.push_token", "enroll_enrollments.push_magic", "enroll_enrollments.unlock_token",
}

// TestReplayedEnrolmentChangesNothing sends a whole recorded enrolment again and
// again, signatures and all, as somebody who has broken into a TLS connection
// could, or a phone that missed our answers.
func TestReplayedEnrolmentChangesNothing(t *testing.T) {
	t.Parallel()
	times := 100
	switch {
	case soaking():
		times = 1000
	case testing.Short() || raceDetector:
		times = 25
	}
	data := filepath.Join(t.TempDir(), "data")
	cfg := testConfig(data, "127.0.0.1:0")
	cfg.InquiryMaxAge = 24 * time.Hour // a recorded Idle brings no new questions
	s := serve(t, cfg)
	s.seed()
	e := s.enrol(alice)
	s.decided(alice, show(t, e.phone).EASDeviceID, access.Allow)

	before, push := s.settled(t, data), pushOf(t, s, data)
	for range times {
		s.replay(e.said, http.StatusOK)
	}
	unchanged(t, fmt.Sprintf("%d replays of %d messages", times, len(e.said)), before, s.settled(t, data))
	if pushOf(t, s, data) != push {
		t.Error("the push data are not what they were")
	}

	must(t, e.phone.Unenroll(t.Context()))
	s.decided(alice, show(t, e.phone).EASDeviceID, access.Block)
	before = s.settled(t, data)
	s.replay(e.said, http.StatusOK, http.StatusBadRequest)
	unchanged(t, "a replay after the phone has left", before, s.settled(t, data))

	must(t, e.phone.Enroll(t.Context(), s.invite(adminapi.InvitationRequest{User: alice, Ownership: "corporate"}).URL))
	s.decided(alice, show(t, e.phone).EASDeviceID, access.Allow)
	before = s.settled(t, data)
	s.replay(e.said, http.StatusOK, http.StatusBadRequest)
	unchanged(t, "a replay of its former enrolment", before, s.settled(t, data))
}

// TestReplayedTokenChangesNothing: once the phone has another push token, a
// recorded TokenUpdate does not bring the old one back, and no unlock token.
func TestReplayedTokenChangesNothing(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "data")
	cfg := testConfig(data, "127.0.0.1:0")
	cfg.InquiryMaxAge = 24 * time.Hour
	s := serve(t, cfg)
	s.seed()
	e := s.enrol(alice)
	s.decided(alice, show(t, e.phone).EASDeviceID, access.Allow)
	first := pushOf(t, s, data)
	must(t, e.phone.NewToken())
	must(t, e.phone.Connect(t.Context()))
	before, push := s.settled(t, data), pushOf(t, s, data)
	if push == first {
		t.Fatal("the phone has no other token")
	}
	s.replay(e.said, http.StatusOK)
	unchanged(t, "a replay of the messages from before the token changed", before, s.settled(t, data))
	if pushOf(t, s, data) != push {
		t.Error("an old token is back")
	}
}

// replay sends recorded messages once more, each time in another order.
func (s serving) replay(said []taken, allowed ...int) {
	s.t.Helper()
	for _, i := range rand.Perm(len(said)) {
		m := said[i]
		status, answer := put(s.t, s.http, s.app.PublicURL(), m.body, m.header.Clone())
		if !slices.Contains(allowed, status) || status == http.StatusOK && len(answer) != 0 {
			s.t.Fatalf("a recorded message is answered %d with %q:\n%s", status, answer, m.body)
		}
	}
}

func unchanged(t testing.TB, what string, before, after []string) {
	t.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("%s changed the database (-before +after):\n%s", what, diff)
	}
}

// pushOf is the content of the one enrolment's push data.
func pushOf(t testing.TB, s serving, data string) [4]string {
	t.Helper()
	db := openData(t, data)
	defer db.Close()
	p, err := s.app.PushOf(t.Context(), column(t, db, `SELECT id FROM enroll_enrollments ORDER BY id`)[0])
	must(t, err)
	return [4]string{p.Topic, p.Token.Reveal(), p.Magic.Reveal(), p.UnlockToken.Reveal()}
}

func openData(t testing.TB, data string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(data, app.DatabaseFile)+"?_pragma=query_only(1)&_pragma=busy_timeout(5000)")
	must(t, err)
	return db
}

// settled is the dump of a server that has nothing left to do behind its answers.
func (s serving) settled(t testing.TB, data string) []string {
	t.Helper()
	comesTrue(t, "an end of the events", func() bool {
		done, err := s.app.Handled(t.Context())
		must(t, err)
		return done
	})
	deadline := time.Now().Add(patience)
	// Contacts of mail clients are written down a little later, and may change what is published.
	for now, before := dump(t, data), []string(nil); ; now = dump(t, data) {
		if slices.Equal(now, before) {
			return now
		}
		if time.Now().After(deadline) {
			t.Fatal("the database does not come to rest")
		}
		before = now
		time.Sleep(quiet)
	}
}

// quiet is longer than any step behind the requests waits for its next turn.
const quiet = 3 * time.Second

// dump is every row of the database but the audit trail's and what moves.
func dump(t testing.TB, data string) []string {
	t.Helper()
	db := openData(t, data)
	defer db.Close()
	var all []string
	for _, table := range column(t, db, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'audit_%' ORDER BY name`) {
		all = append(all, rows(t, db, table)...)
	}
	slices.Sort(all)
	return all
}

func column(t testing.TB, db *sql.DB, query string) (all []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), query)
	must(t, err)
	defer found.Close()
	for found.Next() {
		var text string
		must(t, found.Scan(&text))
		all = append(all, text)
	}
	must(t, found.Err())
	return all
}

func rows(t testing.TB, db *sql.DB, table string) (all []string) {
	t.Helper()
	found, err := db.QueryContext(t.Context(), `SELECT * FROM `+table)
	must(t, err)
	defer found.Close()
	names, err := found.Columns()
	must(t, err)
	for found.Next() {
		values, into := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			into[i] = &values[i]
		}
		must(t, found.Scan(into...))
		var row []string
		for i, name := range names {
			if !slices.Contains(moving, table+"."+name) {
				row = append(row, fmt.Sprintf("%s=%v", name, values[i]))
			}
		}
		all = append(all, table+": "+strings.Join(row, " "))
	}
	must(t, found.Err())
	return all
}
