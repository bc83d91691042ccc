package console

import (
	"slices"
	"strings"

	"sallyport/access"
	"sallyport/internal/web"
)

// because stands for the reason that every such command asks for.
const because = ` --reason "TEXT"`

// adviceOf names the next steps for a device, each as the line of the command line
// that takes it: the console itself changes nothing.
func adviceOf(d one) []web.ConsoleAdvice {
	var list []web.ConsoleAdvice
	add := func(key string, words ...string) {
		list = append(list, web.ConsoleAdvice{Key: key, Command: "sallyport " + strings.Join(words, " ")})
	}
	if d.client == nil {
		add("mail", "device show", string(d.phone.Device.ID), "--mail")
		return list
	}
	id := string(d.client.ID)
	if slices.ContainsFunc(d.client.Phones, func(p access.Phone) bool { return p.Proof == access.ProofProbable }) {
		add("bind", "access device bind", id+because)
	}
	decision := d.answer.Decision
	switch decision.Step {
	case access.StepUser:
		add("user", "user list")
	case access.StepMailOff:
		add("mail_on", "user mail on", quoted(d.upn)+because)
	case access.StepPersonalBlock:
		add(unblock(d))
	case access.StepConditionsFailed:
		add("exempt", "access device exempt", id, "--for 24h"+because)
	case access.StepRuleBlock, access.StepRuleQuarantine:
		add("allow", "access device allow", id+because)
		if rule := ruleOf(d.answer.Trace); rule != "" {
			add("rule", "access rule remove", quoted(rule)+because, "--dry-run")
		}
	case access.StepUnavailable:
		add("doctor", "doctor")
	case access.StepDefault:
		if decision.Effect != access.Allow {
			if len(d.client.Phones) == 0 {
				add("invite", "invite --user", quoted(d.upn))
			}
			add("approve", "access device approve", id+because)
			add("deny", "access device deny", id+because)
		}
	}
	add("explain", "access explain", arguments(d.upn, spelling(d.client.Device)))
	return list
}

// unblock is what takes a block back: of the word that an admin said, or of the act
// that took the mail away.
func unblock(d one) (key, command, of string) {
	for _, word := range d.client.Personal {
		if word.Kind == access.PersonalBlock && word.Key == "" {
			return "unblock_all", "access device unblock", "--user " + quoted(d.upn) + because
		}
		if word.Kind == access.PersonalBlock {
			return "unblock", "access device unblock", string(d.client.ID) + because
		}
	}
	if d.phone != nil {
		return "resend", "device resend", string(d.phone.Device.ID)
	}
	return "unblock", "access device show", string(d.client.ID)
}

// ruleOf is the rule that decided.
func ruleOf(trace []access.TraceLine) string {
	if len(trace) == 0 {
		return ""
	}
	return trace[len(trace)-1].Subject
}

// arguments are words that the shell and the command line take as they are.
func arguments(words ...string) string {
	var list []string
	if slices.ContainsFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") }) {
		list = append(list, "--")
	}
	for _, word := range words {
		list = append(list, quoted(word))
	}
	return strings.Join(list, " ")
}

// quoted is a word that a shell takes as one and as it is. What a mail client calls
// itself ends up on an admin's command line: nothing in it may do anything there.
func quoted(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@._+-:/,", r)
	}
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !plain(r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
