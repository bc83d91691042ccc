package deviceapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"sallyport/access"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
	"sallyport/internal/web"
)

// Reasons tells the owner of a device how it stands. *access.Teller is one.
type Reasons interface {
	// Standing changes nothing. access.ErrNotFound is for every token that leads
	// nowhere.
	Standing(ctx context.Context, token string) (access.Standing, error)
}

// errLost is for every link of a reason page that leads nowhere, so that a wrong
// one and one of a device that is gone look alike.
var errLost = fmt.Errorf("reason page: %w", problem.ErrNotFound)

// WhyPage answers GET and HEAD /access/why/{token}. It changes nothing.
func (a *API) WhyPage(w http.ResponseWriter, r *http.Request) error {
	if err := a.admit(r); err != nil {
		return err
	}
	s, err := a.d.Reasons.Standing(r.Context(), r.PathValue("token"))
	if errors.Is(err, access.ErrNotFound) {
		a.d.Failures.Allow(limit.Network(r))
		return errLost
	}
	if err != nil {
		return err
	}
	body, err := a.d.Pages.Why(r.Header.Get("Accept-Language"), a.whyOf(s))
	if err != nil {
		return err
	}
	return writePage(w, http.StatusOK, body)
}

// whyOf leaves out who the owner is, and every name of the device: who reads the
// page over somebody's shoulder learns neither.
func (a *API) whyOf(s access.Standing) web.Why {
	w := web.Why{
		Effect: string(s.Decision.Effect), Organization: a.d.Organization,
		Type: s.Device.Type, Model: s.Model, System: s.System, Client: s.Device.UserAgent,
		SeenAt: s.Device.LastAt, Since: s.Since, At: s.At,
	}
	for _, r := range s.Decision.Reasons {
		one := web.WhyReason{Rule: r.Rule, Fact: r.Fact, Fix: r.Fix}
		if r.Since.Before(s.At) { // what began with the question itself began nowhere
			one.Since = r.Since
		}
		w.Reasons = append(w.Reasons, one)
	}
	slices.SortStableFunc(w.Reasons, func(x, y web.WhyReason) int { return cmp.Compare(advised(y), advised(x)) })
	return w
}

// advised is 1 for a reason that says what to do: those come first.
func advised(r web.WhyReason) int {
	if r.Fix == "" {
		return 0
	}
	return 1
}
