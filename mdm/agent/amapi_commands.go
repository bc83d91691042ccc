package agent

import (
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	commandURL         = "type.googleapis.com/google.android.devicemanagement.v1.Command"
	emptyURL           = "type.googleapis.com/google.protobuf.Empty"
	defaultCommandLife = 10 * time.Minute
	codeCancelled      = 1 // of google.rpc.Code
	codeUnknown        = 2
	codeDeadline       = 4
)

// Types of commands that this stand-in and its phones know. Those of eSIMs are
// left out: no mail depends on them.
const (
	commandLock       = "LOCK"
	commandPassword   = "RESET_PASSWORD"
	commandReboot     = "REBOOT"
	commandRelinquish = "RELINQUISH_OWNERSHIP"
	commandClear      = "CLEAR_APP_DATA"
	commandInfo       = "REQUEST_DEVICE_INFO"
	commandWipe       = "WIPE"
	commandLost       = "START_LOST_MODE"
	commandFound      = "STOP_LOST_MODE"
)

// paramsOf names the parameters that belong to a type, and whether it cannot do
// without.
var paramsOf = map[string]struct {
	field string
	must  bool
}{
	commandLock: {}, commandPassword: {}, commandReboot: {}, commandRelinquish: {},
	commandClear: {"clearAppsDataParams", true}, commandInfo: {"requestDeviceInfoParams", true}, commandWipe: {"wipeParams", false},
	commandLost: {"startLostModeParams", true}, commandFound: {"stopLostModeParams", false},
}

// allParams are the fields of Command that belong to one type each.
var allParams = []string{
	"addEsimParams", "clearAppsDataParams", "removeEsimParams", "requestDeviceInfoParams", "startLostModeParams", "stopLostModeParams", "wipeParams",
}

// issueCommand puts a command in line for the device.
func (a *AMAPI) issueCommand(c *call) (object, *apiError) {
	d, no := a.device(c)
	if no != nil {
		return nil, no
	}
	life, no := a.checkCommand(c.body)
	if no != nil {
		return nil, no
	}
	typ := str(c.body, "type")
	if typ == commandWipe {
		if no := d.mayWipe(texts(inner(c.body, "wipeParams"), "wipeDataFlags")); no != nil {
			return nil, no
		}
	}
	now := a.o.Now()
	metadata := clone(c.body)
	metadata["@type"], metadata["createTime"] = commandURL, timestamp(now)
	if metadata["duration"] == nil {
		metadata["duration"] = strconv.Itoa(int(defaultCommandLife/time.Second)) + "s"
	}
	name := str(d.Doc, "name") + "/operations/" + strconv.FormatInt(now.UnixMilli(), 10) + strconv.Itoa(a.s.Next)
	a.s.Next++
	o := &operation{Doc: object{"name": name, "metadata": metadata}, Expires: now.Add(life)}
	a.s.Operations[name] = o
	d.Commands = append(d.Commands, name)
	return o.Doc, nil
}

// checkCommand follows the descriptions of Command. The type is always asked
// for, though Google takes the parameters of some for it.
func (a *AMAPI) checkCommand(body object) (time.Duration, *apiError) {
	typ := str(body, "type")
	want, ok := paramsOf[typ]
	if !ok {
		return 0, broken("command.type", "Command type %q is missing or not known to the stand-in.", typ)
	}
	for _, field := range []string{"createTime", "errorCode", "userName", "clearAppsDataStatus", "esimStatus", "requestDeviceInfoStatus", "startLostModeStatus", "stopLostModeStatus"} {
		if body[field] != nil {
			return 0, broken("command."+field, "%s is written by the server alone.", field)
		}
	}
	for _, field := range allParams {
		if (body[field] != nil) && field != want.field {
			return 0, broken("command."+field, "%s does not belong to %s.", field, typ)
		}
	}
	reason := inner(inner(body, "wipeParams"), "wipeReason")
	switch {
	case want.must && inner(body, want.field) == nil:
		return 0, broken("command."+want.field, "%s needs %s.", typ, want.field)
	case typ == commandClear && len(texts(inner(body, want.field), "packageNames")) == 0:
		return 0, broken("command.clear_apps_data_params", "There must be a package name.")
	case typ == commandLost && len(inner(body, want.field)) == 0:
		return 0, broken("command.start_lost_mode_params", "There must be something to show.")
	case typ == commandInfo && str(inner(body, want.field), "deviceInfo") == "":
		return 0, broken("command.request_device_info_params", "The kind of information is missing.")
	case typ != commandPassword && (body["newPassword"] != nil || body["resetPasswordFlags"] != nil):
		return 0, broken("command.new_password", "Belongs to RESET_PASSWORD.")
	case utf8.RuneCountInString(str(reason, "defaultMessage")) > maxWipeReason:
		return 0, broken("command.wipe_params.wipe_reason", "More than %d characters.", maxWipeReason)
	}
	life := defaultCommandLife
	if text := str(body, "duration"); text != "" {
		d, err := time.ParseDuration(text)
		if err != nil || d <= 0 {
			return 0, broken("command.duration", "Invalid duration.")
		}
		life = d
	}
	return life, nil
}

// settle ends an operation. A refusal has Google's error code of the command.
func (a *AMAPI) settle(o *operation, errorCode string) {
	o.Doc["done"] = true
	if errorCode == "" {
		o.Doc["response"] = object{"@type": emptyURL}
		return
	}
	inner(o.Doc, "metadata")["errorCode"] = errorCode
	o.Doc["error"] = object{"code": numberOf(codeUnknown), "message": "The device could not execute the command: " + errorCode}
}

// expire ends commands that their devices did not fetch in time. It returns them.
func (a *AMAPI) expire(d *managedDevice) (late []*operation) {
	d.Commands = slices.DeleteFunc(d.Commands, func(name string) bool {
		o := a.s.Operations[name]
		if o == nil || yes(o.Doc, "done") {
			return true
		}
		if a.o.Now().Before(o.Expires) {
			return false
		}
		o.Doc["done"] = true
		o.Doc["error"] = object{"code": numberOf(codeDeadline), "message": "The command expired before the device executed it."}
		late = append(late, o)
		return true
	})
	return late
}

func (a *AMAPI) operationOf(c *call) (*managedDevice, *operation, *apiError) {
	if _, no := a.own(c); no != nil {
		return nil, nil, no
	}
	device := c.enterprise() + "/devices/" + c.parts[1]
	d, o := a.s.Devices[device], a.s.Operations[device+"/operations/"+c.parts[2]]
	if d == nil || o == nil {
		return nil, nil, missing("operation")
	}
	a.tellLate(d)
	return d, o, nil
}

func (a *AMAPI) getOperation(c *call) (object, *apiError) {
	_, o, no := a.operationOf(c)
	if no != nil {
		return nil, no
	}
	return o.Doc, nil
}

func (a *AMAPI) listOperations(c *call) (object, *apiError) {
	d, no := a.device(c)
	if no != nil {
		return nil, no
	}
	if c.query.Get("filter") != "" || c.query.Get("returnPartialSuccess") == "true" {
		return nil, &apiError{code: 501, status: "UNIMPLEMENTED", message: "Not supported.", breach: true}
	}
	a.tellLate(d)
	prefix := str(d.Doc, "name") + "/operations/"
	names := slices.DeleteFunc(slices.Collect(maps.Keys(a.s.Operations)), func(name string) bool { return prefix+lastPart(name) != name })
	some, next := page(names, c.size(), c.query.Get("pageToken"))
	out := []any{}
	for _, name := range some {
		out = append(out, a.s.Operations[name].Doc)
	}
	return object{"operations": out, "nextPageToken": next}, nil
}

// cancelOperation works until the device has fetched the command.
func (a *AMAPI) cancelOperation(c *call) (object, *apiError) {
	d, o, no := a.operationOf(c)
	if no != nil {
		return nil, no
	}
	if !yes(o.Doc, "done") && slices.Contains(d.Commands, str(o.Doc, "name")) {
		o.Doc["done"] = true
		o.Doc["error"] = object{"code": numberOf(codeCancelled), "message": "The operation was cancelled."}
		a.publish(d.Enterprise, "COMMAND", "Operation", o.Doc)
	}
	return object{}, nil
}

// tellLate publishes what expired.
func (a *AMAPI) tellLate(d *managedDevice) {
	for _, o := range a.expire(d) {
		a.publish(d.Enterprise, "COMMAND", "Operation", o.Doc)
	}
}
