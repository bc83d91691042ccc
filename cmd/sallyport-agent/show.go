package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"sallyport/mdm/agent"
)

func (c *showCmd) Run() error {
	p, err := agent.Load(c.Dir)
	if err != nil {
		return err
	}
	s, err := p.Show()
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return printJSON(os.Stdout, s)
	}
	if s.Android != nil {
		printAndroid(os.Stdout, s)
		return nil
	}
	printText(os.Stdout, s)
	return nil
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// printText writes the snapshot as Settings would lay it out.
func printText(w io.Writer, s agent.Snapshot) {
	line := func(name string, value any) { fmt.Fprintf(w, "%-16s %v\n", name, value) }
	line("state", s.State)
	if s.Server != "" {
		line("server", s.Server)
	}
	line("name", s.Name)
	line("product", s.Product)
	line("os", s.OSVersion+" ("+s.Build+")")
	line("udid", s.UDID)
	line("serial", s.Serial)
	line("eas_device_id", s.EASDeviceID)
	line("passcode", onOff(s.Passcode))
	line("supervised", onOff(s.Supervised))
	line("locked", onOff(s.Locked))
	if s.LockMessage != "" || s.LockNumber != "" {
		line("lock screen", strings.TrimSpace(s.LockMessage+"  "+s.LockNumber))
	}
	if s.AccountsFixed {
		line("accounts", "may not be changed")
	}
	if s.Clock != "" {
		line("clock", "wrong by "+s.Clock)
	}
	for _, p := range s.Profiles {
		line("profile", fmt.Sprintf("%s  %s  %s", p.Identifier, strings.Join(flags(p), ", "), p.DisplayName))
	}
	for _, a := range s.Accounts {
		origin := "by hand"
		if a.Profile != "" {
			origin = "from " + a.Profile
		}
		host := a.Host
		if host == "" {
			host = "what Autodiscover finds"
		}
		line("account", fmt.Sprintf("%s on %s  user %s  %s", a.Email, host, a.User, origin))
		if a.Signs != "" {
			line("", "signs mail with "+a.Signs)
		}
		if len(a.Decrypts) > 0 {
			line("", "reads mail to "+strings.Join(a.Decrypts, ", "))
		}
	}
	for _, c := range s.Certificates {
		line("certificate", spokenCertificate(c))
	}
	line("executed", fmt.Sprintf("%d commands, %d of them again", s.Executions, s.ExecutedTwice))
	if s.Erasures > 0 {
		line("erased", fmt.Sprintf("%d times", s.Erasures))
	}
	line("recreated", fmt.Sprintf("%d accounts made anew", s.Recreated))
}

func spokenCertificate(c agent.ShownCertificate) string {
	kind := "authority"
	if c.Identity {
		kind = "identity"
	}
	text := fmt.Sprintf("%s  %s  until %s", kind, c.Subject, c.NotAfter.Format("2006-01-02"))
	if len(c.UPN) > 0 {
		text += "  UPN " + strings.Join(c.UPN, ", ")
	}
	if c.Alias != "" {
		text += "  key " + c.Alias
	}
	return text
}

func flags(p agent.ShownProfile) []string {
	out := []string{"by hand"}
	if p.Managed {
		out[0] = "managed"
	}
	if p.Encrypted {
		out = append(out, "encrypted")
	}
	return out
}

func onOff(b bool) string {
	if b {
		return "on"
	}
	return "off"
}
