package certs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/refusal"
)

// Rollover makes a new issuing CA, staged, under the root of the active one. No
// kind means that of the active one. Phones need no new trust for it: Activate may
// follow at once. ErrAuthorityState where the root's key is elsewhere.
func (a *Authority) Rollover(ctx context.Context, kind KeyKind) (AuthorityInfo, error) {
	a.making.Lock()
	defer a.making.Unlock()
	if err := a.reload(ctx); err != nil {
		return AuthorityInfo{}, fmt.Errorf("roll over: %w", err)
	}
	k, f := a.maker(), a.members()
	if active, ok := f.active(); ok && kind == "" {
		kind = kindOf(active.cert.PublicKey)
	}
	kind, err := kind.orDefault()
	if err != nil {
		return AuthorityInfo{}, err
	}
	root, _ := f.newest(roleRoot)
	if root.key == nil {
		return AuthorityInfo{}, refusal.New(ErrAuthorityState, "", "the key of the root "+root.cert.Subject.String()+" is not on this server",
			"have an issuing certificate signed where it is: sallyport ca csr, ca sign, ca import, ca activate")
	}
	m, err := k.under(&root, roleIssuing, kind, names{})
	if err != nil {
		return AuthorityInfo{}, fmt.Errorf("roll over: %w", err)
	}
	m.activeAt = time.Time{}
	if err := a.save(ctx, k.now, "authority.rollover", hash(m.cert.Raw), m); err != nil {
		return AuthorityInfo{}, fmt.Errorf("roll over: %w", err)
	}
	return a.members().info(m), nil
}

// Activate puts a staged or old issuing certificate to use. Where it leads to
// another root than the active one, what we use ourselves is made anew under it
// at once, and the server's certificate when it is next asked for. Activating the
// active one changes nothing.
func (a *Authority) Activate(ctx context.Context, fingerprint string) (AuthorityInfo, error) {
	a.making.Lock()
	defer a.making.Unlock()
	if err := a.reload(ctx); err != nil {
		return AuthorityInfo{}, fmt.Errorf("activate: %w", err)
	}
	f, now := a.members(), a.now().UTC().Truncate(time.Microsecond)
	m, err := f.activatable(fingerprint, now)
	if err != nil {
		return AuthorityInfo{}, err
	}
	if f.state(m) == StateActive {
		return f.info(m), nil
	}
	// It is the last one that was activated, also when the clock was set back.
	if active, ok := f.active(); ok && !now.After(active.activeAt) {
		now = active.activeAt.Add(time.Microsecond)
	}
	moved := []member{m}
	for _, above := range f.above(m.cert) {
		if above.activeAt.IsZero() {
			moved = append(moved, above)
		}
	}
	for i := range moved {
		moved[i].activeAt = now
	}
	if err := a.move(ctx, "authority.activate", m, moved); err != nil {
		return AuthorityInfo{}, fmt.Errorf("activate: %w", err)
	}
	// Of what is not made now, the next Maintain takes care.
	if err := a.maintain(ctx); err != nil {
		return AuthorityInfo{}, fmt.Errorf("activate: %w", err)
	}
	return a.members().info(moved[0]), nil
}

func (f family) activatable(fingerprint string, now time.Time) (member, error) {
	m, err := f.find(fingerprint)
	if err != nil {
		return member{}, err
	}
	refuse := func(reason, remedy string) (member, error) {
		return member{}, refusal.New(ErrAuthorityState, "fingerprint", reason, remedy)
	}
	switch {
	case m.role != roleIssuing:
		return refuse("is that of a certificate above the issuing ones", "name an issuing certificate: sallyport ca show")
	case !m.retiredAt.IsZero():
		return refuse("is that of a certificate that was retired on "+m.retiredAt.UTC().Format(time.DateOnly), "have a new one signed: sallyport ca csr; or sallyport ca rollover")
	}
	for _, c := range append([]member{m}, f.above(m.cert)...) {
		if now.After(c.cert.NotAfter) {
			return refuse(c.cert.Subject.String()+" expired on "+c.cert.NotAfter.UTC().Format(time.DateOnly), "have a new one signed: sallyport ca csr; or sallyport ca rollover")
		}
		if !c.retiredAt.IsZero() {
			return refuse(c.cert.Subject.String()+", above it, was retired on "+c.retiredAt.UTC().Format(time.DateOnly), "import the chain anew")
		}
	}
	return m, nil
}

// Retire ends the trust in an issuing certificate, or in a root or an
// intermediate that nothing leads to any more; with an issuing certificate go
// those above it that nothing else leads to. What it signed is worth nothing from
// then on: whether that is in use is the caller's to look up. The active one is
// refused; one that is retired already stays as it is.
func (a *Authority) Retire(ctx context.Context, fingerprint string) error {
	a.making.Lock()
	defer a.making.Unlock()
	if err := a.reload(ctx); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	f := a.members()
	m, err := f.find(fingerprint)
	if err != nil {
		return err
	}
	if !m.retiredAt.IsZero() {
		return nil
	}
	if f.state(m) == StateActive {
		return refusal.New(ErrAuthorityState, "fingerprint", "is that of the active certificate, or of one above it", "activate another first: sallyport ca activate")
	}
	if m.role != roleIssuing && f.needed(m, member{}) {
		return refusal.New(ErrAuthorityState, "fingerprint", "is that of a certificate which others lead to", "retire the issuing certificates under it")
	}
	moved := []member{m}
	for _, above := range f.above(m.cert) {
		if above.retiredAt.IsZero() && !above.is(m) && !f.needed(above, m) {
			moved = append(moved, above)
		}
	}
	now := a.now().UTC().Truncate(time.Microsecond)
	for i := range moved {
		moved[i].retiredAt = now
	}
	if err := a.move(ctx, "authority.retire", m, moved); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	// What we use ourselves may hang under it.
	if err := a.maintain(ctx); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	return nil
}

// needed reports whether a trusted issuing certificate other than without leads to m.
func (f family) needed(m, without member) bool {
	return slices.ContainsFunc(f.trusted(roleIssuing), func(issuing member) bool {
		return !issuing.is(without) && slices.ContainsFunc(f.above(issuing.cert), m.is)
	})
}

// find is ErrNotFound for what is not on record.
func (f family) find(fingerprint string) (member, error) {
	m, ok := f.byFingerprint(strings.ToLower(strings.ReplaceAll(fingerprint, ":", "")))
	if !ok {
		return member{}, refusal.New(ErrNotFound, "fingerprint", "is not that of a certificate of the authority", "see sallyport ca show")
	}
	return m, nil
}

// move writes when members were activated and retired. The caller holds a.making.
func (a *Authority) move(ctx context.Context, action string, target member, moved []member) error {
	mover, ok := a.keys.(KeyMover)
	if !ok {
		return fmt.Errorf("%w: the key store does not move keys", ErrAuthorityState)
	}
	records := make([]KeyRecord, 0, len(moved))
	for _, m := range moved {
		records = append(records, KeyRecord{
			Role: m.role, Certificate: m.der(), CreatedAt: m.created, ActiveAt: m.activeAt, RetiredAt: m.retiredAt,
		})
	}
	entry := audit.New(ctx, a.now().UTC().Truncate(time.Microsecond), action, hash(target.cert.Raw), audit.Done, "subject", target.cert.Subject.String())
	if err := mover.MoveKeys(ctx, records, entry); err != nil {
		return fmt.Errorf("move CA keys: %w", err)
	}
	return a.reload(ctx)
}
