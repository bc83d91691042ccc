package postgrestest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Shared is the cluster that all tests of one process use. The zero value is
// ready: the first test that needs it starts it.
type Shared struct {
	once    sync.Once
	cluster *Cluster
	err     error

	mu        sync.Mutex
	databases int
	templates map[string]error
}

// Close stops the cluster, if it was started. Call it at the end of TestMain.
func (s *Shared) Close() {
	if s.cluster == nil {
		return
	}
	if err := s.cluster.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (s *Shared) start(t testing.TB) *Cluster {
	t.Helper()
	s.once.Do(func() { s.cluster, s.err = start(Options{}) })
	orSkip(t, s.err)
	return s.cluster
}

// Start makes a cluster for one test alone, which may stop it and start it again.
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := start(o)
	orSkip(t, err)
	t.Cleanup(func() {
		if err := c.Remove(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func orSkip(t testing.TB, err error) {
	t.Helper()
	switch {
	case errors.Is(err, errMissing) && os.Getenv("CI") == "":
		t.Skip("SKIPPED: ", err)
	case err != nil:
		t.Fatal(err)
	}
}

// New makes an empty database, which is dropped when the test ends, and returns
// its URL.
func (s *Shared) New(t testing.TB) string {
	t.Helper()
	return s.create(t, "template0")
}

// Copy makes a database like one that fill has filled once under that name:
// much quicker than filling each.
func (s *Shared) Copy(t testing.TB, name string, fill func(url string) error) string {
	t.Helper()
	c := s.start(t)
	s.mu.Lock()
	err, filled := s.templates[name]
	if !filled {
		if err = c.exec("CREATE DATABASE " + quote(name) + " TEMPLATE template0"); err == nil {
			err = fill(c.URL(name))
		}
		if s.templates == nil {
			s.templates = map[string]error{}
		}
		s.templates[name] = err
	}
	s.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	return s.create(t, name)
}

func (s *Shared) create(t testing.TB, template string) string {
	t.Helper()
	c := s.start(t)
	name, err := s.add(c, template)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.exec("DROP DATABASE " + quote(name) + " WITH (FORCE)"); err != nil {
			t.Error(err)
		}
	})
	return c.URL(name)
}

// Create makes an empty database that lives as long as the cluster. It is for
// programs that have no test at hand.
func (s *Shared) Create() (string, error) { return s.createFrom("template0") }

// CreateFrom makes a copy of a database of this cluster that nobody is connected to.
func (s *Shared) CreateFrom(source string) (string, error) {
	config, err := pgx.ParseConfig(source)
	if err != nil {
		return "", err
	}
	return s.createFrom(config.Database)
}

func (s *Shared) createFrom(template string) (string, error) {
	s.once.Do(func() { s.cluster, s.err = start(Options{}) })
	if s.err != nil {
		return "", s.err
	}
	name, err := s.add(s.cluster, template)
	return s.cluster.URL(name), err
}

func (s *Shared) add(c *Cluster, template string) (string, error) {
	s.mu.Lock()
	s.databases++
	name := fmt.Sprintf("test_%d", s.databases)
	s.mu.Unlock()
	return name, c.exec("CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template) + " STRATEGY FILE_COPY")
}

// Need skips the test where PostgreSQL is not installed, or fails it if CI is set.
func Need(t testing.TB) {
	t.Helper()
	_, err := programs()
	orSkip(t, err)
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

func (c *Cluster) exec(statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.URL("postgres"))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}
