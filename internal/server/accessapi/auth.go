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
	// Certified reports whether it is one person's login, and on a phone of theirs is
	// the certificate with that lower-case hex SHA-256.
	Certified(ctx context.Context, login, certificate string) (bool, error)
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
// A certificate is such a proof: some web server may take it for a sign-in, so it is
// decided about.
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
	if o.method == http.MethodOptions || o.authorization == "" && o.certificate == "" {
		return access.Decision{Effect: access.Allow}, q.String(), nil
	}
	user, err := a.who(r.Context(), &o, q.User)
	if err != nil {
		return d, "", err
	}
	d, err = a.d.Engine.Decide(r.Context(), access.Client{
		User: user, DeviceID: q.DeviceID, DeviceType: q.DeviceType, Protocol: q.Protocol,
		UserAgent: o.agent, Address: o.address, Certificate: o.certificate,
	})
	return d, q.String(), err
}

// who is the user whose mailbox the request is for: by Authorization, or where there
// is none by the certificate. asked is the user in the query; empty: none.
func (a *API) who(ctx context.Context, o *original, asked string) (string, error) {
	if o.authorization == "" {
		return asked, a.certified(ctx, o.certificate, asked)
	}
	user, err := signedIn(o.authorization)
	if err != nil {
		return "", err
	}
	return user, a.sameOwner(ctx, user, asked)
}

// certified refuses a certificate of which we do not know that it is the user's: it
// opens its owner's mailbox, and a client may name any user it likes.
func (a *API) certified(ctx context.Context, certificate, user string) error {
	if user == "" {
		return refusal.New(eas.ErrQuery, "User", "is missing, and a certificate alone signs in", "send it in the query, or send Authorization")
	}
	is, err := a.d.Logins.Certified(ctx, user, certificate)
	if err != nil {
		return err
	}
	if !is {
		return refusal.New(eas.ErrQuery, headerCertificate, "is on no phone of the user in the query", "sign in with user name and password")
	}
	return nil
}

// sameOwner refuses a request that names another mailbox than the one of who
// signs in. People are compared, not their names: one may sign in as
// EXAMPLE\alice and be alice@example.test in the query.
func (a *API) sameOwner(ctx context.Context, signedIn, asked string) error {
	if asked == "" || directory.Same(asked, signedIn) {
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
