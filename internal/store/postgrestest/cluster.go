package postgrestest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Options of a cluster.
type Options struct {
	// Fsync makes commits durable as in earnest. Tests do without, unless they
	// measure or kill the machine.
	Fsync bool
}

// Cluster is a running PostgreSQL server.
type Cluster struct {
	bin, dir string
	who      *syscall.Credential
	options  Options

	mu      sync.Mutex
	process *exec.Cmd
	exited  chan struct{}
	log     *os.File
}

const patience = 60 * time.Second

// start makes a new cluster and starts it.
func start(o Options) (_ *Cluster, err error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(place(o), "sallyport-pg-")
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin, dir: dir, options: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Remove())
		}
	}()
	// PostgreSQL refuses to run as root.
	if os.Getuid() == 0 {
		if c.who, err = credential("postgres"); err != nil {
			return nil, err
		}
		if err := os.Chown(dir, int(c.who.Uid), int(c.who.Gid)); err != nil {
			return nil, err
		}
	}
	initdb := c.command(context.Background(), "initdb", "--pgdata", c.data(), "--username", "postgres", "--auth", "trust",
		"--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return c, c.Start()
}

func (c *Cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *Cluster) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(c.bin, name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.who}
	return cmd
}

// Start starts a cluster that was stopped, and returns when it answers.
func (c *Cluster) Start() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(c.dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	durable := "off"
	if c.options.Fsync {
		durable = "on"
	}
	c.process = c.command(context.Background(), "postgres", "-D", c.data(), "-k", c.dir, "-c", "listen_addresses=",
		"-c", "fsync="+durable, "-c", "full_page_writes="+durable, "-c", "max_connections=200", "-c", "shared_buffers=64MB",
		"-c", "autovacuum=off", "-c", "jit=off")
	c.process.Stdout, c.process.Stderr = log, log
	dieWithParent(c.process.SysProcAttr)
	c.exited, c.log = make(chan struct{}), log
	started := make(chan error)
	go func(process *exec.Cmd, exited chan struct{}) {
		// The death signal follows the thread, not the process: keep the thread.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := process.Start()
		started <- err
		if err == nil {
			_ = process.Wait()
		}
		close(exited)
	}(c.process, c.exited)
	if err := <-started; err != nil {
		return err
	}
	return c.await()
}

// await returns when the server answers.
func (c *Cluster) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, c.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-c.exited:
			return fmt.Errorf("postgres ended: %s", c.logged())
		case <-ctx.Done():
			return fmt.Errorf("postgres does not answer: %w\n%s", err, c.logged())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (c *Cluster) logged() []byte {
	text, _ := os.ReadFile(filepath.Join(c.dir, "log"))
	return bytes.TrimSpace(text)
}

// Stop ends every connection and the server, in order.
func (c *Cluster) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil || c.process.Process == nil {
		return nil
	}
	_ = c.process.Process.Signal(syscall.SIGINT) // "fast shutdown"; an error means that it has ended
	select {
	case <-c.exited:
	case <-time.After(patience):
		return errors.New("postgres does not stop")
	}
	return c.log.Close()
}

// Remove stops the server and deletes its files.
func (c *Cluster) Remove() error {
	return errors.Join(c.Stop(), os.RemoveAll(c.dir))
}

// URL is how to connect to a database of the cluster.
func (c *Cluster) URL(database string) string {
	return "postgres://postgres@/" + database + "?host=" + url.QueryEscape(c.dir)
}

// errMissing says that PostgreSQL is not installed.
var errMissing = errors.New("PostgreSQL's programs are not installed (Debian: apt-get install postgresql; .ci/install does it)")

// programs is the directory of initdb and postgres. Debian keeps those of each
// version apart, and none of them in the PATH.
func programs() (string, error) {
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	newest, version := "", -1
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	for _, path := range found {
		dir := filepath.Dir(path)
		if v, err := strconv.Atoi(filepath.Base(filepath.Dir(dir))); err == nil && v > version {
			newest, version = dir, v
		}
	}
	if newest == "" {
		return "", errMissing
	}
	return newest, nil
}

func credential(name string) (*syscall.Credential, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return nil, err
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
