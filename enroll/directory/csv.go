package directory

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
)

// column is one column of a CSV file and where its value goes.
type column struct {
	name string
	set  func(*User, string)
}

func columns() []column {
	return []column{
		{"upn", func(u *User, v string) { u.UPN = v }},
		{"email", func(u *User, v string) { u.Email = v }},
		{"username", func(u *User, v string) { u.Username = v }},
		{"domain_name", func(u *User, v string) { u.DomainName = v }},
		{"display_name", func(u *User, v string) { u.DisplayName = v }},
		{"first_name", func(u *User, v string) { u.FirstName = v }},
		{"middle_name", func(u *User, v string) { u.MiddleName = v }},
		{"last_name", func(u *User, v string) { u.LastName = v }},
		{"groups", func(u *User, v string) { u.Groups = strings.Split(v, ";") }},
	}
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
// last_name, groups (separated by semicolons). An unknown column, a row of
// another length, a bad value and a user named twice are refused with their line.
func ParseCSV(r io.Reader) ([]User, error) {
	table, err := readCSV(r)
	if err != nil {
		return nil, err
	}
	return table.users(func(string) (User, error) { return User{}, ErrNotFound })
}

// table is a CSV file whose form is sound; its values are not checked yet.
type table struct {
	columns []column
	rows    []row
}

type row struct {
	line   int
	fields []string
}

func readCSV(r io.Reader) (table, error) {
	data, err := bounded.Read(r, bounded.MaxUpload)
	if errors.Is(err, bounded.ErrTooLarge) {
		return table{}, refusal.New(ErrInvalid, "", "the file is larger than 16 MiB", "split it")
	}
	if err != nil {
		return table{}, fmt.Errorf("read CSV: %w", err)
	}
	if bytes.HasPrefix(data, []byte{0xFF, 0xFE}) || bytes.HasPrefix(data, []byte{0xFE, 0xFF}) {
		return table{}, refusal.New(ErrInvalid, "", "the file is UTF-16", `save it as "CSV UTF-8"`)
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))

	reader := csv.NewReader(bytes.NewReader(data))
	reader.FieldsPerRecord = -1 // the refusal below tells the line and both lengths
	var t table
	header, err := reader.Read()
	if errors.Is(err, io.EOF) {
		return table{}, refusal.New(ErrInvalid, "line 1", "there is no header row", "begin the file with the names of the columns: "+columnNames())
	}
	if err != nil {
		return table{}, csvRefusal(err)
	}
	if t.columns, err = parseHeader(header); err != nil {
		return table{}, err
	}
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return t, nil
		}
		if err != nil {
			return table{}, csvRefusal(err)
		}
		line, _ := reader.FieldPos(0)
		if len(fields) != len(t.columns) {
			return table{}, refusal.New(ErrInvalid, fmt.Sprintf("line %d", line),
				fmt.Sprintf("has %d fields, the header has %d", len(fields), len(t.columns)), "quote values that hold a comma")
		}
		t.rows = append(t.rows, row{line: line, fields: fields})
	}
}

func csvRefusal(err error) error {
	var parse *csv.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("read CSV: %w", err)
	}
	return refusal.New(ErrInvalid, fmt.Sprintf("line %d, column %d", parse.Line, parse.Column), "is not CSV: "+parse.Err.Error(), "see RFC 4180; a quote inside a value is written twice")
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

// users lays each row over what known has under its UPN, and checks the result.
func (t table) users(known func(upn string) (User, error)) ([]User, error) {
	users := make([]User, 0, len(t.rows))
	var list refusal.List
	seen := newSeen()
	for _, row := range t.rows {
		var u User
		t.fill(&u, row)
		before, err := known(strings.Trim(u.UPN, " "))
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		if err == nil {
			u = before
			t.fill(&u, row)
		}
		u = normal(u)
		prefix := fmt.Sprintf("line %d, ", row.line)
		list.Add(u.refusals(prefix)...)
		list.Add(seen.doubles(u, prefix)...)
		if len(list) > maxRefusals {
			break
		}
		users = append(users, u)
	}
	return users, list.OrNil()
}

func (t table) fill(u *User, row row) {
	for i, c := range t.columns {
		c.set(u, row.fields[i])
	}
}

func (s *Service) known(ctx context.Context) func(string) (User, error) {
	return func(upn string) (User, error) { return s.Store.UserByUPN(ctx, upn) }
}
