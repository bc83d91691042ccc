package accessapi

import (
	"context"
	"net/http"

	"sallyport/access"
	"sallyport/internal/server/wire"
)

// Explainer says why. *access.Explainer is one.
type Explainer interface {
	Question(ctx context.Context, c access.Client) (access.Explained, error)
	// ListDenials returns the newest first, of one login where that is not empty.
	ListDenials(ctx context.Context, login, before string, limit int) ([]access.Denial, error)
	Denial(ctx context.Context, id string) (access.Denial, error)
	Replay(ctx context.Context, id string) (access.Replayed, error)
}

// Explain answers GET /api/v1/access/explain.
func (a *API) Explain(w http.ResponseWriter, r *http.Request) error {
	v, err := wire.Query(r, "user", "device_id", "device_type", "user_agent", "protocol_version", "model", "os", "address", "certificate_sha256")
	if err != nil {
		return err
	}
	out, err := a.d.Explains.Question(r.Context(), access.Client{
		User: v["user"], DeviceID: v["device_id"], DeviceType: v["device_type"], UserAgent: v["user_agent"], Protocol: v["protocol_version"],
		Model: v["model"], OS: v["os"], Address: v["address"], Certificate: v["certificate_sha256"],
	})
	if err != nil {
		return err
	}
	out.Decision.Reasons, out.Trace = wire.List(out.Decision.Reasons), wire.List(out.Trace)
	out.Inputs = filled(out.Inputs)
	return wire.WriteJSON(w, http.StatusOK, out)
}

// filled has lists where nil would be null.
func filled(in access.Inputs) access.Inputs {
	in.World.Rules, in.World.Policies = wire.List(in.World.Rules), wire.List(in.World.Policies)
	return in
}
