package store

import (
	"strings"

	"sallyport/enroll/directory"
)

// scope names the users whose rows are wanted: all between two IDs, or those of
// a list.
type scope struct {
	first, last directory.UserID
	list        []directory.UserID
}

// of adds the condition that column is one of them.
func (s scope) of(w *where, column string) {
	if s.list == nil {
		w.add(column+" >= ? AND "+column+" <= ?", s.first, s.last)
		return
	}
	w.in(column, padded(s.list))
}

// in adds the condition that column is one of list, which is not empty.
func (w *where) in(column string, list []any) {
	marks := make([]string, len(list))
	for i, arg := range list {
		marks[i] = w.bind(arg)
	}
	w.conditions = append(w.conditions, column+" IN ("+strings.Join(marks, ", ")+")")
}

// padded are the arguments for a list of up to maxLimit, of which there are only
// four lengths: each length is a statement of its own, and connections keep few.
func padded[T any](list []T) []any {
	size := 1
	for size < len(list) {
		size *= 10
	}
	args := make([]any, size)
	for i := range args {
		args[i] = list[min(i, len(list)-1)]
	}
	return args
}
