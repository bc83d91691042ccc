package directory

import (
	"strings"
	"unicode"
)

// Fold gives logins that differ by case alone the same text. It is simpler than
// Unicode's case folding: letter by letter, independent of the language, and never
// from outside ASCII into it, where it could make two names into one (the Kelvin
// sign is no k).
func Fold(s string) string {
	return strings.Map(func(r rune) rune {
		lower := unicode.ToLower(r)
		if r > unicode.MaxASCII && lower <= unicode.MaxASCII {
			return r
		}
		return lower
	}, s)
}
