package cms

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"
)

// TestWriteDER compares what we write with encoding/asn1.
func TestWriteDER(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 24} {
		content := bytes.Repeat([]byte{1}, n)
		if got := tlv(tagOctets, content[:n/2], content[n/2:]); !bytes.Equal(got, must(asn1.Marshal(content))) {
			t.Errorf("%d bytes begin with %x", n, got[:min(len(got), 6)])
		}
	}
	for _, n := range []int64{0, 1, 127, 128, 255, 256, 1 << 40} {
		if got := derInteger(big.NewInt(n)); !bytes.Equal(got, must(asn1.Marshal(n))) {
			t.Errorf("%d is %x", n, got)
		}
	}
	want := must(asn1.MarshalWithParams([]int{300, 2, 1}, "set"))
	if got := setOf(encode(300), encode(2), encode(1)); !bytes.Equal(got, want) {
		t.Errorf("set %x, want %x", got, want)
	}
}

// TestOctets reads strings in pieces, as streaming writers make them.
func TestOctets(t *testing.T) {
	t.Parallel()
	pieces := append(tlv(tagOctets, []byte("ab")), tlv(tagOctets, []byte("c"))...)
	for name, tt := range map[string]struct {
		der  []byte
		want string
	}{
		"one":           {tlv(tagOctets, []byte("abc")), "abc"},
		"several":       {tlv(tagOctets|inPieces, pieces), "abc"},
		"without end":   {append(append([]byte{tagOctets | inPieces, 0x80}, pieces...), 0, 0), "abc"},
		"another type":  {tlv(tagInteger, []byte("abc")), ""},
		"another piece": {tlv(tagOctets|inPieces, encode(1)), ""},
	} {
		e, _, err := next(tt.der)
		if err != nil {
			t.Fatal(err)
		}
		got, err := e.octets(tagOctets)
		if string(got) != tt.want || (err != nil) != (tt.want == "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
