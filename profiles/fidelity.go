package profiles

// Status says what became of one setting on one target.
type Status string

const (
	Applied     Status = "applied"
	Degraded    Status = "degraded"    // reached, with a difference that Why names
	Unsupported Status = "unsupported" // the target cannot express it
)

// Fidelity is what became of one setting.
type Fidelity struct {
	Field      string `json:"field"` // path as in a template: "sync.mail"
	Status     Status `json:"status"`
	Why        string `json:"why,omitempty"`
	Substitute string `json:"substitute,omitempty"` // nearest way to the same end
}

// Report lists every setting that an account makes, in the order of its fields.
type Report []Fidelity
