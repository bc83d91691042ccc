package app_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/internal/app"
	"sallyport/internal/config"
	"sallyport/internal/secret"
	"sallyport/internal/store"
	"sallyport/internal/store/postgrestest"
)

// The crash test needs a server that is another process. It is this test
// binary, started again with these variables.
const (
	envServe = "E2E_SERVE_DATA"     // data directory; present = be a server
	envAddr  = "E2E_SERVE_LISTEN"   // address
	envKill  = "E2E_KILL_AT"        // SIGKILL oneself at the n-th commit after arming; 0 = never
	envData  = "E2E_SERVE_DATABASE" // PostgreSQL; empty = a file in the data directory
	envPhase = "E2E_KILL_PHASE"     // store.BeforeCommit or store.AfterCommit
)

func TestMain(m *testing.M) {
	if os.Getenv(envServe) != "" || os.Getenv(envRotate) != "" {
		run := serveUntilKilled
		if os.Getenv(envRotate) != "" {
			run = rotateUntilKilled
		}
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Getenv(envEngine) != "" {
		engine.cluster, engine.url = &postgrestest.Shared{}, map[string]string{}
	}
	code := m.Run()
	if engine.cluster != nil {
		engine.cluster.Close()
	}
	os.Exit(code)
}

// serveUntilKilled is the real server, wired as cmd/sallyport wires it. It says
// "ready" once it serves; SIGUSR1 arms the kill, so that the commits of the
// start do not count, and is answered with "armed".
func serveUntilKilled() error {
	killAt, err := strconv.ParseInt(os.Getenv(envKill), 10, 64)
	if err != nil {
		return err
	}
	phase := store.Phase(os.Getenv(envPhase))
	var armed atomic.Bool
	var commits atomic.Int64
	hook := func(_ string, at store.Phase) {
		if at != phase || !armed.Load() || killAt == 0 {
			return
		}
		if commits.Add(1) == killAt {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // the signal is on its way: this commit must go no further
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	a, err := app.New(ctx, testConfig(os.Getenv(envServe), os.Getenv(envAddr)), app.Options{
		Version: "test", StoreHook: hook, Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	defer a.Close()
	usr1 := make(chan os.Signal, 1)
	signal.Notify(usr1, syscall.SIGUSR1)
	go func() {
		<-usr1
		// Said first: a commit from behind the requests may be the one that kills.
		fmt.Println("armed")
		armed.Store(true)
	}()
	fmt.Println("ready", a.URL())
	return a.Run(ctx)
}

// testConfig asks phones for their facts in every connection, as `make run` does.
func testConfig(data, listen string) config.Config {
	cfg := config.Default()
	cfg.Data, cfg.Listen, cfg.InquiryMaxAge = data, listen, 0
	cfg.Database = config.NewDatabaseURL(os.Getenv(envData))
	cfg.KEK, cfg.KEKNew = secret.New(os.Getenv(config.VariableKEK)), secret.New(os.Getenv(config.VariableKEKNew))
	if os.Getenv(envServe) == "" && os.Getenv(envRotate) == "" {
		cfg.Database = engine.of(data)
	}
	cfg.Organization = "Example Ltd"
	return cfg
}

const patience = 60 * time.Second // for anything that must happen at all; no test measures time
