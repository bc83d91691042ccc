package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/enroll"
	"sallyport/internal/audit"
	"sallyport/mdm"
	"sallyport/profiles/managedconfig"
)

var _ enroll.AndroidCompanionStore = (*Android)(nil)

// companionPackage is the app's name as a column of any query; empty while there is none.
const companionPackage = `COALESCE((SELECT package FROM enroll_android_companions), '')`

// AndroidCompanion returns the companion app.
func (s *Android) AndroidCompanion(ctx context.Context) (enroll.AndroidCompanion, error) {
	var c enroll.AndroidCompanion
	err := s.db.reader.QueryRowContext(ctx, `SELECT package, set_at FROM enroll_android_companions`).Scan(&c.Package, stamp{&c.SetAt})
	if err != nil {
		return enroll.AndroidCompanion{}, fmt.Errorf("load companion app: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return c, nil
}

// SetAndroidCompanion takes the place of the one before.
func (s *Android) SetAndroidCompanion(ctx context.Context, c enroll.AndroidCompanion, entry audit.Entry) error {
	return s.db.write(ctx, "set companion app", func(t *tx) error {
		n, err := t.change(ctx, `INSERT INTO enroll_android_companions (id, package, set_at) VALUES ('companion', $1, $2)
			ON CONFLICT (id) DO UPDATE SET package = excluded.package, set_at = excluded.set_at
			WHERE enroll_android_companions.package <> excluded.package`, c.Package, micros(c.SetAt))
		if err != nil || n == 0 {
			return unchanged(err)
		}
		if _, err := t.policiesDue(ctx, c.SetAt, ``); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// RemoveAndroidCompanion forgets it.
func (s *Android) RemoveAndroidCompanion(ctx context.Context, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "remove companion app", func(t *tx) error {
		n, err := t.change(ctx, `DELETE FROM enroll_android_companions`)
		if err == nil && n == 0 {
			err = enroll.ErrNotFound
		}
		if err != nil {
			return err
		}
		if _, err := t.policiesDue(ctx, now, ``); err != nil {
			return err
		}
		return t.audit(ctx, entry)
	})
}

// SaveAndroidKey notes what the app on a phone tells of a key.
func (s *Android) SaveAndroidKey(ctx context.Context, id mdm.EnrollmentID, k enroll.AndroidKey, entry audit.Entry) error {
	k.At = whole(k.At)
	return s.db.write(ctx, "save android key", func(t *tx) error {
		e, err := t.enrollment(ctx, id)
		if err != nil {
			return err
		}
		if !e.State.Active() {
			return fmt.Errorf("enrolment is %s: %w", e.State, enroll.ErrConflict)
		}
		r, err := t.report(ctx, id)
		if err != nil {
			return err
		}
		before := r.Key(k.Alias)
		after, err := t.toldKey(ctx, id, before, k)
		if err != nil {
			return err
		}
		if after == before {
			return errUnchanged
		}
		r = withKey(r, after, k)
		if err := t.followKey(ctx, id, r, before, k); err != nil {
			return err
		}
		t.saveReport(id, r, k.At)
		t.emit(mdm.EventReported, id, k.At)
		return t.audit(ctx, entry)
	})
}

// toldKey is what is known of a key once its app has told of it.
func (t *tx) toldKey(ctx context.Context, id mdm.EnrollmentID, known mdm.KeyOnFile, k enroll.AndroidKey) (mdm.KeyOnFile, error) {
	if k.Gone && known.SHA256 == "" && known.Failure == "" {
		return known, nil
	}
	if known.Profile != k.Profile { // the alias was another mail account's
		known = mdm.KeyOnFile{Alias: k.Alias, Profile: k.Profile}
	}
	switch {
	case k.Gone:
		known = mdm.KeyOnFile{Alias: k.Alias, Profile: k.Profile, At: k.At}
	case k.SHA256 != "":
		notAfter, err := t.mailIdentity(ctx, id, k)
		if err != nil {
			return mdm.KeyOnFile{}, err
		}
		at := known.At
		if known.SHA256 != k.SHA256 {
			at = k.At
		}
		known = mdm.KeyOnFile{Alias: k.Alias, Profile: k.Profile, SHA256: k.SHA256, NotAfter: notAfter, At: at}
	case known.Failure != k.Failure:
		known.Failure, known.FailedAt = mdm.PhoneText(k.Failure), k.At
	}
	return known, nil
}

// mailIdentity makes sure that a certificate is one of this phone for that mail
// account, and good; it returns when it ends.
func (t *tx) mailIdentity(ctx context.Context, id mdm.EnrollmentID, k enroll.AndroidKey) (time.Time, error) {
	c, err := t.certificate(ctx, k.SHA256)
	switch {
	case errors.Is(err, certs.ErrNotFound), err == nil && (c.Rule != certs.RuleMailIdentity || c.EnrollmentID != string(id) || c.Profile != k.Profile):
		return time.Time{}, fmt.Errorf("no mail identity of this phone: %w", enroll.ErrConflict)
	case err != nil:
		return time.Time{}, err
	case !c.RevokedAt.IsZero() || !k.At.Before(c.NotAfter):
		return time.Time{}, fmt.Errorf("the certificate is revoked or has expired: %w", enroll.ErrConflict)
	}
	return c.NotAfter, nil
}

// withKey is a report with one key told anew, and the certificates that there are.
func withKey(r mdm.Report, told mdm.KeyOnFile, k enroll.AndroidKey) mdm.Report {
	keys := mdm.KeyFacts{At: k.At, Items: []mdm.KeyOnFile{}}
	if r.Keys != nil {
		keys.Items = slices.DeleteFunc(slices.Clone(r.Keys.Items), func(known mdm.KeyOnFile) bool { return known.Alias == k.Alias })
	}
	if !k.Gone || !k.Forget {
		keys.Items = append(keys.Items, told)
	}
	certificates := mdm.CertificateFacts{At: k.At, Items: []mdm.CertificateOnFile{}}
	for _, known := range keys.Items {
		if known.SHA256 != "" {
			certificates.Items = append(certificates.Items, mdm.CertificateOnFile{CommonName: known.Alias, Identity: true, SHA256: known.SHA256, NotAfter: known.NotAfter})
		}
	}
	r.Keys, r.Certificates = &keys, &certificates
	return r
}

// followKey revokes what nobody signs in with any more: what a new certificate
// takes the place of, or the one whose key is gone.
func (t *tx) followKey(ctx context.Context, id mdm.EnrollmentID, r mdm.Report, before mdm.KeyOnFile, k enroll.AndroidKey) error {
	switch {
	case k.Gone && before.SHA256 != "":
		if err := t.retireIdentities(ctx, id, []string{before.SHA256}, certs.ReasonCessationOfOperation, k.At); err != nil {
			return err
		}
		_, err := t.policiesDue(ctx, k.At, ` AND enrollment_id = $2`, id)
		return err
	case k.SHA256 != "":
		var listed []string
		for _, known := range r.Certificates.Items {
			listed = append(listed, known.SHA256)
		}
		old, err := predecessors(ctx, t, id, listed)
		if err != nil || len(old) == 0 {
			return err
		}
		return t.retireIdentities(ctx, id, old, certs.ReasonSuperseded, k.At)
	}
	return nil
}

// NewestMailIdentity finds what was issued to a phone last for one mail account.
func (s *Android) NewestMailIdentity(ctx context.Context, id mdm.EnrollmentID, profile string) (sum string, err error) {
	err = s.db.reader.QueryRowContext(ctx, `SELECT sha256 FROM certs_certificates
		WHERE enrollment_id = $1 AND rule = 'mail-identity' AND profile = $2 AND revoked_at = 0 ORDER BY issued_at DESC, sha256 DESC LIMIT 1`, id, profile).Scan(&sum)
	if err != nil {
		return "", fmt.Errorf("load newest mail identity: %w", orNotFound(err, enroll.ErrNotFound))
	}
	return sum, nil
}

// knoxIssued tells of what Samsung's plugin was given, which itself tells nobody.
func (t *tx) knoxIssued(ctx context.Context, c certs.Certificate, now time.Time) error {
	if c.Rule != certs.RuleMailIdentity || c.EnrollmentID == "" {
		return nil
	}
	var name string
	err := t.QueryRowContext(ctx, `SELECT `+companionPackage).Scan(&name)
	if err == nil && name == string(managedconfig.KnoxPackage) {
		t.emit(mdm.EventIdentity, mdm.EnrollmentID(c.EnrollmentID), now)
	}
	return err
}
