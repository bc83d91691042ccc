package wire

import (
	"bytes"
	"encoding/csv"
	"net/http"
	"strings"
)

// Spreadsheet writes a table as CSV (RFC 4180), row by row as it comes. Where a
// program takes the beginning of a cell for a formula, an apostrophe stands before
// it: a phone's or a user's name must not run anything on an admin's desk
// (https://owasp.org/www-community/attacks/CSV_Injection).
type Spreadsheet struct {
	w     http.ResponseWriter
	began bool
}

// NewSpreadsheet begins an answer that is saved under name.
func NewSpreadsheet(w http.ResponseWriter, name string) *Spreadsheet {
	w.Header().Set("Content-Type", "text/csv; charset=utf-8")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`.csv"`)
	return &Spreadsheet{w: w}
}

// Write adds rows.
func (s *Spreadsheet) Write(rows ...[]string) error {
	var text bytes.Buffer
	lines := csv.NewWriter(&text)
	for _, row := range rows {
		safe := make([]string, len(row))
		for i, cell := range row {
			safe[i] = safeCell(cell)
		}
		_ = lines.Write(safe) // nothing fails in memory
	}
	lines.Flush()
	s.began = s.began || text.Len() > 0
	_, err := s.w.Write(text.Bytes())
	return err
}

// Began says that part of the answer has left: it can only be cut off.
func (s *Spreadsheet) Began() bool { return s.began }

// safeCell also guards what begins with a tab or a line break: some programs skip them.
func safeCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r\n", rune(text[0])) {
		return "'" + text
	}
	return text
}
