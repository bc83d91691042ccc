package bounded

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/smallstep/pkcs7"
)

func TestDER(t *testing.T) {
	t.Parallel()
	nest := func(n int, open, inner, end string) []byte {
		return []byte(strings.Repeat(open, n) + inner + strings.Repeat(end, n))
	}
	long := append([]byte{0x04, 0x83, 0x01, 0x00, 0x00}, make([]byte, 1<<16)...)
	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"NULL", []byte{5, 0}, nil},
		{"empty sequence", []byte{0x30, 0}, nil},
		{"two NULLs in a sequence", []byte{0x30, 4, 5, 0, 5, 0}, nil},
		{"length in the long form", append([]byte{0x30, 0x81, 0x80, 0x04, 0x7e}, make([]byte, 126)...), nil},
		{"length of three bytes", long, nil},
		{"not minimal, as BER may be", []byte{0x04, 0x81, 0x01, 0}, nil},
		{"indefinite", []byte{0x30, 0x80, 5, 0, 0, 0}, nil},
		{"indefinite in definite", []byte{0x30, 6, 0x30, 0x80, 5, 0, 0, 0}, nil},
		{"high tag number", []byte{0x1f, 0x81, 0x01, 1, 7}, nil},
		{"32 levels", nest(32, "\x30\x80", "\x05\x00", "\x00\x00"), nil},
		{"BER inside of an octet string is a leaf", append([]byte{4, 100}, bytes.Repeat([]byte{0x30, 0x80}, 50)...), nil},

		{"nothing", nil, ErrMalformed},
		{"tag alone", []byte{0x30}, ErrMalformed},
		{"length cut", []byte{0x30, 0x81}, ErrMalformed},
		{"length cut in two", []byte{0x30, 0x82, 0x01}, ErrMalformed},
		{"content cut", []byte{0x04, 0x05, 1, 2}, ErrMalformed},
		{"trailing byte", []byte{5, 0, 0}, ErrMalformed},
		{"two values", []byte{5, 0, 5, 0}, ErrMalformed},
		{"child beyond its parent", []byte{0x30, 2, 0x04, 1, 7}, ErrMalformed},
		{"header beyond its parent", []byte{0x30, 1, 0x04, 1, 7}, ErrMalformed},
		{"indefinite child beyond its parent", []byte{0x30, 2, 0x30, 0x80, 5, 0, 0, 0}, ErrMalformed},
		{"indefinite primitive", []byte{0x04, 0x80, 5, 0, 0, 0}, ErrMalformed},
		{"indefinite without end", []byte{0x30, 0x80, 5, 0}, ErrMalformed},
		{"half an end", []byte{0x30, 0x80, 5, 0, 0}, ErrMalformed},
		{"empty indefinite", []byte{0x30, 0x80, 0, 0}, ErrMalformed},
		{"end without beginning", []byte{0, 0}, ErrMalformed},
		{"end in a definite value", []byte{0x30, 2, 0, 0}, ErrMalformed},
		{"reserved length", []byte{0x30, 0xff}, ErrMalformed},
		{"length of five bytes", []byte{0x04, 0x85, 0, 0, 0, 0, 1, 7}, ErrMalformed},
		{"leading zero", []byte{0x04, 0x82, 0, 1, 7}, ErrMalformed},
		{"4 GB", []byte{0x04, 0x84, 0xff, 0xff, 0xff, 0xff}, ErrMalformed},
		{"endless tag", bytes.Repeat([]byte{0xff}, 1000), ErrMalformed},

		{"64 KB of NULLs", append(append([]byte{0x30, 0x80}, bytes.Repeat([]byte{5, 0}, MaxCMS/2-2)...), 0, 0), ErrTooLarge},
		{"33 levels", nest(33, "\x30\x80", "\x05\x00", "\x00\x00"), ErrTooDeep},
		{"64 KB of levels", nest(MaxCMS/2, "\x30\x80", "", ""), ErrTooDeep},
		{"64 KB of split octet strings", nest(MaxCMS/2, "\x24\x80", "", ""), ErrTooDeep},
		{"4 MB of levels", nest(2<<20, "\x30\x80", "", ""), ErrTooLarge},
	}
	for _, tt := range tests {
		limit := MaxCMS
		if tt.want == nil {
			limit = 1 << 20
		}
		if err := DER(tt.data, limit, MaxDepth); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestDERTakesAsManyValuesAsCertificatesHold(t *testing.T) {
	t.Parallel()
	data := append(append([]byte{0x30, 0x80}, bytes.Repeat([]byte{0x30, 2, 5, 0}, 2000)...), 0, 0)
	if err := DER(data, MaxCMS, MaxDepth); err != nil {
		t.Errorf("4,001 values: %v", err)
	}
}

func TestDERDepthIsAnArgument(t *testing.T) {
	t.Parallel()
	data := []byte{0x30, 2, 0x30, 0}
	if err := DER(data, 4, 1); !errors.Is(err, ErrTooDeep) {
		t.Errorf("depth 1: %v", err)
	}
	if err := DER(data, 4, 2); err != nil {
		t.Errorf("depth 2: %v", err)
	}
	if err := DER(data, 3, 2); !errors.Is(err, ErrTooLarge) {
		t.Errorf("3 bytes: %v", err)
	}
}

// TestDERCountsWork sees that a megabyte of levels is left at the 33rd.
func TestDERCountsWork(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte{0x30, 0x80}, 1<<19)
	w := walker{data: data, maxDepth: MaxDepth}
	steps := 0
	for {
		steps++
		if _, err := w.step(); err != nil {
			break
		}
	}
	if steps != MaxDepth+1 || cap(w.stack) > 2*MaxDepth {
		t.Errorf("%d steps, stack of %d", steps, cap(w.stack))
	}
}

func TestRead(t *testing.T) {
	t.Parallel()
	if got, err := Read(strings.NewReader("12345"), 5); err != nil || string(got) != "12345" {
		t.Errorf("Read = %q, %v", got, err)
	}
	if _, err := Read(strings.NewReader("123456"), 5); !errors.Is(err, ErrTooLarge) {
		t.Errorf("one byte more: %v", err)
	}
	if got, err := Read(strings.NewReader(""), 0); err != nil || len(got) != 0 {
		t.Errorf("nothing: %q, %v", got, err)
	}
	endless := &counting{}
	if _, err := Read(endless, 1000); !errors.Is(err, ErrTooLarge) || endless.n > 4096 {
		t.Errorf("endless: %v after %d bytes", err, endless.n)
	}
	if _, err := Read(iotest.ErrReader(io.ErrUnexpectedEOF), 5); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("broken reader: %v", err)
	}
}

type counting struct{ n int }

func (c *counting) Read(p []byte) (int, error) { c.n += len(p); return len(p), nil }

// FuzzDER wants what passes to be harmless to the parser behind it.
func FuzzDER(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 5, 0, 0, 0})
	f.Add([]byte{0x30, 4, 5, 0, 5, 0})
	f.Add([]byte{0x30, 0x81})
	f.Add(bytes.Repeat([]byte{0x30, 0x80}, 100))
	f.Fuzz(func(t *testing.T, data []byte) {
		err := DER(data, MaxCMS, MaxDepth)
		if err == nil {
			if _, err := pkcs7.Parse(data); err == nil && len(data) == 0 {
				t.Fatal("nothing was parsed")
			}
			return
		}
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooDeep) && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("unknown error %v", err)
		}
	})
}
