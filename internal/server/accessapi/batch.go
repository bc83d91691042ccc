package accessapi

import (
	"errors"
	"fmt"
	"net/http"

	"sallyport/access"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// MaxBatch is how many questions one request may hold.
const MaxBatch = 1000

// question is the body of POST /api/v1/access/decisions: one client, or many.
type question struct {
	access.Client
	Requests *[]access.Client `json:"requests"`
}

// Decisions answers many questions, in their order.
type Decisions struct {
	Decisions []access.Decision `json:"decisions"`
}

// Decide answers POST /api/v1/access/decisions.
func (a *API) Decide(w http.ResponseWriter, r *http.Request) error {
	var q question
	if err := wire.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.Requests != nil {
		return a.decideAll(w, r, q)
	}
	d, err := a.d.Engine.Decide(r.Context(), q.Client)
	if err != nil {
		return unreadable("", err)
	}
	d.Reasons = wire.List(d.Reasons)
	return wire.WriteJSON(w, http.StatusOK, d)
}

// decideAll answers all questions or none: who sends a thousand must not overlook
// that one of them was not answered.
func (a *API) decideAll(w http.ResponseWriter, r *http.Request, q question) error {
	if q.Client != (access.Client{}) {
		return refusal.New(problem.ErrMalformed, "requests", "stands beside the fields of one request", "send either one client or requests")
	}
	list := *q.Requests
	if len(list) == 0 || len(list) > MaxBatch {
		return refusal.New(problem.ErrMalformed, "requests", fmt.Sprintf("holds %d requests", len(list)), fmt.Sprintf("send 1 to %d", MaxBatch))
	}
	if err := checkAll(list); err != nil {
		return err
	}
	decisions, err := a.d.Engine.DecideMany(r.Context(), list)
	if err != nil {
		return err
	}
	for i := range decisions {
		decisions[i].Reasons = wire.List(decisions[i].Reasons)
	}
	return wire.WriteJSON(w, http.StatusOK, Decisions{Decisions: decisions})
}

// mostFaults bounds an answer that refuses.
const mostFaults = 100

// checkAll names each field that is wrong by the place of its request.
func checkAll(list []access.Client) error {
	var faults refusal.List
	for i, c := range list {
		if len(faults) >= mostFaults {
			break
		}
		if err := c.Validate(); err != nil {
			faults = append(faults, refusal.All(unreadable(fmt.Sprintf("requests[%d].", i), err))...)
		}
	}
	return faults.OrNil()
}

// unreadable makes of what is wrong with a client a request that cannot be read,
// as this route has called it from the first release on.
func unreadable(prefix string, err error) error {
	if !errors.Is(err, access.ErrInvalid) {
		return err
	}
	var faults refusal.List
	for _, f := range refusal.All(err) {
		faults = append(faults, refusal.New(problem.ErrMalformed, prefix+f.Field, f.Reason, f.Remedy))
	}
	return faults
}
