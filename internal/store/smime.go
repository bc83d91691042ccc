package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

// SMIME keeps users' S/MIME keys, sealed, and the exports of them.
type SMIME struct{ db *DB }

var _ certs.SMIMEStore = (*SMIME)(nil)

// SMIME returns the store of S/MIME keys.
func (db *DB) SMIME() *SMIME { return &SMIME{db} }

const smimeTable = "certs_smime_keys"

// smimeRow is where a key is sealed for: whoever can write to the database cannot
// make one user's key another's.
func smimeRow(k certs.SMIMEKey) string { return k.ID + "/" + k.UserID }

// SaveSMIME adds keys, all or none.
func (s *SMIME) SaveSMIME(ctx context.Context, keys []certs.SMIMEKey, entries []audit.Entry) (int, error) {
	sealed := make([][]byte, len(keys))
	for i, k := range keys {
		var err error
		if sealed[i], err = s.db.options.Sealer.Seal(smimeTable, smimeRow(k), "private_key", k.Key); err != nil {
			return 0, fmt.Errorf("seal S/MIME key %s: %w", k.ID, err)
		}
	}
	var added int
	err := s.db.write(ctx, "save S/MIME keys", func(t *tx) error {
		added = 0
		var users []directory.UserID
		for i, k := range keys {
			if err := t.userExists(ctx, directory.UserID(k.UserID)); err != nil {
				return err
			}
			n, err := t.insertSMIME(ctx, k, sealed[i])
			if err != nil {
				return fmt.Errorf("key %s: %w", k.ID, err)
			}
			if added += int(n); n > 0 && !slices.Contains(users, directory.UserID(k.UserID)) {
				users = append(users, directory.UserID(k.UserID))
			}
		}
		if added == 0 {
			return errUnchanged
		}
		// Of the others' phones nothing changes: keys are made one user after the other.
		for _, id := range users {
			if err := t.emitUserChanged(ctx, id, t.db.now()); err != nil {
				return err
			}
		}
		return t.audit(ctx, entries...)
	})
	if err != nil {
		return 0, err
	}
	return added, nil
}

// twinWindow is how near to one another two phones of a user ask for the same key.
const twinWindow = time.Hour

func (t *tx) insertSMIME(ctx context.Context, k certs.SMIMEKey, sealed []byte) (int64, error) {
	var from, to int64
	if k.Source == certs.SMIMEIssued {
		from, to = micros(k.NotBefore.Add(-twinWindow)), micros(k.NotBefore.Add(twinWindow))
	}
	n, err := t.change(ctx, `INSERT INTO certs_smime_keys (id, user_id, usage, source, certificate, chain, private_key, sha256,
			subject, mails, not_before, not_after, created_at, revoked_at, reason)
		SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0
		WHERE NOT EXISTS (SELECT 1 FROM certs_smime_keys WHERE user_id = $2 AND usage = $3 AND source = $4
			AND revoked_at = 0 AND mails = $10 AND not_before > $15 AND not_before < $16)
		ON CONFLICT (user_id, usage, sha256) DO NOTHING`,
		k.ID, k.UserID, k.Usage, k.Source, k.Certificate, document{k.Chain}, sealed, k.SHA256,
		k.Subject, document{k.Mails}, micros(k.NotBefore), micros(k.NotAfter), micros(k.CreatedAt), micros(k.RevokedAt), from, to)
	if err != nil || n == 0 || k.Source != certs.SMIMEIssued {
		return n, err
	}
	row, err := k.Issued()
	if err != nil {
		return 0, err
	}
	_, err = t.insertCertificate(ctx, row, k.CreatedAt)
	return n, err
}

// What makes one key of a usage current (certs.SMIMEKey). o and i are other keys
// of the same user and usage.
const (
	smimeReplaced = `(%[1]s.source = 'issued' AND EXISTS (SELECT 1 FROM certs_smime_keys %[2]s WHERE %[2]s.user_id = %[1]s.user_id
		AND %[2]s.usage = %[1]s.usage AND %[2]s.source = 'imported' AND %[2]s.revoked_at = 0
		AND %[2]s.not_after > %[2]s.created_at AND %[2]s.id > %[1]s.id))`
	smimeCurrent = `(k.revoked_at = 0 AND k.source <> 'former' AND NOT %s AND NOT EXISTS (SELECT 1 FROM certs_smime_keys o
		WHERE o.user_id = k.user_id AND o.usage = k.usage AND o.revoked_at = 0 AND o.source <> 'former'
		AND (o.not_before > k.not_before OR o.not_before = k.not_before AND o.id > k.id) AND NOT %s))`

	smimeColumns = `k.id, k.user_id, COALESCE(u.upn, ''), k.usage, k.source, k.certificate, k.chain, k.sha256, k.subject, k.mails,
		k.not_before, k.not_after, k.created_at, k.revoked_at`
	smimeTables = ` FROM certs_smime_keys k LEFT JOIN directory_users u ON u.id = k.user_id AND u.removed_at = 0`
)

func smimeFields(k *certs.SMIMEKey) []any {
	return []any{&k.ID, &k.UserID, &k.UPN, &k.Usage, &k.Source, &k.Certificate, document{&k.Chain}, &k.SHA256, &k.Subject,
		document{&k.Mails}, stamp{&k.NotBefore}, stamp{&k.NotAfter}, stamp{&k.CreatedAt}, stamp{&k.RevokedAt}}
}

// isCurrent is the condition under which key k is the current one.
func isCurrent() string {
	return fmt.Sprintf(smimeCurrent, fmt.Sprintf(smimeReplaced, "k", "i"), fmt.Sprintf(smimeReplaced, "o", "i"))
}

// ListSMIME returns keys without Key, in the order of ID.
func (s *SMIME) ListSMIME(ctx context.Context, f certs.SMIMEFilter) ([]certs.SMIMEKey, error) {
	var w where
	if f.UserID != "" {
		w.add("k.user_id = ?", f.UserID)
	}
	if !f.ExpiringBefore.IsZero() {
		w.add("k.revoked_at = 0 AND k.not_after < ?", micros(f.ExpiringBefore))
		w.add(isCurrent())
	}
	if f.After != "" {
		w.add("k.id > ?", f.After)
	}
	rows, err := s.db.reader.QueryContext(ctx, `SELECT `+smimeColumns+`, `+isCurrent()+smimeTables+w.clause()+
		` ORDER BY k.id`+w.limit(pageLimit(f.Limit)), w.args...)
	list, err := collect(rows, err, func(row scanner) (certs.SMIMEKey, error) {
		var k certs.SMIMEKey
		err := row.Scan(append(smimeFields(&k), &k.Current)...)
		return k, err
	})
	if err != nil {
		return nil, fmt.Errorf("list S/MIME keys: %w", err)
	}
	return list, nil
}

// SMIMEKeys returns these keys of one user with Key, in the order of ids.
func (s *SMIME) SMIMEKeys(ctx context.Context, userID string, ids []string) ([]certs.SMIMEKey, error) {
	list := make([]certs.SMIMEKey, 0, len(ids))
	for _, id := range ids {
		k, err := s.openKey(ctx, userID, id)
		if err != nil {
			return nil, fmt.Errorf("load S/MIME key %s: %w", id, err)
		}
		list = append(list, k)
	}
	return list, nil
}

func (s *SMIME) openKey(ctx context.Context, userID, id string) (certs.SMIMEKey, error) {
	var k certs.SMIMEKey
	var sealed []byte
	err := s.db.reader.QueryRowContext(ctx, `SELECT `+smimeColumns+`, `+isCurrent()+`, k.private_key`+smimeTables+
		` WHERE k.id = $1 AND k.user_id = $2`, id, userID).Scan(append(smimeFields(&k), &k.Current, &sealed)...)
	if err != nil {
		return k, orNotFound(err, certs.ErrNotFound)
	}
	k.Key, err = s.db.options.Sealer.Open(smimeTable, smimeRow(k), "private_key", sealed)
	return k, err
}

// RevokeSMIME marks every key of that key's certificate.
func (s *SMIME) RevokeSMIME(ctx context.Context, id string, reason certs.RevocationReason, now time.Time, entry audit.Entry) error {
	return s.db.write(ctx, "revoke S/MIME key", func(t *tx) error {
		c := certs.Certificate{}
		err := t.QueryRowContext(ctx, `SELECT sha256, certificate, user_id FROM certs_smime_keys WHERE id = $1`, id).Scan(&c.SHA256, &c.DER, &c.UserID)
		if err != nil {
			return orNotFound(err, certs.ErrNotFound)
		}
		marked, err := t.markSMIME(ctx, c.SHA256, reason, now)
		if err != nil {
			return err
		}
		return t.revoked(ctx, c, marked, reason, now, entry)
	})
}

// markSMIME revokes the keys of a certificate, and the certificate where it is ours.
func (t *tx) markSMIME(ctx context.Context, sha256 string, reason certs.RevocationReason, now time.Time) (bool, error) {
	n, err := t.revokeSMIME(ctx, sha256, reason, now)
	if err != nil {
		return false, err
	}
	c, err := t.certificate(ctx, sha256)
	if errors.Is(err, certs.ErrNotFound) {
		return n > 0, nil
	}
	if err != nil {
		return false, err
	}
	marked, err := t.mark(ctx, c, reason, now)
	return marked || n > 0, err
}

// revokeSMIME marks the keys of a certificate, and says how many that were.
func (t *tx) revokeSMIME(ctx context.Context, sha256 string, reason certs.RevocationReason, now time.Time) (int64, error) {
	rows, err := t.QueryContext(ctx, `UPDATE certs_smime_keys SET revoked_at = $2, reason = $3 WHERE sha256 = $1 AND revoked_at = 0 RETURNING user_id`,
		sha256, micros(now), reason)
	users, err := collect(rows, err, func(row scanner) (id directory.UserID, err error) { err = row.Scan(&id); return id, err })
	if err != nil {
		return 0, err
	}
	n := int64(len(users))
	slices.Sort(users)
	for _, id := range slices.Compact(users) {
		if err := t.emitUserChanged(ctx, id, now); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// endSMIME is what becomes of a removed user's keys for mail.
func (t *tx) endSMIME(ctx context.Context, id directory.UserID, now time.Time) error {
	const reason = certs.ReasonAffiliationChanged
	if _, err := t.change(ctx, `DELETE FROM certs_smime_keys WHERE user_id = $1 AND usage = $2`, id, certs.SMIMESigning); err != nil {
		return err
	}
	_, err := t.change(ctx, `UPDATE certs_smime_keys SET revoked_at = $2, reason = $3 WHERE user_id = $1 AND revoked_at = 0`, id, micros(now), reason)
	return err
}
