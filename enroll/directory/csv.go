package directory

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// column is one column of a CSV file: where its value goes, and what it is.
type column struct {
	name string
	set  func(*User, string)
	get  func(User) string
	// check refuses what set cannot read; nil where every text will do.
	check func(field, value string) *refusal.Error
}

func columns() []column {
	text := func(name string, field func(*User) *string) column {
		return column{name: name, set: func(u *User, v string) { *field(u) = v }, get: func(u User) string { return *field(&u) }}
	}
	return []column{
		text("upn", func(u *User) *string { return &u.UPN }),
		text("email", func(u *User) *string { return &u.Email }),
		text("username", func(u *User) *string { return &u.Username }),
		text("domain_name", func(u *User) *string { return &u.DomainName }),
		text("display_name", func(u *User) *string { return &u.DisplayName }),
		text("first_name", func(u *User) *string { return &u.FirstName }),
		text("middle_name", func(u *User) *string { return &u.MiddleName }),
		text("last_name", func(u *User) *string { return &u.LastName }),
		{
			name: "groups",
			set:  func(u *User, v string) { u.Groups = strings.Split(v, groupSeparator) },
			get:  func(u User) string { return strings.Join(u.Groups, groupSeparator) },
		},
		{
			name:  "shared_mailbox",
			set:   func(u *User, v string) { u.SharedMailbox, _ = truth(v) },
			get:   func(u User) string { return strconv.FormatBool(u.SharedMailbox) },
			check: checkTruth,
		},
	}
}

// groupSeparator stands between the groups of a user in a CSV file.
const groupSeparator = ";"

// truth reads what people and spreadsheets write for a switch.
func truth(value string) (on, ok bool) {
	switch strings.ToLower(strings.Trim(value, " ")) {
	case "true", "yes", "1":
		return true, true
	case "false", "no", "0", "":
		return false, true
	}
	return false, false
}

func checkTruth(field, value string) *refusal.Error {
	if _, ok := truth(value); ok {
		return nil
	}
	return refusal.New(ErrInvalid, field, "is neither true nor false", "write true or false; empty is false")
}

func columnNames() string {
	names := make([]string, 0, len(columns()))
	for _, c := range columns() {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}

// ParseCSV reads users from a CSV file (RFC 4180, UTF-8 with or without byte
// order mark, at most 16 MiB). The first row names the columns: upn and email,
// and any of username, domain_name, display_name, first_name, middle_name,
// last_name, groups (separated by semicolons), shared_mailbox (true or false). An
// unknown column, a row of another length, a bad value and a user named twice
// are refused with their line.
func ParseCSV(r io.Reader) ([]User, error) {
	table, err := readCSV(r)
	if err != nil {
		return nil, err
	}
	return table.users(func(string) (*User, error) { return nil, nil })
}

// table is a CSV file whose form is sound; its values are not checked yet.
type table struct {
	columns []column
	rows    []bounded.CSVRow
}

func readCSV(r io.Reader) (table, error) {
	data, err := bounded.Read(r, bounded.MaxUpload)
	if errors.Is(err, bounded.ErrTooLarge) {
		return table{}, refusal.New(ErrInvalid, "", "the file is larger than 16 MiB", "split it")
	}
	if err != nil {
		return table{}, fmt.Errorf("read CSV: %w", err)
	}
	var t table
	t.rows, err = bounded.CSV(data, ErrInvalid, columnNames(), func(names []string) (err error) {
		t.columns, err = parseHeader(names)
		return err
	})
	if err != nil {
		return table{}, err
	}
	return t, nil
}

func parseHeader(names []string) ([]column, error) {
	var list refusal.List
	var found []column
	for _, name := range names {
		name = strings.ToLower(strings.Trim(name, " "))
		i := slices.IndexFunc(columns(), func(c column) bool { return c.name == name })
		switch {
		case i < 0 && len(names) == 1 && strings.ContainsAny(name, ";\t"):
			return nil, refusal.New(ErrInvalid, "line 1", "the columns are not separated by commas", "save the file with commas")
		case i < 0:
			list.Add(refusal.New(ErrInvalid, "line 1", fmt.Sprintf("unknown column %.64q", name), "the columns are "+columnNames()))
		case slices.ContainsFunc(found, func(c column) bool { return c.name == name }):
			list.Add(refusal.New(ErrInvalid, "line 1", fmt.Sprintf("column %s appears twice", name), "keep one of them"))
		default:
			found = append(found, columns()[i])
		}
		if len(list) > maxRefusals {
			break
		}
	}
	for _, name := range []string{"upn", "email"} {
		if len(list) == 0 && !slices.ContainsFunc(found, func(c column) bool { return c.name == name }) {
			list.Add(refusal.New(ErrInvalid, "line 1", fmt.Sprintf("column %s is missing", name), "every user has one"))
		}
	}
	return found, list.OrNil()
}

// users lays each row over what known has under its UPN (nil: a new user), and
// checks the result. A known user keeps the spelling of the UPN on record: the
// file finds people by it, and says nothing about upper and lower case.
func (t table) users(known func(upn string) (*User, error)) ([]User, error) {
	users := make([]User, 0, len(t.rows))
	var list refusal.List
	seen := newSeen()
	for _, row := range t.rows {
		var u User
		t.fill(&u, row)
		before, err := known(strings.Trim(u.UPN, " "))
		if err != nil {
			return nil, err
		}
		if before != nil {
			u = *before
			t.fill(&u, row)
			u.UPN = before.UPN
		}
		u = normal(u)
		prefix := fmt.Sprintf("line %d, ", row.Line)
		list.Add(t.faults(row, prefix)...)
		list.Add(u.refusals(prefix)...)
		list.Add(seen.doubles(u, prefix)...)
		if len(list) > maxRefusals {
			break
		}
		users = append(users, u)
	}
	return users, list.OrNil()
}

// faults are the values of the row that no user can take up.
func (t table) faults(row bounded.CSVRow, prefix string) refusal.List {
	var list refusal.List
	for i, c := range t.columns {
		if c.check != nil {
			list.Add(c.check(prefix+c.name, row.Fields[i]))
		}
	}
	return list
}

func (t table) fill(u *User, row bounded.CSVRow) {
	for i, c := range t.columns {
		c.set(u, row.Fields[i])
	}
}
