package agent

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Error codes of Command.errorCode.
const (
	codeAPILevel    = "API_LEVEL"
	codeMode        = "MANAGEMENT_MODE"
	codeValue       = "INVALID_VALUE"
	codeUnsupported = "UNSUPPORTED"
)

// androidCommands are those that this phone knows. Each returns an error code, or
// nothing, and the fields of Command that a device fills.
var androidCommands = map[string]func(*Phone, object) (errorCode string, status object){
	commandLock:       (*Phone).androidLock,
	commandPassword:   (*Phone).androidPassword,
	commandReboot:     (*Phone).androidReboot,
	commandRelinquish: (*Phone).androidRelinquish,
	commandClear:      (*Phone).androidClear,
	commandInfo:       (*Phone).androidInfo,
	commandWipe:       (*Phone).androidWipe,
	commandLost:       (*Phone).androidLost,
	commandFound:      (*Phone).androidFound,
}

// obeyAndroid carries a command out and keeps its result together with what it
// changed, in one write, before the result leaves.
func (p *Phone) obeyAndroid(c phoneCommand) error {
	command, err := readObject(c.Command)
	if err != nil {
		return fmt.Errorf("command: %w: %w", ErrProtocol, err)
	}
	typ := str(command, "type")
	run, known := androidCommands[typ]
	errorCode, status := codeUnsupported, object(nil)
	if known {
		errorCode, status = run(p, command)
	}
	result := commandResult{Operation: c.Operation, ErrorCode: errorCode}
	if status != nil {
		if result.Status, err = json.Marshal(status); err != nil {
			return fmt.Errorf("result of %s: %w", typ, err)
		}
	}
	outcome := orText(errorCode, "done")
	p.s.Ledger.add(c.Operation, typ, outcome, p.o.tally.limit())
	p.s.Android.Results = append(p.s.Android.Results, result)
	if err := p.save(); err != nil {
		return err
	}
	p.tell("command", "%s  %s", typ, outcome)
	return nil
}

func (p *Phone) androidLock(object) (string, object) {
	p.s.Facts.Locked = p.s.Facts.Passcode
	return "", nil
}

// androidPassword: in a work profile it is the profile's own lock that changes,
// and the phone keeps its passcode.
func (p *Phone) androidPassword(c object) (string, object) {
	word := str(c, "newPassword")
	numeric := strings.Trim(word, "0123456789") == ""
	if word != "" && len(word) < 6 && numeric && apiLevel(p.s.Facts.OS) >= 34 {
		return codeValue, nil
	}
	if p.s.Android.Managed.Mode == deviceOwner {
		p.s.Facts.Passcode, p.s.Facts.Locked = word != "", slices.Contains(texts(c, "resetPasswordFlags"), "LOCK_NOW")
	}
	return "", nil
}

func (p *Phone) androidReboot(object) (string, object) {
	if p.s.Android.Managed.Mode != deviceOwner {
		return codeMode, nil
	}
	p.s.Android.Reboots++
	return "", nil
}

// androidRelinquish removes the work profile of a company's phone, which becomes
// its user's.
func (p *Phone) androidRelinquish(object) (string, object) {
	if m := p.s.Android.Managed; m.Mode != profileOwner || m.Ownership != companyOwned {
		return codeMode, nil
	}
	p.s.Ending, p.s.Android.Company = endLeft, false
	return "", nil
}

// androidClear makes an app forget everything: its account is made anew from the
// managed configuration.
func (p *Phone) androidClear(c object) (string, object) {
	results := object{}
	for _, pkg := range texts(inner(c, "clearAppsDataParams"), "packageNames") {
		switch {
		case apiLevel(p.s.Facts.OS) < 28:
			results[pkg] = object{"clearingResult": "API_LEVEL"}
		case !slices.Contains(p.s.Android.Managed.Installed, pkg):
			results[pkg] = object{"clearingResult": "APP_NOT_FOUND"}
		default:
			results[pkg] = object{"clearingResult": "SUCCESS"}
			p.s.Accounts = keep(p.s.Accounts, func(a account) bool { return a.Profile != pkg })
		}
	}
	return "", object{"clearAppsDataStatus": object{"results": results}}
}

// eid is a made-up number of an eSIM chip (SGP.02): 32 digits that begin with 89.
const eid = "89049032007008882600000000004711"

// androidInfo tells of the eSIM where a person owns the phone, who says yes
// (RequestDeviceInfoParams in the discovery document).
func (p *Phone) androidInfo(object) (string, object) {
	switch {
	case apiLevel(p.s.Facts.OS) < 33:
		return codeAPILevel, nil
	case p.s.Android.Managed.Ownership != personallyOwned:
		return "", object{"requestDeviceInfoStatus": object{"status": "UNSUPPORTED"}}
	}
	return "", object{"requestDeviceInfoStatus": object{"status": "SUCCEEDED", "eidInfo": object{"eids": []any{object{"eid": eid}}}}}
}

// androidLost and androidFound are for a company's phone
// (StartLostModeParams in the discovery document).
func (p *Phone) androidLost(c object) (string, object) {
	a := p.s.Android
	switch {
	case a.Managed.Ownership == personallyOwned:
		return codeMode, nil
	case a.Lost:
		return "", lostMode("startLostModeStatus", "ALREADY_IN_LOST_MODE")
	}
	a.Lost, p.s.Facts.Locked = true, p.s.Facts.Passcode
	p.s.Facts.LockMessage = str(inner(inner(c, "startLostModeParams"), "lostMessage"), "defaultMessage")
	return "", lostMode("startLostModeStatus", "SUCCESS")
}

func (p *Phone) androidFound(object) (string, object) {
	a := p.s.Android
	switch {
	case a.Managed.Ownership == personallyOwned:
		return codeMode, nil
	case !a.Lost:
		return "", lostMode("stopLostModeStatus", "NOT_IN_LOST_MODE")
	}
	a.Lost = false
	p.s.Facts.unlock()
	return "", lostMode("stopLostModeStatus", "SUCCESS")
}

func lostMode(field, status string) object { return object{field: object{"status": status}} }

// androidWipe says yes; what is wiped goes once that is delivered: the work
// profile alone where Google takes the phone for a person's.
func (p *Phone) androidWipe(object) (string, object) {
	p.s.Ending = endLeft
	if p.s.Android.Managed.wholePhone() {
		p.s.Ending = endErased
	}
	return "", nil
}
