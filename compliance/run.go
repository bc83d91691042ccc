package compliance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/audit"
	"sallyport/mdm"
)

// Run is the one evaluation of all active enrolments that is under way, or was
// last: after a change of a policy or a template. It goes through them in the
// order of their ID, round from where it was when the change came: another change
// meanwhile makes it go round once more from there, and keeps nobody waiting.
type Run struct {
	Event      int64            `json:"-"` // the newest event that asked for it
	Reason     mdm.EventKind    `json:"reason,omitempty"`
	Began      mdm.EnrollmentID `json:"-"` // the enrolment after which it began
	Position   mdm.EnrollmentID `json:"-"` // done up to this one
	Wrapped    bool             `json:"-"` // it came to the end and went on from the start
	Done       int              `json:"done"`
	Total      int              `json:"total"` // active enrolments when it began
	StartedAt  time.Time        `json:"started_at,omitzero"`
	FinishedAt time.Time        `json:"finished_at,omitzero"` // zero while it is under way
}

// Open reports whether it is under way.
func (r Run) Open() bool { return !r.StartedAt.IsZero() && r.FinishedAt.IsZero() }

// Subject is all that one evaluation rests on, read together.
type Subject struct {
	Expected Expected
	Report   mdm.Report
	Verdict  Verdict // as stored; zero At: none yet
	Kept     string  // its findings in the store's own form
}

// Change is a verdict that takes another's place.
type Change struct {
	Before, After Verdict
	Kept          string // the findings of Before in the store's own form; empty: not known
	Entry         audit.Entry
}

// RunStore keeps the run and saves many verdicts at once. internal/store implements it.
type RunStore interface {
	// SaveVerdicts is SaveVerdict for each change, in one transaction. Those of
	// which nothing was written, as the stored verdict is not Before any more, are
	// returned. One of an enrolment that is not on record is ErrNotFound of all.
	SaveVerdicts(ctx context.Context, changes []Change) (stale []mdm.EnrollmentID, err error)
	// Run returns the zero Run when there never was one.
	Run(ctx context.Context) (Run, error)
	// RequestRun notes that all are to be evaluated because of an event: a run that
	// is under way goes round from where it is, or else one begins. An event that is
	// not newer than the run's changes nothing.
	RequestRun(ctx context.Context, event mdm.Event, now time.Time) error
	// SaveRun replaces the position and the counts of before, if nobody asked for a
	// round or went on meanwhile; otherwise it returns ErrStale.
	SaveRun(ctx context.Context, before, after Run) error
}

// runSize is how many are evaluated and saved in one go: the writer is held for some
// ten milliseconds, and then whoever waits has its turn.
const runSize = 500

// Step is a part of the run: it evaluates the next few, and says whether there
// are more. A process that dies meanwhile loses no more than that part.
func (s *Service) Step(ctx context.Context) (more bool, err error) {
	run, err := s.Runs.Run(ctx)
	if err != nil {
		return false, fmt.Errorf("read the run: %w", err)
	}
	if !run.Open() {
		return false, nil
	}
	subjects, err := s.Expecter.Subjects(ctx, run.Position, runSize)
	if err != nil {
		return false, fmt.Errorf("read what is to be evaluated: %w", err)
	}
	next := run.after(subjects)
	if !next.FinishedAt.IsZero() {
		next.FinishedAt = s.now()
	}
	within := subjects[:max(next.Done-run.Done, 0)]
	if err := s.judge(ctx, within); err != nil {
		return false, err
	}
	err = s.Runs.SaveRun(ctx, run, next)
	if errors.Is(err, ErrStale) { // what was evaluated is as good; the next step sees what has changed
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("save the run: %w", err)
	}
	return next.Open(), nil
}

// after is where a run stands once those were done. FinishedAt is set to
// anything where it is at its end.
func (r Run) after(subjects []Subject) Run {
	count := len(subjects)
	ended := count < runSize // nobody comes after them
	if r.Wrapped {
		for i, subject := range subjects {
			if subject.Expected.EnrollmentID > r.Began {
				count, ended = i, true
				break
			}
		}
	}
	r.Done += count
	if count > 0 {
		r.Position = subjects[count-1].Expected.EnrollmentID
	}
	switch {
	case !ended:
	case !r.Wrapped && r.Began != "":
		r.Wrapped, r.Position = true, ""
	default:
		r.FinishedAt = r.StartedAt
	}
	return r
}

// judge evaluates those, and saves what comes out otherwise. Whom others overtake
// is evaluated by itself.
func (s *Service) judge(ctx context.Context, subjects []Subject) error {
	policies, err := s.ready(ctx)
	if err != nil {
		return err
	}
	now := s.now()
	changes := make([]Change, 0, len(subjects))
	for i := range subjects {
		subject := &subjects[i]
		v := s.judgeOne(policies, *subject, now).verdict
		if holds(subject.Verdict, v, now) {
			continue
		}
		v.ValidUntil = sooner(subject.Verdict, v, now)
		c := Change{Before: subject.Verdict, After: v, Kept: subject.Kept}
		if c.Before.State != v.State {
			c.Entry = entry(ctx, now, c.Before, v)
		}
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return nil
	}
	stale, err := s.Runs.SaveVerdicts(ctx, changes)
	if err != nil {
		return fmt.Errorf("save %d verdicts: %w", len(changes), err)
	}
	for _, id := range stale {
		if _, err := s.renew(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// sooner keeps the end of a verdict that was to be looked at earlier, though not
// within the next hours: else what is written now would all be due in one moment.
func sooner(stored, v Verdict, now time.Time) time.Time {
	if stored.ValidUntil.Before(v.ValidUntil) && stored.ValidUntil.After(now.Add(maxValid/4)) {
		return stored.ValidUntil
	}
	return v.ValidUntil
}

// holds reports whether the stored verdict says what the new one says, and for no
// longer: then nothing is to be written.
func holds(stored, v Verdict, now time.Time) bool {
	same := !stored.At.IsZero() && stored.State == v.State && stored.Since.Equal(v.Since) && stored.GraceUntil.Equal(v.GraceUntil) &&
		stored.Policy == v.Policy && len(stored.Findings) == len(v.Findings) &&
		!stored.ValidUntil.After(v.ValidUntil) && stored.ValidUntil.After(now) && !stored.At.After(now.Add(maxClockStep))
	if !same {
		return false
	}
	for i, f := range v.Findings {
		old := stored.Findings[i]
		if old.Rule != f.Rule || old.State != f.State || old.Fact != f.Fact || old.Expected != f.Expected || old.Fix != f.Fix || !old.Since.Equal(f.Since) {
			return false
		}
	}
	return true
}

// Progress is how far the evaluation of all phones has come.
func (s *Service) Progress(ctx context.Context) (Run, error) {
	run, err := s.Runs.Run(ctx)
	if err != nil {
		return Run{}, fmt.Errorf("read the run: %w", err)
	}
	return run, nil
}
