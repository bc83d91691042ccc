package certs

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"math/big"
	"sync"
	"time"
)

const (
	crlLife    = 24 * time.Hour // from ThisUpdate until NextUpdate
	crlRefresh = 12 * time.Hour // after which it is made anew, though nothing changed
)

// CRLs makes the certificate revocation lists of our issuing CAs (RFC 5280,
// section 5) for whoever else relies on our certificates; our own checks look at
// the rows. A list is made anew whenever a certificate was revoked, so that it is
// never older than the rows. It is safe for concurrent use, and makes one list at a time.
type CRLs struct {
	Authority *Authority
	Store     RevocationStore
	Now       func() time.Time // nil means time.Now

	mu    sync.Mutex
	lists map[string]*crlEntry // by issuing certificate, as hex of its SubjectKeyId
}

// crlEntry is what was made last. Whoever holds turn may look and make.
type crlEntry struct {
	turn       chan struct{}
	der        []byte
	number     *big.Int
	mark       RevocationMark
	made       time.Time
	nextUpdate time.Time
}

// CRL returns the list of the issuing certificate with this SubjectKeyId, in hex,
// and until when it is good. ErrNotFound when no such one is ours.
func (c *CRLs) CRL(ctx context.Context, issuerKeyID string) ([]byte, time.Time, error) {
	ca, ok := c.Authority.members().byKeyID(issuerKeyID)
	if !ok {
		return nil, time.Time{}, fmt.Errorf("%w: no issuing certificate of that key", ErrNotFound)
	}
	e := c.entry(issuerKeyID)
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return nil, time.Time{}, fmt.Errorf("make CRL: %w", ctx.Err())
	}
	if err := c.refresh(ctx, e, ca, issuerKeyID); err != nil {
		return nil, time.Time{}, fmt.Errorf("make CRL: %w", err)
	}
	return e.der, e.nextUpdate, nil
}

func (c *CRLs) entry(issuerKeyID string) *crlEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.lists[issuerKeyID]
	if e == nil {
		e = &crlEntry{turn: make(chan struct{}, 1)}
		if c.lists == nil {
			c.lists = map[string]*crlEntry{}
		}
		c.lists[issuerKeyID] = e
	}
	return e
}

func (c *CRLs) now() time.Time {
	if c.Now == nil {
		return time.Now().UTC()
	}
	return c.Now().UTC()
}

// refresh makes the list where the one on hand is not the latest. The mark is
// read first: what is revoked meanwhile changes it, and the next caller sees that.
func (c *CRLs) refresh(ctx context.Context, e *crlEntry, ca member, issuerKeyID string) error {
	mark, err := c.Store.RevocationMark(ctx)
	if err != nil {
		return err
	}
	now := c.now()
	age := now.Sub(e.made)
	if e.der != nil && mark.equal(e.mark) && age >= 0 && age < crlRefresh {
		return nil
	}
	// What has expired stays for one list more (RFC 5280, section 3.3).
	revoked, err := c.Store.RevokedBy(ctx, issuerKeyID, now.Add(-crlLife))
	if err != nil {
		return err
	}
	list, err := revocationList(revoked, now, e.number)
	if err != nil {
		return err
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, ca.cert, ca.key)
	if err != nil {
		return err
	}
	e.der, e.number, e.mark, e.made, e.nextUpdate = der, list.Number, mark, now, list.NextUpdate
	return nil
}

func (m RevocationMark) equal(other RevocationMark) bool {
	return m.Count == other.Count && m.Last.Equal(other.Last) && m.Raised == other.Raised
}

// revocationList is numbered by the time, in microseconds, and always beyond the
// number before: it grows over restarts, and on several servers, with no counter to keep.
func revocationList(revoked []Revoked, now time.Time, before *big.Int) (*x509.RevocationList, error) {
	from := now.Add(-backdate).Truncate(time.Second) // a clock may be a little slow
	list := &x509.RevocationList{Number: big.NewInt(now.UnixMicro()), ThisUpdate: from, NextUpdate: from.Add(crlLife)}
	if before != nil && list.Number.Cmp(before) <= 0 {
		list.Number = new(big.Int).Add(before, big.NewInt(1))
	}
	for _, r := range revoked {
		serial, ok := new(big.Int).SetString(r.Serial, 16)
		if !ok {
			return nil, fmt.Errorf("serial %q is not hexadecimal", r.Serial)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{
			SerialNumber: serial, RevocationTime: r.RevokedAt.UTC().Truncate(time.Second),
			ReasonCode: int(r.Reason), // 0 is left out (section 5.3.1)
		})
	}
	return list, nil
}

// byKeyID finds the issuing certificate, retired or not, with this SubjectKeyId.
// Certificates of one key have one name, so that either signs for both.
func (f family) byKeyID(keyID string) (member, bool) {
	id, err := hex.DecodeString(keyID)
	if err != nil || len(id) == 0 || hex.EncodeToString(id) != keyID {
		return member{}, false
	}
	for _, m := range f[roleIssuing] {
		if bytes.Equal(m.cert.SubjectKeyId, id) {
			return m, true
		}
	}
	return member{}, false
}
