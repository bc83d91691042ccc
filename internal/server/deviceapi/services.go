package deviceapi

import (
	"context"
	"time"

	"sallyport/enroll"
	"sallyport/internal/server/limit"
	"sallyport/internal/web"
	"sallyport/mdm"
	"sallyport/mdm/apple"
)

// Enroller knows invitations. *enroll.Service is one.
type Enroller interface {
	// Open changes nothing.
	Open(ctx context.Context, code string) (enroll.Welcome, error)
	// EnrollmentProfile refuses a wrong PIN in the field "pin".
	EnrollmentProfile(ctx context.Context, code, pin string) ([]byte, error)
}

// SCEP answers SCEP operations. *scep.Service is one.
type SCEP interface {
	Do(ctx context.Context, operation string, message []byte) (contentType string, body []byte, err error)
}

// CRLs knows the revocation lists of our issuing CAs. *certs.CRLs is one.
type CRLs interface {
	// CRL is certs.ErrNotFound for an issuer that is none of ours.
	CRL(ctx context.Context, issuerKeyID string) (der []byte, nextUpdate time.Time, err error)
}

// MDM answers check-in messages and polls. *apple.Service is one.
type MDM interface {
	Handle(ctx context.Context, r apple.Request) ([]byte, error)
}

// Android leads Android phones. *enroll.Androids is one.
type Android interface {
	// Ready is false while this server is not signed up at Google.
	Ready(ctx context.Context) (bool, error)
	// Progress changes nothing.
	Progress(ctx context.Context, code string) (enroll.AndroidProgress, error)
	// Invite and SignIn refuse a wrong PIN in the field "pin".
	Invite(ctx context.Context, code, pin string) (enroll.AndroidInvite, error)
	SignIn(ctx context.Context, provisioning, code, pin string) (enroll.AndroidInvite, error)
	AndroidPlane
	AndroidAgent
}

// AndroidPlane is what Google itself calls.
type AndroidPlane interface {
	FinishSignup(ctx context.Context, state, token string) error
	// Notified is problem.ErrNotFound's business where secret is not ours: ErrNotFound.
	Notified(ctx context.Context, secret string, body []byte) error
}

// AndroidAgent answers companion apps, which show their token: enroll.ErrAgent where
// that is none.
type AndroidAgent interface {
	AgentKeys(ctx context.Context, token string) ([]enroll.AgentKey, error)
	AgentChallenge(ctx context.Context, token, alias string) (enroll.AgentChallenge, error)
	AgentTells(ctx context.Context, token, alias string, r enroll.AgentReport) error
}

// Deps is what the handlers work with.
type Deps struct {
	Enroll       Enroller
	SCEP         SCEP
	CRLs         CRLs
	MDM          MDM
	Android      Android
	Reasons      Reasons
	Pages        *web.Pages
	PublicURL    string                      // without a slash at the end; what the QR code says
	Organization string                      // shown on pages that know no invitation
	Rehearsal    func(mdm.Platform) []string // what a real phone would miss, in plain words; nil or none on a real server

	// Limits; nil means the defaults.
	Requests *limit.Limiter // of /enroll/*, by network
	Failures *limit.Limiter // unknown codes, by network
	PINs     *limit.Limiter // typed PINs, by invitation
	Messages *limit.Limiter // of /scep, by network
	Lists    *limit.Limiter // of /crl, by network
	Agents   *limit.Limiter // of /android/agent, by network
	Keys     *limit.Limiter // wrong keys of companion apps and of Google's, by network
	Now      func() time.Time
}

// API holds the handlers.
type API struct{ d Deps }

// New makes the handlers.
//
// The defaults: an office behind one address sends 60 phones at once, then two
// a second; an IPv6 site, which may be an office with many networks or one host that
// has them all, 150 and five. None of them spends what there is for all.
//
// A code has 40 bits. Unknown ones are bounded to 5 a second over all networks: with
// 1,000 invitations open, somebody who has networks without end finds one in 7 years
// of trying on average (2^40 / 1,000 / 5 s), and an IPv6 site (0.4 a second) in 87. A
// network that never tried a wrong one is held to the bound of all like the others:
// whoever has networks without end always comes from such a one.
//
// A PIN has 6 digits: 10 tries for an invitation, then 6 an hour, so that a
// week of trying finds one in about 1,000. The keys of programs have 256 bits: what is
// bounded there is the work, of each network for itself. Networks that try them, or
// codes, shut out neither Google nor anybody's app.
func New(d Deps) *API {
	if d.Rehearsal == nil {
		d.Rehearsal = func(mdm.Platform) []string { return nil }
	}
	if d.Requests == nil {
		d.Requests = limit.NewBySite(limit.Rate{PerSecond: 5, Burst: 120}, limit.Rate{PerSecond: 10, Burst: 300}, limit.Rate{PerSecond: 100, Burst: 1000}, d.Now)
	}
	if d.Failures == nil {
		d.Failures = limit.NewBySite(limit.Rate{PerSecond: 0.1, Burst: 20}, limit.Rate{PerSecond: 0.4, Burst: 80}, limit.Rate{PerSecond: 5, Burst: 500}, d.Now)
	}
	if d.PINs == nil {
		d.PINs = limit.New(limit.Rate{PerSecond: 1.0 / 600, Burst: 10}, limit.Rate{PerSecond: 20, Burst: 200}, d.Now)
	}
	if d.Messages == nil {
		d.Messages = newShare(d.Now)
	}
	if d.Lists == nil {
		d.Lists = newShare(d.Now)
	}
	if d.Agents == nil {
		d.Agents = newShare(d.Now)
	}
	if d.Keys == nil {
		d.Keys = limit.New(limit.Rate{PerSecond: 0.1, Burst: 20}, limit.Boundless(), d.Now)
	}
	return &API{d: d}
}
