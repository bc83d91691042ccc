package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/internal/store/postgrestest"
	"sallyport/mdm"
	"sallyport/templates"
)

const patience = 60 * time.Second // for anything that must happen at all; no test measures time

// process opens a database as one server process does.
func process(t testing.TB, url string, options store.Options) *store.DB {
	t.Helper()
	options.Database = url
	if options.Sealer == nil {
		options.Sealer = sealer(t, 1)
	}
	db, err := store.Open(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, db) })
	return db
}

// change writes one event: every new source is a new revision.
func change(ctx context.Context, db *store.DB, source string) error {
	_, _, err := db.Templates().SaveRevision(ctx, templateOf(source), -1, audit.Entry{Action: "template.apply"})
	return err
}

func pending(t testing.TB, db *store.DB) []mdm.Event {
	t.Helper()
	events, err := db.Outbox().Pending(t.Context(), "test", 1000)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// TestManyFirstStarts opens an empty database in several processes at once:
// they agree on one schema and one key.
func TestManyFirstStarts(t *testing.T) {
	t.Parallel()
	url := cluster.New(t)
	var all sync.WaitGroup
	errs := make([]error, 6)
	for i := range errs {
		all.Go(func() {
			// Half of them have another key: either all of these hold, or all of those.
			db, err := store.Open(t.Context(), store.Options{Database: url, Sealer: sealer(t, byte(i%2)+1)})
			if err == nil {
				err = errors.Join(db.Ping(t.Context()), db.Close())
			}
			errs[i] = err
		})
	}
	all.Wait()
	wrong := map[int]int{}
	for i, err := range errs {
		switch {
		case errors.Is(err, store.ErrWrongKey):
			wrong[i%2]++
		case err != nil:
			t.Error(err)
		}
	}
	if len(wrong) != 1 || wrong[0]+wrong[1] != 3 {
		t.Errorf("refused by key: %v, want all three of one key", wrong)
	}
	if got := lines(t, rawPostgres(t, url), `SELECT COUNT(*) FROM goose_db_version GROUP BY version_id HAVING COUNT(*) > 1`); len(got) != 0 {
		t.Errorf("migrations were applied twice: %v", got)
	}
}

// TestEventThatCommitsLate holds a unit of work open after its event was written,
// while others commit theirs: none may be overtaken, or a consumer whose cursor
// has passed it would never see it.
func TestEventThatCommitsLate(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	slow, quick := process(t, url, store.Options{}), process(t, url, store.Options{})
	raw := rawPostgres(t, url)
	release := holdFirstEvent(t, raw)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	var all sync.WaitGroup
	all.Go(func() {
		if err := change(ctx, slow, "slow"); err != nil {
			t.Error(err)
		}
	})
	awaitLock(t, raw, `objid = 42`)
	for i := range 4 {
		all.Go(func() {
			if err := quick.Audit().Append(ctx, audit.Entry{Action: "x"}); err != nil { // writes no event: is not held up
				t.Error(err)
			}
			s := secretOf(fmt.Sprint("s", i))
			if err := quick.Templates().SaveSecret(ctx, s, audit.Entry{}); err != nil {
				t.Error(err)
			}
		})
	}
	// The others wait for the lock now, or have not got there: a consumer that
	// looks at any time sees no event whose predecessor is still to come.
	awaitLock(t, raw, `objid <> 42`)
	if events := pending(t, quick); len(events) != 0 {
		t.Errorf("handed out %v while an earlier one was not committed", events)
	}
	release()
	all.Wait()
	events := pending(t, quick)
	if len(events) != 5 {
		t.Fatalf("got %d events, want 5", len(events))
	}
	for i, e := range events[1:] {
		if e.ID <= events[i].ID {
			t.Errorf("event %d after %d", e.ID, events[i].ID)
		}
	}
}

// holdFirstEvent has the unit of work that writes the first event wait where its
// event is written and nothing is committed, until release is called.
func holdFirstEvent(t testing.TB, raw *sql.DB) (release func()) {
	t.Helper()
	holder, err := raw.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`CREATE SEQUENCE test_nth`,
		`CREATE FUNCTION test_hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('test_nth') = 1 THEN PERFORM pg_advisory_xact_lock(42); END IF; RETURN NULL; END $$`,
		`CREATE TRIGGER test_hold AFTER INSERT ON work_outbox FOR EACH ROW EXECUTE FUNCTION test_hold()`,
		`SELECT pg_advisory_lock(42)`,
	} {
		if _, err := holder.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		if err := holder.Close(); err != nil { // the pool keeps it
			t.Error(err)
		}
		if err := raw.Close(); err != nil { // and the lock with it
			t.Error(err)
		}
	}
}

// awaitLock waits until somebody waits for an advisory lock.
func awaitLock(t testing.TB, raw *sql.DB, which string) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(lines(t, raw, `SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND `+which)) == 0; {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits: the test proves nothing")
		}
		time.Sleep(time.Millisecond)
	}
}

// TestConsumerMissesNothing has writers in two processes and one consumer that
// moves its cursor as fast as it can.
func TestConsumerMissesNothing(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	processes := []*store.DB{process(t, url, store.Options{}), process(t, url, store.Options{})}
	const writers, each = 4, 15
	var all sync.WaitGroup
	var left atomic.Int32
	left.Store(writers)
	for i := range writers {
		all.Go(func() {
			defer left.Add(-1)
			for n := range each {
				if err := processes[i%2].Templates().SaveSecret(t.Context(), secretOf(fmt.Sprintf("s%d-%d", i, n)), audit.Entry{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	seen := 0
	for done := false; !done; {
		done = left.Load() == 0
		for _, e := range pending(t, processes[0]) {
			seen++
			if err := processes[0].Outbox().Done(t.Context(), "test", e.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	all.Wait()
	if seen != writers*each {
		t.Errorf("the consumer saw %d events of %d", seen, writers*each)
	}
}

// TestOtherProcess: what one process has written the other reads at once, and
// is woken for, also after its listening connection was lost.
func TestOtherProcess(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	woken := make(chan struct{}, 1000)
	one := process(t, url, store.Options{})
	two := process(t, url, store.Options{OnNotify: func() { woken <- struct{}{} }})
	await := func(what string) {
		t.Helper()
		select {
		case <-woken:
		case <-time.After(patience):
			t.Fatalf("not woken %s", what)
		}
	}
	await("when it began to listen")
	for i := range 100 {
		if err := change(t.Context(), one, fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if r, err := two.Templates().CurrentRevision(t.Context(), "mail"); err != nil || r.Source != fmt.Sprint(i) {
			t.Fatalf("reads %q, %v, want %d", r.Source, err, i)
		}
		await("by a commit of the other")
	}
	terminate(t, url)
	await("after its connection was lost")
	if err := change(t.Context(), one, "after"); err != nil {
		t.Fatal(err)
	}
	await("by a commit after that")
}

// terminate ends every connection to the database, as an administrator or a
// fail-over does.
func terminate(t testing.TB, url string) {
	t.Helper()
	lines(t, rawPostgres(t, url), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
}

// TestTryWriteOnAReadOnlyServer: as one is that follows another, after a fail-over.
func TestTryWriteOnAReadOnlyServer(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	db := process(t, url, store.Options{})
	if err := db.TryWrite(t.Context()); err != nil {
		t.Fatal(err)
	}
	lines(t, rawPostgres(t, url), `DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$`)
	terminate(t, url)
	if err := db.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.TryWrite(t.Context()); err == nil || !strings.Contains(err.Error(), "25006") { // read_only_sql_transaction
		t.Errorf("got %v", err)
	}
}

// TestConnectionIsKilled ends every connection between the last statement and
// the commit: that is an error, and nothing is left. Idle connections that died
// meanwhile are replaced.
func TestConnectionIsKilled(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	var kill bool
	db := process(t, url, store.Options{Hook: func(unit string, phase store.Phase) {
		if unit == "save template" && phase == store.BeforeCommit && kill {
			kill = false
			terminate(t, url)
		}
	}})
	// On a new connection the statements are announced first: the commit was not
	// sent then, and the unit is done again.
	done, err := 0, error(nil)
	for ; err == nil && done < 20; done++ {
		kill = true
		if err = change(t.Context(), db, fmt.Sprint(done)); kill {
			t.Fatal("nothing was killed: the test proves nothing")
		}
	}
	// The commit was sent, so nobody knows its outcome: that is told, as something that passes.
	if done--; err == nil || !store.Temporary(err) {
		t.Fatalf("got %v, want an error that passes", err)
	}
	if events := pending(t, db); len(events) != done {
		t.Errorf("%d were done, events: %v", done, events)
	}
	if err := change(t.Context(), db, "one"); err != nil {
		t.Fatal(err)
	}
	terminate(t, url)
	note(t, db, "the next request works")
	if events := pending(t, db); len(events) != done+1 {
		t.Errorf("got %d events, want %d", len(events), done+1)
	}
}

func TestDatabaseStops(t *testing.T) {
	t.Parallel()
	c := postgrestest.Start(t, postgrestest.Options{})
	woken := make(chan struct{}, 1000)
	db := process(t, c.URL("postgres"), store.Options{OnNotify: func() { woken <- struct{}{} }})
	note(t, db, "before")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"ping":  db.Ping(t.Context()),
		"write": db.Audit().Append(t.Context(), audit.Entry{Action: "test.mark"}),
		"alone": db.Alone(t.Context(), "x", func(context.Context) error { return nil }),
	} {
		if err == nil || !store.Temporary(err) {
			t.Errorf("%s: got %v, want an error that passes", name, err)
		}
	}
	_, err := store.Open(t.Context(), store.Options{Database: c.URL("postgres"), Sealer: sealer(t, 1)})
	if !errors.Is(err, store.ErrUnreachable) {
		t.Errorf("open: got %v, want ErrUnreachable", err)
	}
	for len(woken) > 0 {
		<-woken
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	note(t, db, "after")
	if got := marks(t, db); len(got) != 2 {
		t.Errorf("got %v", got)
	}
	select {
	case <-woken: // it listens again, and may have missed something
	case <-time.After(patience):
		t.Error("does not listen again")
	}
}

func TestAlone(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	one, two := process(t, url, store.Options{}), process(t, url, store.Options{})
	stepped := 0
	step := two.Shared("mail", func(context.Context) (bool, error) { stepped++; return true, nil })
	err := one.Shared("mail", func(ctx context.Context) (bool, error) {
		more, err := step(ctx)
		if more || err != nil || stepped != 0 {
			t.Errorf("the other was at it too: %t, %v", more, err)
		}
		if more, err := two.Shared("else", func(context.Context) (bool, error) { return true, nil })(ctx); !more || err != nil {
			t.Errorf("another name: %t, %v", more, err)
		}
		return true, nil
	})
	if more, err := err(t.Context()); !more || err != nil {
		t.Fatalf("got %t, %v", more, err)
	}
	if more, err := step(t.Context()); !more || err != nil || stepped != 1 {
		t.Errorf("afterwards: %t, %v", more, err)
	}

	var inside, most atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			if err := []*store.DB{one, two}[i%2].Alone(t.Context(), "first start", func(context.Context) error {
				if n := inside.Add(1); n > most.Load() {
					most.Store(n)
				}
				time.Sleep(time.Millisecond)
				inside.Add(-1)
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if most.Load() != 1 {
		t.Errorf("%d at once", most.Load())
	}
}

func TestPostgresRefuses(t *testing.T) {
	t.Parallel()
	foreign := cluster.New(t)
	if _, err := rawPostgres(t, foreign).Exec(`CREATE TABLE theirs (x int)`); err != nil {
		t.Fatal(err)
	}
	newer := onPostgres(t, store.Options{}).Database
	if _, err := rawPostgres(t, newer).Exec(`INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, TRUE)`); err != nil {
		t.Fatal(err)
	}
	ours := onPostgres(t, store.Options{}).Database
	const canary = "canary-password"
	tests := []struct {
		name, url string
		key       byte
		want      error
	}{
		{"another program's tables", foreign, 1, store.ErrNotSallyport},
		{"a newer schema", newer, 1, store.ErrNewerSchema},
		{"another key", ours, 2, store.ErrWrongKey},
		{"no such database", strings.Replace(ours, "test_", "missing_", 1), 1, store.ErrUnreachable},
		{"nobody there", "postgres://u:" + canary + "@127.0.0.1:1/x?connect_timeout=2", 1, store.ErrUnreachable},
		{"no URL", "postgres://u:" + canary + "@[::1/x", 1, store.ErrUnreachable},
		{"odd port", "postgres://u:" + canary + "@h:port/x", 1, store.ErrUnreachable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := store.Open(t.Context(), store.Options{Database: tt.url, Sealer: sealer(t, tt.key)})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if all := refusal.All(err); len(all) != 1 || all[0].Remedy == "" {
				t.Errorf("refusal without a remedy: %v", all)
			}
			if strings.Contains(err.Error(), canary) {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

func TestPostgresTrailIsAppendOnly(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	note(t, process(t, url, store.Options{}), "x")
	for _, statement := range []string{`UPDATE audit_entries SET actor = 'nobody'`, `DELETE FROM audit_entries`, `TRUNCATE audit_entries`} {
		if _, err := rawPostgres(t, url).Exec(statement); err == nil || !strings.Contains(err.Error(), "append-only") {
			t.Errorf("%s: got %v", statement, err)
		}
	}
}

// TestPoolIsBounded: no more connections than were allowed, however many ask.
func TestPoolIsBounded(t *testing.T) {
	t.Parallel()
	url := onPostgres(t, store.Options{}).Database
	raw := rawPostgres(t, url)
	db := process(t, url, store.Options{MaxConnections: 5})
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if err := db.Audit().Append(t.Context(), audit.Entry{Action: "test.mark", Target: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	got := column(t, raw, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'sallyport'`)
	if len(got) != 1 || len(got[0]) != 1 || got[0] > "6" {
		t.Errorf("%v connections, want at most 5 and the one for locks", got)
	}
}

func templateOf(source string) templates.Revision {
	return templates.Revision{Name: "mail", Source: source, Spec: templates.Spec{Name: "mail"}, CreatedAt: time.Now(), CreatedBy: "admin"}
}

func secretOf(name string) templates.Secret {
	return templates.Secret{Name: name, Kind: templates.SecretPassword, Revision: name, Value: secret.New("x"), CreatedAt: time.Now()}
}

// TestStepsLeaveConnections: more steps than the pool has connections hold their
// locks at once, and each of them still gets at the database.
func TestStepsLeaveConnections(t *testing.T) {
	t.Parallel()
	db := process(t, onPostgres(t, store.Options{}).Database, store.Options{MaxConnections: 4})
	const steps = 12
	var all sync.WaitGroup
	var inside atomic.Int32
	together := make(chan struct{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range steps {
		all.Go(func() {
			_, err := db.Shared(fmt.Sprint("step ", i), func(ctx context.Context) (bool, error) {
				if inside.Add(1) == steps {
					close(together)
				}
				select {
				case <-together:
				case <-ctx.Done():
					return false, ctx.Err()
				}
				_, err := db.Audit().List(ctx, audit.Filter{})
				return false, err
			})(ctx)
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
