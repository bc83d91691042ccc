package compliance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/mdm"
)

const (
	fixPolicy  = "Unlock the phone and keep it connected to the internet for a few minutes: it then applies its policy by itself."
	fixAsks    = "Open the notification of the app Android Device Policy on the phone, and do what it asks for."
	fixMailApp = "Keep the phone connected to the internet, and see that it has free storage: the mail app is then installed and set up by itself."
	fixPosture = "Ask your administrator: a phone whose system was changed cannot be trusted with mail."
	fixCompany = "Ask your administrator: only a phone that your organisation sets up from the first screen on is managed as a whole."
	fixKey     = "Ask your administrator: the app that fetches the phone's certificate has not done so yet."
	// fixKeyFailed: in the app's own words, which an administrator understands.
	fixKeyFailed = "Show this to your administrator: the app tries again by itself, and may need help."
	shownLacks   = 3 // settings that are named to the owner
)

// ruleManaged asks whether an Android phone has applied the policy that it should
// have, and keeps it. It is asked of every Android phone: a work profile that
// was removed by its user is not told to anybody, and shows here alone.
func ruleManaged(e Expected, r mdm.Report) outcome {
	p := r.Policy
	o := met(RuleManaged, "the phone keeps its policy", time.Time{})
	switch {
	case p == nil || p.Applied == "":
		o = unasked(RuleManaged, "the phone has not told yet which policy it keeps")
	case e.Policy.Name == "":
		o = unasked(RuleManaged, "the phone's policy is not made yet")
	case p.Applied != e.Policy.Name || p.Version < e.Policy.Version:
		o = reported(RuleManaged, "the phone has not applied its newest policy yet", fixPolicy)
	case companionAlone(e.Policy.Companion, p.Broken):
		o = met(RuleManaged, "the phone keeps its policy, all but the app that fetches its certificate", time.Time{})
	case !is(p.Compliant, true):
		o = reported(RuleManaged, strings.Join(append([]string{"the phone does not keep its policy"}, lacks(p.Broken)...), "; "), fixLacks(p.Broken))
	}
	o.Expected = "its own policy, the newest version, kept in every setting"
	return o
}

// companionAlone reports whether the app that brings keys is all that is wrong.
func companionAlone(companion string, broken []mdm.Nonconformity) bool {
	return companion != "" && len(broken) > 0 &&
		!slices.ContainsFunc(broken, func(b mdm.Nonconformity) bool { return b.Package != companion })
}

// lacks says what is not kept, in plain words, the first few of it.
func lacks(broken []mdm.Nonconformity) []string {
	var list []string
	for _, b := range broken[:min(len(broken), shownLacks)] {
		if b.Package != "" {
			list = append(list, fmt.Sprintf("the app %s is not as it should be", b.Package))
		}
		if b.Plain != "" && (b.Package != "" || !slices.Contains(list, b.Plain)) {
			list = append(list, b.Plain)
		}
	}
	return list
}

// fixLacks is for what the user has to do, as long as there is any of it.
func fixLacks(broken []mdm.Nonconformity) string {
	if slices.ContainsFunc(broken, func(b mdm.Nonconformity) bool { return b.Reason == "USER_ACTION" }) {
		return fixAsks
	}
	return fixPolicy
}

// mailApp gives the phone's own words on the mail app where the account is not
// there: why the app is not installed, or what the app says of its settings.
func mailApp(want ExpectedProfile, p *mdm.PolicyFacts, o outcome) outcome {
	if want.Package == "" || p == nil || o.State == Met {
		return o
	}
	for _, b := range p.Broken {
		if b.Package == want.Package {
			o = reported(RuleMailProfile, fmt.Sprintf("mail profile %q is not on the phone", want.Name)+"; "+b.Plain, fixMailApp)
			if b.Reason == "USER_ACTION" {
				o.Fix = fixAsks
			}
			return o
		}
	}
	for _, s := range p.AppStates {
		if s.Package == want.Package && s.Error {
			return reported(RuleMailProfile, fmt.Sprintf("the mail app refuses mail profile %q, setting %s: %s", want.Name, s.Key, s.Message), fixAsks)
		}
	}
	return o
}

// androidEncryption asks for storage that is encrypted; a passcode is another rule's.
func androidEncryption(s mdm.SecurityFacts) outcome {
	switch {
	case s.Encrypted == nil:
		return unasked(RuleEncryption, "the phone has not told about its encryption yet")
	case !*s.Encrypted:
		return reported(RuleEncryption, "the phone's storage is not encrypted", "Encrypt the phone: Settings > Security > Encryption.")
	}
	return met(RuleEncryption, "the phone's storage is encrypted", time.Time{})
}

func androidSupervised(d *mdm.DeviceFacts) outcome {
	switch {
	case d == nil || d.Supervised == nil:
		return unasked(RuleSupervised, "the phone has not told whether it is supervised")
	case !*d.Supervised:
		return reported(RuleSupervised, "the phone has a work profile and is not managed as a whole", fixCompany)
	}
	return met(RuleSupervised, "the phone is managed as a whole", time.Time{})
}

// androidPosture asks what Google makes of the system's integrity. A posture that
// is at risk is no better than one that is broken into: nobody vouches for it.
func androidPosture(s mdm.SecurityFacts) outcome {
	fact := ""
	switch s.Posture {
	case mdm.PostureSecure:
		return met(RuleNotJailbroken, "Google vouches for the phone's system", time.Time{})
	case mdm.PostureAtRisk:
		fact = "Google does not vouch for the phone's system"
	case mdm.PostureCompromised:
		fact = "the phone's system may have been broken into"
	default:
		return unasked(RuleNotJailbroken, "the phone has not told whether it was broken into")
	}
	said := []string{fact}
	for _, risk := range s.Risks {
		if words := riskWords(risk); words != "" && !slices.Contains(said, words) {
			said = append(said, words)
		}
	}
	return reported(RuleNotJailbroken, strings.Join(said, "; "), fixPosture)
}

// riskWords puts Google's securityRisk into plain words
// (https://developers.google.com/android/management/reference/rest/v1/enterprises.devices#SecurityRisk).
func riskWords(risk string) string {
	switch risk {
	case "UNKNOWN_OS":
		return "it runs a system that Google does not know"
	case "COMPROMISED_OS":
		return "it runs a system that was tampered with"
	case "HARDWARE_BACKED_EVALUATION_FAILED":
		return "its hardware does not vouch for its system"
	}
	return ""
}
