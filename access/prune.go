package access

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"sallyport/internal/audit"
)

// What is kept however old it is, and what goes however new: a mail client that is
// refused for one reason after the other, or a stranger with a new name each time,
// must not fill the disk.
const (
	devicesKept      = 90 * 24 * time.Hour // of a device that nobody let in: since it was last seen
	denialsPerDevice = 100
	denialsStrangers = 10_000 // of people who are not on record, together
	pruneBatch       = 500
)

// PruneStore forgets what nobody needs any more, some at a time. internal/store
// implements it.
type PruneStore interface {
	// DropDenials drops up to limit denials: those that were not repeated since
	// before, of each device all but the newest so many, and likewise of the devices of
	// nobody on record together. It returns how many.
	DropDenials(ctx context.Context, before time.Time, perDevice, strangers, limit int) (int, error)
	// ForgetDevices looks at up to limit devices after the cursor, and forgets as
	// RemoveDevice does, without an entry, those that were not seen since before, were
	// never let in, are bound to no enrolment, of whom no enrolment tells, and of which
	// no personal word is. It returns how many, and the cursor of the next look: empty
	// after the last one.
	ForgetDevices(ctx context.Context, before time.Time, after DeviceID, limit int) (int, DeviceID, error)
	// Prune drops rows of the feed; see ChangeStore.
	Prune(ctx context.Context, now time.Time) (int64, error)
}

// Cleaner keeps the records of refusals and of devices from growing without end.
type Cleaner struct {
	Store   PruneStore
	Denials time.Duration // how long one is kept after it was last repeated; 0: for ever
	Audit   audit.Log
	Now     func() time.Time

	round cleaning
}

// cleaning is how far a round has come.
type cleaning struct {
	denials, devices, changes int
	after                     DeviceID
	denialsDone               bool
}

// Step does a bounded piece of a round, and says whether there is more of it. What a
// round forgot stands in the trail as one line.
func (c *Cleaner) Step(ctx context.Context) (more bool, err error) {
	now := c.now()
	r := &c.round
	if !r.denialsDone {
		before := time.Time{}
		if c.Denials > 0 {
			before = now.Add(-c.Denials)
		}
		n, err := c.Store.DropDenials(ctx, before, denialsPerDevice, denialsStrangers, pruneBatch)
		if err != nil {
			return false, fmt.Errorf("drop old denials: %w", err)
		}
		r.denials += n
		r.denialsDone = n == 0
		return true, nil
	}
	n, next, err := c.Store.ForgetDevices(ctx, now.Add(-devicesKept), r.after, pruneBatch)
	if err != nil {
		return false, fmt.Errorf("forget devices that never came in: %w", err)
	}
	r.devices += n
	if r.after = next; next != "" {
		return true, nil
	}
	changes, err := c.Store.Prune(ctx, now)
	r.changes += int(changes)
	if err != nil {
		return false, fmt.Errorf("drop old decisions: %w", err)
	}
	return false, c.close(ctx, now)
}

// close ends a round.
func (c *Cleaner) close(ctx context.Context, now time.Time) error {
	r := c.round
	c.round = cleaning{}
	if r.denials+r.devices+r.changes == 0 {
		return nil
	}
	entry := audit.New(ctx, now, "access.prune", "", audit.Done, "denials", strconv.Itoa(r.denials),
		"devices", strconv.Itoa(r.devices), "feed_rows", strconv.Itoa(r.changes))
	if err := c.Audit.Append(ctx, entry); err != nil {
		return fmt.Errorf("audit what was forgotten: %w", err)
	}
	return nil
}

func (c *Cleaner) now() time.Time { return c.Now().UTC().Truncate(time.Microsecond) }
