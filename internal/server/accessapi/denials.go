package accessapi

import (
	"net/http"

	"sallyport/access"
	"sallyport/internal/server/wire"
)

// Denials answers GET /api/v1/access/denials. Next is the value of the parameter
// after for the next page, empty on the last one.
type Denials struct {
	Denials []access.Denial `json:"denials"`
	Next    string          `json:"next,omitempty"`
}

// ListDenials answers GET /api/v1/access/denials.
func (a *API) ListDenials(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user", "after", "limit")
	if err != nil {
		return err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return err
	}
	list, err := a.d.Explains.ListDenials(r.Context(), values["user"], page.After, page.Limit)
	if err != nil {
		return err
	}
	out := Denials{Denials: make([]access.Denial, len(list)), Next: wire.Next(list, page.Limit, func(d access.Denial) string { return d.ID })}
	for i, d := range list {
		out.Denials[i] = told(d)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// GetDenial answers GET /api/v1/access/denials/{id}.
func (a *API) GetDenial(w http.ResponseWriter, r *http.Request) error {
	d, err := a.d.Explains.Denial(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, told(d))
}

// ReplayDenial answers POST /api/v1/access/denials/{id}/replay. It changes nothing.
func (a *API) ReplayDenial(w http.ResponseWriter, r *http.Request) error {
	out, err := a.d.Explains.Replay(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	out.Denial = told(out.Denial)
	out.Decision.Reasons, out.Trace = wire.List(out.Decision.Reasons), wire.List(out.Trace)
	return wire.WriteJSON(w, http.StatusOK, out)
}

// told has lists where nil would be null.
func told(d access.Denial) access.Denial {
	d.Decision.Reasons, d.Trace, d.Inputs = wire.List(d.Decision.Reasons), wire.List(d.Trace), filled(d.Inputs)
	return d
}
