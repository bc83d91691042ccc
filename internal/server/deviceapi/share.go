package deviceapi

import (
	"net/http"
	"time"

	"sallyport/internal/server/limit"
	"sallyport/internal/server/problem"
)

// newShare is what one network may ask of /scep, and as much of /crl and of /android/agent: whoever comes
// there has proved nothing yet, and makes us work. A carrier hides thousands of
// phones behind one address. Each asks three times for a certificate, and 200 are
// told at once to renew one, then two a second (enroll.Renewer). All networks
// together are held to nothing: one that misbehaves must not shut out the others.
func newShare(now func() time.Time) *limit.Limiter {
	return limit.New(limit.Rate{PerSecond: 20, Burst: 1000}, limit.Boundless(), now)
}

// share refuses a network that has had its share. The answer is to come again:
// 503 on /scep, where clients know of no other, and 429 elsewhere. It is never asked
// for /mdm: whoever comes there is known, and a phone that we lock out is lost to us.
func share(r *http.Request, of *limit.Limiter) error {
	network := limit.Network(r)
	if limit.Local(r) || of.Allow(network) {
		return nil
	}
	return problem.TooMany(of.Wait(network))
}
