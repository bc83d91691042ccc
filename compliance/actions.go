package compliance

import (
	"fmt"
	"time"

	"sallyport/internal/refusal"
)

// Actions are what follows while a phone does not comply, each after so much time
// that we have watched it do so: a server that is down watches nothing, and a
// clock that leaps ahead adds an hour at most. Each is done once, until the phone
// complies again. Nil: not at all, but for Block, which Spec.Grace stands for then.
type Actions struct {
	NotifyUser   *Duration `yaml:"notify_user" json:"notify_user,omitempty"`
	NotifyAdmins *Duration `yaml:"notify_admins" json:"notify_admins,omitempty"`
	Block        *Duration `yaml:"block" json:"block,omitempty"` // the grace: until then the mailbox stays open
	// Retire ends the management of the phone, as an administrator's own act would:
	// never an erasure, with a second owner's consent where the server asks for
	// it, and only where the phone itself has told what it fails.
	Retire *Duration `yaml:"retire" json:"retire,omitempty"`
}

// minRetire leaves time to take a wrong policy back before it empties a fleet.
const minRetire = Duration(24 * time.Hour)

// grace is how long a rule may stay failed before it blocks.
func (s Spec) grace() Duration {
	if s.Actions.Block != nil {
		return *s.Actions.Block
	}
	return s.Grace
}

func (s Spec) checkActions() refusal.List {
	var faults refusal.List
	if s.Grace != 0 && s.Actions.Block != nil {
		faults.Add(twoGraces())
	}
	for _, a := range []struct {
		name  string
		after *Duration
	}{{"notify_user", s.Actions.NotifyUser}, {"notify_admins", s.Actions.NotifyAdmins}, {"block", s.Actions.Block}, {"retire", s.Actions.Retire}} {
		if a.after != nil && (*a.after < 0 || *a.after > maxDuration) {
			faults.Add(refusal.New(ErrInvalid, "actions."+a.name, "must be between 0s and 8760h", "for example 72h"))
		}
	}
	if r := s.Actions.Retire; r != nil {
		if *r < minRetire {
			faults.Add(refusal.New(ErrInvalid, "actions.retire", fmt.Sprintf("must be at least %s", minRetire), "a wrong policy must leave time to take it back, for example 720h"))
		}
		if s.Rules.ReportedWithin == 0 {
			faults.Add(refusal.New(ErrInvalid, "actions.retire", "needs rules.reported_within", "a phone that is silent is not retired, and only that rule says from when on it is silent"))
		}
	}
	return faults
}

func twoGraces() *refusal.Error {
	return refusal.New(ErrInvalid, "grace", "is said twice: actions.block is the same", "leave one of the two out")
}

// strictestActions takes the shorter time of each.
func strictestActions(a, b Spec) (Actions, Duration) {
	all := Actions{
		NotifyUser:   shorter(a.Actions.NotifyUser, b.Actions.NotifyUser),
		NotifyAdmins: shorter(a.Actions.NotifyAdmins, b.Actions.NotifyAdmins),
		Retire:       shorter(a.Actions.Retire, b.Actions.Retire),
	}
	grace := min(a.grace(), b.grace())
	if a.Actions.Block != nil && b.Actions.Block != nil {
		all.Block, grace = &grace, 0
	}
	return all, grace
}

func shorter(a, b *Duration) *Duration {
	if a == nil || b != nil && *b < *a {
		return b
	}
	return a
}
