package eas

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sallyport/internal/refusal"
)

// commands by their code in the base64 form (MS-ASHTTP 2.2.1.1.1.2.2). Codes 5 to 8
// belong to no command.
var commands = [...]string{
	0: "Sync", 1: "SendMail", 2: "SmartForward", 3: "SmartReply", 4: "GetAttachment", 9: "FolderSync",
	10: "FolderCreate", 11: "FolderDelete", 12: "FolderUpdate", 13: "MoveItems", 14: "GetItemEstimate", 15: "MeetingResponse",
	16: "Search", 17: "Settings", 18: "Ping", 19: "ItemOperations", 20: "Provision", 21: "ResolveRecipients", 22: "ValidateCert", 23: "Find",
}

// older are commands of the plain form alone (MS-ASHTTP 2.2.1.1.1.1.2).
var older = [...]string{"GetHierarchy", "CreateCollection", "DeleteCollection", "MoveCollection"}

// spelled returns the command of that name, whatever its case; empty: none.
func spelled(name string) string {
	for _, list := range [][]string{commands[:], older[:]} {
		for _, c := range list {
			if c != "" && strings.EqualFold(c, name) && len(c) == len(name) {
				return c
			}
		}
	}
	return ""
}

// tags of a command's parameters (MS-ASHTTP 2.2.1.1.1.2.4).
var tags = map[byte]string{
	0: "AttachmentName", 1: "CollectionId", 2: "CollectionName", 3: "ItemId", 4: "LongId", 5: "ParentId", 6: "Occurrence", 7: "Options", 8: nameUser,
}

const tagUser = 8

// encoded reads the base64 form (MS-ASHTTP 2.2.1.1.1.2).
func encoded(query string) (Query, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(query)
	if err != nil {
		return Query{}, refuse("query", "is neither name=value nor base64 in its one canonical form (RFC 4648, section 4)",
			"use the alphabet with + and /, the padding, and no escapes")
	}
	r := &reader{rest: raw}
	version, command, locale := r.byte(), r.byte(), r.take(2)
	id, key, kind := r.counted(), r.counted(), r.counted()
	if r.short {
		return Query{}, refuse("query", "ends too early", "send all fields of MS-ASHTTP 2.2.1.1.1.2")
	}
	q := Query{Encoded: true, encoded: query, Locale: binary.LittleEndian.Uint16(locale), DeviceIDBytes: id, DeviceType: string(kind)}
	if version < 20 {
		return Query{}, refuse("query", fmt.Sprintf("says protocol version %d", version), "send ten times the version: 141 for 14.1")
	}
	q.Protocol = fmt.Sprintf("%d.%d", version/10, version%10)
	if int(command) < len(commands) {
		q.Cmd = commands[command]
	}
	if q.Cmd == "" {
		return Query{}, refuse(nameCmd, fmt.Sprintf("%d is no command of ActiveSync", command), "see MS-ASHTTP 2.2.1.1.1.2.2")
	}
	switch len(key) {
	case 0:
	case 4:
		q.PolicyKey = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(key)), 10)
	default:
		return Query{}, refuse("policy key", fmt.Sprintf("is %d bytes long", len(key)), "send none or four")
	}
	if e := refusal.Line(ErrQuery, nameType, q.DeviceType, maxDevice); e != nil {
		return Query{}, e
	}
	if q.DeviceID, err = text(id); err != nil {
		return Query{}, err
	}
	return q, q.parameters(r)
}

// text is a DeviceId of the base64 form in text: its bytes, or where they are no
// printable characters, their hex. Servers record the hex always (measured with
// three of them), so a device has both names.
func text(id []byte) (string, error) {
	s := string(id)
	if slices.ContainsFunc(id, func(c byte) bool { return c <= ' ' || c >= 0x7f }) {
		s = hex.EncodeToString(id)
	}
	return s, deviceID(s)
}

// parameters reads tag, length, value to the end.
func (q *Query) parameters(r *reader) error {
	var seen [256]bool
	extras := 0
	for len(r.rest) > 0 {
		tag, value := r.byte(), r.counted()
		if r.short {
			return refuse("query", "ends too early, or holds bytes that nobody counted", "say each length as it is")
		}
		name, ok := tags[tag]
		if !ok {
			name = fmt.Sprintf("tag %d", tag)
			extras++
		}
		switch {
		case seen[tag]:
			return refuse(name, "stands in the query twice", "send it once")
		case extras > maxExtras:
			return refuse(name, "is one unknown parameter too many", fmt.Sprintf("send at most %d", maxExtras))
		}
		seen[tag] = true
		if tag == tagUser {
			q.User = string(value)
			if err := identity(nameUser, q.User, maxUser); err != nil {
				return err
			}
			continue
		}
		q.Parameters = append(q.Parameters, Parameter{name, string(value)})
	}
	return nil
}

// reader takes bytes from the front; short says that there were too few, and all
// that it gave since then is nothing.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return make([]byte, n)
	}
	taken := r.rest[:n:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *reader) byte() byte { return r.take(1)[0] }

// counted takes a byte and as many as it says.
func (r *reader) counted() []byte { return r.take(int(r.byte())) }
