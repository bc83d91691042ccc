package mobileconfig

import (
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// namespace is Sallyport's own, for ever: every payload UUID on every phone
// hangs on it (RFC 9562, section 5.5).
const namespace = "6b42656a-a6f4-5582-a100-4603e0236daa"

// UUID derives a name-based UUID (version 5) from parts, in upper case as Apple
// writes them. Each part is written with its length, so that ("a", "bc") and
// ("ab", "c") differ.
func UUID(parts ...string) string {
	var name strings.Builder
	for _, part := range parts {
		name.WriteString(strconv.Itoa(len(part)))
		name.WriteByte(':')
		name.WriteString(part)
	}
	return v5([]byte(name.String()))
}

func v5(name []byte) string {
	return strings.ToUpper(uuid.NewSHA1(uuid.MustParse(namespace), name).String())
}
