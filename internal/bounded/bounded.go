package bounded

import (
	"errors"
	"fmt"
	"io"
)

// Limits for what comes from outside (architecture rule 12).
const (
	MaxCMS    = 64 << 10 // a CMS or SCEP message
	MaxPlist  = 1 << 20  // a property list
	MaxHeader = 16 << 10 // one request header, before base64 is undone
	MaxUpload = 16 << 20 // an administrator's upload
	MaxDepth  = 32       // nesting of anything
)

var (
	// ErrTooLarge says that there are more bytes than allowed.
	ErrTooLarge = errors.New("too large")
	// ErrTooDeep says that the nesting is deeper than allowed.
	ErrTooDeep = errors.New("nested too deeply")
	// ErrForbidden says that the input uses a feature that we do not take from
	// outside: a binary property list, an entity, a foreign DOCTYPE.
	ErrForbidden = errors.New("forbidden feature")
	// ErrMalformed says that the input is not of the form it claims.
	ErrMalformed = errors.New("malformed")
)

// Read reads all of r, or fails with ErrTooLarge after max bytes. It never
// holds more than max+1 bytes.
func Read(r io.Reader, max int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(max)+1))
	if err != nil {
		return nil, fmt.Errorf("read input: %w", err)
	}
	if len(data) > max {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, max)
	}
	return data, nil
}
