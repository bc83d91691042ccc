package enroll

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/logkey"
	"sallyport/internal/secret"
	"sallyport/mdm"
	"sallyport/templates"
)

// SMIMESource keeps users' S/MIME keys. *certs.SMIME is one.
type SMIMESource interface {
	// Ensure returns a user's keys for these usages, without Key: of each usage the
	// current one, made by our CA where there is none or it is due to be renewed,
	// and all earlier ones for encryption. mail is the address of the user's mailbox.
	Ensure(ctx context.Context, userID, upn, mail string, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error)
	// Known returns what of it is on record already, and makes nothing: what phones
	// of the user hold by now. A key stays in use beyond its end until Ensure has
	// put another in its place.
	Known(ctx context.Context, userID, mail string, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error)
	// Renewed returns what phones may still hold: the keys before each renewal of the
	// last time that Ensure made by itself, newest first.
	Renewed(ctx context.Context, userID, mail string, usages []certs.SMIMEUsage, within time.Duration) ([]certs.SMIMERenewal, error)
	// PKCS12 returns one key with its certificate as a PKCS#12 file, which password
	// opens; with legacy in ciphers that iOS before 15 knows.
	PKCS12(ctx context.Context, userID, keyID string, password secret.Value, legacy bool) ([]byte, error)
}

var _ SMIMESource = (*certs.SMIME)(nil)

// errUnmade marks keys that cannot be made: profiles that need them are left out,
// and all else goes on.
var errUnmade = errors.New("make S/MIME keys")

// errNoSMIME says that a template asks for what this server does not have.
var errNoSMIME = fmt.Errorf("%w: the server keeps none", errUnmade)

// keyLookup finds the S/MIME keys of a user. Where nothing needs one, nobody is asked.
type keyLookup func(ctx context.Context, u directory.User, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error)

// smimeKeys returns the keys that a user's templates need, and has those made that
// are not there: for who delivers them, to a phone that waits. Making one takes a
// core for long, and whoever judges or shows many phones, one after the other,
// would keep the others waiting.
func (s *Service) smimeKeys(ctx context.Context, u directory.User, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error) {
	if len(usages) == 0 {
		return nil, nil
	}
	if s.SMIME == nil {
		return nil, errNoSMIME
	}
	keys, err := s.SMIME.Ensure(ctx, string(u.ID), u.UPN, u.Email, usages)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnmade, err)
	}
	return keys, nil
}

// knownKeys returns those that are there: for who only looks.
func (s *Service) knownKeys(ctx context.Context, u directory.User, usages []certs.SMIMEUsage) ([]certs.SMIMEKey, error) {
	if len(usages) == 0 || s.SMIME == nil {
		return nil, nil
	}
	keys, err := s.SMIME.Known(ctx, string(u.ID), u.Email, usages)
	if err != nil {
		return nil, fmt.Errorf("look up S/MIME keys: %w", err)
	}
	return keys, nil
}

// canMake reports whether a key that is not there would be made for the user.
func (s *Service) canMake(u directory.User) bool {
	return s.SMIME != nil && certs.RefuseSMIMEMail(u.Email) == nil
}

// usagesOf are what the templates that a user gets need S/MIME keys for.
func usagesOf(won []templates.Revision) []certs.SMIMEUsage {
	var usages []certs.SMIMEUsage
	for _, r := range won {
		usages = append(usages, r.Spec.SMIMEUsages()...)
	}
	return templates.UniqueUsages(usages)
}

// sameKeys reports whether both lists make the same profiles. Of a key nothing
// changes but whether it is the current one.
func sameKeys(a, b []certs.SMIMEKey) bool {
	return slices.EqualFunc(a, b, func(x, y certs.SMIMEKey) bool { return x.ID == y.ID && x.Current == y.Current })
}

// withKeys puts the user's S/MIME keys into what is about to be encrypted to the
// phone, each under a password that is known to nobody but this one profile.
// errUnrenderable when one cannot be opened: other profiles do not wait for it.
func (s *Service) withKeys(ctx context.Context, w *job, r templates.Rendered) (templates.Rendered, error) {
	if len(r.KeyIDs) == 0 {
		return r, nil
	}
	user, legacy := string(w.have.User.ID), before15(w.have.Report.Device)
	made, err := r.WithKeys(func(id string) ([]byte, secret.Value, error) {
		password := secret.New(base64.RawURLEncoding.EncodeToString(secret.Random(24)))
		file, err := s.SMIME.PKCS12(ctx, user, id, password, legacy)
		return file, password, err
	})
	switch {
	case err == nil:
		return made, nil
	case ctx.Err() != nil:
		return templates.Rendered{}, err
	}
	return templates.Rendered{}, fmt.Errorf("%w: user %s: %w", errUnrenderable, user, err)
}

// before15 reports whether the phone has said that it has an iOS which opens
// PKCS#12 files of the older kind only.
func before15(d *mdm.DeviceFacts) bool {
	if d == nil {
		return false
	}
	major, _, _ := strings.Cut(d.OSVersion, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n > 0 && n < 15
}

// withoutKeys says why a profile is left out, or stays as it was. Of a refusal
// the fields only: its text may hold a mail address.
func (s *Service) withoutKeys(ctx context.Context, what string, u directory.User, err error) {
	why := []any{logkey.Error, err}
	if names := fields(err); names != "" {
		why = []any{"fields", names}
	}
	s.log().ErrorContext(ctx, what, append(why, logkey.User, u.ID)...)
}
