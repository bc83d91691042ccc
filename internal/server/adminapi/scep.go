package adminapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/server/wire"
)

// HandService makes challenges for devices that an admin enrols by hand.
// *enroll.HandMinter is one.
type HandService interface {
	Mint(ctx context.Context, r enroll.HandRequest) (enroll.HandChallenge, error)
}

// ChallengeRequest asks for a SCEP challenge.
type ChallengeRequest struct {
	UPN  string `json:"upn"`
	Rule string `json:"rule,omitempty"` // mail-identity when empty, or smime-signing
	TTL  string `json:"ttl,omitempty"`  // Go's duration form; 24h when empty, at most 168h
}

// Challenge is told once.
type Challenge struct {
	URL           string    `json:"url"`
	Challenge     string    `json:"challenge"`
	Expires       time.Time `json:"expires"`
	Rule          string    `json:"rule"`
	UPN           string    `json:"upn"`
	CAFingerprint string    `json:"ca_fingerprint"` // SHA-256 of the root, in hex
	RAFingerprint string    `json:"ra_fingerprint"` // likewise of the certificate that SCEP clients encrypt to
}

// MintChallenge answers POST /api/v1/scep/challenges.
func (a *API) MintChallenge(w http.ResponseWriter, r *http.Request) error {
	var in ChallengeRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	ttl, err := wire.Duration("ttl", in.TTL, 0) // 0: the room's own default
	if err != nil {
		return err
	}
	c, err := a.d.Hand.Mint(r.Context(), enroll.HandRequest{UPN: in.UPN, Rule: certs.RuleName(in.Rule), TTL: ttl})
	if err != nil {
		return err
	}
	root, ra := sha256.Sum256(c.Root.Raw), sha256.Sum256(c.RA.Raw)
	return wire.WriteJSON(w, http.StatusCreated, Challenge{
		URL: c.URL, Challenge: c.Challenge.Reveal(), Expires: c.ExpiresAt, Rule: string(c.Rule), UPN: c.UPN,
		CAFingerprint: hex.EncodeToString(root[:]), RAFingerprint: hex.EncodeToString(ra[:]),
	})
}
