package access

import (
	"time"

	"sallyport/mdm"
)

// maxValid bounds a decision, so that a gate which hears of no change asks again.
const maxValid = 300 * time.Second

// Decide answers. It is pure: no clock, no storage, and the same Inputs give the
// same Decision for ever.
func (in *Inputs) Decide() Decision {
	w := walk{in: in}
	return w.run()
}

// Explain answers as Decide does, and says what each step had to say.
func (in *Inputs) Explain() (Decision, []TraceLine) {
	w := walk{in: in, explain: true}
	d := w.run()
	return d, w.trace
}

// walk is one way through the steps. What it looked at on its way is what the
// outcome depends on.
type walk struct {
	in      *Inputs
	explain bool
	trace   []TraceLine

	step   Step
	effect Effect
	why    []Reason
	until  time.Time

	tier       tier      // of the enrolments that conditions are judged by
	conditions standing  // of the enforced policies together
	exempt     *Personal // by which failed conditions were passed over
	word       *Personal // that decided
	rule       *Rule     // likewise
}

// run asks the steps in their order; the first one that applies decides.
func (w *walk) run() Decision {
	w.until = w.in.At.Add(maxValid)
	switch {
	case w.noUser():
	case w.mailOff():
	case w.personalBlock():
	case w.conditionsFailed():
	case w.personalAllow():
	case w.byRule(StepRuleBlock, Block):
	case w.byRule(StepRuleQuarantine, Quarantine):
	case w.conditionsPassed():
	case w.byRule(StepRuleAllow, Allow):
	default:
		w.byDefault()
	}
	if w.until.Before(w.in.At) { // a verdict that could not be renewed: for this request alone
		w.until = w.in.At
	}
	w.complete()
	return Decision{Effect: w.effect, Step: w.step, Reasons: w.why, ValidUntil: w.until}
}

// decided ends the walk at a step.
func (w *walk) decided(s Step, e Effect, reasons ...Reason) bool {
	w.step, w.effect, w.why = s, e, reasons
	return true
}

// complete sees to it that nobody is turned away without when and what to do.
func (w *walk) complete() {
	for i := range w.why {
		r := &w.why[i]
		if r.Since.IsZero() { // nobody noted when it began
			r.Since = w.in.At
		}
		if r.Fix == "" && w.effect != Allow {
			r.Fix = fixAsk
		}
	}
}

// bound lets the answer hold no longer than to t, if there is such a moment.
func (w *walk) bound(t time.Time) {
	if !t.IsZero() && t.Before(w.until) {
		w.until = t
	}
}

func (w *walk) noUser() bool {
	switch len(w.in.People) {
	case 1:
		w.passes(StepUser, "", "the login names one person")
		return false
	case 0:
		w.applies(StepUser, "", "the login names nobody")
		return w.decided(StepUser, Block, reasonUnknownUser())
	default:
		w.applies(StepUser, "", "the login names several people")
		return w.decided(StepUser, Block, reasonAmbiguousUser())
	}
}

func (w *walk) person() *Person { return &w.in.People[0] }

func (w *walk) mailOff() bool {
	off := w.person().MailOff
	if off == nil {
		w.passes(StepMailOff, "", "mail on phones is on for this user")
		return false
	}
	w.noted(StepMailOff, off)
	return w.decided(StepMailOff, Block, reasonMailOff(off.At))
}

func (w *walk) personalBlock() bool {
	if word := w.personal(PersonalBlock); word != nil {
		return w.spoken(StepPersonalBlock, Block, word, reasonBlocked(word))
	}
	if p := w.withheld(); p != nil {
		w.applies(StepPersonalBlock, string(p.EnrollmentID), "an administrator withdrew the mail from the phone")
		return w.decided(StepPersonalBlock, Block, reasonWithdrawn(p))
	}
	w.passes(StepPersonalBlock, "", "no administrator blocked this device")
	return false
}

// withheld finds the phone from which an admin took the mail away.
func (w *walk) withheld() *Phone {
	for i := range w.in.Phones {
		p := &w.in.Phones[i]
		if p.Proof.Counts() && p.State.Active() && p.Withheld == mdm.WithholdEverything {
			return p
		}
	}
	return nil
}

func (w *walk) personalAllow() bool {
	if word := w.personal(PersonalAllow); word != nil {
		return w.spoken(StepPersonalAllow, Allow, word, reasonAllowed(word))
	}
	w.passes(StepPersonalAllow, "", "no administrator allowed this device")
	return false
}

func (w *walk) spoken(s Step, e Effect, word *Personal, reason Reason) bool {
	w.word = word
	w.bound(word.ExpiresAt)
	w.noted(s, &word.Note)
	return w.decided(s, e, reason)
}

// personal finds the word of that kind in force: one on this device before one on
// all of the user's. An exemption that never expires is none: it would be a hole
// that nobody sees.
func (w *walk) personal(kind PersonalKind) *Personal {
	var found *Personal
	key := w.in.Device.Key
	for i := range w.in.Personal {
		p := &w.in.Personal[i]
		never := p.ExpiresAt.IsZero()
		if p.Kind != kind || !never && !w.in.At.Before(p.ExpiresAt) || never && kind == PersonalExempt {
			continue
		}
		if p.Key == "" {
			if found == nil {
				found = p
			}
			continue
		}
		if key == "" {
			key = Canonical(w.in.Client.DeviceID)
		}
		if p.Key == key {
			return p
		}
	}
	return found
}

// byRule looks for a rule of that effect; of several the first decides.
func (w *walk) byRule(s Step, e Effect) bool {
	for i := range w.in.World.Rules {
		r := &w.in.World.Rules[i]
		if r.Effect == e && r.matches(&w.in.Client, w.person(), &w.in.Device, w.in.Phones) {
			w.rule = r
			w.matched(s, r)
			return w.decided(s, e, reasonRule(r))
		}
	}
	w.passes(s, "", "no such rule matches")
	return false
}

func (w *walk) byDefault() {
	e := w.in.World.Default
	if e != Allow && e != Block {
		e = Quarantine
	}
	w.applies(StepDefault, "", "the default says "+string(e))
	if e == Allow {
		w.decided(StepDefault, e, reasonDefault(e))
		return
	}
	reasons := w.wanting()
	if len(reasons) == 0 {
		reasons = []Reason{reasonDefault(e)}
	}
	w.decided(StepDefault, e, reasons...)
}
