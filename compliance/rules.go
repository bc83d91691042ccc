package compliance

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"sallyport/mdm"
)

// Credit is how long a mail profile counts as installed on the strength of the
// phone's acknowledgement alone, until its ProfileList says so too.
const Credit = 10 * time.Minute

// outcome is a finding before it has a history, and the moment at which it
// could come out otherwise though nobody tells us anything (zero = never).
type outcome struct {
	Finding
	until time.Time
}

func met(rule RuleName, fact string, until time.Time) outcome {
	return outcome{Finding{Rule: rule, State: Met, Fact: fact}, until}
}

func failed(rule RuleName, fact, fix string) outcome {
	return outcome{Finding: Finding{Rule: rule, State: Failed, Fact: fact, Fix: fix}}
}

// reported is failed by what the phone itself has told.
func reported(rule RuleName, fact, fix string) outcome {
	o := failed(rule, fact, fix)
	o.Reported = true
	return o
}

func unasked(rule RuleName, fact string) outcome {
	return outcome{Finding: Finding{Rule: rule, State: Unasked, Fact: fact, Fix: fixUnasked}}
}

// The words of a fix are for the person who holds the phone.
const (
	fixUnasked  = "Unlock the phone and keep it connected to the internet for a few minutes: it is being asked."
	fixEnroll   = "Ask your administrator for a new invitation: this phone must be set up again."
	fixSilent   = "Unlock the phone and connect it to the internet; it then reports by itself within a few minutes."
	fixRefused  = "If you set up this mailbox on the phone by hand, remove that account (Settings > Mail > Accounts): the managed one is then installed by itself. Otherwise show this to your administrator."
	fixInstall  = "Unlock the phone and keep it connected to the internet for a few minutes: the mail profile is then installed by itself."
	fixTemplate = "Ask your administrator to assign a mail template to you: none is."
	fixRender   = "Ask your administrator to complete your entry in the directory: your mail profile cannot be made from it."
)

// ruleMail asks whether every mail profile that the user should have is on the
// phone, put there by us, at the current revision.
func ruleMail(e Expected, r mdm.Report, now time.Time) outcome {
	if len(e.Mail) == 0 {
		return failed(RuleMailProfile, "no mail template is assigned to this user", fixTemplate)
	}
	worst := met(RuleMailProfile, "", time.Time{})
	var facts []string
	for _, want := range e.Mail {
		o := mailApp(want, r.Policy, refusedBy(want, mailProfile(want, r, now)))
		facts = append(facts, o.Fact)
		if severity(o.State) > severity(worst.State) {
			worst.State, worst.Fix, worst.Reported = o.State, o.Fix, o.Reported
		}
		worst.until = earliest(worst.until, o.until)
	}
	worst.Fact = strings.Join(facts, "; ")
	worst.Expected = "installed, managed, current"
	return worst
}

// refusedBy gives the phone's own words instead of ours, where it said why the
// profile is not there, and the reason where we have not sent it yet.
func refusedBy(want ExpectedProfile, o outcome) outcome {
	switch {
	case o.State == Met:
	case want.Waits != "" && want.UUID != "":
		o.Fact = fmt.Sprintf("mail profile %q waits: %s", want.Name, want.Waits)
		o.Fix = cmp.Or(want.Fix, o.Fix)
	case want.Refused != "":
		o.Fact = fmt.Sprintf("the phone refused mail profile %q: %s", want.Name, want.Refused)
		o.Fix = cmp.Or(want.Fix, fixRefused)
	}
	return o
}

func mailProfile(want ExpectedProfile, r mdm.Report, now time.Time) outcome {
	if want.UUID == "" {
		return failed(RuleMailProfile, fmt.Sprintf("mail profile %q cannot be made for this user", want.Name), fixRender)
	}
	listed, supervised := r.Profiles, r.Device != nil && is(r.Device.Supervised, true)
	// A list from before the acknowledgement cannot know of the installation.
	if listed != nil && (want.AcknowledgedAt.IsZero() || listed.At.After(want.AcknowledgedAt)) {
		return listedProfile(want, listed.Items, supervised, now)
	}
	if age := now.Sub(want.AcknowledgedAt); !want.AcknowledgedAt.IsZero() && age.Abs() < Credit {
		return met(RuleMailProfile, fmt.Sprintf("mail profile %q was installed just now", want.Name), want.AcknowledgedAt.Add(Credit))
	}
	// An older list that already shows the current revision is as good.
	if listed != nil {
		if o := listedProfile(want, listed.Items, supervised, now); o.State == Met {
			return o
		}
	}
	return unasked(RuleMailProfile, fmt.Sprintf("the phone has not confirmed mail profile %q yet", want.Name))
}

// listedProfile looks for the profile in the phone's own list. A supervised
// phone does not say who installed a profile, as its management may replace any
// (https://developer.apple.com/documentation/devicemanagement/profilelistresponse).
func listedProfile(want ExpectedProfile, items []mdm.ProfileOnFile, supervised bool, now time.Time) outcome {
	name := fmt.Sprintf("mail profile %q", want.Name)
	for _, item := range items {
		switch {
		case item.Identifier != want.Identifier:
			continue
		case item.Managed == nil && !supervised:
			return unasked(RuleMailProfile, name+": the phone has not told who installed it")
		case is(item.Managed, false):
			return reported(RuleMailProfile, name+" was installed by hand",
				fmt.Sprintf("Remove %s in Settings > General > VPN & Device Management; the managed one is then installed by itself.", name))
		case strings.EqualFold(item.UUID, want.UUID):
			return met(RuleMailProfile, name+" is installed", time.Time{})
		}
		if until, ok := lately(want, item.UUID, now); ok {
			return met(RuleMailProfile, name+" is installed, and its renewed certificate is on its way", until)
		}
		return reported(RuleMailProfile, name+" is out of date", fixInstall)
	}
	return reported(RuleMailProfile, name+" is not installed", fixInstall)
}

// lately reports whether a revision still counts as the current one, and until when.
func lately(want ExpectedProfile, uuid string, now time.Time) (time.Time, bool) {
	for _, p := range want.Previous {
		if strings.EqualFold(p.UUID, uuid) && now.Before(p.Until) {
			return p.Until, true
		}
	}
	return time.Time{}, false
}

// rulePasscode asks SecurityInfo. PasscodeCompliant is true when the passcode
// satisfies every requirement, those of mail accounts included;
// PasscodeCompliantWithProfiles looks at profiles only.
// https://developer.apple.com/documentation/devicemanagement/securityinforesponse
func rulePasscode(e Expected, r mdm.Report) outcome {
	var s mdm.SecurityFacts
	if r.Security != nil {
		s = *r.Security
	}
	o := met(RulePasscode, "a passcode is set and meets the requirements", time.Time{})
	switch {
	case s.PasscodePresent != nil && !*s.PasscodePresent:
		o = reported(RulePasscode, "no passcode is set", fixPasscode(e.Platform, "Set a passcode"))
	case is(s.PasscodeCompliant, false), is(s.PasscodeCompliantWithProfiles, false):
		o = reported(RulePasscode, "the passcode does not meet the requirements", fixPasscode(e.Platform, "Choose a stronger passcode"))
	case s.PasscodePresent == nil || s.PasscodeCompliant == nil:
		o = unasked(RulePasscode, "the phone has not told about its passcode yet")
	}
	o.Expected = "set, meeting the requirements"
	return o
}

func fixPasscode(p mdm.Platform, what string) string {
	if p == mdm.Android {
		return what + ": Settings > Security > Screen lock."
	}
	return what + ": Settings > Face ID & Passcode (or Touch ID & Passcode)."
}

// ruleIdentity asks our own books: the phone proves at every contact that it
// holds the key of the certificate that the enrolment is pinned to.
func ruleIdentity(e Expected, now time.Time) outcome {
	id := e.Identity
	o := met(RuleIdentity, "valid until "+day(id.NotAfter), id.NotAfter)
	switch {
	case id.SHA256 == "" || id.NotAfter.IsZero():
		o = failed(RuleIdentity, "no certificate of ours is on record for this phone", fixEnroll)
	case id.Distrusted:
		o = failed(RuleIdentity, "the CA that issued this phone's identity is trusted no more: the phone must be set up again", fixEnroll)
	case id.Revoked:
		o = failed(RuleIdentity, "the certificate was revoked", fixEnroll)
	case !now.Before(id.NotAfter):
		o = failed(RuleIdentity, "the certificate expired on "+day(id.NotAfter), fixEnroll)
	}
	if e.Platform == mdm.Android && o.State == Failed {
		o.Fix = fixKey
		if id.Failure != "" {
			o.Fact, o.Fix = "the app that fetches the phone's certificate could not do so: "+id.Failure, fixKeyFailed
		}
	}
	o.Expected = "issued by us, neither expired nor revoked"
	return o
}

// ruleReported asks for the oldest of what the verdict rests on: the last
// contact, and each group of facts that another rule looks at. A phone that
// keeps calling but leaves our questions open is as silent as one that is off.
// What a clock noted that stood far ahead says nothing: a silent phone would be
// in good standing until that time comes.
func ruleReported(e Expected, r mdm.Report, rules Rules, now time.Time) outcome {
	within := rules.ReportedWithin.std()
	var last, ahead time.Time
	note := func(at time.Time) {
		if at.After(now.Add(maxClockStep)) {
			ahead = earliest(ahead, at)
			return
		}
		last = earliest(last, at)
	}
	for _, g := range rules.groups() {
		if at := reportedAt(r, g); !at.IsZero() {
			note(at)
		}
	}
	if e.Platform == mdm.Android && r.Policy != nil && !r.Policy.At.IsZero() {
		note(r.Policy.At) // ruleManaged rests on it
	}
	facts := ahead
	note(e.LastSeenAt)
	o := met(RuleReported, "last complete report "+minute(last), last.Add(within))
	switch {
	case e.LastSeenAt.IsZero():
		o = unasked(RuleReported, "the phone has never reported")
	case !facts.IsZero() || last.IsZero():
		o = unasked(RuleReported, "the phone has not reported since the server's clock was set back")
		o.until = ahead.Add(-maxClockStep)
	case !now.Before(last.Add(within)):
		o = failed(RuleReported, "last complete report "+minute(last), fixSilent)
	}
	o.Expected = "within " + rules.ReportedWithin.String()
	return o
}

func is(b *bool, want bool) bool { return b != nil && *b == want }

// severity orders outcomes: what failed outweighs what nobody has told.
func severity(s RuleState) int {
	switch s {
	case Met, CannotTell:
		return 0
	case Unasked:
		return 1
	default:
		return 2
	}
}

// earliest returns the earlier of two moments, where zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func day(t time.Time) string    { return t.UTC().Format("2006-01-02") }
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
