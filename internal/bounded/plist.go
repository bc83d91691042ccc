package bounded

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"howett.net/plist"
)

// doctypes are the declarations that Apple's own software writes, with white
// space made single. Any other one, and any internal subset, is refused.
var doctypes = map[string]bool{
	`DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd"`:          true,
	`DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "https://www.apple.com/DTDs/PropertyList-1.0.dtd"`:         true,
	`DOCTYPE plist PUBLIC "-//Apple Computer//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd"`: true,
}

// Plist checks that data is one XML property list of at most maxBytes whose
// dicts and arrays nest at most maxDepth deep. It takes no binary or OpenStep
// form, no DOCTYPE but Apple's, no entity declaration, nothing after the list
// and no key twice in one dict. Errors name a position, never content.
func Plist(data []byte, maxBytes, maxDepth int) error {
	if len(data) > maxBytes {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLarge, maxBytes)
	}
	if bytes.HasPrefix(data, []byte("bplist")) {
		return fmt.Errorf("%w: binary property list", ErrForbidden)
	}
	s := scanner{dec: xml.NewDecoder(bytes.NewReader(data)), maxDepth: maxDepth}
	if err := s.document(); err != nil {
		return fmt.Errorf("%w near byte %d", err, s.dec.InputOffset())
	}
	return nil
}

// DecodePlist checks data as Plist does and decodes it into v. Numbers that do
// not fit v's type are cut off by the library without an error: decode into
// types that are wide enough.
func DecodePlist(data []byte, maxBytes, maxDepth int, v any) (err error) {
	if err := Plist(data, maxBytes, maxDepth); err != nil {
		return err
	}
	defer func() {
		if recover() != nil {
			err = ErrMalformed
		}
	}()
	format, err := plist.Unmarshal(data, v)
	if err != nil || format != plist.XMLFormat {
		return ErrMalformed // the library's own text may quote content
	}
	return nil
}

// scanner walks the tokens of a property list without recursion.
type scanner struct {
	dec      *xml.Decoder
	maxDepth int
	stack    []container
	state    documentState
}

type documentState int

const (
	beforeList documentState = iota
	inList                   // after <plist>, its value still to come
	afterValue
	afterList
)

// container is an open dict or array.
type container struct {
	keys     map[string]bool // nil for an array
	awaiting bool            // a key was read, its value is still to come
}

func (s *scanner) document() error {
	for {
		token, err := s.dec.Token()
		if errors.Is(err, io.EOF) {
			if s.state != afterList {
				return ErrMalformed
			}
			return nil
		}
		if err != nil {
			return ErrMalformed
		}
		if err := s.token(token); err != nil {
			return err
		}
	}
}

func (s *scanner) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return s.start(t)
	case xml.EndElement:
		return s.end(t)
	case xml.CharData:
		if len(bytes.TrimSpace(t)) > 0 {
			return ErrMalformed // text outside of a leaf
		}
	case xml.Directive:
		if s.state != beforeList || !doctypes[strings.Join(strings.Fields(string(t)), " ")] {
			return ErrForbidden
		}
	case xml.ProcInst:
		if t.Target != "xml" || s.state != beforeList {
			return ErrForbidden
		}
	}
	return nil
}

func (s *scanner) start(t xml.StartElement) error {
	if t.Name.Space != "" {
		return ErrForbidden
	}
	name := t.Name.Local
	if name == "plist" {
		if s.state != beforeList {
			return ErrMalformed
		}
		s.state = inList
		return nil
	}
	if len(t.Attr) > 0 {
		return ErrForbidden
	}
	if name == "key" {
		return s.key()
	}
	if err := s.place(); err != nil {
		return err
	}
	switch name {
	case "dict":
		return s.push(container{keys: map[string]bool{}})
	case "array":
		return s.push(container{})
	case "string", "data", "date", "integer", "real", "true", "false":
		_, err := s.leaf()
		return err
	default:
		return ErrMalformed
	}
}

// place notes a value where one may stand: as the list's only one, in an
// array, or after a key.
func (s *scanner) place() error {
	if len(s.stack) == 0 {
		if s.state != inList {
			return ErrMalformed
		}
		s.state = afterValue
		return nil
	}
	top := &s.stack[len(s.stack)-1]
	if top.keys == nil {
		return nil
	}
	if !top.awaiting {
		return ErrMalformed
	}
	top.awaiting = false
	return nil
}

func (s *scanner) push(c container) error {
	if len(s.stack) == s.maxDepth {
		return ErrTooDeep
	}
	s.stack = append(s.stack, c)
	return nil
}

func (s *scanner) key() error {
	text, err := s.leaf()
	if err != nil {
		return err
	}
	if len(s.stack) == 0 {
		return ErrMalformed
	}
	top := &s.stack[len(s.stack)-1]
	if top.keys == nil || top.awaiting || top.keys[text] {
		return ErrMalformed
	}
	if text == "CF$UID" {
		return ErrForbidden // the decoder would make an archiver reference of the dict
	}
	top.keys[text] = true
	top.awaiting = true
	return nil
}

// leaf reads up to the end of an element that holds text only.
func (s *scanner) leaf() (string, error) {
	var text strings.Builder
	for {
		token, err := s.dec.Token()
		if err != nil {
			return "", ErrMalformed
		}
		switch t := token.(type) {
		case xml.CharData:
			text.Write(t)
		case xml.EndElement:
			return text.String(), nil
		case xml.Comment:
		default:
			return "", ErrMalformed
		}
	}
}

func (s *scanner) end(t xml.EndElement) error {
	if t.Name.Local == "plist" {
		if s.state != afterValue {
			return ErrMalformed
		}
		s.state = afterList
		return nil
	}
	top := s.stack[len(s.stack)-1] // the decoder pairs tags: a container is open
	if top.awaiting {
		return ErrMalformed
	}
	s.stack = s.stack[:len(s.stack)-1]
	return nil
}
