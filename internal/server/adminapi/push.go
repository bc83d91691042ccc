package adminapi

import (
	"context"
	"net/http"
	"strings"

	"sallyport/enroll"
	"sallyport/internal/server/wire"
	"sallyport/mdm"
	"sallyport/mdm/apple/apns"
)

// PushService keeps the push certificate and wakes phones. *enroll.Pusher is one.
type PushService interface {
	Status(ctx context.Context) (enroll.PushStatus, error)
	Request(ctx context.Context) ([]byte, error)
	Import(ctx context.Context, in enroll.PushImport) (enroll.PushStatus, error)
	Send(ctx context.Context, id mdm.DeviceID) (apns.Result, error)
}

// PushRequest is a certificate request for Apple, by way of an MDM vendor.
type PushRequest struct {
	CSR string `json:"csr"` // PEM
}

// PushCertificate is a push certificate on its way in.
type PushCertificate struct {
	Certificate  string `json:"certificate"` // PEM
	ReplaceTopic int    `json:"replace_topic,omitempty"`
	DryRun       bool   `json:"dry_run,omitempty"`
}

// Pushed is what the push service said of one push.
type Pushed struct {
	Outcome    apns.Outcome `json:"outcome"`
	Status     int          `json:"status,omitempty"` // HTTP; absent when there was no answer
	Reason     string       `json:"reason,omitempty"` // in Apple's word, or one of ours
	APNSID     string       `json:"apns_id,omitempty"`
	RetryAfter string       `json:"retry_after,omitempty"`
}

// PushStatus answers GET /api/v1/push.
func (a *API) PushStatus(w http.ResponseWriter, r *http.Request) error {
	s, err := a.d.Push.Status(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, s)
}

// RequestPush answers POST /api/v1/push/csr. Each call makes a new key.
func (a *API) RequestPush(w http.ResponseWriter, r *http.Request) error {
	csr, err := a.d.Push.Request(r.Context())
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, PushRequest{CSR: string(csr)})
}

// ImportPush answers POST /api/v1/push/certificate.
func (a *API) ImportPush(w http.ResponseWriter, r *http.Request) error {
	var in PushCertificate
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	s, err := a.d.Push.Import(r.Context(), enroll.PushImport{
		Certificate: []byte(strings.TrimSpace(in.Certificate)), ReplaceTopic: in.ReplaceTopic, DryRun: in.DryRun,
	})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, s)
}

// SendPush answers POST /api/v1/devices/{id}/push: it waits for what the push
// service says, which is no word of the phone.
func (a *API) SendPush(w http.ResponseWriter, r *http.Request) error {
	result, err := a.d.Push.Send(r.Context(), mdm.DeviceID(r.PathValue("id")))
	if err != nil {
		return err
	}
	out := Pushed{Outcome: result.Outcome, Status: result.Status, Reason: result.Reason, APNSID: result.APNSID}
	if result.RetryAfter > 0 {
		out.RetryAfter = result.RetryAfter.String()
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}
