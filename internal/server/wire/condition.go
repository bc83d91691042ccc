package wire

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
)

// Condition is what a caller says of the revision that it is about to follow
// (RFC 9110, sections 13.1.1 and 13.1.2). The zero Condition says nothing: it
// lets something new be made, and nothing be changed.
type Condition struct {
	Given    bool // false: the request has none
	Any      bool // whatever is newest: the caller writes over it knowingly
	Revision int  // 0: there must be none yet
}

// ConditionOf reads If-Match: "7", If-Match: * for whatever is newest, or
// If-None-Match: * for what must be new. Anything else there is refused: a
// condition that is not understood must not pass for none.
func ConditionOf(r *http.Request) (Condition, error) {
	match, none := r.Header.Values("If-Match"), r.Header.Values("If-None-Match")
	switch {
	case len(match)+len(none) == 0:
		return Condition{}, nil
	case len(match) == 0 && len(none) == 1 && strings.TrimSpace(none[0]) == "*":
		return Condition{Given: true}, nil
	case len(match) == 1 && len(none) == 0:
		text := strings.TrimSpace(match[0])
		if text == "*" {
			return Condition{Given: true, Any: true}, nil
		}
		inner, opened := strings.CutPrefix(text, `"`)
		inner, closed := strings.CutSuffix(inner, `"`)
		n, err := strconv.Atoi(inner)
		if opened && closed && err == nil && n > 0 && strconv.Itoa(n) == inner {
			return Condition{Given: true, Revision: n}, nil
		}
	}
	return Condition{}, refusal.New(problem.ErrMalformed, "If-Match", "is neither the number of one revision in quotes nor *",
		`take the ETag of the answer that you saw, for example If-Match: "3", or If-None-Match: * for something new`)
}

// Holds says whether the condition lets something follow the newest revision,
// whose number that is; 0: there is none.
func (c Condition) Holds(newest int) bool { return c.Any || c.Revision == newest }

// Failed is the answer to a write that met the conflict because of what it says
// of the newest revision of name, or does not say: 412, or 428 (RFC 6585,
// section 3), which tells how to ask again. What came between the reading and
// the writing of a request that may follow any revision stays a conflict.
func (c Condition) Failed(conflict error, name string, newest int) error {
	switch {
	case c.Any:
		return conflict
	case c.Given:
		return fmt.Errorf("%w: %w", problem.ErrPrecondition, conflict)
	}
	return refusal.New(problem.ErrNoCondition, "", fmt.Sprintf("the newest revision of %s is %d, and the request does not say which one it follows", name, newest),
		fmt.Sprintf(`GET that, apply your change to it, and send it with If-Match: "%d", which is its ETag`, newest))
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
