package enroll

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
)

// previousCounts is for how long a mail profile that is no longer the current one
// counts as such, where nothing but an S/MIME key of ours was renewed: a phone
// that is in use comes within a day.
const previousCounts = 24 * time.Hour

// foreseen gives profiles that lack nothing but S/MIME keys the UUID of what can be
// shown of them, where those keys are made as soon as the phone calls: it is not
// on the phone yet, and no administrator has anything to put right.
func (s *Service) foreseen(list []assignment, u directory.User) []assignment {
	if !s.canMake(u) {
		return list
	}
	list = slices.Clone(list) // others may look at the same
	for i, a := range list {
		if a.awaited != "" {
			list[i].uuid = a.awaited
		}
	}
	return list
}

// previous returns, by identifier, the revisions that still count: the current
// template for the user as he or she is now, with the S/MIME keys from before
// each renewal. So whatever else has changed, none of them is what the phone has.
func (s *Service) previous(ctx context.Context, have Have, list []assignment) (map[string][]compliance.PreviousRevision, error) {
	if !slices.ContainsFunc(list, func(a assignment) bool { return len(a.rendered.KeyIDs) > 0 && !installed(have.Report, a.wanted()) }) {
		return nil, nil
	}
	all, err := s.catalog(ctx, have.Catalog)
	if err != nil {
		return nil, err
	}
	won, _, options, err := s.chosenOf(ctx, all.templates, have.User, have.Report.Device, s.knownKeys)
	if err != nil {
		return nil, err
	}
	renewals, err := s.SMIME.Renewed(ctx, string(have.User.ID), have.User.Email, usagesOf(won), previousCounts)
	if err != nil {
		return nil, fmt.Errorf("look up renewed S/MIME keys: %w", err)
	}
	revisions := map[string][]compliance.PreviousRevision{}
	for _, r := range renewals {
		options.SMIME = r.Keys
		for _, revision := range won {
			if a := s.mail(ctx, revision, have.User, options); a.uuid != "" {
				revisions[a.identifier] = append(revisions[a.identifier], compliance.PreviousRevision{UUID: a.uuid, Until: r.At.Add(previousCounts)})
			}
		}
	}
	return revisions, nil
}
