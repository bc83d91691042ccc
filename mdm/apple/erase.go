package apple

import (
	"strings"
	"unicode"
)

const eraseDevice = "EraseDevice"

// Erases reports whether a command would erase the phone, whoever made it and
// however it is spelled: a RequestType anywhere in it that reads EraseDevice
// when everything but letters is left out. One that cannot be read does not
// erase, since it cannot be sent either.
func Erases(c Command) bool {
	dict, err := dictionary(c)
	return err == nil && erases(dict)
}

func erases(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			text, ok := item.(string)
			if ok && letters(key) == "requesttype" && letters(text) == "erasedevice" || erases(item) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if erases(item) {
				return true
			}
		}
	}
	return false
}

// letters is a word less case, white space and whatever does not show.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsLetter(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, s)
}
