package server

import (
	"context"
	"time"

	"sallyport/access"
)

// explainFake has one refusal.
type explainFake struct{ w *world }

var (
	accessDenial = access.Denial{ID: "n1", Key: "k", DeviceID: "d1", Decision: accessDetail.Decision, Trace: accessDetail.Trace, Count: 3, FirstAt: noon, LastAt: noon,
		Inputs: access.Inputs{At: noon, Client: access.Client{User: alice.UPN, DeviceID: "ABC"}, People: []access.Person{{ID: "u1", UPN: alice.UPN}}, Device: accessDevice.Device, Phones: accessDetail.Phones}}
	accessChange = access.Change{Seq: 7, At: noon, DeviceID: "01990000-0000-7000-8000-000000000001", UserID: "u1", User: alice.UPN, Key: "abc", Spellings: []string{"ABC"}, EnrollmentID: "e1",
		Compliance: "compliant", ComplianceBefore: "not_evaluated", Before: access.Quarantine, Decision: accessDetail.Decision}
)

func (f explainFake) Question(_ context.Context, c access.Client) (access.Explained, error) {
	if err := c.Validate(); err != nil {
		return access.Explained{}, err
	}
	return access.Explained{Decision: accessDenial.Decision, Trace: accessDenial.Trace, Inputs: accessDenial.Inputs}, f.w.did(false)
}

func (f explainFake) ListDenials(context.Context, string, string, int) ([]access.Denial, error) {
	return []access.Denial{accessDenial}, f.w.did(false)
}

func (f explainFake) Denial(_ context.Context, id string) (access.Denial, error) {
	if id != accessDenial.ID {
		return access.Denial{}, access.ErrNotFound
	}
	return accessDenial, f.w.did(false)
}

func (f explainFake) Replay(ctx context.Context, id string) (access.Replayed, error) {
	d, err := f.Denial(ctx, id)
	return access.Replayed{Denial: d, Decision: d.Decision, Trace: d.Trace, Identical: true}, err
}

// feedFake has one row, and a server that is about to end: streams do.
type feedFake struct{ w *world }

func (f feedFake) After(context.Context, int64, int) ([]access.Change, error) {
	return []access.Change{}, f.w.did(false)
}

func (f feedFake) Newest(context.Context, access.DeviceID, int) ([]access.Change, int64, error) {
	return []access.Change{accessChange}, accessChange.Seq, f.w.did(false)
}

func (f feedFake) Grown() <-chan struct{} { return make(chan struct{}) }

func (f feedFake) Over() <-chan struct{} {
	over := make(chan struct{})
	close(over)
	return over
}

func (f feedFake) Current(time.Duration) bool { return true }

func (f engine) DecideMany(ctx context.Context, clients []access.Client) ([]access.Decision, error) {
	list := make([]access.Decision, len(clients))
	for i, c := range clients {
		var err error
		if list[i], err = f.Decide(ctx, c); err != nil {
			return nil, err
		}
	}
	return list, nil
}
