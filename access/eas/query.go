package eas

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/internal/refusal"
)

// ErrQuery says that a request is not one that any mail server may get to see.
var ErrQuery = errors.New("not an ActiveSync request that can be passed on")

// Path is where every server has ActiveSync. Clients write it in any case.
const Path = "/Microsoft-Server-ActiveSync"

// Limits of what a request may say, in bytes. MS-ASHTTP 2.2.1.1.1.1 gives DeviceId
// and DeviceType 32 characters; real clients send more.
const (
	maxURI    = 4096
	maxUser   = 320
	maxDevice = 128
	maxValue  = 512
	maxHeader = 16 // MS-ASProtocolVersion, X-MS-PolicyKey
	maxExtras = 8  // parameters that this package does not know
)

// Request is what a gate saw of a request. Absent headers are empty.
type Request struct {
	Method    string // OPTIONS or POST
	URI       string // path and query as they came, unescaped by nobody
	Protocol  string // MS-ASProtocolVersion
	PolicyKey string // X-MS-PolicyKey
}

// Query is what a request says of itself. Of an OPTIONS request without a query
// it is empty but for Protocol.
type Query struct {
	Cmd  string // "Sync", spelled as in MS-ASHTTP 2.2.1.1.1.1.2
	User string // empty where the base64 form leaves it to the Authorization header
	// DeviceID is the device's name in text. Of the base64 form it is the bytes
	// themselves where they are plain characters, otherwise their lower-case hex.
	DeviceID      string
	DeviceIDBytes []byte // of the base64 form only
	DeviceType    string
	Protocol      string // "14.1"
	PolicyKey     string // decimal; empty: none sent
	Locale        uint16 // of the base64 form only
	// Parameters are those of the command by their names (CollectionId,
	// AttachmentName, ...), and what this package does not know: "tag 9".
	Parameters []Parameter
	Encoded    bool   // the base64 form
	encoded    string // as it came: there is one spelling of it only
}

// Parameter is one of a command's own.
type Parameter struct{ Name, Value string }

// The names of the plain form, spelled as in MS-ASHTTP 2.2.1.1.1.1.
const (
	nameCmd    = "Cmd"
	nameUser   = "User"
	nameDevice = "DeviceId"
	nameType   = "DeviceType"
)

// Parse reads a request. It refuses, on behalf of ErrQuery, whatever is not
// said exactly once and in one way.
func Parse(r Request) (Query, error) {
	q, err := parse(r)
	if err != nil {
		return Query{}, fmt.Errorf("read request: %w", err)
	}
	return q, nil
}

func parse(r Request) (Query, error) {
	if r.Method != "POST" && r.Method != "OPTIONS" {
		return Query{}, refuse("method", "is neither POST nor OPTIONS", "mail clients use no other (MS-ASHTTP 2.2.1.1)")
	}
	if err := target(r.URI); err != nil {
		return Query{}, err
	}
	path, query, asked := strings.Cut(r.URI, "?")
	if !strings.EqualFold(path, Path) {
		return Query{}, refuse("path", "is not "+Path+", letter for letter", "send it without escapes, dots and further slashes")
	}
	var q Query
	var err error
	switch {
	case query == "" && r.Method == "OPTIONS" && !asked:
	case query == "":
		return Query{}, refuse("query", "is empty", "send Cmd, User, DeviceId and DeviceType")
	case isPlain(query):
		q, err = plain(query)
	default:
		q, err = encoded(query)
	}
	if err != nil {
		return Query{}, err
	}
	return withHeaders(q, r)
}

// target refuses what has no place in a request's target (RFC 3986, appendix A),
// but for the backslash of DOMAIN\user, which clients send as it is.
func target(uri string) error {
	if len(uri) > maxURI {
		return refuse("uri", fmt.Sprintf("is %d bytes long", len(uri)), fmt.Sprintf("use at most %d", maxURI))
	}
	for i := range len(uri) {
		switch c := uri[i]; {
		case c <= ' ' || c >= 0x7f:
			return refuse("uri", fmt.Sprintf("holds the byte %#02x", c), "escape it")
		case c == ';':
			return refuse("uri", "holds a semicolon: some servers part parameters there", "escape it")
		case strings.IndexByte("#\"<>^`{|}", c) >= 0:
			return refuse("uri", fmt.Sprintf("holds the character %q", c), "escape it")
		}
	}
	return nil
}

// isPlain tells the forms apart: "=" and "&" have no place in base64 but at the
// end. Whoever mixes them is read as plain, and refused there.
func isPlain(query string) bool {
	return strings.ContainsAny(strings.TrimRight(query, "="), "=&%")
}

// withHeaders adds the headers. The base64 form has their values in itself
// (MS-ASHTTP 2.2.1.1.2); there they may be repeated, not contradicted.
func withHeaders(q Query, r Request) (Query, error) {
	for _, h := range []struct {
		name, value string
		into        *string
	}{{"MS-ASProtocolVersion", r.Protocol, &q.Protocol}, {"X-MS-PolicyKey", r.PolicyKey, &q.PolicyKey}} {
		switch {
		case h.value == "":
		case len(h.value) > maxHeader || strings.Trim(h.value, "0123456789.") != "":
			return Query{}, refuse(h.name, "is not a number of at most 16 characters", "send one, once")
		case q.Encoded && *h.into != "" && *h.into != h.value:
			return Query{}, refuse(h.name, "says another thing than the base64 query", "send one of them")
		case !q.Encoded:
			*h.into = h.value
		}
	}
	return q, nil
}

// String is the query in the one form in which it may be passed on: of the plain
// form each parameter once, with its proper name, in a fixed order. It begins with
// "?"; it is empty where there was no query.
func (q Query) String() string {
	switch {
	case q.Encoded:
		return "?" + q.encoded
	case q.Cmd == "":
		return ""
	}
	var b strings.Builder
	add := func(name, value string) {
		b.WriteByte("?&"[min(b.Len(), 1)])
		b.WriteString(name)
		b.WriteByte('=')
		escape(&b, value)
	}
	add(nameCmd, q.Cmd)
	add(nameUser, q.User)
	add(nameDevice, q.DeviceID)
	if q.DeviceType != "" {
		add(nameType, q.DeviceType)
	}
	for _, p := range q.Parameters {
		add(p.Name, p.Value)
	}
	return b.String()
}

// escape writes all but the unreserved characters (RFC 3986, section 2.3) as %XX.
func escape(b *strings.Builder, s string) {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
}

func refuse(field, reason, remedy string) error {
	return refusal.New(ErrQuery, field, reason, remedy)
}

// identity checks what says who is asking. In a value that names a user or a device
// nothing may be left that one more unescaping would turn into something else.
func identity(field, value string, limit int) error {
	if value == "" {
		return refuse(field, "is empty", "send it")
	}
	if e := refusal.Identifier(ErrQuery, field, value, limit); e != nil {
		return e
	}
	if strings.ContainsAny(value, "%&=?#") {
		return refuse(field, "holds a character of URLs after it was unescaped", "escape it once, not twice")
	}
	return nil
}

// deviceID checks a DeviceId in text.
func deviceID(value string) error {
	if err := identity(nameDevice, value, maxDevice); err != nil {
		return err
	}
	if strings.IndexFunc(value, func(r rune) bool { return r >= 0x7f }) >= 0 {
		return refuse(nameDevice, "holds a character that is not ASCII", "use letters and digits")
	}
	return nil
}
