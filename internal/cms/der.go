package cms

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"slices"
)

// Tags of the DER values that we write and look for (X.690, section 8).
const (
	tagInteger   = 0x02
	tagOctets    = 0x04
	tagNull      = 0x05
	tagPrintable = 0x13
	tagSequence  = 0x30
	tagSet       = 0x31
	tagZero      = 0xa0 // [0], constructed
	inPieces     = 0x20 // a string with this bit comes in several
)

// tlv is a DER value: tag, length, and the parts one after another. The messages
// that a phone waits for are written with it: encoding/asn1 reads the shape of a
// type anew for each value, and copies each level several times.
func tlv(tag byte, parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	out := appendHeader(make([]byte, 0, length+6), tag, length)
	for _, p := range parts {
		out = append(out, p...)
	}
	return out
}

func appendHeader(out []byte, tag byte, length int) []byte {
	if length < 0x80 {
		return append(out, tag, byte(length))
	}
	octets := 1
	for rest := length >> 8; rest > 0; rest >>= 8 {
		octets++
	}
	out = append(out, tag, 0x80|byte(octets))
	for i := octets - 1; i >= 0; i-- {
		out = append(out, byte(length>>(8*i)))
	}
	return out
}

// setOf is a SET OF in the order that DER wants (X.690, section 11.6).
func setOf(values ...[]byte) []byte {
	if !slices.IsSortedFunc(values, bytes.Compare) {
		values = slices.Clone(values)
		slices.SortFunc(values, bytes.Compare)
	}
	return tlv(tagSet, values...)
}

// derInteger is an INTEGER that is not negative.
func derInteger(n *big.Int) []byte {
	body := n.Bytes()
	if len(body) == 0 || body[0] >= 0x80 {
		body = append([]byte{0}, body...)
	}
	return tlv(tagInteger, body)
}

// encode is for values of our own that are known to have an encoding.
func encode(v any) []byte {
	der, err := asn1.Marshal(v)
	if err != nil {
		panic(err)
	}
	return der
}
