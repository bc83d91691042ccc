package deviceapi

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

const (
	crlSuffix = ".crl"
	// crlCache is how long a cache may keep a list at most: a revocation is to be
	// seen within the hour, though the list says that it is good for a day.
	crlCache = time.Hour
)

// CRL answers GET /crl/{file}, where file is the SubjectKeyId of an issuing
// certificate in hex with ".crl" (RFC 5280, section 4.2.1.13). It is the address
// that stands in what that CA issued; by plain HTTP too, since the list is signed.
func (a *API) CRL(w http.ResponseWriter, r *http.Request) error {
	issuer, ok := strings.CutSuffix(r.PathValue("file"), crlSuffix)
	if !ok {
		return fmt.Errorf("not a CRL: %w", problem.ErrNotFound)
	}
	if err := share(r, a.d.Lists); err != nil {
		return err
	}
	der, nextUpdate, err := a.d.CRLs.CRL(r.Context(), issuer)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", int(a.fresh(nextUpdate).Seconds())))
	w.Header().Set("Content-Disposition", `attachment; filename="ca.crl"`)
	return wire.WriteBytes(w, http.StatusOK, "application/pkix-crl", der) // RFC 2585, section 3
}

// fresh is how long what is good until then may be kept.
func (a *API) fresh(until time.Time) time.Duration {
	now := a.d.Now
	if now == nil {
		now = time.Now
	}
	return max(0, min(crlCache, until.Sub(now())))
}
