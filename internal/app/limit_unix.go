//go:build unix

package app

import "syscall"

// openFiles is how many files and connections this process may have open; Go
// has raised it to what the system allows. Zero when that cannot be told.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // signed on FreeBSD
}
