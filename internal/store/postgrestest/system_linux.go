package postgrestest

import "syscall"

// dieWithParent: whatever ends the tests ends the server, at once.
func dieWithParent(a *syscall.SysProcAttr) { a.Pdeathsig = syscall.SIGQUIT }

// place is memory where there is enough of it and nothing need be durable: a
// database is a thousand files, and most tests begin with a new one. Empty
// means the usual directory.
func place(o Options) string {
	const memory, enough = "/dev/shm", 2 << 30
	var free syscall.Statfs_t
	if o.Fsync || syscall.Statfs(memory, &free) != nil || free.Bavail*uint64(free.Bsize) < enough {
		return ""
	}
	return memory
}
