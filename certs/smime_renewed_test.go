package certs_test

import (
	"slices"
	"testing"
	"time"

	"sallyport/certs"
)

// replaced are what phones of alice may still hold, as the IDs of the keys.
func replaced(t *testing.T, s *certs.SMIME) (ids [][]string) {
	t.Helper()
	for _, r := range must(s.Renewed(t.Context(), "alice", aliceMail, certs.SMIMEUsages(), day)) {
		ids = append(ids, keyIDs(r.Keys))
	}
	return ids
}

func known(t *testing.T, s *certs.SMIME) []string {
	t.Helper()
	return keyIDs(must(s.Known(t.Context(), "alice", aliceMail, certs.SMIMEUsages())))
}

// untilDue is the time until the last of these keys is renewed.
func untilDue(f *fixture, keys []certs.SMIMEKey) time.Duration {
	var longest time.Duration
	for _, k := range keys {
		longest = max(longest, certs.RenewalDue(k.NotBefore, k.NotAfter, 0, k.SHA256).Sub(f.clock.Now()))
	}
	return longest
}

// TestRenewed: what Ensure does by itself is told for a day, with the keys from
// before it, each renewal by itself.
func TestRenewed(t *testing.T) {
	t.Parallel()
	s, _, f := mailFixture(t)
	first := ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	if got := replaced(t, s); got != nil {
		t.Errorf("a first key: got %v", got)
	}
	f.clock.advance(untilDue(f, first) + time.Second)
	before := known(t, s)
	ensured(t, s, aliceMail, certs.SMIMESigning)
	f.clock.advance(time.Hour)
	between := known(t, s)
	ensured(t, s, aliceMail, certs.SMIMEEncryption)
	if got := replaced(t, s); len(got) != 2 || !slices.Equal(got[0], between) || !slices.Equal(got[1], before) {
		t.Errorf("got %v, want %v and %v", got, between, before)
	}
	f.clock.advance(-2 * time.Hour)
	if got := replaced(t, s); len(got) != 2 {
		t.Errorf("after the clock was set back: got %v", got)
	}
	f.clock.advance(2*time.Hour + day - time.Microsecond)
	if got := replaced(t, s); len(got) != 1 || !slices.Equal(got[0], between) {
		t.Errorf("a day after the first: got %v", got)
	}
	f.clock.advance(time.Hour)
	if got := replaced(t, s); got != nil {
		t.Errorf("a day after both: got %v", got)
	}
}

// TestWhatAnAdminDidIsNoRenewal: it counts at once, as every change of theirs.
func TestWhatAnAdminDidIsNoRenewal(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	first := ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	f.clock.advance(2 * day)
	must(s.Issue(t.Context(), certs.SMIMEIssue{UPN: "alice@corp.test", Usages: []certs.SMIMEUsage{certs.SMIMESigning}}))
	if got := replaced(t, s); got != nil {
		t.Errorf("a key issued by hand: got %v", got)
	}
	f.clock.advance(untilDue(f, first) + time.Second)
	ensured(t, s, aliceMail, certs.SMIMEEncryption)
	d.keys[len(d.keys)-1].Source = certs.SMIMEImported
	if got := replaced(t, s); got != nil {
		t.Errorf("an import: got %v", got)
	}
	d.keys[len(d.keys)-1].Source, d.keys[len(d.keys)-1].RevokedAt = certs.SMIMEIssued, f.clock.Now()
	if got := replaced(t, s); got != nil {
		t.Errorf("a key that was revoked: got %v", got)
	}
	d.keys[len(d.keys)-1].RevokedAt = time.Time{}
	if got := replaced(t, s); len(got) != 1 {
		t.Fatalf("a renewal: got %v", got)
	}
	for i, k := range d.keys {
		if k.ID == first[1].ID {
			d.keys[i].RevokedAt = f.clock.Now()
		}
	}
	if got := replaced(t, s); got != nil {
		t.Errorf("the key before it was revoked: got %v", got)
	}
}

// TestKnownBeyondItsEnd: a phone that lies in a drawer keeps the profile that it
// has; the key that ended makes it no other one until there is a new key.
func TestKnownBeyondItsEnd(t *testing.T) {
	t.Parallel()
	s, d, f := mailFixture(t)
	first := ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	f.clock.advance(untilDue(f, first) + time.Second)
	second := keyIDs(ensured(t, s, aliceMail, certs.SMIMEUsages()...))
	f.clock.advance(3 * 365 * day)
	got := must(s.Known(t.Context(), "alice", aliceMail, certs.SMIMEUsages()))
	if !slices.Equal(keyIDs(got), second) || !got[0].Current || !got[1].Current || got[2].Current {
		t.Errorf("got %+v, want %v", got, second)
	}
	third := ensured(t, s, aliceMail, certs.SMIMEUsages()...)
	if got := replaced(t, s); len(third) != 4 || len(got) != 1 || !slices.Equal(got[0], second) {
		t.Errorf("got %v after %v", got, third)
	}
	d.keys = d.keys[:1]
	d.keys[0].RevokedAt = f.clock.Now()
	if got := known(t, s); len(got) != 0 {
		t.Errorf("a revoked key: got %v", got)
	}
}
