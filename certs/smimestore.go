package certs

import (
	"context"
	"errors"
	"time"

	"sallyport/internal/audit"
)

var (
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
)

// SMIMEKey is a user's key and certificate for mail. Of each usage one is
// current: the one that begins last of those that are neither revoked nor
// replaced by an import; the others are history. History of encryption is
// delivered too, so that old mail can be read on a new phone; that of signing is not.
type SMIMEKey struct {
	ID          string // UUIDv7
	UserID      string
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
// owner who asked, within its time, and only after another owner approved it.
type SMIMEExport struct {
	ID          string // UUIDv7
	UserID      string
	KeyIDs      []string
	Reason      string // as the admin gave it
	RequestedBy string // owner of the token
	RequestedAt time.Time
	ExpiresAt   time.Time
	ApprovedBy  string // empty until then
	ApprovedAt  time.Time
	TakenAt     time.Time
}

// SMIMEStore keeps S/MIME keys, sealed. internal/store implements it.
type SMIMEStore interface {
	// SaveSMIME adds keys, all or none, with the entries and an
	// EventTemplateChange. A key whose certificate the user has already is left as
	// it is and counts as not added.
	SaveSMIME(ctx context.Context, keys []SMIMEKey, entries []audit.Entry) (added int, err error)
	// ListSMIME returns keys without Key, in the order of ID.
	ListSMIME(ctx context.Context, f SMIMEFilter) ([]SMIMEKey, error)
	// SMIMEKeys returns these keys of one user with Key; ErrNotFound when one is not his.
	SMIMEKeys(ctx context.Context, userID string, ids []string) ([]SMIMEKey, error)
	// RevokeSMIME marks a key, with the entry and an EventTemplateChange; ErrNotFound when unknown.
	RevokeSMIME(ctx context.Context, id string, reason RevocationReason, now time.Time, entry audit.Entry) error

	// SaveExport adds an export, with the entry.
	SaveExport(ctx context.Context, e SMIMEExport, entry audit.Entry) error
	// Export returns ErrNotFound when unknown.
	Export(ctx context.Context, id string) (SMIMEExport, error)
	// ListExports returns them newest first.
	ListExports(ctx context.Context, limit int) ([]SMIMEExport, error)
	// ApproveExport sets who approved, once; ErrExportNotReady when it is approved, taken or expired at now.
	ApproveExport(ctx context.Context, id, by string, now time.Time, entry audit.Entry) error
	// TakeExport sets TakenAt, once; ErrExportNotReady unless it is approved, not taken and not expired at now.
	TakeExport(ctx context.Context, id string, now time.Time, entry audit.Entry) error
}
