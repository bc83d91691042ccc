package android

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"google.golang.org/api/androidmanagement/v1"
)

// outcomeOf reads what became of a command. Google's advice on what to believe:
// the command's own status first, then its errorCode, then the operation's error.
func outcomeOf(o *androidmanagement.Operation) Outcome {
	r := Outcome{Operation: o.Name, Done: o.Done}
	var told androidmanagement.Command
	if len(o.Response) > 0 {
		_ = json.Unmarshal(o.Response, &told) // not a command: nothing more is known
	}
	if told.Type == "" && len(o.Metadata) > 0 {
		_ = json.Unmarshal(o.Metadata, &told)
	}
	r.At = moment(told.CreateTime)
	r.Error = commandError(&told)
	r.Result = deviceInfo(told.RequestDeviceInfoStatus)
	if r.Error == "" && o.Error != nil {
		r.Error, r.Cancelled = operationError(o.Error), o.Error.Code == rpcCancelled
	}
	r.Failed = r.Error != ""
	return r
}

func commandError(c *androidmanagement.Command) string {
	var list []string
	if s := c.ClearAppsDataStatus; s != nil {
		for _, app := range slices.Sorted(maps.Keys(s.Results)) {
			switch s.Results[app].ClearingResult {
			case "", "SUCCESS", "CLEARING_RESULT_UNSPECIFIED":
			case "APP_NOT_FOUND": // nothing is left of it
			case "APP_PROTECTED":
				list = append(list, clean(app, maxWord)+" is protected and keeps its data (APP_PROTECTED)")
			case "API_LEVEL":
				list = append(list, "this version of Android cannot clear an app's data; it takes Android 9 (API_LEVEL)")
			default:
				list = append(list, clean(app, maxWord)+" keeps its data ("+clean(s.Results[app].ClearingResult, maxWord)+")")
			}
		}
	}
	if s := c.RequestDeviceInfoStatus; s != nil && deviceInfoErrors[s.Status] != "" {
		list = append(list, deviceInfoErrors[s.Status]+" ("+s.Status+")")
	}
	if len(list) == 0 && c.ErrorCode != "" && c.ErrorCode != "COMMAND_ERROR_CODE_UNSPECIFIED" {
		plain := commandErrors[c.ErrorCode]
		if plain == "" {
			plain = commandErrors["UNKNOWN"]
		}
		list = append(list, plain+" ("+clean(c.ErrorCode, maxWord)+")")
	}
	return clean(strings.Join(list, "; "), maxText)
}

// commandErrors are Google's CommandErrorCode values.
var commandErrors = map[string]string{
	"UNKNOWN":         "the phone could not do it",
	"API_LEVEL":       "this version of Android does not know the command",
	"MANAGEMENT_MODE": "the command does not apply to this kind of management: work profile or fully managed",
	"INVALID_VALUE":   "the phone refuses a value of the command",
	"UNSUPPORTED":     "the phone does not know the command, which a newer Android Device Policy app may",
}

// deviceInfoErrors are why a device does not tell what it was asked.
var deviceInfoErrors = map[string]string{
	"USER_DECLINED":       "the user declined to tell",
	"PENDING_USER_ACTION": "the user was asked, and has not agreed to tell",
	"UNSUPPORTED":         "this phone cannot tell it",
}

// deviceInfo is what a device told of itself when it was asked.
func deviceInfo(s *androidmanagement.RequestDeviceInfoStatus) string {
	if s == nil || s.EidInfo == nil {
		return ""
	}
	var list []string
	for _, e := range s.EidInfo.Eids {
		if e != nil && e.Eid != "" && len(list) < maxDetails {
			list = append(list, "EID "+clean(e.Eid, maxWord))
		}
	}
	return clean(strings.Join(list, ", "), maxText)
}

// Codes of google.rpc.Code that commands end with.
const (
	rpcCancelled        = 1
	rpcDeadlineExceeded = 4
)

func operationError(s *androidmanagement.Status) string {
	switch s.Code {
	case rpcCancelled:
		return "it was cancelled"
	case rpcDeadlineExceeded:
		return "the phone did not come in time"
	}
	return clean(fmt.Sprintf("%s (code %d)", clean(s.Message, maxText/2), s.Code), maxText)
}
