//go:build unix && !linux

package postgrestest

import "syscall"

// dieWithParent has no way to do so here: a test that is killed leaves a server.
func dieWithParent(*syscall.SysProcAttr) {}

// place is the usual directory.
func place(Options) string { return "" }
