package certs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
)

var (
	// ErrSMIME says that what was asked of S/MIME keys cannot be.
	ErrSMIME = errors.New("S/MIME request refused")
	// ErrSMIMEConflict says that what is on record stands against it.
	ErrSMIMEConflict = errors.New("S/MIME keys stand against it")
	// ErrExportNotFound says that no such export is on record.
	ErrExportNotFound = errors.New("no such export")
	// ErrExportNotReady says that an export waits for the second owner, was taken
	// already, or has expired.
	ErrExportNotReady = errors.New("export cannot be taken")
	// ErrSameHand says that who asked for an export cannot be the one who approves it.
	ErrSameHand = errors.New("the second owner must be another person")
)

// SMIMEUsage is what an S/MIME key is for.
type SMIMEUsage string

const (
	SMIMESigning    SMIMEUsage = "signing"
	SMIMEEncryption SMIMEUsage = "encryption"
)

// SMIMESource is where an S/MIME key comes from.
type SMIMESource string

const (
	SMIMEIssued   SMIMESource = "issued"   // by our CA
	SMIMEImported SMIMESource = "imported" // as a PKCS#12 file
	SMIMEFormer   SMIMESource = "former"   // as a PKCS#12 file, of an address that the user once had: history for ever
)

// SMIMEKey is a user's key and certificate for mail. Of each usage one is
// current: the one that begins last of those that are neither revoked nor
// replaced by an import; the others are history. History of encryption is
// delivered too, so that old mail can be read on a new phone; that of signing is not.
//
// An import replaces what we issued before it for that usage, if it was valid when it
// came: an old certificate that is imported for the sake of old mail is history. What is
// of a former address is that whatever its time, and replaces nothing.
type SMIMEKey struct {
	ID          string // UUIDv7
	UserID      string
	UPN         string // of the user; filled by the store on reading, empty for a removed one
	Usage       SMIMEUsage
	Source      SMIMESource
	Certificate []byte   // DER
	Chain       [][]byte // DER, from the issuer up; may be empty
	Key         []byte   // PKCS#8 DER; the store seals it. Nil wherever keys were not asked for
	SHA256      string   // lower-case hex of Certificate
	Subject     string
	Mails       []string // rfc822Names, and addresses in the Subject
	NotBefore   time.Time
	NotAfter    time.Time
	CreatedAt   time.Time
	RevokedAt   time.Time // zero while valid
	Current     bool      // derived; not stored
}

// SMIMEFilter selects keys. Zero fields select everything.
type SMIMEFilter struct {
	UserID         string
	ExpiringBefore time.Time // only current ones that end before
	After          string    // ID, paging cursor
	Limit          int       // 1-1000, 0 = 100
}

// SMIMEExport is a wish to take a private key out. It is taken once, by the
// token that asked, within its time, and only after another owner approved it.
type SMIMEExport struct {
	ID          string // UUIDv7
	UserID      string
	KeyIDs      []string
	Reason      string // as the admin gave it
	RequestedBy string // owner of the token
	// RequestedToken is that token's ID: any admin can make another one in the same
	// name. Empty on rows older than this field, which nobody can take.
	RequestedToken string
	RequestedAt    time.Time
	ExpiresAt      time.Time
	ApprovedBy     string // empty until then
	ApprovedAt     time.Time
	TakenAt        time.Time
}

// Format prints whose key it is, and nothing of its content.
func (k SMIMEKey) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "S/MIME key %s for %s of user %s", k.ID, k.Usage, k.UserID)
}

// SMIMEStore keeps S/MIME keys, sealed. internal/store implements it.
//
// When a user is removed (directory.Store), what signs for them is deleted. What
// their mail was encrypted to stays, revoked: without it nobody could ever read that
// mail again. A restore ends every export that was not taken: it may have been since.
type SMIMEStore interface {
	// SaveSMIME adds keys, all or none, with the entries and, for each phone of
	// their users, an EventUserChanged; directory.ErrNotFound when a user is unknown. A key whose
	// certificate the user has already for that usage is left as it is and counts as
	// not added; so is an issued one that begins within an hour of another issued one,
	// not revoked and for the same addresses, as two phones may ask at once. Nothing is
	// written when none is added. What we issued becomes a Certificate too, so that it
	// can be listed, revoked, and found on the CRL.
	SaveSMIME(ctx context.Context, keys []SMIMEKey, entries []audit.Entry) (added int, err error)
	// ListSMIME returns keys without Key, in the order of ID.
	ListSMIME(ctx context.Context, f SMIMEFilter) ([]SMIMEKey, error)
	// SMIMEKeys returns these keys of one user with Key; ErrNotFound when one is not his.
	SMIMEKeys(ctx context.Context, userID string, ids []string) ([]SMIMEKey, error)
	// RevokeSMIME marks every key of that key's certificate, and the Certificate where
	// it is ours, with the entry and the events as above. One that is revoked already
	// stays as it is, and nothing is written; ErrNotFound when unknown. ReasonKeyCompromise
	// reaches whatever else there is of the key, as RevocationStore.Revoke does.
	RevokeSMIME(ctx context.Context, id string, reason RevocationReason, now time.Time, entry audit.Entry) error

	// SaveExport adds an export, with the entry.
	SaveExport(ctx context.Context, e SMIMEExport, entry audit.Entry) error
	// Export returns ErrExportNotFound when unknown.
	Export(ctx context.Context, id string) (SMIMEExport, error)
	// ListExports returns them newest first.
	ListExports(ctx context.Context, limit int) ([]SMIMEExport, error)
	// ApproveExport sets who approved, once; ErrExportNotReady when it is approved, taken or expired at now.
	// ErrExportNotFound, of this and of TakeExport, when it is unknown.
	ApproveExport(ctx context.Context, id, by string, now time.Time, entry audit.Entry) error
	// TakeExport sets TakenAt, once; ErrExportNotReady unless it is approved, not taken and not expired at now.
	TakeExport(ctx context.Context, id string, now time.Time, entry audit.Entry) error
}
