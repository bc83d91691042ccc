package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/hex"
	"errors"
	"maps"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/secret"
)

const othersOfKey = `SELECT ` + certificateColumns + ` FROM certs_certificates WHERE key_hash = $1 AND sha256 <> $2 ORDER BY sha256`

// loss is how far a lost key has been followed: from certificate to certificate of
// the same key, and from each to what was renewed by its signature, which whoever has
// the key can have signed with it.
type loss struct {
	now     time.Time
	entry   audit.Entry     // of the revocation that it began with
	met     map[string]bool // certificates and keys, by their SHA-256
	pending []lostCertificate
	revoked int
}

// lostCertificate is one of a key in other hands, under the name that entries know it by.
type lostCertificate struct {
	certs.Certificate
	name string
}

// loseKey revokes all that the key of c, once it is lost, may have brought to whoever
// has it. What a server of before ADR 0009 has claimed for it, and not recorded yet,
// comes to nothing. It returns how many certificates that were, each with an entry
// like the given one.
func (t *tx) loseKey(ctx context.Context, c certs.Certificate, now time.Time, entry audit.Entry) (int, error) {
	l := &loss{now: now, entry: entry, met: map[string]bool{c.SHA256: true}, pending: []lostCertificate{{c, entry.Target}}}
	for len(l.pending) > 0 {
		from := l.pending[0]
		l.pending = l.pending[1:]
		if err := t.loseSuccessor(ctx, l, from); err != nil {
			return 0, err
		}
		if err := t.loseSameKey(ctx, l, from); err != nil {
			return 0, err
		}
	}
	return l.revoked, nil
}

// loseSuccessor revokes what was renewed by the signature of a certificate. One that
// was revoked for another reason is not passed over: its key is in the same hands.
func (t *tx) loseSuccessor(ctx context.Context, l *loss, from lostCertificate) error {
	c, err := t.successor(ctx, from.SHA256)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil || !l.meet(c) {
		return err
	}
	marked, err := t.mark(ctx, c, certs.ReasonKeyCompromise, l.now)
	if err != nil || !marked {
		return err
	}
	return t.lost(ctx, l, c.SHA256, "renewed_from", from)
}

// loseSameKey revokes everything else that is certified of the key of a certificate,
// whoever it was issued to, and what the user has imported of it.
func (t *tx) loseSameKey(ctx context.Context, l *loss, from lostCertificate) error {
	key := keyHashOf(from.Certificate)
	raw, err := hex.DecodeString(key)
	if key == "" || err != nil || l.met[key] {
		return err
	}
	l.met[key] = true
	rows, err := t.QueryContext(ctx, othersOfKey, key, from.SHA256)
	others, err := collect(rows, err, scanCertificate)
	if err != nil {
		return err
	}
	var revoked []string
	for _, other := range others {
		if !l.meet(other) || !other.RevokedAt.IsZero() {
			continue
		}
		if _, err := t.mark(ctx, other, certs.ReasonKeyCompromise, l.now); err != nil {
			return err
		}
		revoked = append(revoked, other.SHA256)
	}
	imported, err := t.loseImported(ctx, from.Certificate, key, l.now)
	if err != nil {
		return err
	}
	for _, sha256 := range append(revoked, imported...) {
		if err := t.lost(ctx, l, sha256, "same_key_as", from); err != nil {
			return err
		}
	}
	return t.voidChallenges(ctx, l.now, `key_hash = $2`, raw)
}

// meet has a certificate followed, too, and reports whether it is met for the first time.
func (l *loss) meet(c certs.Certificate) bool {
	if l.met[c.SHA256] {
		return false
	}
	l.met[c.SHA256] = true
	l.pending = append(l.pending, lostCertificate{c, c.SHA256})
	return true
}

// lost writes the entry of a certificate that was revoked with another.
func (t *tx) lost(ctx context.Context, l *loss, sha256, relation string, from lostCertificate) error {
	l.revoked++
	e := l.entry
	detail := maps.Clone(e.Detail)
	if detail == nil {
		detail = map[string]string{}
	}
	detail[relation] = from.name
	e.Target, e.Detail = sha256, detail
	return t.audit(ctx, e)
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
