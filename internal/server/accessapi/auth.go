package accessapi

import (
	"context"
	"net/http"
	"net/netip"
	"strings"

	"sallyport/access"
	"sallyport/access/eas"
	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// Logins says whom a login names. *access.Engine is one.
type Logins interface {
	// Named returns the people whose login it is, as Decide would find them: none
	// without error, and several where a bare user name is ambiguous.
	Named(ctx context.Context, login string) ([]directory.UserID, error)
}

// What a web server in front of a mailbox says of the request that it holds.
// Only the bearer of an engine's token is asked for an answer, so these are that
// web server's own words; Authorization, User-Agent and MS-ASProtocolVersion are
// the mail client's, passed on.
const (
	headerURI         = "X-Original-URI" // path and query, unchanged
	headerMethod      = "X-Original-Method"
	headerAddress     = "X-Original-Address"     // the mail client's IP address
	headerCertificate = "X-Original-Certificate" // PEM, URL-escaped: the certificate whose key the mail client has proved
)

// What it is answered.
const (
	HeaderDecision = "X-Sallyport-Decision" // allow, quarantine, block, or refused: the request cannot be read
	HeaderQuery    = "X-Sallyport-Query"    // the query to pass on, with its "?"; empty where there was none
	HeaderReason   = "X-Sallyport-Reason"   // address of the reason page
	HeaderFault    = "X-Sallyport-Fault"    // why a request was refused, for a log
)

// Auth answers GET /access/auth, as nginx's auth_request asks it: 204 lets the
// request go to the mail server, 403 does not. It checks no password: that is the
// mail server's part, and a request that this gate lets through has proved nothing
// yet. So a request without any proof of identity is let through as well: the mail
// server tells it to sign in, and gives it nothing else.
func (a *API) Auth(w http.ResponseWriter, r *http.Request) error {
	d, query, err := a.judge(r)
	if faults := refusal.All(err); len(faults) > 0 {
		w.Header().Set(HeaderDecision, "refused")
		w.Header().Set(HeaderFault, strings.TrimPrefix(faults[0].Field+": "+faults[0].Reason, ": "))
		w.WriteHeader(http.StatusForbidden)
		return nil
	}
	if err != nil {
		return err
	}
	if d.Step == access.StepUnavailable { // told apart from a no, so that phones come again by themselves
		return access.ErrUnavailable
	}
	w.Header().Set(HeaderDecision, string(d.Effect))
	if d.Effect == access.Allow {
		w.Header().Set(HeaderQuery, query)
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	if d.Why != "" {
		w.Header().Set(HeaderReason, d.Why)
	}
	w.WriteHeader(http.StatusForbidden)
	return nil
}

// judge reads the request and decides. The errors are refusals for what cannot be
// read, and access.ErrUnavailable.
func (a *API) judge(r *http.Request) (d access.Decision, query string, err error) {
	o, err := originalOf(r.Header)
	if err != nil {
		return d, "", err
	}
	q, err := eas.Parse(eas.Request{Method: o.method, URI: o.uri, Protocol: o.protocol, PolicyKey: o.policyKey})
	if err != nil {
		return d, "", err
	}
	if o.method == http.MethodOptions || o.authorization == "" {
		return access.Decision{Effect: access.Allow}, q.String(), nil
	}
	user, err := signedIn(o.authorization)
	if err != nil {
		return d, "", err
	}
	if err := a.sameOwner(r.Context(), user, q.User); err != nil {
		return d, "", err
	}
	d, err = a.d.Engine.Decide(r.Context(), access.Client{
		User: user, DeviceID: q.DeviceID, DeviceType: q.DeviceType, Protocol: q.Protocol,
		UserAgent: o.agent, Address: o.address, Certificate: o.certificate,
	})
	return d, q.String(), err
}

// sameOwner refuses a request that names another mailbox than the one of who
// signs in. People are compared, not their names: one may sign in as
// EXAMPLE\alice and be alice@example.test in the query.
func (a *API) sameOwner(ctx context.Context, signedIn, asked string) error {
	if asked == "" || strings.EqualFold(asked, signedIn) {
		return nil
	}
	one, err := a.d.Logins.Named(ctx, signedIn)
	if err != nil {
		return err
	}
	other, err := a.d.Logins.Named(ctx, asked)
	if err != nil {
		return err
	}
	if len(one) != 1 || len(other) != 1 || one[0] != other[0] {
		return refusal.New(eas.ErrQuery, "User", "is not who signs in", "use one user name in the mail account")
	}
	return nil
}

// original is what the web server holds.
type original struct {
	method, uri, protocol, policyKey, authorization, agent, address, certificate string
}

func originalOf(h http.Header) (original, error) {
	var o original
	for _, f := range []struct {
		name string
		into *string
	}{
		{headerMethod, &o.method}, {headerURI, &o.uri}, {headerAddress, &o.address}, {headerCertificate, &o.certificate},
		{"MS-ASProtocolVersion", &o.protocol}, {"X-MS-PolicyKey", &o.policyKey}, {"Authorization", &o.authorization}, {"User-Agent", &o.agent},
	} {
		switch list := h.Values(f.name); len(list) {
		case 0:
		case 1:
			*f.into = list[0]
		default:
			return o, refusal.New(eas.ErrQuery, f.name, "stands in the request twice", "send it once")
		}
	}
	if o.address != "" {
		if _, err := netip.ParseAddr(o.address); err != nil {
			return o, refusal.New(eas.ErrQuery, headerAddress, "is no IP address", "set it to $remote_addr")
		}
	}
	if o.certificate == "" {
		return o, nil
	}
	var err error
	o.certificate, err = fingerprint(o.certificate)
	return o, err
}
