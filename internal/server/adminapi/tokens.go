package adminapi

import (
	"net/http"
	"strconv"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// defaultTokenTTL is long enough for a quarter's work and short enough that a
// forgotten token dies by itself.
const defaultTokenTTL = 90 * 24 * time.Hour

// ListTokens answers GET /api/v1/tokens.
func (a *API) ListTokens(w http.ResponseWriter, r *http.Request) error {
	list, err := a.d.Tokens.List(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, Tokens{Tokens: wire.List(list)})
}

// CreateToken answers POST /api/v1/tokens.
func (a *API) CreateToken(w http.ResponseWriter, r *http.Request) error {
	var in TokenRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	ttl, err := wire.Duration("ttl", in.TTL, defaultTokenTTL)
	if err != nil {
		return err
	}
	issued, err := a.d.Tokens.Create(r.Context(), auth.Role(in.Role), in.Owner, ttl)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, TokenIssued{Token: issued.Token, Text: issued.Text.Reveal()})
}

// RevokeToken answers DELETE /api/v1/tokens/{id}.
func (a *API) RevokeToken(w http.ResponseWriter, r *http.Request) error {
	if err := a.d.Tokens.Revoke(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// ListAudit answers GET /api/v1/audit.
func (a *API) ListAudit(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "action", "actor", "target", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := wire.Limit(values["limit"])
	if err != nil {
		return err
	}
	var after int64
	if text := values["after"]; text != "" {
		if after, err = strconv.ParseInt(text, 10, 64); err != nil || after < 0 {
			return refusal.New(problem.ErrMalformed, "after", "not the number of an entry", "use the next of the page before")
		}
	}
	entries, err := a.d.Audit.List(r.Context(), audit.Filter{
		Action: values["action"], Actor: values["actor"], Target: values["target"], After: after, Limit: limit,
	})
	if err != nil {
		return err
	}
	out := AuditEntries{Entries: wire.List(entries)}
	if len(entries) == limit {
		out.Next = entries[len(entries)-1].ID
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}
