package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"sallyport/internal/refusal"
)

// ErrInvalid says that a mail, an address or a server's URL cannot be used.
var ErrInvalid = errors.New("mail that cannot be sent")

// Mail is one message to one person.
type Mail struct {
	// Key tells the mail from every other. The same Key gives the same Message-ID,
	// so that a mail that went out twice is one to who reads it.
	Key     string
	To      string // a bare address
	Subject string
	Text    string // lines end with \n
	Locale  string // language tags for Content-Language, such as "de" or "en, de"
}

const (
	maxAddress = 254 // RFC 5321, section 4.5.3.1.3, less the angle brackets
	maxSubject = 200 // bytes
	maxText    = 64 << 10
)

// ParseAddress returns the address if it is one that mail can go to: bare, on one
// line, with a domain.
func ParseAddress(field, text string) (string, *refusal.Error) {
	const remedy = "a bare address, for example ops@example.com"
	if fault := refusal.Identifier(ErrInvalid, field, text, maxAddress); fault != nil {
		return "", fault
	}
	a, err := mail.ParseAddress(text)
	if err != nil || a.Name != "" || a.Address != text || strings.ContainsAny(text, "<>\"()[]\\,;: ") || strings.HasSuffix(text, ".") {
		return "", refusal.New(ErrInvalid, field, "is not a mail address", remedy)
	}
	return text, nil
}

// domain is what follows the @ of a parsed address.
func domain(address string) string { return address[strings.LastIndexByte(address, '@')+1:] }

// messageID is made of the key, so that it is the same at each try (RFC 5322,
// section 3.6.4). Keys hold IDs of devices, which are nobody else's business.
func (m Mail) messageID(from string) string {
	sum := sha256.Sum256([]byte(m.Key))
	return hex.EncodeToString(sum[:16]) + "@" + domain(from)
}

// subject is on one line.
func (m Mail) subject() string {
	line := strings.Join(strings.Fields(printable(m.Subject, false)), " ")
	return cut(line, maxSubject)
}

// text holds no control characters but line ends and tabs.
func (m Mail) text() string { return cut(printable(m.Text, true), maxText) }

func printable(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		switch {
		case lines && (r == '\n' || r == '\t'):
			return r
		case lines && r == '\r':
			return -1
		case unicode.IsControl(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// cut ends s before limit, and says that it did.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const more = "…"
	end := limit - len(more)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + more
}

// locale is what Content-Language may hold; empty for anything else.
func (m Mail) locale() string {
	for _, r := range m.Locale {
		if r != '-' && r != ',' && r != ' ' && (r > unicode.MaxASCII || !unicode.IsLetter(r) && !unicode.IsDigit(r)) {
			return ""
		}
	}
	return m.Locale
}
