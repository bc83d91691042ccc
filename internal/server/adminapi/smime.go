package adminapi

import (
	"context"
	"net/http"
	"time"

	"sallyport/certs"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/internal/server/problem"
	"sallyport/internal/server/wire"
)

// SMIMEService keeps users' S/MIME keys. *certs.SMIME is one.
type SMIMEService interface {
	List(ctx context.Context, upn string, f certs.SMIMEFilter) ([]certs.SMIMEKey, error)
	Import(ctx context.Context, files []certs.SMIMEFile, dryRun bool) ([]certs.SMIMEImportResult, error)
	Issue(ctx context.Context, in certs.SMIMEIssue) ([]certs.SMIMEKey, error)
	Revoke(ctx context.Context, id string, reason certs.RevocationReason) error
}

// SMIMEKey is a user's key for mail. No answer but that to an export holds the key itself.
type SMIMEKey struct {
	ID        string    `json:"id"`
	User      string    `json:"user,omitempty"` // UPN; absent when the user was removed
	UserID    string    `json:"user_id"`
	Usage     string    `json:"usage"`   // signing, encryption
	Source    string    `json:"source"`  // issued, imported, former
	Current   bool      `json:"current"` // the others are history
	Subject   string    `json:"subject,omitempty"`
	Mails     []string  `json:"mails"`
	SHA256    string    `json:"sha256"` // of the certificate
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	CreatedAt time.Time `json:"created_at"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
}

// SMIMEKeys answers GET /api/v1/smime and POST /api/v1/smime/issue.
type SMIMEKeys struct {
	Keys []SMIMEKey `json:"keys"`
	Next string     `json:"next,omitempty"`
}

// SMIMEImportRequest brings PKCS#12 files; it goes one way only.
type SMIMEImportRequest struct {
	Files  []SMIMEFile `json:"files"`
	DryRun bool        `json:"dry_run,omitempty"`
}

// SMIMEFile is one of them.
type SMIMEFile struct {
	Line     int    `json:"line,omitempty"`   // of the list that names it; repeated in the answer
	Mail     string `json:"mail"`             // address or UPN of the user
	Former   string `json:"former,omitempty"` // an address that the user once had: the key is for old mail alone
	File     string `json:"file,omitempty"`   // name; repeated in the answer
	Password string `json:"password"`
	Data     []byte `json:"data"` // base64
}

// SMIMEImported answers POST /api/v1/smime/import: what became of each file.
type SMIMEImported struct {
	Added   int                 `json:"added"`
	Known   int                 `json:"known"`
	Refused int                 `json:"refused"`
	Results []SMIMEImportResult `json:"results"`
}

// SMIMEImportResult is what became of one file.
type SMIMEImportResult struct {
	Line    int        `json:"line,omitempty"`
	Mail    string     `json:"mail"`
	File    string     `json:"file,omitempty"`
	Outcome string     `json:"outcome"` // added, known, refused
	Keys    []SMIMEKey `json:"keys,omitempty"`
	Field   string     `json:"field,omitempty"` // of a refusal: mail, file or password
	Reason  string     `json:"reason,omitempty"`
	Remedy  string     `json:"remedy,omitempty"`
}

// SMIMEIssueRequest asks for new keys.
type SMIMEIssueRequest struct {
	User   string   `json:"user"`             // UPN
	Usages []string `json:"usages,omitempty"` // both when empty
	Force  bool     `json:"force,omitempty"`  // also beside an imported certificate that holds
}

// SMIMERevokeRequest says why.
type SMIMERevokeRequest struct {
	Reason string `json:"reason,omitempty"` // as RFC 5280 spells it; unspecified when empty
}

func smimeKeyOf(k certs.SMIMEKey) SMIMEKey {
	return SMIMEKey{
		ID: k.ID, User: k.UPN, UserID: k.UserID, Usage: string(k.Usage), Source: string(k.Source), Current: k.Current,
		Subject: k.Subject, Mails: wire.List(k.Mails), SHA256: k.SHA256,
		NotBefore: k.NotBefore, NotAfter: k.NotAfter, CreatedAt: k.CreatedAt, RevokedAt: k.RevokedAt,
	}
}

func smimeKeysOf(list []certs.SMIMEKey) []SMIMEKey {
	out := make([]SMIMEKey, len(list))
	for i, k := range list {
		out[i] = smimeKeyOf(k)
	}
	return out
}

// ListSMIME answers GET /api/v1/smime.
func (a *API) ListSMIME(w http.ResponseWriter, r *http.Request) error {
	values, err := wire.Query(r, "user", "expiring_before", "after", "limit")
	if err != nil {
		return err
	}
	page, err := wire.PageOf(values)
	if err != nil {
		return err
	}
	before, err := wire.Time("expiring_before", values["expiring_before"])
	if err != nil {
		return err
	}
	list, err := a.d.SMIME.List(r.Context(), values["user"], certs.SMIMEFilter{ExpiringBefore: before, After: page.After, Limit: page.Limit})
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, SMIMEKeys{
		Keys: smimeKeysOf(list), Next: wire.Next(list, page.Limit, func(k certs.SMIMEKey) string { return k.ID }),
	})
}

// ImportSMIME answers POST /api/v1/smime/import.
func (a *API) ImportSMIME(w http.ResponseWriter, r *http.Request) error {
	var in SMIMEImportRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	files := make([]certs.SMIMEFile, len(in.Files))
	for i, f := range in.Files {
		files[i] = certs.SMIMEFile{Line: f.Line, Mail: f.Mail, Former: f.Former, Name: f.File, Data: f.Data, Password: secret.New(f.Password)}
	}
	results, err := a.d.SMIME.Import(r.Context(), files, in.DryRun)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusOK, smimeImportedOf(results))
}

func smimeImportedOf(results []certs.SMIMEImportResult) SMIMEImported {
	out := SMIMEImported{Results: make([]SMIMEImportResult, len(results))}
	for i, r := range results {
		one := SMIMEImportResult{Line: r.Line, Mail: r.Mail, File: r.File, Outcome: string(r.Outcome), Keys: smimeKeysOf(r.Keys)}
		switch r.Outcome {
		case certs.SMIMEAdded:
			out.Added++
		case certs.SMIMEKnown:
			out.Known++
		case certs.SMIMERefused:
			out.Refused++
			one.Field, one.Reason, one.Remedy = r.Refused.Field, r.Refused.Reason, r.Refused.Remedy
		}
		out.Results[i] = one
	}
	return out
}

// IssueSMIME answers POST /api/v1/smime/issue.
func (a *API) IssueSMIME(w http.ResponseWriter, r *http.Request) error {
	var in SMIMEIssueRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	if in.User == "" {
		return refusal.New(problem.ErrMalformed, "user", "is missing", "give a UPN")
	}
	ask := certs.SMIMEIssue{UPN: in.User, Force: in.Force}
	for _, u := range in.Usages {
		ask.Usages = append(ask.Usages, certs.SMIMEUsage(u))
	}
	list, err := a.d.SMIME.Issue(r.Context(), ask)
	if err != nil {
		return err
	}
	return wire.WriteJSON(w, http.StatusCreated, SMIMEKeys{Keys: smimeKeysOf(list)})
}

// RevokeSMIME answers POST /api/v1/smime/{id}/revoke.
func (a *API) RevokeSMIME(w http.ResponseWriter, r *http.Request) error {
	var in SMIMERevokeRequest
	if err := wire.ReadJSON(r, &in); err != nil {
		return err
	}
	reason, err := certs.ParseReason(in.Reason)
	if err != nil {
		return err
	}
	if err := a.d.SMIME.Revoke(r.Context(), r.PathValue("id"), reason); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
