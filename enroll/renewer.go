package enroll

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"sallyport/certs"
	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/mdm"
)

// Pace of renewals. Certificates that were issued in one hour become due over
// weeks (certs.RenewalDue); this is for what is due all at once, since a server was
// away for long, or a new root is to be told to everybody. 100,000 phones take 14 hours.
const (
	renewalsPerStep   = 500
	renewalsAtOnce    = 200 // before the pace counts
	renewalsPerSecond = 2
)

// Renewer finds out which identities of phones are to be replaced, and notes it
// with their enrolments. What it has noted is done at the phone's next contact,
// for which it is woken. It works page by page: a fleet is gone through in the
// order of expiry, and again from the beginning when it is through.
type Renewer struct {
	Renewals RenewalStore
	// Root is when the newest root that phones shall trust was made; zero while it
	// is the only one that there ever was, as every phone knows that.
	Root   func() time.Time
	Window time.Duration    // how long before its end an identity is due, at most; 0 means a third of its life
	Life   time.Duration    // the longest one that we issue
	Now    func() time.Time // nil means time.Now
	Log    *slog.Logger     // nil means no log

	mu       sync.Mutex
	expiring *Identity        // the last one that was looked at
	untold   mdm.EnrollmentID // likewise
	told     bool             // the round through the expiring ones is over, that through the untold ones goes on
	next     time.Time        // when the next one that is overdue has its turn
}

// Step looks at one page. more says that it was not the last one.
func (r *Renewer) Step(ctx context.Context) (more bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.told {
		if r.told, err = r.expire(ctx); err != nil {
			return false, err
		}
		return true, nil
	}
	through, err := r.tell(ctx)
	if err != nil {
		return false, err
	}
	r.told = !through
	return !through, nil
}

// expire notes what is due on the next page of what ends within the window.
func (r *Renewer) expire(ctx context.Context) (through bool, err error) {
	now := r.now()
	page, err := r.Renewals.ExpiringIdentities(ctx, now.Add(r.horizon(now)), r.expiring, renewalsPerStep)
	if err != nil {
		return false, fmt.Errorf("list expiring identities: %w", err)
	}
	var due []IdentityRenewal
	for _, i := range page {
		if now.Before(certs.RenewalDue(i.NotBefore, i.NotAfter, r.Window, i.SHA256)) || i.lost(now) {
			continue
		}
		due = append(due, IdentityRenewal{EnrollmentID: i.EnrollmentID, Renewal: i.renewal(r.turn(now, i.NotAfter), mdm.RenewalExpiry)})
	}
	if err := r.save(ctx, now, mdm.RenewalExpiry, due); err != nil {
		return false, err
	}
	if through = len(page) < renewalsPerStep; through {
		r.expiring = nil
	} else {
		r.expiring = &page[len(page)-1]
	}
	return through, nil
}

// tell notes the phones on the next page of those that do not know the newest root.
func (r *Renewer) tell(ctx context.Context) (through bool, err error) {
	var since time.Time
	if r.Root != nil {
		since = r.Root()
	}
	if since.IsZero() {
		return true, nil
	}
	page, err := r.Renewals.UntoldIdentities(ctx, since, false, r.untold, renewalsPerStep)
	if err != nil {
		return false, fmt.Errorf("list phones that do not know the newest root: %w", err)
	}
	now := r.now()
	var due []IdentityRenewal
	for _, i := range page {
		if !i.lost(now) {
			due = append(due, IdentityRenewal{EnrollmentID: i.EnrollmentID, Renewal: i.renewal(r.turn(now, i.NotAfter), mdm.RenewalTrust)})
		}
	}
	if err := r.save(ctx, now, mdm.RenewalTrust, due); err != nil {
		return false, err
	}
	if through = len(page) < renewalsPerStep; through {
		r.untold = ""
	} else {
		r.untold = page[len(page)-1].EnrollmentID
	}
	return through, nil
}

func (r *Renewer) save(ctx context.Context, now time.Time, reason mdm.RenewalReason, due []IdentityRenewal) error {
	if len(due) == 0 {
		return nil
	}
	target := fmt.Sprintf("%d identities", len(due))
	if len(due) == 1 {
		target = string(due[0].EnrollmentID)
	}
	entry := audit.New(ctx, now, "identity.renew", target, audit.Done, "reason", string(reason))
	if err := r.Renewals.SaveRenewals(ctx, due, entry); err != nil {
		return fmt.Errorf("note identities to be renewed: %w", err)
	}
	r.log().InfoContext(ctx, "identities are to be renewed", slog.Int("count", len(due)), slog.String("reason", string(reason)),
		slog.String(logkey.Component, "enroll"))
	return nil
}

// horizon is how far ahead the end of an identity may lie that is due now.
func (r *Renewer) horizon(now time.Time) time.Duration {
	return now.Add(r.Life).Sub(certs.RenewalDue(now, now.Add(r.Life), r.Window, ""))
}

// turn is when the next one is done: at once as long as there are few, and then
// at our pace, but in time before its end.
func (r *Renewer) turn(now, end time.Time) time.Time {
	const step = time.Second / renewalsPerSecond
	if earliest := now.Add(-renewalsAtOnce * step); r.next.Before(earliest) || r.next.After(now.Add(r.Life)) {
		r.next = earliest // idle for long, or the clock was set back
	}
	r.next = r.next.Add(step)
	turn := later(now, r.next)
	if half := now.Add(max(end.Sub(now)/2, 0)); turn.After(half) {
		turn = half
	}
	return turn.Truncate(time.Microsecond)
}

// lost: nothing can be sent any more to a phone whose own identity has expired. It
// has to enrol again, as compliance says.
func (i Identity) lost(now time.Time) bool {
	return i.Rule == string(certs.RuleMDMIdentity) && !now.Before(i.NotAfter)
}

func (i Identity) renewal(due time.Time, reason mdm.RenewalReason) mdm.Renewal {
	return mdm.Renewal{Rule: i.Rule, Profile: i.Profile, Certificate: i.SHA256, DueAt: due, Reason: reason}
}

func (r *Renewer) now() time.Time { return moment(r.Now) }

func (r *Renewer) log() *slog.Logger { return logger(r.Log) }
