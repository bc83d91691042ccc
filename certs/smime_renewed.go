package certs

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// SMIMERenewal is what phones of a user may hold that have not heard of it yet.
type SMIMERenewal struct {
	At   time.Time  // when the new keys were made
	Keys []SMIMEKey // as Known returned them before
}

// Renewed returns the renewals of the last time that nobody asked for, newest
// first: keys of ours that took the place of others at their time. It goes no
// further back than to what an admin did (an import, a key issued by hand, one
// revoked), nor than to a user's first key.
func (s *SMIME) Renewed(ctx context.Context, userID, mail string, usages []SMIMEUsage, within time.Duration) ([]SMIMERenewal, error) {
	keys, err := s.all(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("S/MIME keys of user %s: %w", userID, err)
	}
	keys = slices.DeleteFunc(keys, func(k SMIMEKey) bool { return !slices.Contains(usages, k.Usage) })
	slices.SortFunc(keys, func(a, b SMIMEKey) int { return b.CreatedAt.Compare(a.CreatedAt) })
	var list []SMIMERenewal
	for len(keys) > 0 && s.now().Sub(keys[0].CreatedAt).Abs() < within { // a clock that was set back shuts no mailbox
		at, n := keys[0].CreatedAt, 1
		for n < len(keys) && keys[n].CreatedAt.Equal(at) { // for both usages at once
			n++
		}
		made, before := keys[:n], keys[n:]
		if slices.ContainsFunc(made, func(k SMIMEKey) bool { return !k.renews(before, mail) }) {
			return list, nil
		}
		list, keys = append(list, SMIMERenewal{at, arrange(before, mail, usages, at, held)}), before
	}
	return list, nil
}

// renews reports whether a key took the place of one that was due.
func (k SMIMEKey) renews(before []SMIMEKey, mail string) bool {
	old, ok := held(before, mail, k.Usage, k.CreatedAt)
	return ok && old.due(k.CreatedAt) && k.Source == SMIMEIssued && k.RevokedAt.IsZero() && holdsName(k.Mails, mail)
}

// due reports whether another key takes this one's place now. Only its own authority
// renews what was imported: it is used until it ends.
func (k SMIMEKey) due(now time.Time) bool {
	end := k.NotAfter
	if k.Source == SMIMEIssued {
		end = RenewalDue(k.NotBefore, k.NotAfter, 0, k.SHA256)
	}
	return !now.Before(end)
}
