package agent

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// How Google tells that management is gone from a phone. Servers have seen both
// notifications; and where the phone does not come online again, none.
const (
	farewellStatus    = "status"
	farewellEnrolment = "enrollment"
	farewellSilent    = "silent"
)

// androidSetters are what Set knows of an Android phone, besides the scripts that
// all phones take.
var androidSetters = map[string]func(s *state, value string) error{
	"name":         (*state).setName,
	"clock":        (*state).setClock,
	"os":           (*state).setAndroidOS,
	"passcode":     (*state).setStrength,
	"posture":      (*state).setPosture,
	"app":          (*state).setApp,
	"noncompliant": (*state).setNoncompliant,
	"key":          (*state).setKey,
	"companion":    (*state).setCompanion,
	"amapi":        (*state).setAPI,
	"lose-replies": setters["lose-replies"],
	"fresh":        (*state).setFresh,
	"locked":       func(s *state, v string) (err error) { s.Facts.Locked, err = onOff("locked", v); return err },
	"encryption": func(s *state, v string) error {
		on, err := onOff("encryption", v)
		s.Android.Plain = !on
		return err
	},
	"owner": func(s *state, v string) (err error) {
		s.Android.Company, err = either("owner", v, "company", "personal")
		return err
	},
	"maker": func(s *state, v string) error {
		samsung, err := either("maker", v, "samsung", "google")
		s.Android.Brand, s.Android.Manufacturer, s.Facts.Product = "google", "Google", "Pixel 8"
		if samsung {
			s.Android.Brand, s.Android.Manufacturer, s.Facts.Product = "samsung", "samsung", "SM-S921B"
		}
		return err
	},
	"policy": func(s *state, v string) (err error) {
		s.Android.Stale, err = either("policy", v, "stale", "fresh")
		return err
	},
	"farewell": func(s *state, v string) error {
		if !slices.Contains([]string{farewellStatus, farewellEnrolment, farewellSilent}, v) {
			return fmt.Errorf("%w: farewell: %q is none of status, enrollment, silent", ErrInvalid, v)
		}
		s.Android.Farewell = v
		return nil
	},
}

// either reads one of two words.
func either(key, value, yes, no string) (bool, error) {
	if value != yes && value != no {
		return false, fmt.Errorf("%w: %s: %q is neither %s nor %s", ErrInvalid, key, value, yes, no)
	}
	return value == yes, nil
}

var androidVersion = regexp.MustCompile(`^([8-9]|[1-3][0-9])(\.[0-9]{1,2}){0,2}$`)

func (s *state) setAndroidOS(value string) error {
	if !androidVersion.MatchString(value) {
		return fmt.Errorf("%w: os: %q is not a version like 16, from 8 on", ErrInvalid, value)
	}
	s.Facts.OS = value
	return nil
}

// setStrength reads on, off or weak.
func (s *state) setStrength(value string) error {
	s.Android.Weak = value == "weak"
	if s.Android.Weak {
		value = "on"
	}
	var err error
	s.Facts.Passcode, err = onOff("passcode", value)
	if !s.Facts.Passcode {
		s.Facts.Locked = false
	}
	return err
}

// postures that a risk leads to (PostureDetail.securityRisk).
var postures = map[string]string{
	"UNKNOWN_OS": "AT_RISK", "COMPROMISED_OS": "POTENTIALLY_COMPROMISED", "HARDWARE_BACKED_EVALUATION_FAILED": "AT_RISK",
}

// setPosture reads a posture, a risk, or unknown.
func (s *state) setPosture(value string) error {
	a := s.Android
	upper := strings.ToUpper(value)
	switch {
	case postures[upper] != "":
		a.Posture, a.Risks = postures[upper], []string{upper}
	case upper == "SECURE", upper == "AT_RISK", upper == "POTENTIALLY_COMPROMISED":
		a.Posture, a.Risks = upper, nil
	case upper == "UNKNOWN":
		a.Posture, a.Risks = "", nil
	default:
		return fmt.Errorf("%w: posture: %q is none of SECURE, AT_RISK, POTENTIALLY_COMPROMISED, unknown, %s",
			ErrInvalid, value, strings.Join(slices.Sorted(maps.Keys(postures)), ", "))
	}
	return nil
}

// shortNames of apps.
var shortNames = map[string]string{
	"gmail": gmailPackage, "outlook": outlookPackage, "samsung": samsungPackage, "nine": ninePackage, "chrome": chromePackage,
}

var packageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)+$`)

// setApp reads NAME:missing, NAME:error, NAME:old or NAME:fine.
func (s *state) setApp(value string) error {
	name, what, _ := strings.Cut(value, ":")
	pkg := orText(shortNames[strings.ToLower(name)], name)
	if !packageName.MatchString(pkg) || !slices.Contains([]string{appMissing, appBroken, appOld, "fine"}, what) {
		return fmt.Errorf("%w: app: %q is not NAME:missing, NAME:error, NAME:old or NAME:fine, with gmail, outlook, samsung, nine, chrome or a package for NAME", ErrInvalid, value)
	}
	apps := maps.Clone(s.Android.Apps)
	if apps == nil {
		apps = map[string]string{}
	}
	apps[pkg] = what
	if what == "fine" {
		delete(apps, pkg)
	}
	s.Android.Apps = apps
	return nil
}

var upperWord = regexp.MustCompile(`^[A-Z][A-Z_]{2,63}$`)

// setNoncompliant reads SETTING:REASON, SETTING:REASON:PACKAGE, or off.
func (s *state) setNoncompliant(value string) error {
	if value == "off" {
		s.Android.Scripted = nil
		return nil
	}
	parts := strings.Split(value, ":")
	schema, err := readSchema(amapiExtract)
	if err != nil {
		return err
	}
	reasons := schema.shapes["NonComplianceDetail"]["nonComplianceReason"].enum
	if len(parts) < 2 || len(parts) > 3 || !upperWord.MatchString(parts[1]) || !slices.Contains(reasons, parts[1]) || schema.shapes["Policy"][parts[0]].kind == "" {
		return fmt.Errorf("%w: noncompliant: %q is not SETTING:REASON, or that with :PACKAGE, in the words of a policy and of NonComplianceReason", ErrInvalid, value)
	}
	d := detail{Setting: parts[0], Reason: parts[1]}
	if len(parts) == 3 {
		d.Package = orText(shortNames[parts[2]], parts[2])
	}
	s.Android.Scripted = append(slices.Clone(s.Android.Scripted), d)
	return nil
}

// setKey reads ALIAS, for a key pair that was never fetched, or ALIAS:removed,
// for any that its owner deletes.
func (s *state) setKey(value string) error {
	alias, what, removed := strings.Cut(value, ":")
	if alias == "" || len(alias) > 100 || removed && what != "removed" {
		return fmt.Errorf("%w: key: %q is not ALIAS or ALIAS:removed", ErrInvalid, value)
	}
	s.dropKey(alias)
	if !removed {
		s.Android.Keys = append(s.Android.Keys, alias)
	}
	return nil
}

// setCompanion reads failing:REASON, or working.
func (s *state) setCompanion(value string) error {
	what, reason, _ := strings.Cut(value, ":")
	failing := what == "failing" && reason != "" && len(reason) <= 200
	if !failing && value != "working" {
		return fmt.Errorf("%w: companion: %q is not working, or failing:REASON", ErrInvalid, value)
	}
	s.Android.Companion.Failing = reason
	return nil
}

func (s *state) setAPI(value string) error {
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%w: amapi: %q is not the address of a stand-in", ErrInvalid, value)
	}
	s.Android.API = strings.TrimSuffix(value, "/")
	return nil
}

// setFresh resets the phone by hand, without a word to anybody; no undoes only
// the first screen.
func (s *state) setFresh(value string) error {
	on, err := onOff("fresh", value)
	if err != nil {
		return err
	}
	if on {
		s.factoryReset()
	}
	s.Android.Fresh = on
	return nil
}
