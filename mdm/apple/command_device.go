package apple

import "sallyport/internal/secret"

// DeviceLock locks the screen at once. Message and number show only where a
// passcode is set
// (https://developer.apple.com/documentation/devicemanagement/devicelockcommand).
type DeviceLock struct {
	Message     string
	PhoneNumber string // to be called from the lock screen
}

// RequestType implements Command.
func (DeviceLock) RequestType() string { return "DeviceLock" }

func (c DeviceLock) keys() (map[string]any, error) {
	dict := map[string]any{}
	set(dict, "Message", c.Message)
	set(dict, "PhoneNumber", c.PhoneNumber)
	return dict, nil
}

// ClearPasscode removes the passcode; a policy that asks for one has the user
// set a new one within the hour
// (https://developer.apple.com/documentation/devicemanagement/clearpasscodecommand).
type ClearPasscode struct {
	UnlockToken secret.Value // raw bytes, as TokenUpdate brought them
}

// RequestType implements Command.
func (ClearPasscode) RequestType() string { return "ClearPasscode" }

func (c ClearPasscode) keys() (map[string]any, error) {
	return map[string]any{"UnlockToken": []byte(c.UnlockToken.Reveal())}, need("UnlockToken", !c.UnlockToken.IsZero())
}

// EraseDevice resets a phone to how it left the factory. Service encodes it for
// no enrolment but one that MayErase
// (https://developer.apple.com/documentation/devicemanagement/erasedevicecommand).
type EraseDevice struct {
	PreserveDataPlan       bool // keep the eSIM
	DisallowProximitySetup bool // no set-up from a phone nearby
}

// RequestType implements Command.
func (EraseDevice) RequestType() string { return eraseDevice }

func (c EraseDevice) keys() (map[string]any, error) {
	dict := map[string]any{}
	set(dict, "PreserveDataPlan", c.PreserveDataPlan)
	set(dict, "DisallowProximitySetup", c.DisallowProximitySetup)
	return dict, nil
}

// Settings changes the phone's own name; supervised devices only
// (https://developer.apple.com/documentation/devicemanagement/settingscommand/command/settings/devicename).
type Settings struct {
	DeviceName string
}

// RequestType implements Command.
func (Settings) RequestType() string { return "Settings" }

func (c Settings) keys() (map[string]any, error) {
	item := map[string]any{"Item": "DeviceName", "DeviceName": c.DeviceName}
	return map[string]any{"Settings": []any{item}}, need("DeviceName", c.DeviceName != "")
}

// DeviceConfigured lets a phone go on whose set-up waits for us
// (TokenUpdate.AwaitingConfiguration)
// (https://developer.apple.com/documentation/devicemanagement/deviceconfiguredcommand).
type DeviceConfigured struct{}

// RequestType implements Command.
func (DeviceConfigured) RequestType() string { return "DeviceConfigured" }

func (DeviceConfigured) keys() (map[string]any, error) { return bare() }
