package adminapi

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/refusal"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
)

// Authority shows its certificates, and takes new ones. *certs.Authority is one.
type Authority interface {
	Root() *x509.Certificate
	Chain() []*x509.Certificate
	Request(ctx context.Context, kind certs.KeyKind) ([]byte, error)
	Import(ctx context.Context, in certs.Import) (certs.AuthorityInfo, error)
	Rollover(ctx context.Context, kind certs.KeyKind) (certs.AuthorityInfo, error)
}

// RolloverService puts authorities to use and ends them. *enroll.Rollover is one.
type RolloverService interface {
	Overview(ctx context.Context) ([]enroll.Step, error)
	Activate(ctx context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error)
	Retire(ctx context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error)
	Untold(ctx context.Context, fingerprint string, after mdm.EnrollmentID, limit int) ([]enroll.UntoldPhone, error)
}

// EndingService knows when certificates end. *enroll.Watch is one.
type EndingService interface {
	Endings(ctx context.Context) (enroll.Endings, error)
}

// AuthorityCertificate is one certificate of the authority, and who depends on it.
type AuthorityCertificate struct {
	certs.AuthorityInfo
	Valid  int `json:"valid"`  // of an issuing one: certificates under it that are neither revoked nor expired
	Untold int `json:"untold"` // of a staged one: active phones that do not know its root yet
}

// Authorities answers GET /api/v1/ca/authorities: roots, intermediates, issuing.
type Authorities struct {
	Authorities []AuthorityCertificate `json:"authorities"`
}

// KindRequest asks for a key.
type KindRequest struct {
	Kind string `json:"kind,omitempty"` // p256 when empty
}

// IssuingRequest is a certificate request for an issuing certificate.
type IssuingRequest struct {
	CSR string `json:"csr"` // PEM
}

// StepRequest asks for an authority to be activated or retired.
type StepRequest struct {
	Force  bool `json:"force,omitempty"`
	DryRun bool `json:"dry_run,omitempty"`
}

// AuthorityStep answers an activation or the end of an authority, or its dry run.
type AuthorityStep struct {
	Authority certs.AuthorityInfo `json:"authority"`
	Untold    int                 `json:"untold"`
	Valid     int                 `json:"valid"`
	Phones    int                 `json:"phones"`  // of a retirement: active phones that have to enrol again
	Refused   []*refusal.Error    `json:"refused"` // what stands in the way without force
}

// CA answers GET /api/v1/ca in PEM: the root, then the issuing certificate and
// what stands between the two.
func (a *API) CA(w http.ResponseWriter, _ *http.Request) error {
	root := a.d.Authority.Root()
	list := []*x509.Certificate{root}
	for _, cert := range a.d.Authority.Chain() {
		if !cert.Equal(root) {
			list = append(list, cert)
		}
	}
	var out bytes.Buffer
	for _, cert := range list {
		if err := pem.Encode(&out, &pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}); err != nil {
			return fmt.Errorf("encode certificate: %w", err)
		}
	}
	return wire.WriteBytes(w, http.StatusOK, "application/x-pem-file", out.Bytes())
}

// ListAuthorities answers GET /api/v1/ca/authorities.
func (a *API) ListAuthorities(w http.ResponseWriter, r *http.Request) error {
	steps, err := a.d.Rollover.Overview(r.Context())
	if err != nil {
		return err
	}
	out := Authorities{Authorities: make([]AuthorityCertificate, len(steps))}
	for i, s := range steps {
		out.Authorities[i] = AuthorityCertificate{AuthorityInfo: s.Authority, Valid: s.Valid, Untold: s.Untold}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// ListEndings answers GET /api/v1/ca/expiry.
func (a *API) ListEndings(w http.ResponseWriter, r *http.Request) error {
	e, err := a.d.Endings.Endings(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, e)
}

// RequestIssuing answers POST /api/v1/ca/requests. Each call makes a new key,
// which stays on the server.
func (a *API) RequestIssuing(w http.ResponseWriter, r *http.Request) error {
	var in KindRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	csr, err := a.d.Authority.Request(r.Context(), certs.KeyKind(in.Kind))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, IssuingRequest{CSR: string(csr)})
}

// ImportIssuing answers POST /api/v1/ca/issuing: what it takes is staged.
func (a *API) ImportIssuing(w http.ResponseWriter, r *http.Request) error {
	var in IssuingImport
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	parsed, err := in.parse()
	if err != nil {
		return err
	}
	info, err := a.d.Authority.Import(r.Context(), parsed)
	if err != nil {
		return err
	}
	status := http.StatusCreated
	if in.DryRun {
		status = http.StatusOK
	}
	return wire.WriteJSON(w, status, info)
}

// RolloverIssuing answers POST /api/v1/ca/rollover: a staged issuing certificate
// under the root whose key is here.
func (a *API) RolloverIssuing(w http.ResponseWriter, r *http.Request) error {
	var in KindRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	info, err := a.d.Authority.Rollover(r.Context(), certs.KeyKind(in.Kind))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, info)
}

// ActivateIssuing answers POST /api/v1/ca/issuing/{fingerprint}/activate.
func (a *API) ActivateIssuing(w http.ResponseWriter, r *http.Request) error {
	return a.step(w, r, a.d.Rollover.Activate)
}

// RetireIssuing answers POST /api/v1/ca/issuing/{fingerprint}/retire.
func (a *API) RetireIssuing(w http.ResponseWriter, r *http.Request) error {
	return a.step(w, r, a.d.Rollover.Retire)
}

func (a *API) step(w http.ResponseWriter, r *http.Request, do func(ctx context.Context, fingerprint string, force, dryRun bool) (enroll.Step, error)) error {
	var in StepRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	extend(w) // a large fleet is counted first
	s, err := do(r.Context(), r.PathValue("fingerprint"), in.Force, in.DryRun)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, AuthorityStep{Authority: s.Authority, Untold: s.Untold, Valid: s.Valid, Phones: s.Phones, Refused: wire.List(s.Refused)})
}
