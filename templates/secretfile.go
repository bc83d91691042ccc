package templates

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"sallyport/enroll/directory"
	"sallyport/internal/refusal"
)

// NewSecret checks material for one user as SetSecret does, for a rendering
// without a server. Its revision is a new one each time: no UUID of the profile
// tells two builds with the same password from two with different ones.
func NewSecret(in SecretInput, u directory.User, now time.Time) (Secret, error) {
	made := Secret{Name: in.Name, Kind: in.Kind, UserID: u.ID, UPN: u.UPN, Value: in.Value, Data: slices.Clone(in.Data), CreatedAt: now}
	if err := made.read(now); err != nil {
		return Secret{}, err
	}
	if refused := made.belongsTo(u, ErrInvalid, "data", u.UPN, u.Email); refused != nil {
		return Secret{}, refusal.List{refused}
	}
	id, err := uuid.NewV7()
	if err != nil {
		return Secret{}, fmt.Errorf("make revision of secret %s: %w", in.Name, err)
	}
	made.Revision = id.String()
	return made, nil
}
