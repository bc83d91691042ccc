package config

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// wipeEnviron overwrites a variable where the kernel has put it at the start of
// the process. os.Unsetenv changes Go's own copy only, and /proc/PID/environ, which
// root and the same user can read, shows that place for as long as the process
// lives (https://man7.org/linux/man-pages/man5/proc_pid_environ.5.html).
//
// It writes through /proc/self/mem, at the address that /proc/self/stat tells.
// Where that is closed to us, the variable stays: nothing is reported, as nothing
// could be done, and docs/keys.md says how to look.
func wipeEnviron(name string) {
	start, size := environPlace()
	if size <= 0 {
		return
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return
	}
	defer func() { _ = mem.Close() }()
	block := make([]byte, size)
	if _, err := mem.ReadAt(block, start); err != nil {
		return
	}
	at := int64(0)
	for variable := range bytes.SplitSeq(block, []byte{0}) {
		if bytes.HasPrefix(variable, []byte(name+"=")) {
			value := at + int64(len(name)) + 1
			_, _ = mem.WriteAt(bytes.Repeat([]byte{'x'}, len(variable)-len(name)-1), start+value)
			clear(variable)
		}
		at += int64(len(variable)) + 1
	}
	clear(block)
}

// environPlace reads env_start and env_end, fields 50 and 51 of proc_pid_stat(5).
// The second field, the program's name in brackets, may hold anything.
func environPlace() (start, size int64) {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return 0, 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	const third, envStart, envEnd = 3, 50, 51
	if len(fields) <= envEnd-third {
		return 0, 0
	}
	from, err1 := strconv.ParseInt(fields[envStart-third], 10, 64)
	to, err2 := strconv.ParseInt(fields[envEnd-third], 10, 64)
	if err1 != nil || err2 != nil || from <= 0 || to-from > 16<<20 {
		return 0, 0
	}
	return from, to - from
}
