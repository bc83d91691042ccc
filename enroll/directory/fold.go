package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Fold gives logins that differ by case alone the same text. It is simpler than
// Unicode's case folding: letter by letter, independent of the language, and never
// from outside ASCII into it, where it could make two names into one (the Kelvin
// sign is no k).
func Fold(s string) string {
	if folded(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		lower := unicode.ToLower(r)
		if r > unicode.MaxASCII && lower <= unicode.MaxASCII {
			return r
		}
		return lower
	}, s)
}

// Same reports whether two names of users or groups are one: as Fold has it, and not
// by Unicode's folding (strings.EqualFold), which takes the long s for an s.
func Same(a, b string) bool { return a == b || Fold(a) == Fold(b) }

// folded says quickly of most names that there is nothing to do.
func folded(s string) bool {
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	return true
}
