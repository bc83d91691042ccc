package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Verdicts says how an enrolment stands. *compliance.Service is one.
type Verdicts interface {
	// Current returns the verdict in force; compliance.ErrNotFound when no such
	// enrolment is on record.
	Current(ctx context.Context, id mdm.EnrollmentID) (compliance.Verdict, error)
}

// Engine decides. Its answers come from what is stored; it calls nobody.
type Engine struct {
	Store    Store
	Verdicts Verdicts
	Now      func() time.Time // nil means time.Now
	Audit    audit.Log        // nil means that decisions leave no trail of their own

	mu   sync.Mutex
	last map[mdm.EnrollmentID]Effect // what this process last said of an enrolled phone
}

// Decide says whether a mail client may read a mailbox, and why. The errors are
// ErrInvalid for a client that cannot be asked about, and ErrUnavailable for
// everything else: trouble never lets anybody in.
func (e *Engine) Decide(ctx context.Context, c Client) (Decision, error) {
	if err := c.Validate(); err != nil {
		return Decision{}, err
	}
	now := e.now()
	f, err := e.gather(ctx, c)
	if err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	d := decide(f, now)
	if err := e.note(ctx, f, d, now); err != nil {
		return Decision{}, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return d, nil
}

// gather reads what decide needs and no more.
func (e *Engine) gather(ctx context.Context, c Client) (facts, error) {
	var f facts
	var err error
	if f.users, err = e.Store.UsersByLogin(ctx, c.User); err != nil {
		return facts{}, fmt.Errorf("find user: %w", err)
	}
	if len(f.users) != 1 {
		return f, nil
	}
	if f.bindings, err = e.Store.Bindings(ctx, f.users[0].ID, strings.ToLower(c.DeviceID)); err != nil {
		return facts{}, fmt.Errorf("find bindings: %w", err)
	}
	for _, b := range f.bindings {
		if !b.State.Active() {
			continue
		}
		v, err := e.Verdicts.Current(ctx, b.EnrollmentID)
		switch {
		case errors.Is(err, compliance.ErrNotFound):
			v = compliance.Verdict{EnrollmentID: b.EnrollmentID, State: compliance.NotEvaluated, Since: e.now(), ValidUntil: e.now().Add(maxValid)}
		case err != nil:
			return facts{}, fmt.Errorf("verdict of enrolment %s: %w", b.EnrollmentID, err)
		}
		f.verdicts = append(f.verdicts, v)
	}
	return f, nil
}

// note writes to the trail when an enrolled phone begins to be turned away, or
// is let in again. Only bound devices leave a trail here, and only changes: what
// strangers ask a gate could otherwise fill the disk. An enrolment whose answer
// was always "allow" leaves none; compliance notes each change of its verdict.
func (e *Engine) note(ctx context.Context, f facts, d Decision, now time.Time) error {
	if e.Audit == nil || len(f.bindings) == 0 {
		return nil
	}
	id := f.bindings[0].EnrollmentID
	if !e.changes(id, d.Effect) {
		return nil
	}
	outcome := audit.Done
	if d.Effect != Allow {
		outcome = audit.Refused
	}
	entry := audit.New(ctx, now, "access.decide", string(id), outcome,
		"decision", string(d.Effect), "user_id", string(owner(f.users)), "reasons", rules(d.Reasons))
	if err := e.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("audit decision: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.last == nil {
		e.last = map[mdm.EnrollmentID]Effect{}
	}
	e.last[id] = d.Effect
	return nil
}

// changes reports whether effect is news of that enrolment; "allow" is none
// where nothing was said before.
func (e *Engine) changes(id mdm.EnrollmentID, effect Effect) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	before, known := e.last[id]
	if !known {
		before = Allow
	}
	return before != effect
}

func (e *Engine) now() time.Time {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	return now().UTC().Truncate(time.Microsecond)
}

func owner(users []directory.User) directory.UserID {
	if len(users) == 1 {
		return users[0].ID
	}
	return ""
}

func rules(list []Reason) string {
	names := make([]string, len(list))
	for i, r := range list {
		names[i] = r.Rule
	}
	return strings.Join(names, ", ")
}
