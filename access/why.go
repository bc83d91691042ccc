package access

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// purposeWhy keeps these HMACs from being taken for those of another kind.
const purposeWhy = "reason page"

// MACPurposes are all that Links.MAC is called with. Links are in people's
// mailboxes: a purpose never changes its name.
func MACPurposes() []string { return []string{purposeWhy} }

// WhyPath is the path of reason pages, before the token.
const WhyPath = "/access/why/"

// Links makes and reads the addresses of reason pages. A token is the device's ID
// and 128 bits that only this server can make, so that nobody finds another
// device's page. It needs no storage and no login, and it lasts as long as the
// device is on record.
type Links struct {
	Base string // the public URL, without a slash at the end
	MAC  func(purpose string, data []byte) []byte
}

// half is the size of a UUID, and of what is kept of an HMAC-SHA-256.
const half = 16

// Why returns the address of the device's reason page; it is empty for what is no
// device on record.
func (l Links) Why(id DeviceID) string {
	u, err := uuid.Parse(string(id))
	if err != nil || u.String() != string(id) {
		return ""
	}
	return l.Base + WhyPath + base64.RawURLEncoding.EncodeToString(l.token(u))
}

func (l Links) token(u uuid.UUID) []byte {
	return append(u[:], l.MAC(purposeWhy, u[:])[:half]...)
}

// Device reads a token. It is false for all but what Why has made.
func (l Links) Device(token string) (DeviceID, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != 2*half || bytes.ContainsAny([]byte(token), "\r\n") {
		return "", false
	}
	u := uuid.UUID(raw[:half])
	if !hmac.Equal(raw, l.token(u)) {
		return "", false
	}
	return DeviceID(u.String()), true
}

// Standing is what a reason page tells.
type Standing struct {
	Device   DeviceRow
	Model    string // as the phone reports it, or else its mail client; likewise
	System   string // empty: neither has told
	Decision Decision
	Since    time.Time // when the decision became what it is; zero: not told yet
	At       time.Time
}

// Teller tells the owner of a device how it stands. It changes nothing: who reads
// a page is no mail client.
type Teller struct {
	Links   Links
	Devices interface {
		// Show returns one device with what is decided of it now; ErrNotFound. *Service has it.
		Show(ctx context.Context, id DeviceID) (Detail, error)
	}
	Now func() time.Time
}

// Standing returns what is to be said of the device of a token. ErrNotFound is
// for every token that leads nowhere, whyever.
func (t *Teller) Standing(ctx context.Context, token string) (Standing, error) {
	id, ok := t.Links.Device(token)
	if !ok {
		return Standing{}, fmt.Errorf("reason page: %w", ErrNotFound)
	}
	d, err := t.Devices.Show(ctx, id)
	if err != nil {
		return Standing{}, fmt.Errorf("reason page: %w", err)
	}
	s := Standing{Device: d.DeviceRow, Model: d.Model, System: d.OS, Decision: d.Decision, At: t.Now().UTC().Truncate(time.Microsecond)}
	if i := slices.IndexFunc(d.Phones, func(p Phone) bool { return p.Proof.Counts() && p.OSVersion != "" }); i >= 0 {
		s.Model, s.System = cmp.Or(d.Phones[i].Product, s.Model), d.Phones[i].system()+d.Phones[i].OSVersion
	}
	if d.Effect == d.Decision.Effect { // otherwise it is newer than what was published
		s.Since = d.SinceAt
	}
	return s, nil
}

// Client is the device as it showed itself last.
func (r DeviceRow) Client() Client { return r.client(r.UPN) }
