package store

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"maps"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

const unrevokedOfKey = `SELECT ` + certificateColumns + ` FROM certs_certificates WHERE key_hash = $1 AND revoked_at = 0 AND sha256 <> $2 ORDER BY sha256`

// loseKey revokes everything else that is certified of the key of c, whoever it
// was issued to, and what the user has imported of it. What a server of before
// ADR 0009 has claimed for it, and not recorded yet, comes to nothing. It returns how
// many certificates that were, each with an entry like the given one.
func (t *tx) loseKey(ctx context.Context, c certs.Certificate, now time.Time, entry audit.Entry) (int, error) {
	key := keyHashOf(c)
	raw, err := hex.DecodeString(key)
	if key == "" || err != nil {
		return 0, err
	}
	rows, err := t.QueryContext(ctx, unrevokedOfKey, key, c.SHA256)
	others, err := collect(rows, err, scanCertificate)
	if err != nil {
		return 0, err
	}
	revoked := make([]string, 0, len(others))
	for _, other := range others {
		if _, err := t.mark(ctx, other, certs.ReasonKeyCompromise, now); err != nil {
			return 0, err
		}
		revoked = append(revoked, other.SHA256)
	}
	imported, err := t.loseImported(ctx, c, key, now)
	if err != nil {
		return 0, err
	}
	revoked = append(revoked, imported...)
	for _, sha256 := range revoked {
		if err := t.audit(ctx, ofSameKey(entry, sha256)); err != nil {
			return 0, err
		}
	}
	return len(revoked), t.voidChallenges(ctx, now, `key_hash = $2`, raw)
}

// loseImported revokes the other S/MIME certificates of that user and key that
// are from elsewhere: their rows do not name the key.
func (t *tx) loseImported(ctx context.Context, lost certs.Certificate, key string, now time.Time) ([]string, error) {
	rows, err := t.QueryContext(ctx, `SELECT DISTINCT sha256, certificate FROM certs_smime_keys WHERE user_id = $1 AND revoked_at = 0 AND sha256 <> $2 ORDER BY sha256`,
		lost.UserID, lost.SHA256)
	list, err := collect(rows, err, func(row scanner) (c certs.Certificate, err error) { return c, row.Scan(&c.SHA256, &c.DER) })
	var revoked []string
	for _, c := range list {
		if err == nil && keyHashOf(c) == key {
			_, err = t.revokeSMIME(ctx, c.SHA256, certs.ReasonKeyCompromise, now)
			revoked = append(revoked, c.SHA256)
		}
	}
	return revoked, err
}

// ofSameKey is the entry for another certificate of the same key.
func ofSameKey(e audit.Entry, sha256 string) audit.Entry {
	detail := maps.Clone(e.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail["same_key_as"] = e.Target
	e.Target, e.Detail = sha256, detail
	return e
}

// keyHashOf is the hash of a certificate's key, from the certificate itself where
// its row does not say; empty for one that cannot be read.
func keyHashOf(c certs.Certificate) string {
	if c.KeyHash != "" {
		return c.KeyHash
	}
	parsed, err := x509.ParseCertificate(c.DER)
	if err != nil {
		return ""
	}
	return hex.EncodeToString(secret.Hash(string(parsed.RawSubjectPublicKeyInfo)))
}
