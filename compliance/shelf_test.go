package compliance_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"sallyport/compliance"
	"sallyport/enroll/directory"
	"sallyport/internal/audit"
	"sallyport/mdm"
)

// The rest of shelf follows the contracts of compliance.RunStore and WatchStore.
var (
	_ compliance.Store      = (*shelf)(nil)
	_ compliance.RunStore   = (*shelf)(nil)
	_ compliance.WatchStore = (*shelf)(nil)
	_ compliance.Expecter   = (*shelf)(nil)
	_ compliance.Retirer    = (*shelf)(nil)
)

// spell is one on the shelf.
type spell struct {
	compliance.Spell
	at, next time.Time
}

// runAll steps until the run has come to its end.
func runAll(t *testing.T, s *compliance.Service) {
	t.Helper()
	for more := true; more; {
		var err error
		if more, err = s.Step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func (s *shelf) PolicyRevisions(context.Context) (int, error) { return s.revisions, s.trouble }

func (s *shelf) ids() []mdm.EnrollmentID {
	var ids []mdm.EnrollmentID
	for id := range s.scenes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func (s *shelf) Subjects(_ context.Context, after mdm.EnrollmentID, limit int) ([]compliance.Subject, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []compliance.Subject
	for _, id := range s.ids() {
		if id > after && len(list) < limit {
			one := compliance.Subject{Expected: s.scenes[id].expected, Report: s.scenes[id].report, Verdict: s.verdicts[id]}
			one.Expected.EnrollmentID, one.Expected.Watched = id, s.watched(id)
			list = append(list, one)
		}
	}
	return list, s.trouble
}

func (s *shelf) Unmailed(_ context.Context, _ directory.Audience, limit int) ([]string, int, error) {
	return s.unmailed[:min(limit, len(s.unmailed))], len(s.unmailed), s.trouble
}

func (s *shelf) SaveVerdicts(ctx context.Context, changes []compliance.Change) (stale []mdm.EnrollmentID, err error) {
	s.batches++
	for _, c := range changes {
		switch err := s.SaveVerdict(ctx, c.Before, c.After, c.Entry); {
		case errors.Is(err, compliance.ErrStale):
			stale = append(stale, c.After.EnrollmentID)
		case err != nil:
			return nil, err
		}
	}
	return stale, s.trouble
}

func (s *shelf) Run(context.Context) (compliance.Run, error) { return s.run, s.trouble }

func (s *shelf) RequestRun(_ context.Context, e mdm.Event, at time.Time) error {
	if s.trouble != nil || !s.run.StartedAt.IsZero() && e.ID <= s.run.Event {
		return s.trouble
	}
	began := mdm.EnrollmentID("")
	if s.run.Open() {
		began = s.run.Position
	}
	s.run = compliance.Run{Event: e.ID, Reason: e.Kind, Began: began, Position: began, Total: len(s.scenes), StartedAt: at}
	return nil
}

func (s *shelf) SaveRun(_ context.Context, before, after compliance.Run) error {
	if s.run != before {
		return cmp.Or(s.trouble, compliance.ErrStale)
	}
	s.run = after
	return s.trouble
}

func (s *shelf) watch(before, after compliance.Verdict) {
	id, how := after.EnrollmentID, after.Watching()
	p := s.spells[id]
	switch {
	case how == compliance.WatchOver:
		delete(s.spells, id)
		for key, n := range s.waiting {
			if n.EnrollmentID == id {
				delete(s.waiting, key)
			}
		}
		return
	case p == nil && how == compliance.WatchPaused:
		return
	case p == nil:
		s.spells[id] = &spell{Spell: compliance.Spell{EnrollmentID: id, ID: fmt.Sprintf("spell-%s-%d", id, s.saved), StartedAt: after.At, Running: how}, at: after.At, next: after.At}
		return
	}
	step := min(max(after.At.Sub(p.at), 0), time.Hour)
	if p.Running != compliance.WatchPaused {
		p.Watched += step
	}
	if p.Running == compliance.WatchReported {
		p.Reported += step
	}
	if p.Running == compliance.WatchPaused && how != compliance.WatchPaused || before.Policy != after.Policy && how != compliance.WatchPaused {
		p.next = after.At
	}
	p.at, p.Running = after.At, how
}

func (s *shelf) watched(id mdm.EnrollmentID) compliance.Watched {
	p := s.spells[id]
	if p == nil {
		return compliance.Watched{}
	}
	return compliance.Watched{Total: p.Watched, At: p.at, Paused: p.Running == compliance.WatchPaused}
}

func (s *shelf) Watched(_ context.Context, id mdm.EnrollmentID) (compliance.Watched, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.watched(id), s.trouble
}

func (s *shelf) Spell(_ context.Context, id mdm.EnrollmentID) (compliance.Spell, error) {
	p := s.spells[id]
	if p == nil {
		return compliance.Spell{}, cmp.Or(s.trouble, compliance.ErrNotFound)
	}
	return p.Spell, s.trouble
}

func (s *shelf) DueSpells(_ context.Context, at time.Time, limit int) ([]mdm.EnrollmentID, error) {
	var due []mdm.EnrollmentID
	for id, p := range s.spells {
		if (!p.next.After(at) || p.next.After(at.Add(25*time.Hour))) && len(due) < limit {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	return due, s.trouble
}

func (s *shelf) SaveSpell(_ context.Context, p compliance.Spell, next time.Time, notices []compliance.Notice, entries []audit.Entry) error {
	old := s.spells[p.EnrollmentID]
	if old == nil || old.ID != p.ID || s.trouble != nil {
		return s.trouble
	}
	old.UserAt, old.AdminsAt, old.RetireAt, old.next = p.UserAt, p.AdminsAt, p.RetireAt, next
	for _, n := range notices {
		s.waiting[n.Key] = n
	}
	s.entries = append(s.entries, entries...)
	return nil
}

func (s *shelf) DueNotices(_ context.Context, at time.Time, limit int) ([]compliance.Notice, error) {
	var due []compliance.Notice
	for key, n := range s.waiting {
		if !s.postponed[key].After(at) && len(due) < limit {
			due = append(due, n)
		}
	}
	slices.SortFunc(due, func(a, b compliance.Notice) int { return a.At.Compare(b.At) })
	return due, s.trouble
}

func (s *shelf) NoticeTaken(_ context.Context, key string) error {
	delete(s.waiting, key)
	return s.trouble
}

func (s *shelf) NoticeFailed(_ context.Context, key string, at time.Time) error {
	s.postponed[key] = at.Add(time.Minute)
	return s.trouble
}

func (s *shelf) RetireFor(_ context.Context, id mdm.EnrollmentID, _ string) error {
	s.retired = append(s.retired, id)
	return s.trouble
}
