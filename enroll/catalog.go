package enroll

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"sallyport/certs"
	"sallyport/enroll/directory"
	"sallyport/mdm"
	"sallyport/templates"
)

// Catalog tells one state of the templates and security policies from every
// other: how many revisions there are of each. Revisions are only ever added.
// The zero value is no state at all.
type Catalog struct{ Templates, Policies int }

// catalog is the newest revision of every template and security policy.
type catalog struct {
	at        Catalog
	templates []templates.Revision
	policies  []templates.SecurityRevision

	mu       sync.Mutex
	rendered map[renderKey]rendering
}

// renderKey is what a list of profiles depends on, beside the catalog itself, the
// user, and what never changes while the server runs.
type renderKey struct {
	user     directory.UserID
	reported bool // the phone has told of itself
	withheld mdm.Withholding
}

// rendering is what came of it for a user as he or she was.
type rendering struct {
	user     directory.User
	assigned []assignment
	usages   []certs.SMIMEUsage // what it needs S/MIME keys for
	keys     []certs.SMIMEKey   // without Key: those that it was made of
}

// renderedAtMost bounds what is kept of a catalog, some 10 KB each: a phone comes
// back within its connection, and few of a large fleet are in one.
const renderedAtMost = 1024

// find returns what was made for exactly this user before. It still holds where
// the user's S/MIME keys are the same, for which each one who asks has to look:
// they become due with time, and another server may have changed them.
func (c *catalog) find(k renderKey, u directory.User) (rendering, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.rendered[k]
	if !ok || !reflect.DeepEqual(r.user, u) {
		return rendering{}, false
	}
	return r, true
}

// keep remembers it, unless it may come out otherwise next time, or holds what
// must not be kept: secrets, facts of one phone, and what could not be rendered
// are looked at anew each time.
func (c *catalog) keep(k renderKey, u directory.User, won []templates.Revision, keys []certs.SMIMEKey, list []assignment) {
	for _, r := range won {
		if r.Spec.UsesDevice() || len(r.Spec.Secrets()) > 0 {
			return
		}
	}
	if slices.ContainsFunc(list, func(a assignment) bool { return a.uuid == "" }) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rendered == nil || len(c.rendered) >= renderedAtMost {
		c.rendered = map[renderKey]rendering{}
	}
	c.rendered[k] = rendering{u, list, usagesOf(won), keys}
}

// catalog returns the templates and policies as they were at that state, or
// later. They are read and parsed once for each state: a poll reads which one it
// is in the same statement as all else, so that it sees a change at once,
// whichever server on the same database has made it. Nobody may change what it
// returns.
func (s *Service) catalog(ctx context.Context, at Catalog) (*catalog, error) {
	if known := s.known.Load(); known != nil && known.at == at && at != (Catalog{}) {
		return known, nil
	}
	c := &catalog{at: at}
	var err error
	if c.templates, err = s.Templates.CurrentRevisions(ctx); err != nil {
		return nil, fmt.Errorf("read templates: %w", err)
	}
	if c.policies, err = s.Security.CurrentSecurityPolicies(ctx); err != nil {
		return nil, fmt.Errorf("read security policies: %w", err)
	}
	// What was read may be newer than at says; whoever finds the newer state on
	// record reads once more.
	if at != (Catalog{}) {
		s.known.Store(c)
	}
	return c, nil
}
