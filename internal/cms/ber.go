package cms

import "errors"

var errBER = errors.New("malformed BER")

// element is one BER value. It is read only from bytes that bounded.DER has
// accepted, so that depth, lengths and end marks are known to be sound; the
// checks here keep a mistake from becoming a panic.
type element struct {
	tag  byte // first identifier octet, with class and form
	raw  []byte
	body []byte // without the end mark of an indefinite value
}

// next splits the first value off data.
func next(data []byte) (element, []byte, error) {
	header, length, indefinite, err := readHeader(data)
	if err != nil {
		return element{}, nil, err
	}
	if !indefinite {
		end := header + length
		if end > len(data) {
			return element{}, nil, errBER
		}
		return element{data[0], data[:end], data[header:end]}, data[end:], nil
	}
	rest := data[header:]
	for len(rest) >= 2 && (rest[0] != 0 || rest[1] != 0) {
		if _, rest, err = next(rest); err != nil {
			return element{}, nil, err
		}
	}
	if len(rest) < 2 {
		return element{}, nil, errBER
	}
	end := len(data) - len(rest)
	return element{data[0], data[:end+2], data[header:end]}, rest[2:], nil
}

// readHeader returns the number of header bytes and the length of the content.
func readHeader(data []byte) (header, length int, indefinite bool, err error) {
	i := 1
	if len(data) > 0 && data[0]&0x1f == 0x1f {
		for i < len(data) && data[i]&0x80 != 0 {
			i++
		}
		i++
	}
	if i >= len(data) {
		return 0, 0, false, errBER
	}
	first := data[i]
	i++
	if first < 0x80 {
		return i, int(first), false, nil
	}
	if first == 0x80 {
		return i, 0, true, nil
	}
	n := int(first & 0x7f)
	if n > 4 || i+n > len(data) {
		return 0, 0, false, errBER
	}
	for _, b := range data[i : i+n] {
		length = length<<8 | int(b)
	}
	if length < 0 || length > len(data) {
		return 0, 0, false, errBER
	}
	return i + n, length, false, nil
}

// children splits the body of a constructed value. Of a primitive one there are none.
func (e element) children() ([]element, error) {
	if e.tag&0x20 == 0 {
		return nil, nil
	}
	var list []element
	for rest := e.body; len(rest) > 0; {
		child, after, err := next(rest)
		if err != nil {
			return nil, err
		}
		list = append(list, child)
		rest = after
	}
	return list, nil
}
