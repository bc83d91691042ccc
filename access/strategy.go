package access

import "sallyport/internal/refusal"

// Strategy is a default under the name that admins know it by.
type Strategy string

const (
	// AllowList lets in what is allowed by name, and nothing else.
	AllowList Strategy = "allow-list"
	// BlockList lets in everything but what is blocked by name.
	BlockList Strategy = "block-list"
	// Mixed lets what is new wait until an admin has looked at it.
	Mixed Strategy = "mixed"
)

// Default is what the strategy says of everything else.
func (s Strategy) Default() (Effect, error) {
	switch s {
	case AllowList:
		return Block, nil
	case BlockList:
		return Allow, nil
	case Mixed:
		return Quarantine, nil
	default:
		return "", refusal.New(ErrInvalid, "strategy", "is unknown", "use allow-list, block-list or mixed")
	}
}

// StrategyOf is the name of a default.
func StrategyOf(e Effect) Strategy {
	switch e {
	case Block:
		return AllowList
	case Allow:
		return BlockList
	case Quarantine:
		return Mixed
	default:
		return Mixed
	}
}

// Hints say what is odd about a world: none keeps anything from being done.
func (w World) Hints() []*refusal.Error {
	var list refusal.List
	has := func(e Effect) bool {
		for _, r := range w.Rules {
			if r.Effect == e {
				return true
			}
		}
		return false
	}
	enforced := false
	for _, p := range w.Policies {
		enforced = enforced || p.Spec.Mode == Enforce
	}
	switch {
	case w.Default == Allow && has(Allow):
		list.Add(refusal.New(ErrInvalid, "default", "rules that allow mean nothing while the default allows", "set the default to quarantine or block, or remove them"))
	case w.Default == Allow && enforced:
		list.Add(refusal.New(ErrInvalid, "default", "devices without an enrolment pass every policy by the default", "set the default to quarantine, so that only enrolled phones are let in"))
	case w.Default == Block && !has(Allow) && !enforced:
		list.Add(refusal.New(ErrInvalid, "default", "nobody is let in: no rule allows and no policy is enforced", "allow a kind of device, or enforce a policy"))
	}
	return list
}
