package certs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"software.sslmate.com/src/go-pkcs12"

	"sallyport/internal/audit"
	"sallyport/internal/auth"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

const (
	exportTTL       = 24 * time.Hour
	maxReason       = 500 // bytes
	maxExported     = 100 // keys
	minFilePassword = 12  // bytes: the file lies on a disk afterwards
	maxFilePassword = 1024

	// exportIterations is for a password that a person chose; a payload's is random.
	exportIterations = 50_000
)

// SMIMEExportRequest asks for private keys of one user.
type SMIMEExportRequest struct {
	UPN    string
	UserID string   // instead of UPN: of a user who was removed
	KeyIDs []string // all of theirs when empty
	Reason string
}

// SMIMEFileOut is an exported key.
type SMIMEFileOut struct {
	Key  SMIMEKey // without the private part
	Data []byte   // PKCS#12
}

// State is requested, approved, taken or expired.
func (e SMIMEExport) State(now time.Time) string {
	switch {
	case !e.TakenAt.IsZero():
		return "taken"
	case !now.Before(e.ExpiresAt):
		return "expired"
	case e.ApprovedBy != "":
		return "approved"
	}
	return "requested"
}

// RequestExport notes that the caller, who shows a token, wants private keys of a
// user, and why. They leave only after Approve and Take, within a day.
func (s *SMIME) RequestExport(ctx context.Context, r SMIMEExportRequest) (SMIMEExport, error) {
	token, ok := tokenOf(ctx)
	if !ok {
		return SMIMEExport{}, refusal.New(auth.ErrForbidden, "", "nobody asks for this export", "use a token with the role admin")
	}
	if why := exportReason(r.Reason); why != nil {
		return SMIMEExport{}, why
	}
	if r.UPN != "" {
		u, err := s.user(ctx, r.UPN)
		if err != nil {
			return SMIMEExport{}, err
		}
		r.UserID = string(u.ID)
	}
	if r.UserID == "" {
		return SMIMEExport{}, refusal.New(ErrSMIME, "user", "is missing", "say whose keys")
	}
	ids, err := s.exported(ctx, r)
	if err != nil {
		return SMIMEExport{}, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return SMIMEExport{}, fmt.Errorf("make identifier: %w", err)
	}
	now := s.now()
	e := SMIMEExport{
		ID: id.String(), UserID: r.UserID, KeyIDs: ids, Reason: r.Reason,
		RequestedBy: audit.Actor(ctx), RequestedToken: token, RequestedAt: now, ExpiresAt: now.Add(exportTTL),
	}
	entry := audit.New(ctx, now, "smime.export.request", e.ID, audit.Done,
		"user", e.UserID, "keys", strings.Join(ids, " "), "reason", e.Reason, "token", token)
	if err := s.Store.SaveExport(ctx, e, entry); err != nil {
		return SMIMEExport{}, fmt.Errorf("save export: %w", err)
	}
	return e, nil
}

// tokenOf is the ID of the token that the caller has shown.
func tokenOf(ctx context.Context) (string, bool) {
	p, ok := auth.PrincipalFrom(ctx)
	return p.TokenID, ok && p.TokenID != ""
}

func exportReason(reason string) *refusal.Error {
	if strings.TrimSpace(reason) == "" {
		return refusal.New(ErrSMIME, "reason", "is missing", "say why the key has to leave; it stands in the trail")
	}
	return refusal.Line(ErrSMIME, "reason", reason, maxReason)
}

// exported are the keys that a request means.
func (s *SMIME) exported(ctx context.Context, r SMIMEExportRequest) ([]string, error) {
	known, err := s.all(ctx, r.UserID)
	if err != nil {
		return nil, err
	}
	var theirs []string
	for _, k := range known {
		theirs = append(theirs, k.ID)
	}
	ids := r.KeyIDs
	if len(ids) == 0 {
		ids = theirs
	}
	for _, id := range ids {
		if !slices.Contains(theirs, id) {
			return nil, refusal.New(ErrNotFound, "keys", "names a key that this user does not have", "see: sallyport smime list")
		}
	}
	switch {
	case len(ids) == 0:
		return nil, refusal.New(ErrNotFound, "user", "has no S/MIME keys", "see: sallyport smime list")
	case len(ids) > maxExported:
		return nil, refusal.New(ErrSMIME, "keys", fmt.Sprintf("are %d", len(ids)), fmt.Sprintf("name at most %d", maxExported))
	}
	return ids, nil
}

// Exports returns what was asked for, newest first.
func (s *SMIME) Exports(ctx context.Context, limit int) ([]SMIMEExport, error) {
	list, err := s.Store.ListExports(ctx, limit)
	if err != nil {
		return nil, fmt.Errorf("list exports: %w", err)
	}
	return list, nil
}

// ApproveExport has a second owner agree. Who asked cannot, nor may both be in one hand.
func (s *SMIME) ApproveExport(ctx context.Context, id string) (SMIMEExport, error) {
	const action = "smime.export.approve"
	e, err := s.export(ctx, id)
	if err != nil {
		return SMIMEExport{}, err
	}
	now, by := s.now(), audit.Actor(ctx)
	if e.State(now) != "requested" {
		return e, s.refused(ctx, action, id, notReady("does not wait for anybody's consent: it is "+e.State(now)))
	}
	if err := s.twoHands(ctx, e.RequestedBy, by); err != nil {
		return e, s.refused(ctx, action, id, err)
	}
	entry := audit.New(ctx, now, action, id, audit.Done, "user", e.UserID, "requested_by", e.RequestedBy)
	if err := s.Store.ApproveExport(ctx, id, by, now, entry); err != nil {
		return e, s.refused(ctx, action, id, moved(err))
	}
	return s.export(ctx, id)
}

func (s *SMIME) twoHands(ctx context.Context, requester, approver string) error {
	same, err := s.Hands.SameHand(ctx, requester, approver)
	switch {
	case err != nil:
		return fmt.Errorf("tell %s from %s: %w", approver, requester, err)
	case same && strings.EqualFold(strings.TrimSpace(requester), strings.TrimSpace(approver)):
		return refusal.New(ErrSameHand, "", "you asked for it yourself, as "+requester, "have an admin agree whose token has another owner and was made by somebody else")
	case same:
		return refusal.New(ErrSameHand, "", fmt.Sprintf("the tokens of %s and %s are in one hand, or may be: one of them made the other's, or a third made both", requester, approver),
			"use an admin token of another owner that somebody else made")
	}
	return nil
}

// TakeExport hands out the keys, once, to who asked for them: whoever shows the same
// token. A name proves nothing here, as a third admin could make himself a token in
// it and would have the keys by the consent that another one got. They are read and
// encoded before it is noted that they were taken, and leave after.
func (s *SMIME) TakeExport(ctx context.Context, id string, password secret.Value, legacy bool) ([]SMIMEFileOut, error) {
	const action = "smime.export.take"
	e, err := s.export(ctx, id)
	if err != nil {
		return nil, err
	}
	now := s.now()
	token, _ := tokenOf(ctx)
	switch state := e.State(now); {
	case token == "" || token != e.RequestedToken:
		err = refusal.New(auth.ErrForbidden, "", "only the token that asked for an export may take it",
			"use the one that "+e.RequestedBy+" asked with, or ask again")
	case state == "requested":
		err = notReady("waits for the consent of a second owner")
	case state != "approved":
		err = notReady("is " + state)
	default: // who approved may have made a token in the other's name since
		err = s.twoHands(ctx, e.RequestedBy, e.ApprovedBy)
	}
	if err != nil {
		return nil, s.refused(ctx, action, id, err)
	}
	if why := filePassword(password); why != nil {
		return nil, why
	}
	out, err := s.encodeAll(ctx, e, password, legacy)
	if err != nil {
		return nil, err
	}
	entry := audit.New(ctx, now, action, id, audit.Done, "user", e.UserID, "keys", strings.Join(e.KeyIDs, " "),
		"reason", e.Reason, "approved_by", e.ApprovedBy)
	if err := s.Store.TakeExport(ctx, id, now, entry); err != nil {
		return nil, s.refused(ctx, action, id, moved(err))
	}
	return out, nil
}

func (s *SMIME) encodeAll(ctx context.Context, e SMIMEExport, password secret.Value, legacy bool) ([]SMIMEFileOut, error) {
	keys, err := s.Store.SMIMEKeys(ctx, e.UserID, e.KeyIDs)
	if err != nil {
		return nil, fmt.Errorf("read S/MIME keys: %w", err)
	}
	encoder := pkcs12.Modern2023.WithIterations(exportIterations)
	if legacy {
		encoder = pkcs12.LegacyDES
	}
	done, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	out := make([]SMIMEFileOut, 0, len(keys))
	for _, k := range keys {
		data, err := k.encode(encoder, password)
		if err != nil {
			return nil, err
		}
		k.Key = nil
		out = append(out, SMIMEFileOut{Key: k, Data: data})
	}
	return out, nil
}

// filePassword never shows the value, nor which character of it is wrong.
func filePassword(password secret.Value) *refusal.Error {
	value := password.Reveal()
	if len(value) < minFilePassword || refusal.Line(ErrSMIME, "", value, maxFilePassword) != nil {
		return refusal.New(ErrSMIME, "password", "cannot be that of a file which holds a private key",
			fmt.Sprintf("use one line of text of %d to %d bytes", minFilePassword, maxFilePassword))
	}
	return nil
}

func (s *SMIME) export(ctx context.Context, id string) (SMIMEExport, error) {
	e, err := s.Store.Export(ctx, id)
	if err != nil {
		return e, moved(err)
	}
	return e, nil
}

func notReady(reason string) *refusal.Error {
	return refusal.New(ErrExportNotReady, "id", reason, "see: sallyport smime export list")
}

// moved is what stood in an export's way.
func moved(err error) error {
	switch {
	case errors.Is(err, ErrExportNotFound):
		return refusal.New(ErrExportNotFound, "id", "there is no such export", "see: sallyport smime export list")
	case errors.Is(err, ErrExportNotReady):
		return notReady("was approved, taken or has expired meanwhile")
	}
	return fmt.Errorf("change export: %w", err)
}
