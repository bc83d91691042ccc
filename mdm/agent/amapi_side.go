package agent

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"
)

// due reports whether a phone has something to fetch: a policy that it does not
// have, a command, a wipe.
func (a *AMAPI) due(device, secret, policy string, version int64) (bool, <-chan struct{}, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.s.Devices[device]
	if d == nil || subtle.ConstantTimeCompare([]byte(d.Secret), []byte(secret)) != 1 {
		return false, nil, turnAway(http.StatusNotFound, "the device is not known")
	}
	name := str(d.Doc, "policyName")
	now := a.s.Enterprises[d.Enterprise].Policies[lastPart(name)]
	return d.Wipe || len(d.Commands) > 0 || name != policy || int64Of(now, "version") != version, a.changed, nil
}

// waitFor is the question whether something is due.
type waitFor struct {
	Device  string `json:"device"`
	Secret  string `json:"secret"`
	Policy  string `json:"policy"`
	Version int64  `json:"version"`
	Seconds int    `json:"seconds"`
}

func (a *AMAPI) await(ctx context.Context, w waitFor) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, min(max(time.Duration(w.Seconds)*time.Second, 0), longestWait))
	defer cancel()
	for {
		due, changed, err := a.due(w.Device, w.Secret, w.Policy, w.Version)
		if due || err != nil {
			return due, err
		}
		select {
		case <-changed:
		case <-a.ending:
			return false, nil
		case <-ctx.Done():
			return false, nil
		}
	}
}

// side serves phones in software, and whoever plays with the stand-in.
func (a *AMAPI) side() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /phone/enrol", serveSide(func(_ context.Context, in enrolRequest) (any, error) { return a.enrol(in) }))
	mux.HandleFunc("POST /phone/sync", serveSide(func(_ context.Context, in syncRequest) (any, error) { return a.sync(in) }))
	mux.HandleFunc("POST /phone/wait", serveSide(func(ctx context.Context, in waitFor) (any, error) {
		due, err := a.await(ctx, in)
		return map[string]bool{"due": due}, err
	}))
	mux.HandleFunc("POST /control/script", serveSide(func(_ context.Context, in AMAPIScript) (any, error) { return a.Script(), a.Play(in) }))
	mux.HandleFunc("GET /control/script", func(w http.ResponseWriter, _ *http.Request) { writeSide(w, a.Script()) })
	mux.HandleFunc("GET /control/log", func(w http.ResponseWriter, _ *http.Request) { writeSide(w, a.Log()) })
	return mux
}

// maxPhone bounds what a phone may say at once: a report with many apps.
const maxPhone = 1 << 20

func serveSide[T any](do func(context.Context, T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPhone))
		if err == nil {
			err = json.Unmarshal(body, &in)
		}
		if err != nil {
			http.Error(w, "not the JSON that is expected here", http.StatusBadRequest)
			return
		}
		out, err := do(r.Context(), in)
		var no *errSide
		switch {
		case errors.As(err, &no):
			http.Error(w, no.text, no.status)
		case errors.Is(err, ErrInvalid):
			http.Error(w, err.Error(), http.StatusBadRequest)
		case err != nil:
			http.Error(w, err.Error(), http.StatusInternalServerError)
		default:
			writeSide(w, out)
		}
	}
}
