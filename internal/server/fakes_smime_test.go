package server

import (
	"context"

	"sallyport/certs"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
)

var aliceKey = certs.SMIMEKey{
	ID: "k1", UserID: "u1", UPN: "alice@example.test", Usage: certs.SMIMEEncryption, Source: certs.SMIMEImported, Current: true,
	SHA256: "ab", Subject: "CN=Alice", Mails: []string{"alice@example.test"}, NotBefore: noon, NotAfter: noon.AddDate(2, 0, 0), CreatedAt: noon,
}

var aliceExport = certs.SMIMEExport{
	ID: "x1", UserID: "u1", KeyIDs: []string{"k1"}, Reason: "lost phone", RequestedBy: "first", RequestedAt: noon, ExpiresAt: noon.AddDate(0, 0, 1),
	ApprovedBy: "second", ApprovedAt: noon,
}

type smimeFake struct{ w *world }

func (f smimeFake) List(context.Context, string, certs.SMIMEFilter) ([]certs.SMIMEKey, error) {
	return []certs.SMIMEKey{aliceKey}, f.w.did(false)
}

func (f smimeFake) Import(_ context.Context, files []certs.SMIMEFile, _ bool) ([]certs.SMIMEImportResult, error) {
	refused := certs.SMIMEImportResult{Line: 3, Mail: "bob@example.test", File: "bob.p12", Outcome: certs.SMIMERefused,
		Refused: refusal.New(certs.ErrSMIME, "password", "is not the password of this PKCS#12 file", "give the one that it was exported with")}
	added := certs.SMIMEImportResult{Line: files[0].Line, Mail: files[0].Mail, File: files[0].Name, Outcome: certs.SMIMEAdded, Keys: []certs.SMIMEKey{aliceKey}}
	return []certs.SMIMEImportResult{added, refused}, f.w.did(true)
}

func (f smimeFake) Issue(context.Context, certs.SMIMEIssue) ([]certs.SMIMEKey, error) {
	return []certs.SMIMEKey{aliceKey}, f.w.did(true)
}

func (f smimeFake) Revoke(context.Context, string, certs.RevocationReason) error {
	return f.w.did(true)
}

func (f smimeFake) RequestExport(context.Context, certs.SMIMEExportRequest) (certs.SMIMEExport, error) {
	return aliceExport, f.w.did(true)
}

func (f smimeFake) Exports(context.Context, int) ([]certs.SMIMEExport, error) {
	return []certs.SMIMEExport{aliceExport}, f.w.did(false)
}

func (f smimeFake) ApproveExport(context.Context, string) (certs.SMIMEExport, error) {
	return aliceExport, f.w.did(true)
}

func (f smimeFake) TakeExport(context.Context, string, secret.Value, bool) ([]certs.SMIMEFileOut, error) {
	return []certs.SMIMEFileOut{{Key: aliceKey, Data: []byte("p12")}}, f.w.did(true)
}
