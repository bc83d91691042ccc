package compliance

import (
	"slices"
	"strconv"
	"strings"
)

// version is an operating system's version: 1 to 3 numbers.
type version []int

// parseVersion reads "17", "16.1.2", and "16.4.1 (a)", as a rapid security
// response may append its letter. Anything else is not a version: the caller
// must treat it as not told, never as old or new enough.
func parseVersion(text string) (version, bool) {
	text, extra, spaced := strings.Cut(strings.TrimSpace(text), " ")
	if spaced && (len(extra) < 3 || extra[0] != '(' || extra[len(extra)-1] != ')') {
		return nil, false
	}
	parts := strings.Split(text, ".")
	if len(parts) > 3 {
		return nil, false
	}
	var v version
	for _, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return nil, false
		}
		v = append(v, int(n))
	}
	return v, true
}

// atLeast compares number by number; one that is missing counts as 0.
func (v version) atLeast(minimum version) bool {
	return slices.Compare(v.full(), minimum.full()) >= 0
}

func (v version) full() []int {
	numbers := make([]int, 3)
	copy(numbers, v)
	return numbers
}

func (v version) String() string {
	parts := make([]string, len(v))
	for i, n := range v {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, ".")
}
