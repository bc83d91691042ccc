package agent

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"

	"sallyport/internal/secret"
)

// Invitation is what one phone of a fleet enrols with.
type Invitation struct {
	URL string // holds a code: never to be shown
	PIN secret.Value
}

// maxInvitations bounds a file of invitations.
const maxInvitations = 1_000_000

// ReadInvitations reads what `sallyport invite --all` writes: CSV with a header
// that names at least a column "url"; "pin" is read, others are not. All of it or
// nothing: an address that is no invitation, or one that is there twice, is an
// error that names the line.
func ReadInvitations(in io.Reader) ([]Invitation, error) {
	table := csv.NewReader(in)
	table.ReuseRecord = true
	head, err := table.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: invitations: no header: %w", ErrInvalid, err)
	}
	address, pin := slices.Index(head, "url"), slices.Index(head, "pin")
	if address < 0 {
		return nil, fmt.Errorf("%w: invitations: the header names no column url", ErrInvalid)
	}
	var out []Invitation
	seen := map[string]bool{}
	for {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%w: invitations: %w", ErrInvalid, err)
		}
		line, _ := table.FieldPos(address)
		u, err := invitationURL(row[address])
		switch {
		case err != nil:
			return nil, fmt.Errorf("invitations: line %d: %w", line, err)
		case seen[u.String()]:
			return nil, fmt.Errorf("%w: invitations: line %d: the same invitation as before; each is for one phone", ErrInvalid, line)
		case len(out) == maxInvitations:
			return nil, fmt.Errorf("%w: more than %d invitations", ErrInvalid, maxInvitations)
		}
		seen[u.String()] = true
		one := Invitation{URL: u.String()}
		if pin >= 0 {
			one.PIN = secret.New(row[pin])
		}
		out = append(out, one)
	}
}
