package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// ParseSpan reads a length of time as a person writes it: days, which Go's own
// form does not know, before that form: 7d, 36h, 1d12h. It is nothing or longer.
func ParseSpan(text string) (time.Duration, error) {
	bad := fmt.Errorf("%.32q is no length of time: write for example 7d, 36h or 1d12h", text)
	const day = 24 * time.Hour
	var days time.Duration
	rest := text
	if before, after, found := strings.Cut(text, "d"); found {
		n, err := strconv.ParseUint(before, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/2/int64(day)) {
			return 0, bad
		}
		days, rest = time.Duration(n)*day, after
		if rest == "" {
			return days, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || d > math.MaxInt64/2 {
		return 0, bad
	}
	return days + d, nil
}
