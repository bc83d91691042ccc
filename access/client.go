package access

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"sallyport/internal/refusal"
)

// Limits of what a client says of itself, in bytes. MS-ASHTTP 2.2.1.1.1.1 gives
// DeviceId and DeviceType 32 characters; real clients send more.
const (
	maxUser      = 320
	maxDevice    = 128
	maxUserAgent = 1024
)

// Client is who asks: what a request says of itself, and what the gate that saw
// it can vouch for. Only User and DeviceID are needed.
type Client struct {
	User       string `json:"user"`        // as the mail client sends it: UPN, email, username or DOMAIN\user
	DeviceID   string `json:"device_id"`   // EAS DeviceId, 1-128 characters
	DeviceType string `json:"device_type"` // EAS DeviceType, for example "iPhone"
	UserAgent  string `json:"user_agent"`
	Protocol   string `json:"protocol_version,omitempty"` // MS-ASProtocolVersion, for example "16.1"
	Model      string `json:"model,omitempty"`            // of Settings DeviceInformation, where the gate saw it
	OS         string `json:"os,omitempty"`               // likewise: "iOS 26.1"
	Address    string `json:"address,omitempty"`          // IP address of the mail client
	// Certificate is the lower-case hex SHA-256 of the client certificate by which
	// the mail client proved itself to the gate; empty where it showed none.
	Certificate string `json:"certificate_sha256,omitempty"`
}

// Validate reports all faults at once, as a refusal.List on behalf of ErrInvalid.
func (c Client) Validate() error {
	var faults refusal.List
	required := func(field, value string, limit int) {
		if value == "" {
			faults.Add(refusal.New(ErrInvalid, field, "is empty", "send what the mail client sent"))
			return
		}
		faults.Add(refusal.Line(ErrInvalid, field, value, limit))
	}
	required("user", c.User, maxUser)
	required("device_id", c.DeviceID, maxDevice)
	faults.Add(
		checkSpelling("device_id", c.DeviceID),
		refusal.Line(ErrInvalid, "device_type", c.DeviceType, maxDevice),
		refusal.Line(ErrInvalid, "user_agent", c.UserAgent, maxUserAgent),
		refusal.Line(ErrInvalid, "protocol_version", c.Protocol, maxDevice),
		refusal.Line(ErrInvalid, "model", c.Model, maxDevice),
		refusal.Line(ErrInvalid, "os", c.OS, maxDevice),
	)
	if _, err := netip.ParseAddr(c.Address); c.Address != "" && err != nil {
		faults.Add(refusal.New(ErrInvalid, "address", "is no IP address", "send the mail client's, without a port"))
	}
	if c.Certificate != "" && !isHash(c.Certificate) {
		faults.Add(refusal.New(ErrInvalid, "certificate_sha256", "is no SHA-256 in hex", "send 64 digits in lower case, of the certificate's DER"))
	}
	if err := faults.OrNil(); err != nil {
		return fmt.Errorf("access decision: %w", err)
	}
	return nil
}

// checkSpelling refuses what no server takes for a DeviceId.
func checkSpelling(field, deviceID string) *refusal.Error {
	if strings.IndexFunc(deviceID, func(r rune) bool { return r <= ' ' || r >= utf8.RuneSelf }) >= 0 {
		return refusal.New(ErrInvalid, field, "holds a space or a character that is not ASCII", "send it as it stands in the request's URL, unescaped")
	}
	return nil
}

// isHash reports whether s is a SHA-256 as we write it: in lower-case hex.
func isHash(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
