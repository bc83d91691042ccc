package compliance

import (
	"slices"
	"strconv"
	"strings"
)

// version is an operating system's version: 1 to 3 numbers. One that is missing
// is 0.
type version struct {
	numbers [3]int
	count   int
}

// parseVersion reads "17", "16.1.2", and "16.4.1 (a)", as a rapid security
// response may append its letter. Anything else is not a version: the caller
// must treat it as not told, never as old or new enough.
func parseVersion(text string) (version, bool) {
	rest, extra, spaced := strings.Cut(strings.TrimSpace(text), " ")
	if spaced && (len(extra) < 3 || extra[0] != '(' || extra[len(extra)-1] != ')') {
		return version{}, false
	}
	var v version
	for more := true; more; v.count++ {
		var part string
		part, rest, more = strings.Cut(rest, ".")
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil || v.count == len(v.numbers) {
			return version{}, false
		}
		v.numbers[v.count] = int(n)
	}
	return v, true
}

// atLeast compares number by number.
func (v version) atLeast(minimum version) bool {
	return slices.Compare(v.numbers[:], minimum.numbers[:]) >= 0
}

func (v version) String() string {
	text := make([]byte, 0, 16)
	for i, n := range v.numbers[:v.count] {
		if i > 0 {
			text = append(text, '.')
		}
		text = strconv.AppendInt(text, int64(n), 10)
	}
	return string(text)
}
