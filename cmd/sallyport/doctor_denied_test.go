package main

import (
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// A server that may well run is not to be started, and its token not to be made
// anew, because somebody else looks.
func TestLocalNext(t *testing.T) {
	t.Parallel()
	denied := fmt.Errorf("read server file: %w", &fs.PathError{Op: "open", Path: "/var/lib/sallyport/server.json", Err: syscall.EACCES})
	if got := localNext(denied, "start it"); strings.Contains(got, "start it") || !strings.Contains(got, "as the user of the server") || !strings.Contains(got, "--server URL") {
		t.Errorf("denied: %q", got)
	}
	if got := localNext(fs.ErrNotExist, "start it"); got != "start it" {
		t.Errorf("without a server: %q", got)
	}
	p := &program{Globals: &Globals{Data: "d"}}
	if got := tokenCheck(p, denied).Next; strings.Contains(got, "restart") {
		t.Errorf("token: %q", got)
	}
}
