package auth

import (
	"context"
	"fmt"
	"strings"
)

// SameHand reports whether two owners may be one person: whoever makes a token
// reads its text, under whatever owner it was made. So an owner is in the hand of
// who made any of its tokens, of who made theirs, and so on; tokens that were
// revoked or have expired count too, as one may be used and then thrown away. Two
// owners that share a hand are not two people.
//
// It stops at LocalOwner: on a fresh installation that token makes all the others
// and gives them away. Who holds it runs the server, and is bound by nothing here.
func (s *Service) SameHand(ctx context.Context, a, b string) (bool, error) {
	tokens, err := s.Store.ListTokens(ctx)
	if err != nil {
		return false, fmt.Errorf("list tokens: %w", err)
	}
	makers := map[string][]string{}
	for _, t := range tokens {
		if t.CreatedBy != "" && !sameName(t.CreatedBy, LocalOwner) {
			owner := plainName(t.Owner)
			makers[owner] = append(makers[owner], plainName(t.CreatedBy))
		}
	}
	mine := hands(makers, plainName(a))
	for hand := range hands(makers, plainName(b)) {
		if mine[hand] {
			return true, nil
		}
	}
	return false, nil
}

// hands are an owner and everybody whose tokens led to its own.
func hands(makers map[string][]string, owner string) map[string]bool {
	found, next := map[string]bool{owner: true}, []string{owner}
	for len(next) > 0 {
		name := next[0]
		next = next[1:]
		for _, maker := range makers[name] {
			if !found[maker] {
				found[maker], next = true, append(next, maker)
			}
		}
	}
	return found
}

// plainName is an owner as people compare them.
func plainName(owner string) string { return strings.ToLower(strings.TrimSpace(owner)) }

func sameName(a, b string) bool { return plainName(a) == plainName(b) }
