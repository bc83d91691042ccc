package compliance

import (
	"time"

	"sallyport/mdm"
)

// dataProtection is HardwareEncryptionCaps of a phone that encrypts blocks and
// files. Files are protected only where a passcode is set as well
// (https://developer.apple.com/documentation/devicemanagement/securityinforesponse).
const dataProtection = 3

// ruleEncryption asks whether what is on the phone is encrypted under its passcode.
func ruleEncryption(e Expected, r mdm.Report) outcome {
	var s mdm.SecurityFacts
	if r.Security != nil {
		s = *r.Security
	}
	o := met(RuleEncryption, "the phone encrypts what it holds, under its passcode", time.Time{})
	switch {
	case e.Platform == mdm.Android:
		o = androidEncryption(s)
	case s.HardwareEncryptionCaps != nil && *s.HardwareEncryptionCaps != dataProtection:
		o = reported(RuleEncryption, "this model cannot encrypt all that it holds", "Ask your administrator for another phone: this one cannot protect mail.")
	case is(s.PasscodePresent, false):
		o = reported(RuleEncryption, "no passcode is set, so nothing is encrypted under it", fixPasscode(e.Platform, "Set a passcode"))
	case s.HardwareEncryptionCaps == nil || s.PasscodePresent == nil:
		o = unasked(RuleEncryption, "the phone has not told about its encryption yet")
	}
	o.Expected = "encrypted under a passcode"
	if e.Platform == mdm.Android {
		o.Expected = "encrypted"
	}
	return o
}

// ruleSupervised asks whether the phone belongs to the organisation alone.
func ruleSupervised(e Expected, r mdm.Report) outcome {
	o := met(RuleSupervised, "the phone is supervised", time.Time{})
	switch {
	case e.Platform == mdm.Android:
		o = androidSupervised(r.Device)
	case r.Device == nil, r.Device.Supervised == nil:
		o = unasked(RuleSupervised, "the phone has not told whether it is supervised")
	case !*r.Device.Supervised:
		o = reported(RuleSupervised, "the phone is not supervised", "Ask your administrator: only a phone that your organisation sets up anew can be supervised.")
	}
	o.Expected = "supervised by your organisation"
	return o
}

// ruleJailbreak never comes out well on an iPhone. Nothing that one tells its
// management says whether it was broken into, so that it is shown and counts
// neither way.
func ruleJailbreak(e Expected, r mdm.Report) outcome {
	o := outcome{Finding: Finding{Rule: RuleNotJailbroken, State: CannotTell, Fact: "no iPhone or iPad tells its management whether it was broken into"}}
	if e.Platform == mdm.Android {
		var s mdm.SecurityFacts
		if r.Security != nil {
			s = *r.Security
		}
		o = androidPosture(s)
	}
	o.Expected = "not broken into (jailbroken or rooted)"
	return o
}
