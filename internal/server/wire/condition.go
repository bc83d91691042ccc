package wire

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
)

// Condition is what a caller says of the revision that it is about to follow
// (RFC 9110, sections 13.1.1 and 13.1.2).
type Condition struct {
	Given    bool // false: whatever is newest
	Revision int  // 0: there must be none yet
}

// ConditionOf reads If-Match: "7", or If-None-Match: * for what must be new.
// Anything else there is refused: a condition that is not understood must not
// pass for none.
func ConditionOf(r *http.Request) (Condition, error) {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(match)+len(none) == 0:
		return Condition{}, nil
	case len(match) == 0 && len(none) == 1 && strings.TrimSpace(none[0]) == "*":
		return Condition{Given: true}, nil
	case len(match) == 1 && len(none) == 0:
		text := strings.TrimSpace(match[0])
		inner, opened := strings.CutPrefix(text, `"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		n, err := strconv.Atoi(inner)
		if opened && closed && err == nil && n > 0 && strconv.Itoa(n) == inner {
			return Condition{Given: true, Revision: n}, nil
		}
	}
	return Condition{}, refusal.New(problem.ErrMalformed, "If-Match", "is not the number of one revision in quotes", `take the ETag of the answer that you saw, for example If-Match: "3", or If-None-Match: * for something new`)
}

// Failed makes conflict the answer to a condition that does not hold, and to
// nothing else.
func (c Condition) Failed(err, conflict error) error {
	if c.Given && errors.Is(err, conflict) {
		return fmt.Errorf("%w: %w", problem.ErrPrecondition, err)
	}
	return err
}

// ETag names a revision in the answer.
func ETag(w http.ResponseWriter, revision int) {
	w.Header().Set("ETag", `"`+strconv.Itoa(revision)+`"`)
}

// Number reads a positive whole number; 0 where the text is empty.
func Number(field, text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, refusal.New(problem.ErrMalformed, field, "is not the number of a revision", "for example 3")
	}
	return n, nil
}
