package store

import (
	"strconv"
	"strings"
)

// where collects the conditions of a listing. Conditions are constant texts
// with ? for each argument; values are always bound.
type where struct {
	conditions []string
	args       []any
}

func (w *where) add(condition string, args ...any) {
	for _, arg := range args {
		condition = strings.Replace(condition, "?", w.bind(arg), 1)
	}
	w.conditions = append(w.conditions, condition)
}

func (w *where) bind(arg any) string {
	w.args = append(w.args, arg)
	return "$" + strconv.Itoa(len(w.args))
}

func (w *where) clause() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

func (w *where) limit(n int) string { return " LIMIT " + w.bind(n) }
