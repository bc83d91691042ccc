package wire

import (
	"encoding/csv"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzSpreadsheet: whatever is in a cell, a reader of CSV gets it back, and no
// program takes it for a formula.
func FuzzSpreadsheet(f *testing.F) {
	for _, cell := range []string{"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\n=1", "plain", `"quoted", with a comma`, "", "two\nlines", "'"} {
		f.Add(cell)
	}
	f.Fuzz(func(t *testing.T, cell string) {
		w := httptest.NewRecorder()
		sheet := NewSpreadsheet(w, "test")
		if sheet.Began() {
			t.Error("nothing was written yet")
		}
		if err := sheet.Write([]string{"first", cell}); err != nil || !sheet.Began() {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(w.Body).ReadAll()
		if err != nil || len(rows) != 1 || len(rows[0]) != 2 {
			t.Fatalf("%q became %q, %v", cell, rows, err)
		}
		got, want := rows[0][1], strings.ReplaceAll(cell, "\r\n", "\n") // as encoding/csv reads it
		if got != want && got != "'"+want {
			t.Errorf("%q became %q", cell, got)
		}
		if got != "" && strings.ContainsRune("=+-@\t\r\n", rune(got[0])) {
			t.Errorf("%q became %q, which begins a formula", cell, got)
		}
	})
}
