package access

import (
	"encoding/hex"
	"strings"
)

// minHexText is the shortest hex that is taken for the spelling of a text: that
// of four bytes.
const minHexText = 8

// Canonical gives the form in which all spellings of one DeviceId are equal.
// Letters have no case. Servers that read a base64 query (MS-ASHTTP 2.2.1.1.1.1.2)
// record its DeviceId as the hex of its bytes, while the same phone's plain
// queries bring the text itself: hex of a text is therefore that text, and hex
// of hex is, too.
func Canonical(deviceID string) DeviceKey {
	for {
		text, ok := hexText(deviceID)
		if !ok {
			return DeviceKey(strings.ToLower(deviceID))
		}
		deviceID = text
	}
}

// CanonicalBytes is Canonical for the DeviceId of a base64 query, which is either
// the bytes of a text or those of an identifier that plain queries bring in hex.
func CanonicalBytes(deviceID []byte) DeviceKey {
	for _, b := range deviceID {
		if b <= ' ' || b >= 0x7f {
			return DeviceKey(hex.EncodeToString(deviceID))
		}
	}
	return Canonical(string(deviceID))
}

// hexText decodes the hex of a text of letters, digits, "_" and "-". What clients
// draw at random is not mistaken for it: a device's usual 32 digits come out as
// such a text once in four billion times.
func hexText(s string) (string, bool) {
	if len(s) < minHexText || len(s)%2 != 0 || !isText(s[0], s[1]) {
		return "", false
	}
	text, err := hex.DecodeString(s)
	if err != nil {
		return "", false
	}
	for _, b := range text {
		if !inText(b) {
			return "", false
		}
	}
	return string(text), true
}

// isText looks at the first byte alone, so that most identifiers cost no memory.
func isText(high, low byte) bool {
	var b [1]byte
	_, err := hex.Decode(b[:], []byte{high, low})
	return err == nil && inText(b[0])
}

func inText(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z' || b >= 'a' && b <= 'z' || b == '_' || b == '-'
}
