package access

import (
	"slices"
	"sync/atomic"
	"time"
)

// steps and effects are all that a decision can name, in the order of their counts.
var (
	steps = [...]Step{StepUser, StepMailOff, StepPersonalBlock, StepConditionsFailed, StepPersonalAllow, StepRuleBlock,
		StepRuleQuarantine, StepConditionsPassed, StepRuleAllow, StepDefault, StepUnavailable}
	effects = [...]Effect{Allow, Quarantine, Block}
)

// counts are decisions by Effect and Step.
type counts [len(effects)][len(steps)]atomic.Uint64

func (c *counts) add(d Decision) {
	effect, step := slices.Index(effects[:], d.Effect), slices.Index(steps[:], d.Step)
	if effect >= 0 && step >= 0 {
		c[effect][step].Add(1)
	}
}

// Count is how many decisions said Effect because of Step.
type Count struct {
	Effect Effect
	Step   Step
	N      uint64
}

// Stats are for metrics.
type Stats struct {
	People, Devices int           // in the Set
	Age             time.Duration // since storage confirmed the Set
	Decisions       []Count       // those that were made
	// DroppedDenials and DroppedSightings were never written: storage was away too long.
	DroppedDenials, DroppedSightings uint64
}

// Stats tells how the engine does.
func (e *Engine) Stats() Stats {
	var s Stats
	s.People, s.Devices = e.set.Size()
	s.Age = e.elapsed() - time.Duration(e.confirmed.Load())
	for i, effect := range effects {
		for j, step := range steps {
			if n := e.counts[i][j].Load(); n > 0 {
				s.Decisions = append(s.Decisions, Count{effect, step, n})
			}
		}
	}
	e.records.mu.Lock()
	defer e.records.mu.Unlock()
	s.DroppedDenials, s.DroppedSightings = e.records.denials.dropped, e.records.sightings.dropped
	return s
}
