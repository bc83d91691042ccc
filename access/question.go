package access

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// Explained is a decision with all that it rests on.
type Explained struct {
	Decision Decision    `json:"decision"`
	Trace    []TraceLine `json:"trace"`
	Inputs   Inputs      `json:"inputs"` // those that matter: the same answer follows from them alone
}

// Explainer says why a mail client is answered as it is, now and then. Nobody is
// met by that, and nothing is noted.
type Explainer struct {
	Engine  *Engine
	Denials interface {
		Denial(ctx context.Context, id string) (Denial, error)
		Denials(ctx context.Context, user directory.UserID, before string, limit int) ([]Denial, error)
	}
}

// Question says what is decided of a client now, and why. What the client leaves
// out is taken from the device on record.
func (x *Explainer) Question(ctx context.Context, c Client) (Explained, error) {
	in, d, trace, err := x.Engine.Explain(ctx, c)
	if err != nil {
		return Explained{}, fmt.Errorf("explain decision: %w", err)
	}
	if whole := in.Device.complete(c); whole != c {
		if in, d, trace, err = x.Engine.Explain(ctx, whole); err != nil {
			return Explained{}, fmt.Errorf("explain decision: %w", err)
		}
	}
	if d.Effect != Allow && in.Device.ID != "" && x.Engine.Why != nil {
		d.Why = x.Engine.Why(in.Device.ID)
	}
	if d.Step != StepUnavailable {
		in = in.Relevant()
	}
	return Explained{Decision: d, Trace: trace, Inputs: in}, nil
}

// complete adds to what a client says what its device said last.
func (d *Device) complete(c Client) Client {
	fill := func(into *string, known string) {
		if *into == "" {
			*into = known
		}
	}
	fill(&c.DeviceType, d.Type)
	fill(&c.UserAgent, d.UserAgent)
	fill(&c.Protocol, d.Protocol)
	fill(&c.Model, d.Model)
	fill(&c.OS, d.OS)
	fill(&c.Address, d.Address)
	return c
}

// Denial returns one refusal on record; ErrNotFound.
func (x *Explainer) Denial(ctx context.Context, id string) (Denial, error) {
	d, err := x.Denials.Denial(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return d, refusal.New(ErrNotFound, "id", "there is no denial "+strconv.Quote(id), "list them to see the IDs: sallyport access denials; old ones are dropped")
	}
	return d, err
}

// ListDenials returns the newest first, of the one whose login it is when that is
// not empty: directory.ErrNotFound where it is nobody's, or several people's.
func (x *Explainer) ListDenials(ctx context.Context, login, before string, limit int) ([]Denial, error) {
	var user directory.UserID
	if login != "" {
		people, err := x.Engine.Named(ctx, login)
		if err != nil {
			return nil, fmt.Errorf("list denials: %w", err)
		}
		if len(people) != 1 {
			return nil, refusal.New(directory.ErrNotFound, "user", strconv.Quote(login)+" is the login of nobody, or of several people",
				"write the UPN of one; refusals of people who are not on record are in the list of all")
		}
		user = people[0]
	}
	return x.Denials.Denials(ctx, user, before, limit)
}

// Replayed is a refusal, decided once more.
type Replayed struct {
	Denial    Denial      `json:"denial"`
	Decision  Decision    `json:"decision"` // of the stored Inputs, now
	Trace     []TraceLine `json:"trace"`
	Identical bool        `json:"identical"` // with what is stored, trace included
}

// Replay decides once more what was refused, from the same Inputs: today's rules,
// users and phones have no part in it. ErrNotFound.
func (x *Explainer) Replay(ctx context.Context, id string) (Replayed, error) {
	d, err := x.Denial(ctx, id)
	if err != nil {
		return Replayed{}, fmt.Errorf("load denial %s: %w", id, err)
	}
	r := Replayed{Denial: d}
	r.Decision, r.Trace = d.Inputs.Explain()
	r.Decision.Why = d.Decision.Why // an address, not an answer
	r.Identical = alike(d.Decision, r.Decision) && alike(d.Trace, r.Trace)
	return r, nil
}

// alike compares as the wire does: times by what they say.
func alike(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
