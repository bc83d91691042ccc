package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

// ErrTorn says that an answer failed after it had begun: the connection must be
// cut, because a clean end would make it look whole.
var ErrTorn = errors.New("answer cut off")

// WriteJSON answers with v. It is encoded before the status leaves, so that a
// value that cannot be encoded is still an error.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	return WriteBytes(w, status, "application/json", append(body, '\n'))
}

// WriteBytes answers with body as it is.
func WriteBytes(w http.ResponseWriter, status int, contentType string, body []byte) error {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller is gone if this fails: nobody is left to tell
	return nil
}

// Next is the cursor of the next page: that of the last item of a full page,
// nothing after a short one.
func Next[T any](items []T, limit int, cursor func(T) string) string {
	if len(items) < limit || len(items) == 0 {
		return ""
	}
	return cursor(items[len(items)-1])
}

// List makes sure that an empty list travels as [] and not as null.
func List[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}
