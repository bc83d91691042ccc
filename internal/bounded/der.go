package bounded

import "fmt"

// DER checks that data is exactly one BER or DER value of at most maxBytes,
// nested at most maxDepth deep. It looks at tags and lengths only, in one pass
// without recursion, so that 4 MB of nested indefinite lengths, which kill a
// recursive parser beyond recover(), cost nothing here.
//
// It is stricter than the parsers behind it: each value must lie within its
// parent, and there are no empty indefinite values nor end marks outside of an
// indefinite one. So a parser that comes after sees the same tree. An OCTET
// STRING is a leaf here: BER inside one needs a call of its own.
//
// The number of values is bounded with the bytes: 64 KB of NULLs in an indefinite
// value keep a parser that looks for the end mark after each of them busy for a
// seventh of a second, and 30 certificates hold no more than the 4,300 values
// that MaxCMS allows.
func DER(data []byte, maxBytes, maxDepth int) error {
	if len(data) > maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxBytes)
	}
	w := walker{data: data, maxDepth: maxDepth}
	maxValues := 1024 + maxBytes/20
	for {
		done, err := w.step()
		if w.values > maxValues {
			return fmt.Errorf("%w: more than %d values", ErrTooLarge, maxValues)
		}
		if err != nil {
			return fmt.Errorf("%w at byte %d", err, w.pos)
		}
		if done {
			return nil
		}
	}
}

// open is a constructed value whose end is still ahead.
type open struct {
	end        int // offset of its end; for an indefinite one that of its parent
	indefinite bool
	empty      bool
}

type walker struct {
	data     []byte
	pos      int
	stack    []open
	started  bool
	maxDepth int
	values   int // read so far
}

// step closes what ends here, or reads one header. It reports true at the end.
func (w *walker) step() (bool, error) {
	if len(w.stack) == 0 && w.started {
		if w.pos != len(w.data) {
			return false, ErrMalformed // trailing bytes
		}
		return true, nil
	}
	end := len(w.data)
	if n := len(w.stack); n > 0 {
		top := &w.stack[n-1]
		end = top.end
		if !top.indefinite && w.pos == end {
			w.stack = w.stack[:n-1]
			return false, nil
		}
		if top.indefinite && end-w.pos >= 2 && w.data[w.pos] == 0 && w.data[w.pos+1] == 0 {
			if top.empty {
				return false, ErrMalformed
			}
			w.pos += 2
			w.stack = w.stack[:n-1]
			return false, nil
		}
		top.empty = false
	}
	w.started = true
	w.values++
	return false, w.header(end)
}

// header reads one tag and length. A primitive value is skipped, a constructed
// one is pushed. Nothing may reach beyond end.
func (w *walker) header(end int) error {
	constructed, err := w.tag(end)
	if err != nil {
		return err
	}
	length, indefinite, err := w.length(end)
	if err != nil {
		return err
	}
	if indefinite && !constructed {
		return ErrMalformed
	}
	if !indefinite && length > end-w.pos {
		return ErrMalformed
	}
	if !constructed {
		w.pos += length
		return nil
	}
	if len(w.stack) == w.maxDepth {
		return ErrTooDeep
	}
	if indefinite {
		w.stack = append(w.stack, open{end: end, indefinite: true, empty: true})
	} else {
		w.stack = append(w.stack, open{end: w.pos + length})
	}
	return nil
}

func (w *walker) next(end int) (byte, error) {
	if w.pos >= end {
		return 0, ErrMalformed
	}
	b := w.data[w.pos]
	w.pos++
	return b, nil
}

// tag reads the identifier octets (X.690, 8.1.2).
func (w *walker) tag(end int) (constructed bool, err error) {
	first, err := w.next(end)
	if err != nil {
		return false, err
	}
	if first == 0 {
		return false, ErrMalformed // an end mark where none belongs
	}
	if first&0x1f == 0x1f { // high tag number: the last octet has bit 8 clear
		for more := true; more; {
			b, err := w.next(end)
			if err != nil {
				return false, err
			}
			more = b&0x80 != 0
		}
	}
	return first&0x20 != 0, nil
}

// length reads the length octets (X.690, 8.1.3), at most four of them and
// without a leading zero, as the parsers behind us read them.
func (w *walker) length(end int) (length int, indefinite bool, err error) {
	first, err := w.next(end)
	if err != nil {
		return 0, false, err
	}
	switch {
	case first < 0x80:
		return int(first), false, nil
	case first == 0x80:
		return 0, true, nil
	case first > 0x84:
		return 0, false, ErrMalformed
	}
	for i := 0; i < int(first&0x7f); i++ {
		b, err := w.next(end)
		if err != nil {
			return 0, false, err
		}
		if i == 0 && b == 0 {
			return 0, false, ErrMalformed
		}
		length = length<<8 | int(b)
		if length > len(w.data) { // also keeps a 32-bit int from overflowing
			return 0, false, ErrMalformed
		}
	}
	return length, false, nil
}
