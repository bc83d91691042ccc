package server

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/certs"
)

const goodIssuer = "00112233445566778899aabbccddeeff00112233"

// crlFake knows the list of one issuing CA.
type crlFake struct{ w *world }

func (f crlFake) CRL(_ context.Context, issuerKeyID string) ([]byte, time.Time, error) {
	if err := f.w.did(false); err != nil {
		return nil, time.Time{}, err
	}
	if issuerKeyID != goodIssuer {
		return nil, time.Time{}, certs.ErrNotFound
	}
	return []byte("list"), f.w.clock().Add(10 * time.Minute), nil
}

func TestCRL(t *testing.T) {
	w := newWorld(t)
	h := public(t, w)
	answer := do(t, h, "GET", "/crl/"+goodIssuer+".crl", "")
	for name, want := range map[string]string{
		"Content-Type": "application/pkix-crl", "Cache-Control": "public, max-age=600", "Content-Length": "4", "Content-Disposition": `attachment; filename="ca.crl"`,
	} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if answer.Code != http.StatusOK || answer.Body.String() != "list" {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
	for target, want := range map[string]int{
		"/crl/" + goodIssuer:                           404,
		"/crl/" + strings.ToUpper(goodIssuer) + ".crl": 404,
		"/crl/.crl":         404,
		"/crl/..%2fmdm.crl": 404,
		"/crl/":             404,
		"/crl":              404,
	} {
		if got := do(t, h, "GET", target, "").Code; got != want {
			t.Errorf("%s: %d, want %d", target, got, want)
		}
	}
	if got := do(t, h, "POST", "/crl/"+goodIssuer+".crl", "").Code; got != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", got)
	}
	w.err = errors.New("disk full")
	if got := do(t, h, "GET", "/crl/"+goodIssuer+".crl", ""); got.Code != http.StatusInternalServerError || strings.Contains(got.Body.String(), "disk") {
		t.Errorf("trouble of ours: %d %s", got.Code, got.Body)
	}
}
