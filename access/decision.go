package access

import "time"

// Effect is what a gate should do with a request.
type Effect string

const (
	Allow      Effect = "allow"
	Quarantine Effect = "quarantine" // let it connect, give it nothing but an explanation
	Block      Effect = "block"
)

// Client is who asks: what an EAS request says of itself.
type Client struct {
	User       string `json:"user"`        // as the mail client sends it: UPN, email, username or DOMAIN\user
	DeviceID   string `json:"device_id"`   // EAS DeviceId, 1-128 characters
	DeviceType string `json:"device_type"` // EAS DeviceType, for example "iPhone"
	UserAgent  string `json:"user_agent"`
}

// Reason is one ground of a decision, in words for the person concerned.
type Reason struct {
	Rule  string    `json:"rule"`
	Fact  string    `json:"fact"`
	Since time.Time `json:"since"`
	Fix   string    `json:"fix"`
}

// Decision is the answer. It holds until ValidUntil at the latest.
type Decision struct {
	Effect     Effect    `json:"decision"`
	Reasons    []Reason  `json:"reasons"`
	ValidUntil time.Time `json:"valid_until"`
}
