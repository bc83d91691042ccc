package app_test

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// This file reads what `strace -f -yy` tells of a server: when a request came
// in, when what it says was written to the database's log, when the log was
// forced to the disk, and when the answer left. The lines stand in the order in
// which the kernel stopped the threads, so that their order is the order of things.

// tracedCalls are those that a trace must hold.
const tracedCalls = "read,write,writev,sendto,sendmsg,pwrite64,pwritev,fsync,fdatasync"

// exchange is one request on the connection, and its answer.
type exchange struct {
	logged   []string // marks that were in the log when the answer left
	durable  []string // of those, the ones that had been forced to the disk
	answered bool
}

// call is a system call that begins in a line and ends in it or in a later one.
type call struct {
	name, on, data string
	waiting        []string // sync: what it will have forced to the disk
}

var (
	callBegins  = regexp.MustCompile(`^(\d+) +(\w+)\(\d+<(TCP:\[[^\]]*\]|[^>]*)>(.*)$`)
	callResumes = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)
	callResult  = regexp.MustCompile(`\) += (-?\d+)[^"]*$`)
)

// trace is the reading of one file.
type trace struct {
	conn, log string         // suffixes of what strace calls the connection and the log
	mark      *regexp.Regexp // what a request says and nothing else does
	open      map[string]*call
	seen      map[string]bool // marks
	unsynced  []string
	exchanges []exchange
}

// readTrace finds the exchanges on the connection from the client's address.
func readTrace(in io.Reader, client, log string, mark *regexp.Regexp) ([]exchange, error) {
	t := &trace{conn: "->" + client + "]", log: log, mark: mark, open: map[string]*call{}, seen: map[string]bool{}}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		t.line(lines.Text())
	}
	return t.exchanges, lines.Err()
}

func (t *trace) line(line string) {
	if m := callBegins.FindStringSubmatch(line); m != nil {
		c := &call{name: m[2], on: m[3], data: m[4]}
		t.begins(c)
		if strings.HasSuffix(line, "<unfinished ...>") {
			t.open[m[1]] = c
			return
		}
		t.ends(c, m[4])
	} else if m := callResumes.FindStringSubmatch(line); m != nil && t.open[m[1]] != nil {
		c := t.open[m[1]]
		delete(t.open, m[1])
		t.ends(c, m[2])
	}
}

// begins: bytes that are handed to the kernel may leave from now on, and a sync
// promises only what was written before it.
func (t *trace) begins(c *call) {
	switch {
	case strings.HasSuffix(c.on, t.conn) && c.name != "read":
		if n := len(t.exchanges); n > 0 {
			t.exchanges[n-1].answered = true
		}
	case strings.HasSuffix(c.on, t.log) && strings.HasSuffix(c.name, "sync"):
		c.waiting = slices.Clone(t.unsynced)
	}
}

func (t *trace) ends(c *call, rest string) {
	result := callResult.FindStringSubmatch(rest)
	if result == nil {
		return
	}
	n, err := strconv.Atoi(result[1])
	last := len(t.exchanges) - 1
	switch {
	case err != nil || n < 0:
	case strings.HasSuffix(c.on, t.conn) && c.name == "read" && n > 0 && (last < 0 || t.exchanges[last].answered):
		t.exchanges = append(t.exchanges, exchange{})
	case strings.HasSuffix(c.on, t.log) && strings.HasSuffix(c.name, "sync"):
		t.synced(c.waiting)
	case strings.HasSuffix(c.on, t.log) && strings.Contains(c.name, "write"):
		t.written(c.data)
	}
}

// written notes the marks that come to the log for the first time.
func (t *trace) written(data string) {
	for _, mark := range t.mark.FindAllString(data, -1) {
		if t.seen[mark] {
			continue
		}
		t.seen[mark] = true
		t.unsynced = append(t.unsynced, mark)
		if e := t.unanswered(); e != nil {
			e.logged = append(e.logged, mark)
		}
	}
}

func (t *trace) synced(marks []string) {
	t.unsynced = slices.DeleteFunc(t.unsynced, func(mark string) bool { return slices.Contains(marks, mark) })
	if e := t.unanswered(); e != nil {
		e.durable = append(e.durable, marks...)
	}
}

// unanswered is the exchange that is under way, if one is.
func (t *trace) unanswered() *exchange {
	if n := len(t.exchanges); n > 0 && !t.exchanges[n-1].answered {
		return &t.exchanges[n-1]
	}
	return nil
}

// inOrder counts the marks that were logged and forced to the disk between
// their request and its answer, and says why the others were not.
func inOrder(exchanges []exchange, marks []string) (good int, faults []string) {
	durable := map[string]int{}
	for i, e := range exchanges {
		for _, mark := range e.durable {
			if e.answered && slices.Contains(e.logged, mark) {
				durable[mark] = i + 1
			}
		}
	}
	before := 0
	for _, mark := range marks {
		at := durable[mark]
		switch {
		case at == 0:
			faults = append(faults, mark+": the answer left before it was on the disk")
		case at <= before:
			faults = append(faults, fmt.Sprintf("%s: its request is number %d on the connection, after number %d", mark, at, before))
		default:
			good, before = good+1, at
		}
	}
	return good, faults
}

// TestReadTrace: the checker tells the right order from every wrong one.
func TestReadTrace(t *testing.T) {
	const (
		request = `7 read(17<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\27\3", 576) = 2`
		nothing = `7 read(17<TCP:[127.0.0.1:1->127.0.0.1:2]>, 0x78, 576) = -1 EAGAIN (Resource temporarily unavailable)`
		logged  = `7 pwrite64(11</d/x.db-wal>, "\0mark-1@", 4096, 24) = 4096`
		synced  = `7 fsync(11</d/x.db-wal>) = 0`
		answer  = `7 write(17<TCP:[127.0.0.1:1->127.0.0.1:2]>, "\27\3\3"..., 90) = 90`
	)
	other := func(line string) string { return strings.ReplaceAll(line, "127.0.0.1:2]", "127.0.0.1:22]") }
	for _, test := range []struct {
		name  string
		lines []string
		good  int
	}{
		{"in order", []string{request, nothing, logged, synced, answer}, 1},
		{"in order, in two threads", []string{request, `8 pwrite64(11</d/x.db-wal>, "mark-1@", 4096, 24 <unfinished ...>`, other(answer), `8 <... pwrite64 resumed>) = 4096`,
			`8 fdatasync(11</d/x.db-wal> <unfinished ...>`, nothing, `8 <... fdatasync resumed>) = 0`, answer}, 1},
		{"a hand-shake before", []string{request, answer, request, logged, synced, answer}, 1},
		{"never forced", []string{request, logged, answer}, 0},
		{"never logged", []string{request, synced, answer}, 0},
		{"never answered", []string{request, logged, synced}, 0},
		{"forced too early", []string{request, synced, logged, answer}, 0},
		{"forced too late", []string{request, logged, answer, synced}, 0},
		{"logged too late", []string{request, answer, logged, synced}, 0},
		{"answered while it is forced", []string{request, logged, `8 fsync(11</d/x.db-wal> <unfinished ...>`, answer, `8 <... fsync resumed>) = 0`}, 0},
		{"forced from before it was logged", []string{request, `8 fsync(11</d/x.db-wal> <unfinished ...>`, logged, `8 <... fsync resumed>) = 0`, answer}, 0},
		{"forced in vain", []string{request, logged, `7 fsync(11</d/x.db-wal>) = -1 EIO (Input/output error)`, answer}, 0},
		{"another file", []string{request, logged, `7 fsync(11</d/x.db>) = 0`, answer}, 0},
		{"another connection", []string{other(request), logged, synced, other(answer)}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			exchanges, err := readTrace(strings.NewReader(strings.Join(test.lines, "\n")), "127.0.0.1:2", ".db-wal", regexp.MustCompile(`mark-\d+@`))
			must(t, err)
			if good, faults := inOrder(exchanges, []string{"mark-1@"}); good != test.good || good+len(faults) != 1 {
				t.Errorf("got %d good, %v", good, faults)
			}
		})
	}
}
