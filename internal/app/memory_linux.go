package app

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// HideMemory keeps what this process has in its memory, keys among it, away from
// the disk and from others: no core is dumped, whatever kills it, and no other
// process of the same user can look inside or trace it.
//
// A limit of 0 is not enough: where core_pattern names a program the kernel hands
// it the core all the same (https://man7.org/linux/man-pages/man5/core.5.html). So
// the process is marked as not dumpable, which also gives its files in /proc to
// root (https://man7.org/linux/man-pages/man2/PR_SET_DUMPABLE.2const.html). The
// price: kernels before 6.2 do not tell it how many files it has open, and
// process_open_fds is missing from the metrics.
func HideMemory() error {
	// Not let by some sandboxes, ours among them, which then set the limit themselves.
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("keep memory out of core dumps: %w", err)
	}
	return nil
}
