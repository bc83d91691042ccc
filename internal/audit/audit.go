package audit

import (
	"context"
	"time"
)

// Outcome says how an act ended.
type Outcome string

const (
	Done    Outcome = "done"
	Refused Outcome = "refused"
	Intent  Outcome = "intent" // committed before an act that cannot be undone
)

// Entry is one row of the trail. Detail holds identifiers and plain facts,
// never a secret, a body or a whole certificate.
type Entry struct {
	ID        int64             `json:"id"`
	At        time.Time         `json:"at"`
	Actor     string            `json:"actor"`  // token owner, "phone:<enrollment>", "page:<address>", "system"
	Action    string            `json:"action"` // noun.verb: "user.add", "certificate.issue"
	Target    string            `json:"target"` // identifier of what was acted on
	Outcome   Outcome           `json:"outcome"`
	RequestID string            `json:"request_id,omitempty"`
	Detail    map[string]string `json:"detail,omitempty"`
}

type contextKey int

const (
	actorKey contextKey = iota
	requestIDKey
)

// WithActor returns a context in which New attributes acts to actor.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey, actor)
}

// WithRequestID returns a context in which New notes the request.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey, id)
}

// Actor is whom New would name: "system" where nobody was set.
func Actor(ctx context.Context) string {
	if actor, ok := ctx.Value(actorKey).(string); ok && actor != "" {
		return actor
	}
	return "system"
}

// RequestID is the request's identifier, or empty.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey).(string)
	return id
}

// New makes an entry for the actor of ctx. detail is key, value, key, value;
// a key without a value gets an empty one.
func New(ctx context.Context, now time.Time, action, target string, outcome Outcome, detail ...string) Entry {
	e := Entry{At: now, Actor: Actor(ctx), Action: action, Target: target, Outcome: outcome, RequestID: RequestID(ctx)}
	for i := 0; i < len(detail); i += 2 {
		if e.Detail == nil {
			e.Detail = make(map[string]string, len(detail)/2)
		}
		value := ""
		if i+1 < len(detail) {
			value = detail[i+1]
		}
		e.Detail[detail[i]] = value
	}
	return e
}

// Filter selects entries for List. Zero fields select everything.
type Filter struct {
	Action string // exact, or a prefix that ends in "."
	Actor  string
	Target string
	After  int64 // only entries with a greater ID: the paging cursor
	Limit  int   // at most this many, 1 to 1000; 0 means 100
}

// Log is the trail's own storage.
type Log interface {
	// Append writes an entry that belongs to no other transaction: refusals.
	Append(ctx context.Context, e Entry) error
	// List returns entries in the order of their ID, none without error when nothing matches.
	List(ctx context.Context, f Filter) ([]Entry, error)
}
