package agent

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
)

// knownApps are those that this phone can configure, with the keys that its
// catalogue has for them.
func knownApps() map[string]*storeApp {
	apps, err := readStore()
	if err != nil {
		return nil // the stand-in refuses to start with such a catalogue
	}
	return apps
}

// easDeviceID is what a client may call itself (MS-ASHTTP 2.2.1.1.1.1.2).
var easDeviceID = regexp.MustCompile(`^[A-Za-z0-9]{1,32}$`)

// gmailTrio is what Gmail needs before it makes an account.
var gmailTrio = []string{"email", "host", "user"}

// keyState is an app's own word on one key of its configuration (KeyedAppState).
type keyState struct {
	key, severity, message string
}

// configured reads the managed configuration of an app as the app would: an
// account, or why there is none.
func (s *state) configured(pkg string, app *storeApp, config object) (account, bool, []keyState) {
	means := map[string]any{}
	var states []keyState
	collect(app.Properties, config, means, &states)
	a := account{
		Profile: pkg, App: app.Title, Email: str(means, "email"), User: str(means, "user"), Host: str(means, "host"),
		SSL: means["ssl"] != false, IdentityRef: str(means, "alias"), DeviceID: str(means, "device"), DaysToSync: windowDays(means["window"]),
		Settings: dict(config),
	}
	if a.DeviceID == "" && pkg == gmailPackage {
		a.DeviceID = s.Facts.EASDeviceID
	}
	wrong := func(part, text string) {
		for _, p := range properties(app.Properties) {
			if p.Means == part {
				states = append(states, keyState{p.Key, "ERROR", text})
			}
		}
	}
	made := a.Email != ""
	if pkg == gmailPackage {
		for _, part := range gmailTrio {
			if str(means, part) == "" {
				wrong(part, "is missing: no account is made")
				made = false
			}
		}
		if strings.Contains(a.Host, "://") || strings.ContainsAny(a.Host, " \\") {
			wrong("host", "is no host, host:port or host:port/path")
			made = false
		}
		if !easDeviceID.MatchString(a.DeviceID) {
			wrong("device", "is not 1 to 32 letters and digits")
			made = false
		}
	}
	if a.IdentityRef != "" && a.Email != "" { // Samsung's plugin signs in nowhere
		if trouble := s.keyTrouble(pkg, a.IdentityRef); trouble != "" {
			wrong("alias", trouble)
		}
	}
	if s.Android.Apps[pkg] == appBroken {
		wrong("email", "the account cannot be set up")
	}
	return a, made, states
}

// collect takes the values of all keys that mean a part of an account, and says
// of every key that it was taken.
func collect(known []appProperty, config object, means map[string]any, states *[]keyState) {
	for _, p := range known {
		v, set := config[p.Key]
		if !set {
			continue
		}
		if p.Type == "BUNDLE_ARRAY" {
			all, _ := v.([]any)
			for _, one := range all[:min(len(all), 1)] { // the first account is the one that is shown
				o, _ := one.(object)
				collect(p.Nested, o, means, states)
			}
		}
		if p.Means != "" {
			means[p.Means] = v
		}
		*states = append(*states, keyState{p.Key, "INFO", "applied"})
	}
}

func properties(all []appProperty) []appProperty {
	out := slices.Clone(all)
	for _, p := range all {
		out = append(out, p.Nested...)
	}
	return out
}

// windowDays are the days that Gmail's window stands for; 0: all.
func windowDays(v any) int {
	n, _ := v.(json.Number)
	i, err := n.Int64()
	if days := []int{0, 1, 3, 7, 14, 31}; err == nil && i >= 0 && int(i) < len(days) {
		return days[i]
	}
	return 0
}

// placeMail makes the accounts that the policy configures. An account whose
// mailbox, device ID or key changed is made anew, with all mail downloaded again,
// as Gmail was seen to do.
func (s *state) placeMail(policy object, installed []string) {
	apps := knownApps()
	accounts := keep(s.Accounts, func(a account) bool { return a.Profile == "" })
	if s.Android.Mailboxes == nil {
		s.Android.Mailboxes = map[string]string{}
	}
	for _, app := range list(policy, "applications") {
		pkg, config := str(app, "packageName"), inner(app, "managedConfiguration")
		if apps[pkg] == nil || config == nil || !slices.Contains(installed, pkg) {
			continue
		}
		a, made, _ := s.configured(pkg, apps[pkg], config)
		if !made {
			continue
		}
		identity := strings.Join([]string{a.Email, a.Host, a.User, a.DeviceID, a.IdentityRef}, "\x00")
		old := slices.IndexFunc(s.Accounts, func(have account) bool { return have.Profile == pkg })
		switch before, ever := s.Android.Mailboxes[pkg]; {
		case old >= 0 && before == identity:
			a.Updates = s.Accounts[old].Updates
			if !same(object(s.Accounts[old].Settings), config) {
				a.Updates++
			}
		case ever:
			s.Recreated++
			fallthrough
		default:
			s.Counts.Created++
			s.Counts.Prompts++ // for the password, or the sign-in
		}
		s.Android.Mailboxes[pkg] = identity
		accounts = append(accounts, a)
	}
	s.Accounts = accounts
}
