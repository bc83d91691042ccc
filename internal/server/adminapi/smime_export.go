package adminapi

import (
	"context"
	"net/http"
	"time"

	"sallyport/certs"
	"sallyport/internal/secret"
	"sallyport/internal/server/wire"
)

// SMIMEExportService lets private keys out. *certs.SMIME is one.
type SMIMEExportService interface {
	RequestExport(ctx context.Context, r certs.SMIMEExportRequest) (certs.SMIMEExport, error)
	Exports(ctx context.Context, limit int) ([]certs.SMIMEExport, error)
	ApproveExport(ctx context.Context, id string) (certs.SMIMEExport, error)
	TakeExport(ctx context.Context, id string, password secret.Value, legacy bool) ([]certs.SMIMEFileOut, error)
}

// SMIMEExport is a wish to take private keys out.
type SMIMEExport struct {
	ID          string    `json:"id"`
	State       string    `json:"state"` // requested, approved, taken, expired
	UserID      string    `json:"user_id"`
	Keys        []string  `json:"keys"`
	Reason      string    `json:"reason"`
	RequestedBy string    `json:"requested_by"`
	RequestedAt time.Time `json:"requested_at"`
	ExpiresAt   time.Time `json:"expires_at"`
	ApprovedBy  string    `json:"approved_by,omitempty"`
	ApprovedAt  time.Time `json:"approved_at,omitzero"`
	TakenAt     time.Time `json:"taken_at,omitzero"`
}

// SMIMEExports answers GET /api/v1/smime/exports.
type SMIMEExports struct {
	Exports []SMIMEExport `json:"exports"`
}

// SMIMEExportRequest asks for private keys of one user.
type SMIMEExportRequest struct {
	User   string   `json:"user,omitempty"`    // UPN
	UserID string   `json:"user_id,omitempty"` // instead of user: of one who was removed
	Keys   []string `json:"keys,omitempty"`    // IDs; all of theirs when empty
	Reason string   `json:"reason"`
}

// SMIMETakeRequest names the password that the files are to have.
type SMIMETakeRequest struct {
	Password string `json:"password"`
	Legacy   bool   `json:"legacy,omitempty"` // triple DES and SHA-1, for programs that read nothing else
}

// SMIMETaken answers the one time that an export is taken.
type SMIMETaken struct {
	Files []SMIMEKeyFile `json:"files"`
}

// SMIMEKeyFile is a private key with its certificate.
type SMIMEKeyFile struct {
	Key  SMIMEKey `json:"key"`
	Data []byte   `json:"data"` // PKCS#12, base64
}

func (a *API) smimeExportOf(e certs.SMIMEExport) SMIMEExport {
	return SMIMEExport{
		ID: e.ID, State: e.State(now(a)), UserID: e.UserID, Keys: wire.List(e.KeyIDs), Reason: e.Reason,
		RequestedBy: e.RequestedBy, RequestedAt: e.RequestedAt, ExpiresAt: e.ExpiresAt,
		ApprovedBy: e.ApprovedBy, ApprovedAt: e.ApprovedAt, TakenAt: e.TakenAt,
	}
}

// ListSMIMEExports answers GET /api/v1/smime/exports.
func (a *API) ListSMIMEExports(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "limit")
	if err != nil {
		return err
	}
	limit, err := wire.Limit(values["limit"])
	if err != nil {
		return err
	}
	list, err := a.d.SMIMEExports.Exports(r.Context(), limit)
	if err != nil {
		return err
	}
	out := SMIMEExports{Exports: make([]SMIMEExport, len(list))}
	for i, e := range list {
		out.Exports[i] = a.smimeExportOf(e)
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}

// RequestSMIMEExport answers POST /api/v1/smime/exports.
func (a *API) RequestSMIMEExport(w http.ResponseWriter, r *http.Request) error {
	var in SMIMEExportRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	e, err := a.d.SMIMEExports.RequestExport(r.Context(), certs.SMIMEExportRequest{
		UPN: in.User, UserID: in.UserID, KeyIDs: in.Keys, Reason: in.Reason,
	})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, a.smimeExportOf(e))
}

// ApproveSMIMEExport answers POST /api/v1/smime/exports/{id}/approve.
func (a *API) ApproveSMIMEExport(w http.ResponseWriter, r *http.Request) error {
	e, err := a.d.SMIMEExports.ApproveExport(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, a.smimeExportOf(e))
}

// TakeSMIMEExport answers POST /api/v1/smime/exports/{id}/take.
func (a *API) TakeSMIMEExport(w http.ResponseWriter, r *http.Request) error {
	var in SMIMETakeRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	files, err := a.d.SMIMEExports.TakeExport(r.Context(), r.PathValue("id"), secret.New(in.Password), in.Legacy)
	if err != nil {
		return err
	}
	out := SMIMETaken{Files: make([]SMIMEKeyFile, len(files))}
	for i, f := range files {
		out.Files[i] = SMIMEKeyFile{Key: smimeKeyOf(f.Key), Data: f.Data}
	}
	return wire.WriteJSON(w, http.StatusOK, out)
}
