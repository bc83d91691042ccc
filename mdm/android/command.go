package android

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"time"

	"google.golang.org/api/androidmanagement/v1"

	"sallyport/internal/refusal"
	"sallyport/mdm"
)

var (
	// ErrForbidden says that a command would erase more than we may.
	ErrForbidden = errors.New("command is not allowed on this device")
	// ErrCommand says that a command is none that can be sent.
	ErrCommand = errors.New("invalid command")
)

// CommandType names a command as Google does
// (https://developers.google.com/android/management/reference/rest/v1/enterprises.devices/issueCommand#commandtype).
type CommandType string

const (
	Lock                CommandType = "LOCK"
	ResetPassword       CommandType = "RESET_PASSWORD"
	Reboot              CommandType = "REBOOT"               // fully managed devices
	RelinquishOwnership CommandType = "RELINQUISH_OWNERSHIP" // company's devices with a work profile
	ClearAppData        CommandType = "CLEAR_APP_DATA"       // Android 9 and later
	StartLostMode       CommandType = "START_LOST_MODE"
	StopLostMode        CommandType = "STOP_LOST_MODE"
	RequestDeviceInfo   CommandType = "REQUEST_DEVICE_INFO"
	Wipe                CommandType = "WIPE"
)

// Command is one thing that a device shall do.
type Command struct {
	Type     CommandType
	Packages []string      // ClearAppData: whose data goes
	TTL      time.Duration // how long it waits for the device; 0: ten minutes, as Google does
	// Reason is shown to the user before a work profile is removed from a personal
	// device; at most 200 characters are sent.
	Reason string
}

// Target is the device of a command, as far as the guard asks. Ownership is what
// our record says, never what the device tells of itself.
type Target struct {
	Name      string // resource name
	Ownership mdm.Ownership
}

// Issue hands a command to Google and returns the name of its operation.
// ErrForbidden for one that would erase more than the work profile of a device
// that is not on record as the company's: Google is asked about the device first,
// and a device whose answer leaves doubt is not erased.
func (c *Client) Issue(ctx context.Context, t Target, cmd Command) (operation string, err error) {
	sent, err := cmd.encode()
	if err != nil {
		return "", err
	}
	if cmd.Type == Wipe {
		if err := c.mayErase(ctx, t); err != nil {
			return "", err
		}
	}
	answer, err := c.api.Enterprises.Devices.IssueCommand(t.Name, sent).Context(ctx).Do()
	if err != nil {
		return "", problem(err)
	}
	if answer.Name == "" {
		return "", halfAnswer(errors.New("operation without a name"))
	}
	return answer.Name, nil
}

// Delete removes a device from the enterprise, which removes the work profile
// from a personal device and resets every other one. Guarded as Issue is. A
// device that is gone already is no error.
func (c *Client) Delete(ctx context.Context, t Target, reason string) error {
	if err := c.mayErase(ctx, t); err != nil {
		if p := (*Problem)(nil); errors.As(err, &p) && p.NotFound() {
			return nil
		}
		return err
	}
	_, err := c.api.Enterprises.Devices.Delete(t.Name).WipeReasonMessage(reasonText(reason)).Context(ctx).Do()
	return gone(err)
}

// mayErase is the last lock before a device's data goes. A work profile on a
// device that Google, too, knows as its user's own is all that goes there;
// everything else needs our record to say that the company owns the device.
func (c *Client) mayErase(ctx context.Context, t Target) error {
	if t.Ownership == mdm.Corporate {
		return nil
	}
	d, err := c.api.Enterprises.Devices.Get(t.Name).Context(ctx).Do()
	if err != nil {
		return problem(err)
	}
	if mode(d.ManagementMode) == WorkProfile && d.Ownership == personallyOwned {
		return nil
	}
	return refusal.New(ErrForbidden, "device", "would be reset as a whole, and it is not on record as the company's",
		"record it as a corporate device first, or take mail away with selective_wipe")
}

// Operation asks what became of a command.
func (c *Client) Operation(ctx context.Context, name string) (Outcome, error) {
	answer, err := c.api.Enterprises.Devices.Operations.Get(name).Context(ctx).Do()
	if err != nil {
		return Outcome{}, problem(err)
	}
	return outcomeOf(answer), nil
}

// Cancel asks Google to take a command back. Whether that came in time Operation
// tells: "success is not guaranteed" (enterprises.devices.operations.cancel), and
// no command is taken back that its device has acknowledged.
func (c *Client) Cancel(ctx context.Context, name string) error {
	if _, err := c.api.Enterprises.Devices.Operations.Cancel(name).Context(ctx).Do(); err != nil {
		return problem(err)
	}
	return nil
}

var packageName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)+$`)

func (cmd Command) encode() (*androidmanagement.Command, error) {
	sent := &androidmanagement.Command{Type: string(cmd.Type)}
	if cmd.TTL > 0 {
		sent.Duration = strconv.FormatInt(int64(cmd.TTL/time.Second), 10) + "s"
	}
	switch cmd.Type {
	case Lock, ResetPassword, Reboot, RelinquishOwnership, StopLostMode:
	case ClearAppData:
		if len(cmd.Packages) == 0 || slices.ContainsFunc(cmd.Packages, func(p string) bool { return !packageName.MatchString(p) }) {
			return nil, refusal.New(ErrCommand, "packages", "do not name the apps whose data shall go", "name at least one app, for example com.google.android.gm")
		}
		sent.ClearAppsDataParams = &androidmanagement.ClearAppsDataParams{PackageNames: cmd.Packages}
	case StartLostMode:
		if cmd.Reason == "" {
			return nil, refusal.New(ErrCommand, "reason", "is empty", "say what the lost device shall show")
		}
		sent.StartLostModeParams = &androidmanagement.StartLostModeParams{LostMessage: &androidmanagement.UserFacingMessage{DefaultMessage: reasonText(cmd.Reason)}}
	case RequestDeviceInfo:
		sent.RequestDeviceInfoParams = &androidmanagement.RequestDeviceInfoParams{DeviceInfo: "EID"}
	case Wipe:
		sent.WipeParams = &androidmanagement.WipeParams{}
		if cmd.Reason != "" {
			sent.WipeParams.WipeReason = &androidmanagement.UserFacingMessage{DefaultMessage: reasonText(cmd.Reason)}
		}
	default:
		return nil, refusal.New(ErrCommand, "type", "is none that is sent to Android devices", "see docs/device-actions.md")
	}
	return sent, nil
}

// maxReason is the most that Google shows of a reason.
const maxReason = 200

func reasonText(text string) string {
	if runes := []rune(text); len(runes) > maxReason {
		return string(runes[:maxReason])
	}
	return text
}

// gone is a deletion's error: what is gone already is as it should be.
func gone(err error) error {
	if err == nil {
		return nil
	}
	p := problem(err)
	if p.Code == http.StatusNotFound {
		return nil
	}
	return p
}
