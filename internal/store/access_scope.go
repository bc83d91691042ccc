package store

import (
	"strings"
	"time"

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

// What belongs to people is asked for with one statement of each kind, whether it
// is for a page of all or for some (TestAccessQueries).

const peopleColumns = `SELECT u.id, u.upn, u.upn_key, u.email_key, u.username_key, u.down_level_key, u.group_names,
		m.user_id IS NOT NULL, COALESCE(m.noted_by, ''), COALESCE(m.noted_at, 0), COALESCE(m.reason, '')
	FROM directory_users u LEFT JOIN access_mail_off m ON m.user_id = u.id`

func peopleAfter(after directory.UserID, limit int) (query string, args []any) {
	var w where
	w.add("u.removed_at = 0 AND u.id > ?", after)
	return peopleColumns + w.clause() + ` ORDER BY u.id` + w.limit(pageLimit(limit)), w.args
}

func (s scope) people() (query string, args []any) {
	var w where
	w.add("u.removed_at = 0")
	s.of(&w, "u.id")
	return peopleColumns + w.clause(), w.args
}

func (s scope) clients() (query string, args []any) {
	var w where
	s.of(&w, "d.user_id")
	return `SELECT ` + clientColumns + ` FROM access_devices d` + w.clause(), w.args
}

// phones leaves out those that are held or were refused.
func (s scope) phones(columns string) (query string, args []any) {
	var w where
	s.of(&w, "e.user_id")
	w.add("e.state NOT IN " + asideStates)
	return `SELECT ` + columns + ` FROM enroll_enrollments e
		LEFT JOIN compliance_verdicts v ON v.enrollment_id = e.id` + w.clause(), w.args
}

// mailCertificates goes from enrolments to theirs: SQLite does so where the join is
// a CROSS JOIN, and would read all certificates of the rule otherwise.
func (s scope) mailCertificates(now time.Time) (query string, args []any) {
	var w where
	s.of(&w, "e.user_id")
	w.add("c.enrollment_id = e.id AND c.rule = 'mail-identity' AND c.revoked_at = 0 AND c.not_before <= ? AND c.not_after > ?", micros(now), micros(now))
	return `SELECT e.id, c.sha256 FROM enroll_enrollments e CROSS JOIN certs_certificates c` + w.clause(), w.args
}

func (s scope) personal() (query string, args []any) {
	var w where
	s.of(&w, "user_id")
	return `SELECT user_id, device_key, kind, noted_by, noted_at, reason, expires_at
		FROM access_personal` + w.clause() + ` ORDER BY user_id, device_key, kind`, w.args
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
