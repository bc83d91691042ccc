package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"sallyport/internal/refusal"
)

// ErrListen says that an address cannot be served.
var ErrListen = errors.New("cannot listen")

// Timeouts of every listener. A phone sends small messages over slow links; a
// handler that streams for longer sets a deadline of its own.
const (
	headerTimeout   = 10 * time.Second
	readTimeout     = 60 * time.Second
	writeTimeout    = 120 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 20 * time.Second

	maxHeaderBytes = 64 << 10 // all headers; one alone may have 16 KiB
)

// front is one listener with what it serves.
type front struct {
	name     string // the setting: listen, listen_http, admin_listen
	listener net.Listener
	server   *http.Server
}

// listen binds an address before anything is written, so that a port which is
// taken leaves no trace.
func listen(ctx context.Context, setting, address string) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, refusal.New(ErrListen, setting, address+" is in use by another program", "choose another port, for example --"+dashed(setting)+" localhost:9443")
	}
	if errors.Is(err, syscall.EACCES) {
		return nil, refusal.New(ErrListen, setting, address+": not allowed", "a port below 1024 needs a privilege: see deploy/systemd/sallyport.service")
	}
	if err != nil {
		return nil, refusal.New(ErrListen, setting, err.Error(), "give HOST:PORT of this machine")
	}
	return l, nil
}

func dashed(setting string) string {
	b := []byte(setting)
	for i := range b {
		if b[i] == '_' {
			b[i] = '-'
		}
	}
	return string(b)
}

// newFront makes the server of a listener; conf is nil for one without TLS.
func newFront(name string, l net.Listener, h http.Handler, conf *tls.Config, log *slog.Logger) *front {
	return &front{name: name, listener: l, server: &http.Server{
		Handler:           h,
		TLSConfig:         conf,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// What a port scanner does to TLS is no news.
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}}
}

// serve returns when the server was shut down (nil) or cannot go on.
func (f *front) serve() error {
	var err error
	if f.server.TLSConfig != nil {
		err = f.server.ServeTLS(f.listener, "", "")
	} else {
		err = f.server.Serve(f.listener)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve %s: %w", f.name, err)
}

// shutdown lets requests that run finish, and cuts what takes too long.
func (f *front) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
	defer cancel()
	if f.server.Shutdown(ctx) != nil {
		_ = f.server.Close()
	}
}
