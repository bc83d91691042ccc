package main

import (
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// gutter is what list leaves between two columns.
const gutter = 2

// terminalWidth is how many columns w shows, 0 when w is no terminal: what goes
// into a file or a pipe is not shortened. COLUMNS outweighs what the terminal says.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok {
		return 0
	}
	info, err := file.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	return screenWidth(file)
}

// widths are those of the columns that list makes of items.
func widths[T any](header string, items []T, row func(T) []string) []int {
	names := strings.Fields(header)
	columns := make([]int, len(names))
	for i, name := range names {
		columns[i] = len(name)
	}
	for _, item := range items {
		for i, text := range row(item) {
			columns[i] = max(columns[i], utf8.RuneCountInString(text))
		}
	}
	return columns
}

func total(columns []int) int {
	sum := 0
	for i, width := range columns {
		if i > 0 {
			sum += gutter
		}
		sum += width
	}
	return sum
}

// fitted makes rows whose lines fit into width, 0 for any width: first identifiers
// are shortened, then the texts of the column flexible are cut.
func fitted[T any](header string, items []T, row func(T) []string, width, flexible int) func(T) []string {
	if width <= 0 || total(widths(header, items, row)) <= width {
		return row
	}
	short := func(item T) []string {
		cells := row(item)
		for i := range cells {
			cells[i] = shortIDs(cells[i])
		}
		return cells
	}
	columns := widths(header, items, short)
	room := width - total(columns) + columns[flexible]
	return func(item T) []string {
		cells := short(item)
		cells[flexible] = cut(cells[flexible], max(room, 8))
		return cells
	}
}

// identifier is what nobody reads to its end: a UUID, a digest.
var identifier = regexp.MustCompile(`[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}|\b[0-9A-Fa-f]{32,}\b`)

// shortIDs keeps the end of each identifier: those made in one minute begin alike.
func shortIDs(text string) string {
	return identifier.ReplaceAllStringFunc(text, func(id string) string { return "…" + id[len(id)-8:] })
}

// cut shortens text to width characters, and shows that it did.
func cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	return string([]rune(text)[:width-1]) + "…"
}
