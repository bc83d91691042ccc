package enroll

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/bounded"
	"sallyport/internal/refusal"
	"sallyport/internal/secret"
	"sallyport/mdm/android"
)

// ErrNotification says that what came to Google's address is no notification.
var ErrNotification = errors.New("notification cannot be read")

// Notified takes one notification of Google's. ErrNotFound where key is not the
// secret of our address, ErrNotification where the body is none;
// android.ErrUnknownOperation asks Google to come again. What concerns other
// enterprises, or devices that nothing ties to us, is taken and ignored.
func (a *Androids) Notified(ctx context.Context, key string, body []byte) error {
	e, err := a.Enterprises.AndroidEnterprise(ctx)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return fmt.Errorf("look up android enterprise: %w", err)
	}
	// Compared by hash: neither length nor time tells anything of the secret.
	if errors.Is(err, ErrNotFound) || e.Secret.IsZero() || !hmac.Equal(secret.Hash(key), secret.Hash(e.Secret.Reveal())) {
		return refusal.New(ErrNotFound, "", "there is nothing here", "")
	}
	if now := a.now(); now.Sub(e.NotifiedAt) >= time.Minute {
		if err := a.Phones.NoteNotified(ctx, now); err != nil {
			return fmt.Errorf("note that Google told of something: %w", err)
		}
	}
	n, err := android.ParseNotification(body)
	if err != nil {
		if errors.Is(err, android.ErrNotification) || errors.Is(err, bounded.ErrTooLarge) || errors.Is(err, bounded.ErrTooDeep) {
			return a.malformed(ctx, e, err)
		}
		return fmt.Errorf("read notification: %w", err)
	}
	switch {
	case n.Kind == android.NotifiedTest || n.Kind == android.NotifiedOther || n.Enterprise != e.Name:
		return nil
	case n.Outcome != nil:
		return a.Done(ctx, *n.Outcome)
	case n.Phone != nil:
		if err := a.Met(ctx, *n.Phone); err != nil && !errors.Is(err, android.ErrUnknownPhone) {
			return err
		}
	}
	return nil
}

func (a *Androids) malformed(ctx context.Context, e AndroidEnterprise, err error) error {
	entry := audit.New(ctx, a.now(), "android.notification", e.Name, audit.Refused, "reason", err.Error())
	if err := a.Service.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("audit notification: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrNotification, err)
}
