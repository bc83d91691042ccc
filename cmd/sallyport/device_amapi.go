package main

import (
	"fmt"
	"strings"

	"sallyport/internal/server/adminapi"
	"sallyport/mdm"
)

// What device show says of an Android phone: it has a policy of Google's instead of
// profiles, and mail apps with a configuration each.

// managedAs is what of the phone is managed, as far as it has told.
func managedAs(d *mdm.DeviceFacts) string {
	switch {
	case d == nil || d.Supervised == nil:
		return "not known yet"
	case *d.Supervised:
		return "the whole phone"
	}
	return "work profile"
}

// posture is what Google makes of the phone's integrity, in words.
func posture(s *mdm.SecurityFacts) string {
	if s == nil {
		return "not told"
	}
	words := map[mdm.Posture]string{
		mdm.PostureSecure:      "secure",
		mdm.PostureAtRisk:      "at risk",
		mdm.PostureCompromised: "may be broken into",
	}
	word, ok := words[s.Posture]
	if !ok {
		return "not told"
	}
	if len(s.Risks) > 0 {
		word += " (" + strings.Join(s.Risks, ", ") + ")"
	}
	return word
}

// policyFacts say which policy Google was given for the phone, and which it applies.
func policyFacts(g adminapi.AndroidGiven) []fact {
	wanted, applied := "none of its own yet", "none that it told of"
	if g.Policy != "" {
		wanted = fmt.Sprintf("version %d", g.Version)
	}
	switch {
	case g.Applied == "":
	case g.Applied != g.Policy:
		applied = "another one: " + g.Applied
	case g.AppliedVersion >= g.Version:
		applied = fmt.Sprintf("version %d", g.AppliedVersion)
	default:
		applied = fmt.Sprintf("version %d: the newer one is on its way", g.AppliedVersion)
	}
	return []fact{{"Policy at Google", wanted}, {"Policy applied", applied}, {"Last report", stamp(g.ReportedAt)}}
}

// androidFacts are the lines of an Android phone in device show.
func androidFacts(d deviceShown) []fact {
	if d.Android == nil {
		return nil
	}
	list := []fact{{"Managed", managedAs(d.Report.Device)}, {"Posture", posture(d.Report.Security)}}
	return append(list, policyFacts(*d.Android)...)
}

// printAndroid says which mail apps are set up, and what the phone does not keep.
func printAndroid(p *program, d deviceShown) {
	if len(d.mail) > 0 {
		fmt.Fprintln(p.stdout, "Mail apps")
	}
	for _, m := range d.mail {
		fmt.Fprintf(p.stdout, "  %s (%s), template %s\n    %s\n", cell(m.DisplayName), cell(m.Package), cell(m.Template), appState(m.State))
	}
	said := d.Report.Policy
	if said == nil {
		return
	}
	if len(said.Broken) > 0 {
		fmt.Fprintln(p.stdout, "Does not keep of the policy")
	}
	for _, n := range said.Broken {
		what := n.Setting
		if n.Package != "" {
			what += " of " + n.Package
		}
		fmt.Fprintf(p.stdout, "  %s: %s\n", cell(what), cell(n.Plain))
	}
	for _, s := range said.AppStates {
		if s.Error {
			fmt.Fprintf(p.stdout, "  %s says of %s: %s\n", cell(s.Package), cell(s.Key), cell(s.Message))
		}
	}
}

// printAppMail prints one mail account as its app should have it.
func printAppMail(p *program, m adminapi.MailProfile) error {
	fmt.Fprintf(p.stdout, "%s (%s), template %s\n  %s\n", cell(m.DisplayName), cell(m.Package), cell(m.Template), appState(m.State))
	if m.Reason != "" {
		fmt.Fprintf(p.stdout, "  %s\n", cell(m.Reason))
	}
	for _, fault := range m.Faults {
		fmt.Fprintf(p.stdout, "  %s\n", cell(fault.Error()))
	}
	for _, account := range m.Accounts {
		lines := make([]fact, 0, len(account.Rows))
		for _, row := range account.Rows {
			lines = append(lines, fact{"  " + row.Label, row.Value})
		}
		if err := facts(p.stdout, lines...); err != nil {
			return err
		}
	}
	return nil
}

// appState is how a mail app stands on the phone, in words.
func appState(state string) string {
	words := map[string]string{
		"installed": "applied: the phone has this configuration",
		"outdated":  "waiting: the phone has an older configuration",
		"missing":   "waiting: the phone has not told that it has this configuration",
		"refused":   "not applied: the phone complains",
		"waiting":   "waiting: the mailbox has no place for another device",
		"unmade":    "cannot be made for this user",
		"unknown":   "unknown: the phone has not reported yet",
	}
	if word, ok := words[state]; ok {
		return word
	}
	return cell(state)
}
