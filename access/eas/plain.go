package eas

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sallyport/internal/refusal"
)

// known are the parameters of the plain form by their name in lower case.
var known = map[string]string{
	"cmd": nameCmd, "user": nameUser, "deviceid": nameDevice, "devicetype": nameType,
	"attachmentname": "AttachmentName", "collectionid": "CollectionId", "collectionname": "CollectionName",
	"itemid": "ItemId", "longid": "LongId", "parentid": "ParentId", "occurrence": "Occurrence", "saveinsent": "SaveInSent",
}

// plain reads name=value&name=value (MS-ASHTTP 2.2.1.1.1.1).
func plain(query string) (Query, error) {
	var q Query
	seen := make(map[string]bool)
	for part := range strings.SplitSeq(query, "&") {
		name, value, err := pair(part)
		if err != nil {
			return Query{}, err
		}
		folded := strings.ToLower(name)
		if seen[folded] {
			return Query{}, refuse(name, "stands in the query twice", "send it once")
		}
		seen[folded] = true
		if err := q.put(folded, name, value); err != nil {
			return Query{}, err
		}
	}
	for _, name := range []string{nameCmd, nameUser, nameDevice} {
		if !seen[strings.ToLower(name)] {
			return Query{}, refuse(name, "is missing", "send it")
		}
	}
	return q, nil
}

// put takes one parameter.
func (q *Query) put(folded, name, value string) error {
	switch known[folded] {
	case nameCmd:
		q.Cmd = spelled(value)
		if q.Cmd == "" {
			return refuse(nameCmd, "is no command of ActiveSync", "see MS-ASHTTP 2.2.1.1.1.1.2")
		}
	case nameUser:
		q.User = value
		return identity(nameUser, value, maxUser)
	case nameDevice:
		q.DeviceID = value
		return deviceID(value)
	case nameType:
		q.DeviceType = value
		if e := refusal.Line(ErrQuery, nameType, value, maxDevice); e != nil {
			return e
		}
	case "":
		return q.keep(Parameter{name, value})
	default:
		q.Parameters = append(q.Parameters, Parameter{known[folded], value})
	}
	return nil
}

// keep takes a parameter that this package does not know, of which there may be few.
func (q *Query) keep(p Parameter) error {
	extras := 1
	for _, have := range q.Parameters {
		if known[strings.ToLower(have.Name)] == "" {
			extras++
		}
	}
	if extras > maxExtras {
		return refuse(p.Name, "is one unknown parameter too many", fmt.Sprintf("send at most %d", maxExtras))
	}
	q.Parameters = append(q.Parameters, p)
	return nil
}

// pair parts and unescapes one parameter. Names are never escaped: whoever does
// so hides them.
func pair(part string) (name, value string, err error) {
	name, raw, found := strings.Cut(part, "=")
	if !isName(name) || !found || raw == "" {
		return "", "", refuse("query", "is not name=value throughout, with a value each",
			"send the parameters by their names, or all of them in base64; not both at once")
	}
	if strings.Contains(raw, "=") {
		return "", "", refuse(name, "holds an equals sign that is not escaped", "send %3D")
	}
	if value, err = unescape(name, raw); err != nil {
		return "", "", err
	}
	if e := refusal.Line(ErrQuery, name, value, maxValue); e != nil {
		return "", "", e
	}
	return name, value, nil
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if !('a' <= c && c <= 'z') && (i == 0 || !('0' <= s[i] && s[i] <= '9') && s[i] != '-' && s[i] != '_') {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// unescape undoes %XX once. A plus sign means a space to some servers and a plus
// to others, so it is refused.
func unescape(name, raw string) (string, error) {
	if strings.Contains(raw, "+") {
		return "", refuse(name, "holds a plus sign, which servers read as a space or as a plus", "send %2B or %20")
	}
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] != '%' {
			b.WriteByte(raw[i])
			continue
		}
		if len(raw)-i < 3 || digit(raw[i+1]) < 0 || digit(raw[i+2]) < 0 {
			return "", refuse(name, "holds a percent sign without two hex digits", "send %25 for a percent sign")
		}
		b.WriteByte(byte(digit(raw[i+1])<<4 | digit(raw[i+2])))
		i += 2
	}
	if !utf8.ValidString(b.String()) {
		return "", refuse(name, "is not UTF-8", "escape the bytes of UTF-8")
	}
	return b.String(), nil
}

// digit is the value of a hex digit, or -1.
func digit(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
