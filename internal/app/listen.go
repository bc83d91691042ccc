package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"sallyport/internal/refusal"
)

// ErrListen says that an address cannot be served.
var ErrListen = errors.New("cannot listen")

// shutdownTimeout is how long running requests may take to finish.
const shutdownTimeout = 20 * time.Second

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

const (
	// ownFiles are kept for the database, its log, and what a backup opens.
	ownFiles = 512
	// fewConnections is served however little the system allows.
	fewConnections = 64
)

// connections is how many a listener may have open at once; zero means that
// there is no limit. One more waits until another is closed, instead of taking
// the file that the database needs next. Each listener gets a share, and what
// goes out from here gets one, so that a crowd at one door closes no other.
func connections(files uint64, listeners int) int {
	if files == 0 {
		return 0
	}
	spare := min(files-min(files, ownFiles), 1<<20)
	return max(int(spare)/(listeners+1), fewConnections)
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
