package certs_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
)

// drawer keeps what the contract of certs.SMIMEStore asks for, but for what only
// several servers and a directory can show.
type drawer struct {
	mu      sync.Mutex
	keys    []certs.SMIMEKey
	exports map[string]certs.SMIMEExport
	entries []audit.Entry
}

var _ certs.SMIMEStore = (*drawer)(nil)

func (d *drawer) SaveSMIME(_ context.Context, keys []certs.SMIMEKey, entries []audit.Entry) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keys, d.entries = append(d.keys, keys...), append(d.entries, entries...)
	return len(keys), nil
}

func (d *drawer) ListSMIME(_ context.Context, f certs.SMIMEFilter) ([]certs.SMIMEKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []certs.SMIMEKey
	for _, k := range d.keys {
		if k.UserID == f.UserID || f.UserID == "" {
			k.Key, k.Current = nil, d.current(k)
			list = append(list, k)
		}
	}
	return list, nil
}

func (d *drawer) current(k certs.SMIMEKey) bool {
	replaced := func(k certs.SMIMEKey) bool {
		return k.Source == certs.SMIMEIssued && slices.ContainsFunc(d.keys, func(o certs.SMIMEKey) bool {
			return o.UserID == k.UserID && o.Usage == k.Usage && o.Source == certs.SMIMEImported && o.RevokedAt.IsZero() &&
				o.NotAfter.After(o.CreatedAt) && o.ID > k.ID
		})
	}
	return k.RevokedAt.IsZero() && k.Source != certs.SMIMEFormer && !replaced(k) && !slices.ContainsFunc(d.keys, func(o certs.SMIMEKey) bool {
		return o.UserID == k.UserID && o.Usage == k.Usage && o.RevokedAt.IsZero() && o.Source != certs.SMIMEFormer && !replaced(o) &&
			(o.NotBefore.After(k.NotBefore) || o.NotBefore.Equal(k.NotBefore) && o.ID > k.ID)
	})
}

func (d *drawer) SMIMEKeys(_ context.Context, userID string, ids []string) ([]certs.SMIMEKey, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []certs.SMIMEKey
	for _, id := range ids {
		i := slices.IndexFunc(d.keys, func(k certs.SMIMEKey) bool { return k.ID == id && k.UserID == userID })
		if i < 0 {
			return nil, certs.ErrNotFound
		}
		list = append(list, d.keys[i])
	}
	return list, nil
}

func (d *drawer) RevokeSMIME(_ context.Context, id string, _ certs.RevocationReason, now time.Time, entry audit.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range d.keys {
		if d.keys[i].ID == id {
			d.keys[i].RevokedAt, d.entries = now, append(d.entries, entry)
			return nil
		}
	}
	return certs.ErrNotFound
}

func (d *drawer) SaveExport(_ context.Context, e certs.SMIMEExport, entry audit.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.exports[e.ID], d.entries = e, append(d.entries, entry)
	return nil
}

func (d *drawer) Export(_ context.Context, id string) (certs.SMIMEExport, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.exports[id]
	if !ok {
		return e, certs.ErrExportNotFound
	}
	return e, nil
}

func (d *drawer) ListExports(context.Context, int) ([]certs.SMIMEExport, error) { return nil, nil }

func (d *drawer) ApproveExport(_ context.Context, id, by string, now time.Time, entry audit.Entry) error {
	return d.move(id, entry, func(e *certs.SMIMEExport) bool {
		free := e.ApprovedBy == "" && now.Before(e.ExpiresAt)
		e.ApprovedBy, e.ApprovedAt = by, now
		return free
	})
}

func (d *drawer) TakeExport(_ context.Context, id string, now time.Time, entry audit.Entry) error {
	return d.move(id, entry, func(e *certs.SMIMEExport) bool {
		free := e.ApprovedBy != "" && e.TakenAt.IsZero() && now.Before(e.ExpiresAt)
		e.TakenAt = now
		return free
	})
}

func (d *drawer) move(id string, entry audit.Entry, change func(*certs.SMIMEExport) bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	e, ok := d.exports[id]
	if !ok {
		return certs.ErrExportNotFound
	}
	if !change(&e) {
		return certs.ErrExportNotReady
	}
	d.exports[id], d.entries = e, append(d.entries, entry)
	return nil
}

func (d *drawer) Append(_ context.Context, e audit.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, e)
	return nil
}

func (d *drawer) List(context.Context, audit.Filter) ([]audit.Entry, error) { return nil, nil }

// trail is the drawer's audit trail as "action outcome" lines.
func (d *drawer) trail() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var lines []string
	for _, e := range d.entries {
		lines = append(lines, e.Action+" "+string(e.Outcome))
	}
	return strings.Join(lines, "\n")
}

// staff is a directory of a few; hands are pairs of owners in one hand.
type (
	staff []directory.User
	hands map[[2]string]bool
)

func (s staff) UserByUPN(_ context.Context, upn string) (directory.User, error) {
	for _, u := range s {
		if strings.EqualFold(u.UPN, upn) {
			return u, nil
		}
	}
	return directory.User{}, directory.ErrNotFound
}

func (s staff) UsersByLogin(_ context.Context, login string) ([]directory.User, error) {
	var list []directory.User
	for _, u := range s {
		if strings.EqualFold(u.UPN, login) || strings.EqualFold(u.Email, login) || strings.EqualFold(u.Username, login) {
			list = append(list, u)
		}
	}
	return list, nil
}

func (h hands) SameHand(_ context.Context, a, b string) (bool, error) {
	return a == b || h[[2]string{a, b}], nil
}

// mailFixture is a keeper of keys for mail on a fresh store.
func mailFixture(t *testing.T) (*certs.SMIME, *drawer, *fixture) {
	t.Helper()
	f := newFixture(t)
	d := &drawer{exports: map[string]certs.SMIMEExport{}}
	return &certs.SMIME{
		Authority: f.authority, Store: d, Audit: d, Now: f.clock.Now, Hands: hands{{"first", "sock"}: true},
		Users: staff{
			{ID: "alice", UPN: "alice@corp.test", Email: "alice@example.test", Username: "alice"},
			{ID: "bob", UPN: "bob@example.test", Email: "robert@example.test", Username: "alice@example.test"},
		},
	}, d, f
}
