package agent

import (
	"fmt"
	"unicode/utf8"
)

// modifiableDevice are the fields that devices.patch takes (Device in the
// discovery document); userName is not offered here.
var modifiableDevice = only("policyName", "state", "disabledReason")

func (a *AMAPI) device(c *call) (*managedDevice, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	d := a.s.Devices[c.enterprise()+"/devices/"+c.parts[1]]
	if d == nil || d.Deleted {
		return nil, missing("device")
	}
	return d, nil
}

func (a *AMAPI) getDevice(c *call) (object, *apiError) {
	d, no := a.device(c)
	if no != nil {
		return nil, no
	}
	return d.Doc, nil
}

func (a *AMAPI) listDevices(c *call) (object, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, no
	}
	var names []string
	for name, d := range a.s.Devices {
		if d.Enterprise == c.enterprise() && !d.Deleted {
			names = append(names, name)
		}
	}
	some, next := page(names, c.size(), c.query.Get("pageToken"))
	out := []any{}
	for _, name := range some {
		out = append(out, a.s.Devices[name].Doc)
	}
	return object{"devices": out, "nextPageToken": next}, nil
}

// patchDevice gives a device another policy, or disables it.
func (a *AMAPI) patchDevice(c *call) (object, *apiError) {
	d, no := a.device(c)
	if no != nil {
		return nil, no
	}
	name := str(d.Doc, "name")
	if named := str(c.body, "name"); named != "" && named != name {
		return nil, broken("device.name", "The name in the body is not that of the URL.")
	}
	m, no := a.schema.readMask("Device", c.query.Get("updateMask"), modifiableDevice)
	if no != nil {
		return nil, no
	}
	if len(m) == 0 { // what is left away stays: a device without a policy or a state is none
		for field := range c.body {
			if modifiableDevice(field) {
				m = append(m, field)
			}
		}
	}
	doc := m.apply(d.Doc, c.body, modifiableDevice)
	if state := str(doc, "state"); state != str(d.Doc, "state") && state != "ACTIVE" && state != "DISABLED" {
		return nil, broken("device.state", "ACTIVE and DISABLED are the only allowable values.")
	}
	policy, no := a.policyName(c, str(doc, "policyName"))
	if no != nil {
		return nil, no
	}
	if a.s.Enterprises[d.Enterprise].Policies[lastPart(policy)] == nil {
		return nil, broken("device.policy_name", "The policy is not there.")
	}
	doc["policyName"] = policy
	d.Doc = doc
	return doc, nil
}

// maxWipeReason is that of wipeReasonMessage and of WipeParams.wipeReason.
const maxWipeReason = 200

// deleteDevice removes a device at Google; the phone is wiped when it comes next:
// the work profile alone where a person owns it, everything otherwise.
func (a *AMAPI) deleteDevice(c *call) (object, *apiError) {
	d, no := a.device(c)
	if no != nil {
		return nil, no
	}
	if utf8.RuneCountInString(c.query.Get("wipeReasonMessage")) > maxWipeReason {
		return nil, broken("wipeReasonMessage", "More than %d characters.", maxWipeReason)
	}
	if no := d.mayWipe(c.query["wipeDataFlags"]); no != nil {
		return nil, no
	}
	d.Deleted, d.Wipe = true, true
	return object{}, nil
}

// Forget has Google lose a device, as when somebody deleted it in another console:
// the phone hears nothing of it.
func (a *AMAPI) Forget(device string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := a.s.Devices[device]
	if d == nil {
		return fmt.Errorf("%w: there is no device %s", ErrInvalid, device)
	}
	d.Deleted, d.Wipe = true, false
	return a.keep()
}

// mayWipe refuses what would cost a person more than the work profile. Google
// would do it: it knows nothing of who bought the phone.
func (d *managedDevice) mayWipe(flags []string) *apiError {
	switch {
	case d.Private && d.wholePhone():
		return broken("", "This would reset a phone that belongs to a person.")
	case d.Private && len(flags) > 0:
		return broken("wipe_data_flags", "Flags of a wipe reach beyond the work profile of a phone that belongs to a person.")
	}
	return nil
}

// wholePhone reports whether a wipe resets all of it: Google's ownership decides
// (WIPE in the discovery document: the work profile alone on personal devices).
func (d *managedDevice) wholePhone() bool { return d.Doc["ownership"] != personallyOwned }

// Words of the API for how a device is managed.
const (
	personallyOwned = "PERSONALLY_OWNED"
	companyOwned    = "COMPANY_OWNED"
	deviceOwner     = "DEVICE_OWNER"
	profileOwner    = "PROFILE_OWNER"
	stateActive     = "ACTIVE"
	stateDeleted    = "DELETED"
)
