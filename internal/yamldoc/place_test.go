package yamldoc_test

import (
	"strings"
	"testing"

	"sallyport/internal/yamldoc"
)

// The place of a syntax error: where a person sees it.
func TestDecodePlacesSyntaxErrors(t *testing.T) {
	t.Parallel()
	refuses(t, []refused{
		{"tab before an item", "x: 1\nparts:\n\t- a: b\n", "line 3, column 1: found character that cannot start any token"},
		{"tab before a key", "x: 1\n\ty: 2\n", "line 2, column 1: found a tab character"},
		{"quote not closed", "wait: 1h\ntitle: \"abc\nx: 1h\n", "line 2, column 8: found unexpected end of stream (close the quote"},
		{"quote not closed in line 1", "title: \"abc\n" + strings.Repeat("x: 1\n", 3000), "line 1, column 8: found unexpected end of stream"},
		{"single quote not closed", "x: \"a\"\nt: 'abc\nb: 'c\n", "line 3, column 5: did not find expected key"},
		{"single quote not closed at the end", "x: \"a\"\nt: 'abc\nb: c\n", "line 2, column 4: found unexpected end of stream"},
		{"bracket not closed", "x: 1\nparts: [a, b\nwait: 1h\n", "line 2, column 12: did not find expected ',' or ']'"},
		{"bracket at the end", "a: b\ntitle: [", "line 2, column 8: did not find expected node content"},
		{"bracket not opened", "x: 1\ntitle: ]\nz: 1\n", "line 2, column 8: did not find expected node content"},
		{"brace not closed", "x: {a: 1\nb: 2\nc: 3\n", "line 1, column 8: did not find expected ',' or '}'"},
		{"bad mapping", "x: 1\n- a\nz: 1\n", "line 2, column 1: did not find expected key"},
		{"bad list", "x:\n  - a\n b\nc: d\n", "line 3, column 2: did not find expected key"},
		{"indented too far", "x: 1\n  y: 2\n", "line 2, column 4: mapping values are not allowed"},
		{"stray colon", "x: 1\na: b: c\n", "line 2, column 5: mapping values are not allowed in this context (put a value that holds a colon in quotes"},
		{"line without a colon", "x: 1\nfoo\nz: 1\n", "line 2, column 1: could not find expected ':'"},
		{"text after a quote", "x: \"a\" b\ny: 1\n", "line 1, column 8: did not find expected key"},
		{"variable without quotes", "x: ü\nñ: %upn%\n", "line 2, column 4: found character that cannot start any token (put a value that begins with %"},
		{"surrogates", "title: \"\\ud83d\\ude00\"\n", `line 1, column 14: found invalid Unicode character escape code (write the character itself, or \U and`},
		{"unknown escape", "title: \"a\\q\"\n", "line 1, column 10: found unknown escape character"},
		{"unknown anchor", "x: 1\ntitle: *x\n\n# hello\nwait: 1h\n", "line 2, column 9: unknown anchor 'x' referenced"},
		{"unknown directive", "%FOO\n---\na: b\n", "line 1, column 2: found unknown directive name"},
		{"CRLF", "x: 1\r\na: b: c\r\n", "line 2, column 5: mapping values"},
		{"after a closed quote like it", "x: \"a b\"\ny: \"c\nz: d\n", "line 2, column 4: found unexpected end of stream"},
		{"second document with a fault", "x: 1\n---\ny: [\n", "line 3, column 4: did not find expected node content"},
	})
}

// Whatever the size, a place is found within the bound on what is parsed again.
func TestDecodePlacesInLargeDocuments(t *testing.T) {
	t.Parallel()
	fill := strings.Repeat("- {x: 1, y: [a, b]}\n", yamldoc.MaxBytes/20-10)
	refuses(t, []refused{
		{"quote in line 1", "- \"abc\n" + strings.ReplaceAll(fill, ",", ";"), "line 1, column 3: found unexpected end of stream (close the quote"},
		{"bracket in line 1", "- [abc\n" + fill, "line 1, column 4: did not find expected ',' or ']'"},
		{"bracket in the last", fill + "- [abc", "did not find expected ',' or ']' (look at what comes before too"},
		{"one line", "a: \"" + strings.Repeat("b", yamldoc.MaxBytes-9), "found unexpected end of stream (look at what comes before too"},
		{"mapping after all lines", fill + "a: b\n", "line 52419, column "},
	})
}
