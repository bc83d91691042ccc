package compliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sallyport/internal/audit"
	"sallyport/internal/logkey"
	"sallyport/mdm"
)

const (
	actSize    = 50 // spells that one Act looks at
	noticeSize = 50 // notices that one Deliver takes
	// idleLook is when a spell is looked at again that no action waits for.
	idleLook = 24 * time.Hour
	leastGap = time.Minute
	// actor is whom the trail names where a policy acts.
	actor = "policy"
)

// Act looks at the phones that do not comply and does what is due, and says
// whether there is more. One that cannot be looked at does not hold up the others.
func (s *Service) Act(ctx context.Context) (more bool, err error) {
	ctx = audit.WithActor(ctx, actor)
	ids, err := s.Watch.DueSpells(ctx, s.now(), actSize)
	if err != nil {
		return false, fmt.Errorf("list phones that do not comply: %w", err)
	}
	var trouble error
	for _, id := range ids {
		if err := s.actUpon(ctx, id); err != nil {
			trouble = errors.Join(trouble, fmt.Errorf("act upon enrolment %s: %w", id, err))
		}
	}
	return trouble == nil && len(ids) == actSize, trouble
}

// actUpon evaluates anew first: what follows rests on what is known now, and the
// spell counts on with the verdict.
func (s *Service) actUpon(ctx context.Context, id mdm.EnrollmentID) error {
	judged, err := s.renew(ctx, id)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	spell, err := s.Watch.Spell(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	now := s.now()
	if judged.policy == nil || spell.Running == WatchPaused {
		return s.Watch.SaveSpell(ctx, spell, now.Add(maxTick), nil, nil)
	}
	a := act{spec: judged.policy.Spec, judged: judged, spell: spell, now: now}
	if err := s.retire(ctx, &a); err != nil {
		return err
	}
	a.notices(ctx)
	return s.Watch.SaveSpell(ctx, a.spell, a.next(), a.due, a.entries)
}

// act is what is done to one phone in one go.
type act struct {
	spec    Spec
	judged  judged
	spell   Spell
	now     time.Time
	due     []Notice
	entries []audit.Entry
}

// retire orders the act before it notes that it did: a crash in between orders it
// once more, which the act under way refuses.
func (s *Service) retire(ctx context.Context, a *act) error {
	after, v := a.spec.Actions.Retire, a.judged.verdict
	switch {
	case after == nil, !a.spell.RetireAt.IsZero(), a.spell.Reported < after.std():
		return nil
	case v.State != NotCompliant, v.Watching() != WatchReported, s.Retirer == nil:
		return nil
	}
	if err := s.Retirer.RetireFor(ctx, v.EnrollmentID, v.Policy); err != nil {
		return fmt.Errorf("retire: %w", err)
	}
	a.spell.RetireAt = a.now
	a.note(ctx, "retire")
	return nil
}

func (a *act) notices(ctx context.Context) {
	for _, one := range []struct {
		kind  NoticeKind
		after *Duration
		done  *time.Time
	}{{NoticeUser, a.spec.Actions.NotifyUser, &a.spell.UserAt}, {NoticeAdmins, a.spec.Actions.NotifyAdmins, &a.spell.AdminsAt}} {
		if one.after == nil || !one.done.IsZero() || a.spell.Watched < one.after.std() {
			continue
		}
		*one.done = a.now
		a.due = append(a.due, a.notice(one.kind))
		a.note(ctx, string(one.kind))
	}
}

func (a *act) notice(kind NoticeKind) Notice {
	e, v := a.judged.expected, a.judged.verdict
	n := Notice{Key: a.spell.ID + "." + string(kind), Kind: kind, EnrollmentID: v.EnrollmentID, UserID: e.UserID, UPN: e.UPN,
		Policy: v.Policy, State: v.State, Since: a.spell.StartedAt, At: a.now, BlockAt: v.GraceUntil}
	for _, f := range v.Findings {
		if f.State == Failed {
			n.Findings = append(n.Findings, f)
		}
	}
	if after := a.spec.Actions.Retire; after != nil && a.spell.RetireAt.IsZero() && v.Watching() == WatchReported {
		n.RetireAt = a.now.Add(max(after.std()-a.spell.Reported, 0))
	}
	return n
}

func (a *act) note(ctx context.Context, what string) {
	v := a.judged.verdict
	a.entries = append(a.entries, audit.New(ctx, a.now, "compliance."+what, string(v.EnrollmentID), audit.Done,
		"policy", v.Policy, "watched", a.spell.Watched.Round(time.Minute).String(), "open", open(v)))
}

// next is when the first action that is left may be due; an hour at most, since a
// longer look would not count.
func (a *act) next() time.Time {
	wait := idleLook
	left := func(after *Duration, done time.Time, watched time.Duration) {
		if after != nil && done.IsZero() {
			wait = min(wait, max(after.std()-watched, leastGap), maxTick)
		}
	}
	left(a.spec.Actions.NotifyUser, a.spell.UserAt, a.spell.Watched)
	left(a.spec.Actions.NotifyAdmins, a.spell.AdminsAt, a.spell.Watched)
	left(a.spec.Actions.Retire, a.spell.RetireAt, a.spell.Reported)
	if a.spec.Actions.Block != nil && a.judged.verdict.State == InGrace {
		left(a.spec.Actions.Block, time.Time{}, a.spell.Watched)
	}
	return a.now.Add(wait)
}

// Deliver hands over the notices that are due, and says whether there are more.
// Without a Notifier they wait. One that is not taken comes again later, and does
// not hold up the others.
func (s *Service) Deliver(ctx context.Context) (more bool, err error) {
	if s.Notifier == nil {
		return false, nil
	}
	list, err := s.Watch.DueNotices(ctx, s.now(), noticeSize)
	if err != nil {
		return false, fmt.Errorf("list notices: %w", err)
	}
	for _, n := range list {
		refused := s.Notifier.Notify(ctx, n)
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		if refused == nil {
			err = s.Watch.NoticeTaken(ctx, n.Key)
		} else {
			if s.Log != nil {
				s.Log.WarnContext(ctx, "notice was not taken", slog.String("kind", string(n.Kind)), slog.String(logkey.Enrollment, string(n.EnrollmentID)), slog.Any(logkey.Error, refused))
			}
			err = s.Watch.NoticeFailed(ctx, n.Key, s.now())
		}
		if err != nil {
			return false, fmt.Errorf("note what became of a notice: %w", err)
		}
	}
	return len(list) == noticeSize, nil
}
