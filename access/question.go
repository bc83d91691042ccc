package access

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"sallyport/enroll/directory"
)

// Explained is a decision with all that it rests on.
type Explained struct {
	Decision Decision    `json:"decision"`
	Trace    []TraceLine `json:"trace"`
	Inputs   Inputs      `json:"inputs"` // those that matter: the same answer follows from them alone
}

// Explainer answers as the gate would, from what is stored, and says why. Nobody
// is met by that, and no denial is noted.
type Explainer struct {
	Source  Source
	Denials interface {
		Denial(ctx context.Context, id string) (Denial, error)
		Denials(ctx context.Context, user directory.UserID, before string, limit int) ([]Denial, error)
	}
	Logins interface {
		UsersByLogin(ctx context.Context, login string) ([]directory.User, error)
	}
	Links Links
	Now   func() time.Time
}

// Question says what is decided of a client now, and why. What the client leaves
// out is taken from the device on record.
func (x *Explainer) Question(ctx context.Context, c Client) (Explained, error) {
	if err := c.Validate(); err != nil {
		return Explained{}, err
	}
	users, err := x.Logins.UsersByLogin(ctx, c.User)
	if err != nil {
		return Explained{}, fmt.Errorf("explain decision: %w", err)
	}
	in := Inputs{At: x.Now().UTC().Truncate(time.Microsecond), Client: c}
	for _, u := range users {
		in.People = append(in.People, Person{ID: u.ID, UPN: u.UPN})
	}
	if len(users) == 1 {
		if err := x.ask(ctx, &in, users[0].ID); err != nil {
			return Explained{}, fmt.Errorf("explain decision: %w", err)
		}
	}
	var out Explained
	out.Decision, out.Trace = in.Explain()
	if out.Decision.Effect != Allow && in.Device.ID != "" {
		out.Decision.Why = x.Links.Why(in.Device.ID)
	}
	out.Inputs = in.Relevant()
	return out, nil
}

// ask fills in what is known of the one whose login it is.
func (x *Explainer) ask(ctx context.Context, in *Inputs, user directory.UserID) error {
	world, err := x.Source.World(ctx)
	if err != nil {
		return err
	}
	list, err := x.Source.EntriesOf(ctx, []directory.UserID{user})
	if err != nil {
		return err
	}
	if len(list) != 1 { // removed meanwhile
		in.People = nil
		return nil
	}
	var device Device
	for _, d := range list[0].Devices {
		if d.Key == Canonical(in.Client.DeviceID) {
			device = d
		}
	}
	*in = list[0].Inputs(in.At, device.complete(in.Client), device, world)
	return nil
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
	return x.Denials.Denial(ctx, id)
}

// ListDenials returns the newest first, of the users whose login it is when that
// is not empty. ErrNotFound where it is not one person's.
func (x *Explainer) ListDenials(ctx context.Context, login, before string, limit int) ([]Denial, error) {
	var user directory.UserID
	if login != "" {
		users, err := x.Logins.UsersByLogin(ctx, login)
		if err != nil {
			return nil, fmt.Errorf("list denials: %w", err)
		}
		if len(users) != 1 {
			return nil, fmt.Errorf("list denials: %w", directory.ErrNotFound)
		}
		user = users[0].ID
	}
	return x.Denials.Denials(ctx, user, before, limit)
}

// Replayed is a denial judged once more, from its own inputs.
type Replayed struct {
	Denial    Denial      `json:"denial"`
	Decision  Decision    `json:"decision"`
	Trace     []TraceLine `json:"trace"`
	Identical bool        `json:"identical"` // with what was answered then
}

// Replay answers a denial's question again: today's rules, users and phones have
// no part in it.
func (x *Explainer) Replay(ctx context.Context, id string) (Replayed, error) {
	d, err := x.Denials.Denial(ctx, id)
	if err != nil {
		return Replayed{}, err
	}
	r := Replayed{Denial: d}
	r.Decision, r.Trace = d.Inputs.Explain()
	r.Decision.Why = d.Decision.Why // an address, not an answer
	r.Identical, err = alike(Explained{Decision: r.Decision, Trace: r.Trace}, Explained{Decision: d.Decision, Trace: d.Trace})
	return r, err
}

// alike compares what callers would read.
func alike(a, b Explained) (bool, error) {
	one, err := json.Marshal([]any{a.Decision, a.Trace})
	if err != nil {
		return false, err
	}
	other, err := json.Marshal([]any{b.Decision, b.Trace})
	return string(one) == string(other), err
}
