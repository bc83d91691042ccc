package agent

import "crypto/subtle"

// deviceLock locks the screen. Message and number show only where a passcode is
// set; the phone is then locked until its owner unlocks it
// (https://developer.apple.com/documentation/devicemanagement/devicelockcommand).
func (p *Phone) deviceLock(c command, o *outcome) error {
	message, number := c.args.text("Message"), c.args.text("PhoneNumber")
	if c.args.err != nil {
		return c.args.err
	}
	shown := "Success"
	if p.s.Facts.Passcode {
		p.s.Facts.Locked, p.s.Facts.LockMessage, p.s.Facts.LockNumber = true, message, number
	} else {
		shown = "NoPasscodeSet"
	}
	if message != "" || number != "" {
		o.keys = map[string]any{"MessageResult": shown}
	}
	return nil
}

// clearPasscode takes the token of this enrolment's TokenUpdate and no other
// (https://developer.apple.com/documentation/devicemanagement/clearpasscodecommand).
func (p *Phone) clearPasscode(c command, _ *outcome) error {
	token := c.args.data("UnlockToken", true)
	if c.args.err != nil {
		return c.args.err
	}
	if want := p.s.Enrolment.UnlockToken; len(want) == 0 || subtle.ConstantTimeCompare(token, want) != 1 {
		return refuse(ErrInvalid, domainPasscode, codePasscodeCannotClear, "The passcode could not be cleared.")
	}
	p.s.Facts.Passcode = false
	p.s.Facts.unlock()
	return nil
}

func (f *facts) unlock() { f.Locked, f.LockMessage, f.LockNumber = false, "", "" }

// eraseDevice says yes; the phone is erased once that is delivered, or lost on
// the way (https://developer.apple.com/documentation/devicemanagement/erasedevicecommand).
func (p *Phone) eraseDevice(c command, _ *outcome) error {
	_ = c.args.boolean("PreserveDataPlan", false)
	_ = c.args.boolean("DisallowProximitySetup", false)
	_ = c.args.dict("ReturnToService", false)
	if c.args.err != nil {
		return c.args.err
	}
	p.s.Ending = endErased
	return nil
}

// deviceConfigured ends the wait of the set-up assistant
// (https://developer.apple.com/documentation/devicemanagement/deviceconfiguredcommand).
func (p *Phone) deviceConfigured(_ command, _ *outcome) error {
	if !p.s.Facts.Supervised {
		return notSupervised("DeviceConfigured")
	}
	p.s.Facts.Awaiting = false
	return nil
}

func notSupervised(what string) *refusal {
	return refuse(ErrInvalid, domainChaperone, codeNotSupervised, "%s needs a supervised device.", what)
}

// settings answers each item by itself; the command is acknowledged whatever
// became of them (https://developer.apple.com/documentation/devicemanagement/settingscommand).
// Apple's schema draws the answer as one dictionary; phones send an array with
// one entry for each item (github.com/micromdm/micromdm/issues/395 and 637).
func (p *Phone) settings(c command, o *outcome) error {
	items := c.args.array("Settings", true)
	if c.args.err != nil {
		return c.args.err
	}
	results := []any{}
	for _, item := range items {
		d, ok := item.(map[string]any)
		if !ok {
			return &fieldError{key: "Settings"}
		}
		r := &reader{d: d}
		name := r.need("Item")
		result := map[string]any{"Item": name, "Status": statusAcknowledged}
		no := p.setting(name, r)
		switch {
		case r.err != nil:
			result["Status"] = statusFormatError
		case no != nil:
			result["Status"], result["ErrorChain"] = statusError, errorChain(nil, no)
			o.told = no.Error()
		}
		results = append(results, result)
	}
	o.keys = map[string]any{"Settings": results}
	return nil
}

// setting carries out one item; DeviceName is the only one that this phone has.
func (p *Phone) setting(item string, r *reader) *refusal {
	if item != "DeviceName" {
		return refuse(ErrInvalid, domainSettings, codeSettingsUnknown, "The setting %q is not known.", item)
	}
	name := r.need("DeviceName")
	switch {
	case r.err != nil:
	case !p.s.Facts.Supervised:
		return notSupervised("The setting DeviceName")
	default:
		p.s.Facts.Name = name
	}
	return nil
}

// Ways in which a command ends the management.
const (
	endLeft   = "left"   // RemoveProfile of the enrolment profile
	endErased = "erased" // EraseDevice
)

// erase leaves a phone as it comes out of the box: no accounts, profiles,
// certificates or keys, no passcode, and without a word to the server. Its
// hardware stays what it was; Mail gets a new ActiveSync device ID, as after
// every factory restore. What the tester told the program stays too: the roots to
// trust, the ledger of commands, the script.
func (p *Phone) erase() error {
	old := p.s
	fresh := newFacts()
	fresh.UDID, fresh.Serial, fresh.IMEI, fresh.Product, fresh.OS = old.Facts.UDID, old.Facts.Serial, old.Facts.IMEI, old.Facts.Product, old.Facts.OS
	fresh.Supervised, fresh.Clock = old.Facts.Supervised, old.Facts.Clock // Apple Business supervises it again
	fresh.Passcode = false
	p.s = &state{
		Version: stateVersion, Facts: fresh, Stage: StageNone, Trusted: old.Trusted, Ledger: old.Ledger, Script: old.Script, Erasures: old.Erasures + 1,
		Counts: old.Counts,
	}
	if err := p.save(); err != nil {
		return err
	}
	p.tell("phone erased", "everything is gone")
	p.dropConnections()
	return p.disk.forget(p.s)
}
