package main

import (
	"fmt"

	"sallyport/internal/server/adminapi"
)

// showMail prints what the phone's Settings should show, for a support desk to
// compare line by line.
func (c *deviceShowCmd) showMail(p *program, api *client, device string) error {
	var mail adminapi.MailSettings
	if err := api.get(p.ctx, devicePath(device)+"/mail", nil, &mail); err != nil {
		return err
	}
	if c.json() {
		return printJSON(p.stdout, mail)
	}
	if mail.Android != nil {
		fmt.Fprintf(p.stdout, "What the mail app of %s (%s) should have\n", cell(mail.Device), cell(mail.User))
		if err := facts(p.stdout, policyFacts(*mail.Android)...); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(p.stdout, "What the Settings of %s (%s) should show\n", cell(mail.Device), cell(mail.User))
	}
	for _, text := range mail.Warnings {
		fmt.Fprintf(p.stdout, "warning: %s\n", cell(text))
	}
	for _, profile := range mail.Profiles {
		if err := printMailProfile(p, profile); err != nil {
			return err
		}
	}
	if len(mail.LeftOut) > 0 {
		fmt.Fprintln(p.stdout)
	}
	printLeftOut(p, mail.LeftOut)
	return nil
}

// printLeftOut names the templates of the user that are not on the phone.
func printLeftOut(p *program, list []adminapi.LeftTemplate) {
	if len(list) > 0 {
		fmt.Fprintln(p.stdout, "Templates left out")
	}
	for _, l := range list {
		what := cell(l.Template)
		if l.App != "" {
			what += fmt.Sprintf(", for %s (%s)", cell(l.App), cell(l.Package))
		}
		fmt.Fprintf(p.stdout, "  %s\n    %s\n    -> %s\n", what, cell(l.Reason), cell(l.Remedy))
	}
}

func printMailProfile(p *program, m adminapi.MailProfile) error {
	fmt.Fprintln(p.stdout)
	if m.Package != "" {
		return printAppMail(p, m)
	}
	if m.DisplayName != "" {
		fmt.Fprintf(p.stdout, "Settings > General > VPN & Device Management: %s\n", cell(m.DisplayName))
	}
	fmt.Fprintf(p.stdout, "  %s (template %s)\n", mailState(m.State), cell(m.Template))
	if m.Reason != "" {
		fmt.Fprintf(p.stdout, "  %s -> %s\n", cell(m.Reason), cell(m.Fix))
	}
	for _, fault := range m.Faults {
		fmt.Fprintf(p.stdout, "  %s\n", cell(fault.Error()))
	}
	for _, account := range m.Accounts {
		fmt.Fprintf(p.stdout, "Settings > Apps > Mail > Mail Accounts > %s (before iOS 18: Settings > Mail > Accounts)\n", cell(account.Name))
		lines := make([]fact, 0, len(account.Rows))
		for _, row := range account.Rows {
			value := row.Value
			if row.Fixed && value != "" {
				value += "  (fixed)"
			}
			lines = append(lines, fact{"  " + row.Label, value})
		}
		if err := facts(p.stdout, lines...); err != nil {
			return err
		}
	}
	return nil
}

// mailState is how a profile stands on the phone, in words.
func mailState(state string) string {
	words := map[string]string{
		"installed": "installed: the phone lists this revision",
		"outdated":  "outdated: the phone lists another revision, and gets this one when it comes next",
		"missing":   "missing: the phone does not list it, and gets it when it comes next",
		"refused":   "refused: the phone would not install it",
		"unmade":    "cannot be made for this user",
		"unknown":   "unknown: the phone has not listed its profiles yet",
	}
	if word, ok := words[state]; ok {
		return word
	}
	return cell(state)
}
