package access

import "time"

// RuleID identifies a Rule (UUIDv7).
type RuleID string

// Rule says what to do with devices of a kind. All criteria that are not empty
// must hold; at least one is needed. Texts compare without regard to case, whole,
// or as a beginning where they end in "*". Rules know no order among each other:
// block outweighs quarantine, and that outweighs allow (facts: Exchange's order).
type Rule struct {
	ID        RuleID `json:"id"`
	Effect    Effect `json:"effect"`
	Family    string `json:"family,omitempty"`           // DeviceType: "iPhone"
	Model     string `json:"model,omitempty"`            // "iPhone15,4", as the phone or its mail client told
	OS        string `json:"os,omitempty"`               // "iOS 16*"
	UserAgent string `json:"user_agent,omitempty"`       // "Apple-iPhone*"
	Protocol  string `json:"protocol_version,omitempty"` // "12.1", or "<16.1" for all below
	Group     string `json:"group,omitempty"`            // of the user
	Ownership string `json:"ownership,omitempty"`        // corporate, personal: of an enrolled phone
	Network   string `json:"network,omitempty"`          // CIDR that holds the client's address
	Note
	CreatedAt time.Time `json:"created_at"`
}

// World is what decisions rest on beside people and their phones.
type World struct {
	Default  Effect   `json:"default"` // starts as Quarantine
	Rules    []Rule   `json:"rules"`   // by ID
	Policies []Policy `json:"policies"`
}
