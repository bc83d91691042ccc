package deviceapi

import (
	"errors"
	"net/http"
	"time"

	"sallyport/enroll"
	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// agentKeyType is what is asked of a companion app's keys: both stores of Android
// have it, and every mail server takes it.
var agentKeyType = AgentKeyType{Type: "RSA", Size: 2048}

// AgentCertificates is what a companion app is told.
type AgentCertificates struct {
	Certificates []AgentCertificate `json:"certificates"`
}

// AgentCertificate is one key that there should be, or should be no more.
type AgentCertificate struct {
	Alias    string            `json:"alias"`
	Revision string            `json:"revision"`
	State    enroll.AgentState `json:"state"`
	Subject  string            `json:"subject"`
	Key      AgentKeyType      `json:"key"`
	SHA256   string            `json:"sha256,omitempty"`
	NotAfter time.Time         `json:"not_after,omitzero"`
}

// AgentKeyType is the kind of key to make.
type AgentKeyType struct {
	Type string `json:"type"`
	Size int    `json:"size"` // in bits
}

// AgentChallenge is a one-time password for SCEP.
type AgentChallenge struct {
	URL       string    `json:"url"`
	Challenge string    `json:"challenge"`
	ExpiresAt time.Time `json:"expires_at"`
}

// AgentStatus is what a companion app tells of one key.
type AgentStatus struct {
	State  string `json:"state"`
	SHA256 string `json:"sha256,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// AgentCertificates answers GET /android/agent/certificates.
func (a *API) AgentCertificates(w http.ResponseWriter, r *http.Request) error {
	token, err := a.agent(r)
	if err != nil {
		return err
	}
	keys, err := a.d.Android.AgentKeys(r.Context(), token)
	if err != nil {
		return a.countAgent(r, err)
	}
	answer := AgentCertificates{Certificates: []AgentCertificate{}}
	for _, k := range keys {
		answer.Certificates = append(answer.Certificates, AgentCertificate{
			Alias: k.Alias, Revision: k.Revision, State: k.State, Subject: k.Subject, Key: agentKeyType, SHA256: k.SHA256, NotAfter: k.NotAfter,
		})
	}
	return wire.WriteJSON(w, http.StatusOK, answer)
}

// AgentChallenge answers POST /android/agent/certificates/{alias}/challenge.
func (a *API) AgentChallenge(w http.ResponseWriter, r *http.Request) error {
	token, err := a.agent(r)
	if err != nil {
		return err
	}
	c, err := a.d.Android.AgentChallenge(r.Context(), token, r.PathValue("alias"))
	if err != nil {
		return a.countAgent(r, err)
	}
	return wire.WriteJSON(w, http.StatusCreated, AgentChallenge{URL: c.URL, Challenge: c.Challenge.Reveal(), ExpiresAt: c.ExpiresAt})
}

// AgentStatus answers POST /android/agent/certificates/{alias}/status.
func (a *API) AgentStatus(w http.ResponseWriter, r *http.Request) error {
	token, err := a.agent(r)
	if err != nil {
		return err
	}
	var in AgentStatus
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	report := enroll.AgentReport{State: in.State, SHA256: in.SHA256, Reason: in.Reason}
	if err := a.d.Android.AgentTells(r.Context(), token, r.PathValue("alias"), report); err != nil {
		return a.countAgent(r, err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// agent is the token that an app shows (RFC 6750, section 2.1), once its network
// may ask: neither too often, nor after too many tokens that were none.
func (a *API) agent(r *http.Request) (string, error) {
	if err := share(r, a.d.Agents); err != nil {
		return "", err
	}
	if network := limit.Network(r); a.d.Keys.Spent(network) {
		return "", problem.TooMany(a.d.Keys.Wait(network))
	}
	return wire.Bearer(r), nil // none is refused like any other that is wrong
}

// countAgent notes a token that is none.
func (a *API) countAgent(r *http.Request, err error) error {
	if errors.Is(err, enroll.ErrAgent) {
		a.d.Keys.Allow(limit.Network(r))
	}
	return err
}
