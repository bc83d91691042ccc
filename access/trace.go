package access

import (
	"slices"
	"strconv"
	"strings"
)

// Outcomes of a TraceLine.
const (
	OutcomeApplies    = "applies"
	OutcomePasses     = "does not apply"
	OutcomePassed     = "passed"
	OutcomeOpen       = "open"
	OutcomeFailed     = "failed"
	OutcomeWouldBlock = "would block"
)

// Label names a revision in traces: "standard@3".
func (p *Policy) Label() string { return p.Name + "@" + strconv.Itoa(p.Number) }

func (w *walk) line(s Step, subject, outcome, fact string) {
	if w.explain {
		w.trace = append(w.trace, TraceLine{Step: s, Subject: subject, Outcome: outcome, Fact: fact})
	}
}

func (w *walk) applies(s Step, subject, fact string) { w.line(s, subject, OutcomeApplies, fact) }
func (w *walk) passes(s Step, subject, fact string)  { w.line(s, subject, OutcomePasses, fact) }

// noted is about a step that an admin's word decided. Whoever reads traces may
// know who said why; the reasons of the decision are for everybody.
func (w *walk) noted(s Step, n *Note) {
	if w.explain {
		w.applies(s, "", "by "+n.By+" at "+stamp(n.At)+": "+n.Reason)
	}
}

func (w *walk) matched(s Step, r *Rule) {
	if w.explain {
		w.applies(s, string(r.ID), r.Criteria())
	}
}

func (w *walk) exempted() {
	if w.explain {
		w.passes(StepConditionsFailed, w.subject(), "an enforced policy's conditions failed, and "+w.exempt.By+
			" exempted the device until "+stamp(w.exempt.ExpiresAt)+": "+w.exempt.Reason)
	}
}

// explainPolicy gives a line for each policy that is assigned to the user.
func (w *walk) explainPolicy(p *Policy, a aim) {
	switch a {
	case elsewhere:
		return
	case spared:
		fact := "the user is excepted"
		switch {
		case w.breaksGlass(&p.Spec):
			fact = "the user is a break-glass user"
		case !w.platform(&p.Spec):
			fact = "it is for other platforms"
		}
		w.passes(StepConditionsFailed, p.Label(), fact)
		return
	}
	s := w.policy(p)
	outcome := [...]string{passed: OutcomePassed, open: OutcomeOpen, failed: OutcomeFailed}[s]
	if s == failed && a != enforces {
		outcome = OutcomeWouldBlock
	}
	var facts []string
	for _, r := range p.Spec.Require {
		facts = append(facts, string(r)+" "+[...]string{passed: OutcomePassed, open: OutcomeOpen, failed: OutcomeFailed}[w.requirement(r)])
	}
	fact := strings.Join(facts, ", ")
	switch a {
	case reports:
		fact += "; it only reports"
	case notStarted:
		fact += "; it only reports until " + stamp(p.Spec.StartsAt)
	}
	w.line(StepConditionsFailed, p.Label(), outcome, fact)
}

// Relevant returns the same question with only what the answer depends on:
// Explain says the very same of it. It shares memory with in.
func (in *Inputs) Relevant() Inputs {
	w := walk{in: in}
	w.run()
	out := *in
	out.Personal, out.Phones, out.World.Rules, out.World.Policies = nil, nil, nil, nil
	for _, word := range []*Personal{w.exempt, w.word} {
		if word != nil {
			out.Personal = append(out.Personal, *word)
		}
	}
	if w.rule != nil {
		out.World.Rules = []Rule{*w.rule}
	}
	switch w.step {
	case StepUser, StepMailOff:
		return out
	case StepPersonalBlock:
		if w.word == nil {
			out.Phones = []Phone{*w.withheld()}
		}
		return out
	}
	out.World.Policies = w.assigned()
	out.Phones = slices.DeleteFunc(slices.Clone(in.Phones), func(p Phone) bool { return p.tier() != w.tier })
	return out
}

// assigned are the policies that have a line in the trace, without the YAML in
// which they were written.
func (w *walk) assigned() []Policy {
	var list []Policy
	for _, p := range w.in.World.Policies {
		if w.aim(&p) != elsewhere {
			p.Source = ""
			list = append(list, p)
		}
	}
	return list
}
