package main

import (
	"fmt"
	"io"
	"strings"

	"sallyport/mdm/agent"
)

// printAndroid writes the snapshot of an Android phone.
func printAndroid(w io.Writer, s agent.Snapshot) {
	line := func(name string, value any) { fmt.Fprintf(w, "%-16s %v\n", name, value) }
	a := s.Android
	line("state", s.State)
	line("name", s.Name)
	line("product", s.Product)
	line("os", fmt.Sprintf("Android %s (API level %d)", s.OSVersion, a.API))
	line("serial", s.Serial)
	line("owner", map[bool]string{true: "company", false: "personal"}[a.Company])
	if a.Fresh {
		line("set-up", "at its first screen after a factory reset")
	}
	if a.Device != "" {
		line("device", a.Device)
		line("managed", a.Mode+"  "+a.Ownership)
		line("policy", fmt.Sprintf("%s version %d", a.Policy, a.Version))
	}
	if a.SpecificID != "" {
		line("specific id", a.SpecificID)
	}
	for _, broken := range a.Broken {
		line("not kept", broken)
	}
	line("passcode", onOff(s.Passcode))
	line("encryption", onOff(a.Encrypted))
	if a.Posture != "" {
		line("posture", a.Posture)
	}
	line("locked", onOff(s.Locked))
	if len(a.Installed) > 0 {
		line("apps", strings.Join(a.Installed, ", "))
	}
	line("eas_device_id", s.EASDeviceID)
	for _, account := range s.Accounts {
		text := fmt.Sprintf("%s on %s  user %s  in %s", account.Email, account.Host, account.User, account.App)
		if account.DeviceID != "" {
			text += "  as " + account.DeviceID
		}
		if account.Presents != "" {
			text += "  with its certificate"
		}
		line("account", text)
	}
	for _, c := range s.Certificates {
		line("certificate", spokenCertificate(c))
	}
	if a.Companion != "" {
		line("companion app", a.Companion)
	}
	line("executed", fmt.Sprintf("%d commands, %d of them again", s.Executions, s.ExecutedTwice))
	if a.ProfilesRemoved > 0 {
		line("removed", fmt.Sprintf("%d work profiles", a.ProfilesRemoved))
	}
	if a.Resets > 0 {
		line("erased", fmt.Sprintf("%d times", a.Resets))
	}
	line("recreated", fmt.Sprintf("%d accounts made anew", s.Recreated))
}
